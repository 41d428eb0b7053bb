"""The drawn regions of a fractional pooling, found on the host so that all libraries have them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from unpool_xp._plan.arguments import (
    Scales,
    Shape,
    Sizes,
    as_float,
    as_int,
    factors_per_axis,
    fail,
    per_axis,
    spatial_rank,
    without_lead,
)

if TYPE_CHECKING:
    import numpy.typing as npt


class FractionalPoolSizes(NamedTuple):
    """The sizes of a fractional pooling."""

    lead: Shape
    plane: Shape
    kernel_size: Shape
    output: Shape


@dataclass(frozen=True)
class RegionAxis:
    """The regions of a fractional pooling along one axis."""

    axis: int  # negative: counted from the end
    size: int
    kernel_size: int
    flat_stride: int  # from an element to the next one along the axis, in row-major order
    starts: Any  # (out,) or (*lead, out)
    origin: int = 0  # first cell in the whole axis, if this is a part of it

    @property
    def count(self) -> int:
        """How many regions there are."""
        return int(self.starts.shape[-1])

    @property
    def output(self) -> int:
        """The cells of the output, one for each region."""
        return self.count

    @property
    def extent(self) -> int:
        """The cells that a region spans."""
        return self.kernel_size

    def part(self, first: int, last: int) -> tuple[int, int, RegionAxis]:
        """Return the input cells [start, stop) that the regions [first, last) need, and those."""
        start = int(self.starts[..., first].min())
        stop = int(self.starts[..., last - 1].max()) + self.kernel_size
        return start, stop, self.between(first, last, start, stop)

    def between(self, first: int, last: int, start: int, stop: int) -> RegionAxis:
        """Return the regions [first, last), which lie in the cells [start, stop)."""
        starts, origin = self.starts[..., first:last] - start, self.origin + start
        return replace(self, size=stop - start, starts=starts, origin=origin)

    def of_planes(self, planes: tuple[slice, ...]) -> RegionAxis:
        """Return the regions of some planes."""
        return replace(self, starts=self.starts[planes]) if self.starts.ndim > 1 else self


@dataclass(frozen=True)
class FractionalPoolPlan:
    """The regions of a fractional pooling."""

    plane: Shape  # of the whole, which the indices count
    axes: tuple[RegionAxis, ...]

    @property
    def flat_extent(self) -> int:
        """How far the last element of a region lies behind its first one."""
        return sum([(axis.kernel_size - 1) * axis.flat_stride for axis in self.axes])


def plan_regions(sizes: FractionalPoolSizes, starts: Sequence[Any]) -> FractionalPoolPlan:
    """Plan a fractional pooling whose regions are drawn."""
    rank = len(sizes.plane)
    axes = []
    for i, drawn in enumerate(starts):
        n, k, flat_stride = sizes.plane[i], sizes.kernel_size[i], math.prod(sizes.plane[i + 1 :])
        axes.append(RegionAxis(i - rank, n, k, flat_stride, drawn))
    return FractionalPoolPlan(sizes.plane, tuple(axes))


_MAX_DRAWN = 2**16  # regions of each plane at a time


def draw_region_starts(
    operation: str, sizes: Sequence[Shape], samples: Any, seed: int | None
) -> list[npt.NDArray[np.integer[Any]]]:
    """Return for each spatial axis where its regions start: shape (out,) or (*lead, out).

    `sizes` are those of the leading axes, the plane, the kernel and the output.
    """
    lead, plane, kernels, outputs = sizes
    rank = len(plane)
    if seed is not None:
        seed = as_int(operation, "seed", seed, (*lead, *plane))
        if seed < 0:
            fail(operation, "seed", seed, (*lead, *plane), "must be >= 0")
    if samples is None:
        drawn = np.random.default_rng(seed).random((*lead, rank))
    elif seed is not None:
        raise ValueError(f"{operation}: give either samples or seed, got seed={seed!r} and samples")
    else:
        drawn = _validated_samples(operation, samples, lead, rank)
    starts = []
    for axis, (n, k, output) in enumerate(zip(plane, kernels, outputs, strict=True)):
        u = drawn[..., axis, None]
        step = (n - k) / max(output - 1, 1)
        # The last region ends with the axis.
        dtype = np.int32 if n < 2**31 else np.int64
        places = np.full((*u.shape[:-1], output), n - k, dtype=dtype)
        for first in range(0, output - 1, _MAX_DRAWN):
            regions = np.arange(first, min(first + _MAX_DRAWN, output - 1))
            shifted = np.floor((regions + u) * step) - np.floor(u * step)
            places[..., first : first + regions.size] = shifted
        starts.append(places)
    return starts


def _validated_samples(
    operation: str, samples: Any, lead: Shape, rank: int
) -> npt.NDArray[np.float64]:
    if isinstance(samples, np.ma.MaskedArray):
        raise TypeError(f"{operation}: samples must be a plain array, got a masked one")
    try:
        given = np.asarray(samples)
        is_number = given.dtype.kind not in "bcSUmM"
        if given.dtype.kind == "O":
            is_number = None not in map(as_float, given.flat)
        if not is_number:
            raise TypeError(f"got {samples!r}")
        drawn = given.astype(np.float64)
    except (TypeError, ValueError, RuntimeError) as error:  # of PyTorch, for one with a gradient
        raise TypeError(f"{operation}: samples must be numbers on the host: {error}") from error
    if drawn.shape not in ((rank,), (*lead, rank)):
        raise ValueError(
            f"{operation}: samples must have the shape ({rank},) or {(*lead, rank)}, got "
            f"{drawn.shape}"
        )
    wrong = drawn[~((drawn >= 0) & (drawn < 1))]
    if wrong.size:
        raise ValueError(f"{operation}: samples must lie in [0, 1), got {wrong[0]}")
    return drawn


# What torch.compiler.assume_constant_result sets, without importing torch: while torch.compile
# traces, the regions are found once and kept, not traced.
draw_region_starts._dynamo_marked_constant = True  # type: ignore[attr-defined]


def plan_fractional_sizes(
    operation: str,
    shape: Shape,
    kernel_size: Sizes,
    output_size: Sizes | None,
    output_ratio: Scales | None,
) -> FractionalPoolSizes:
    """Plan what a fractional pooling knows before its regions are drawn."""
    if (output_size is None) == (output_ratio is None):
        raise ValueError(
            f"{operation}: give either output_size or output_ratio, got output_size="
            f"{output_size!r} and output_ratio={output_ratio!r} (array of shape {shape})"
        )
    rank = spatial_rank(operation, shape, kernel_size=kernel_size)
    output_size = without_lead(operation, output_size, shape, rank)
    kernels = per_axis(operation, "kernel_size", kernel_size, rank, shape, minimum=1)
    plane = shape[len(shape) - rank :]
    name: str
    given: Any
    if output_size is not None:
        name, given = "output_size", output_size
        outputs = per_axis(operation, name, given, rank, shape, minimum=1)
    else:
        name, given = "output_ratio", output_ratio
        ratios = factors_per_axis(operation, name, given, rank, shape)
        if max(ratios) >= 1:
            fail(operation, name, given, shape, "must be below 1")
        outputs = tuple(math.floor(n * ratio) for n, ratio in zip(plane, ratios, strict=True))
        if min(outputs) < 1:
            fail(operation, name, given, shape, f"leaves an empty plane {outputs}")
    for n, k, out in zip(plane, kernels, outputs, strict=True):
        if out + k - 1 > n:
            rule = f"needs {out} windows of {k} cells at different places among {n}"
            fail(operation, name, given, shape, rule)
    # A range has a length in plain ints, even where torch.compile takes a size for a symbol.
    sizes = [tuple([len(range(n)) for n in part]) for part in (plane, kernels, outputs)]
    return FractionalPoolSizes(shape[: len(shape) - rank], *sizes)
