"""The plan of an operation: sizes, crops, offsets, in plain ints; every message about a bad size.

Imports no array library. A plan depends on shapes and options alone, so it is made once and kept.
"""

from __future__ import annotations

import math
import operator
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any, Literal, NoReturn, ParamSpec, TypeAlias, TypeVar

Sizes: TypeAlias = int | Sequence[int]
Padding: TypeAlias = int | Sequence[int | tuple[int, int]]
Scales: TypeAlias = float | Sequence[float]
Shape: TypeAlias = tuple[int, ...]
Coordinates: TypeAlias = Literal["asymmetric", "half_pixel", "align_corners"]

_P = ParamSpec("_P")
_T = TypeVar("_T")
_KEPT_PLANS = 2048


def kept(plan: Callable[_P, _T]) -> Callable[_P, _T]:
    """Keep the plans already made, by the text of their arguments.

    The text tells 2 from 2.0 and True, which hash alike, and needs no hashable argument. While
    torch.compile traces, the plan is made anew: a cache would be a side effect to guard.
    """
    plans: dict[str, _T] = {}

    @wraps(plan)
    def look_up(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        torch = sys.modules.get("torch")
        if torch is not None and torch.compiler.is_compiling():
            return plan(*args, **kwargs)
        key = repr(args) + repr(kwargs) if kwargs else repr(args)
        found = plans.get(key)
        if found is None:
            found = plan(*args, **kwargs)
            if len(plans) >= _KEPT_PLANS:
                plans.clear()
            plans[key] = found
        return found

    return look_up


def fail(
    operation: str, argument: str, value: object, shape: Sequence[int], rule: str
) -> NoReturn:
    """Raise the ValueError that names the argument, its value and the shape it met."""
    raise ValueError(
        f"{operation}: {argument}={value!r} {rule} (array of shape {tuple(shape)})"
    )


# --- the rank rule -------------------------------------------------------------------------------


def spatial_rank(operation: str, shape: Shape, **sizes: Any) -> int:
    """Return on how many trailing axes the sizes act.

    A tuple of length d acts on the last d axes; where all are ints, on every axis after the
    first two.
    """
    lengths = {name: len(size) for name, size in sizes.items() if isinstance(size, tuple | list)}
    if len(set(lengths.values())) > 1:
        said = ", ".join(f"{name}={sizes[name]!r}" for name in lengths)
        raise ValueError(
            f"{operation}: {said} are tuples of different lengths; a tuple has one entry for each "
            f"spatial axis and is never broadcast (array of shape {shape})"
        )
    if lengths:
        name, rank = next(iter(lengths.items()))
        if not 1 <= rank <= len(shape):
            fail(operation, name, sizes[name], shape, f"acts on {rank} axes, out of {len(shape)}")
    else:
        rank = len(shape) - 2
        if rank < 1:
            name = next(name for name, size in sizes.items() if size is not None)
            fail(
                operation,
                name,
                sizes[name],
                shape,
                "is an int, which acts on every axis after the first two, and there is none; "
                "give a tuple with one entry for each spatial axis",
            )
    empty = [axis for axis in range(len(shape) - rank, len(shape)) if shape[axis] == 0]
    if empty:
        raise ValueError(f"{operation}: spatial axis {empty[0]} is empty (array of shape {shape})")
    return rank


def as_int(operation: str, argument: str, value: object, shape: Shape) -> int:
    """Return value as an int; floats and bools are not sizes."""
    if not isinstance(value, bool):
        try:
            return operator.index(value)  # type: ignore[arg-type]
        except TypeError:
            pass
    raise TypeError(
        f"{operation}: {argument} must be an int or a tuple of ints, got {value!r} "
        f"(array of shape {shape})"
    )


def per_axis(
    operation: str, argument: str, value: Any, rank: int, shape: Shape, *, least: int
) -> Shape:
    """Return one int for each spatial axis, each at least `least`."""
    entries = value if isinstance(value, tuple | list) else (value,) * rank
    sizes = tuple(as_int(operation, argument, entry, shape) for entry in entries)
    if min(sizes) < least:
        fail(operation, argument, value, shape, f"must be >= {least} on every axis")
    return sizes


def pairs(
    operation: str, value: Any, rank: int, shape: Shape, extents: Shape
) -> tuple[tuple[int, int], ...]:
    """Return the (before, after) padding of each spatial axis, each smaller than its extent."""
    result = []
    for entry in value if isinstance(value, tuple | list) else (value,) * rank:
        both = entry if isinstance(entry, tuple | list) else (entry, entry)
        if len(both) != 2:
            fail(operation, "padding", value, shape, "has an entry that is no (before, after) pair")
        before, after = (as_int(operation, "padding", side, shape) for side in both)
        result.append((before, after))
    for (before, after), extent in zip(result, extents, strict=True):
        if min(before, after) < 0 or max(before, after) >= extent:
            rule = f"must be >= 0 and smaller than the effective kernel dilation*(k-1)+1 = {extent}"
            fail(operation, "padding", value, shape, rule)
    return tuple(result)


# --- windows: pooling ----------------------------------------------------------------------------


@dataclass(frozen=True)
class AxisWindows:
    """The windows along one axis, and the real cells that stand in for cells outside of it.

    A cell of the padding takes the value and the position of the nearest real cell of the same
    window (one that the window has anyway), so no maximum can lie outside and none is counted
    that is not there.
    """

    axis: int  # negative: counted from the end
    size: int
    count: int  # windows
    taps: int
    stride: int
    dilation: int
    before: Shape  # for each cell of padding, in order, the real position that stands in for it
    after: Shape


@dataclass(frozen=True)
class Windows:
    """The windows of a pooling operation."""

    plane: Shape
    output: Shape
    axes: tuple[AxisWindows, ...]


@kept
def windows(
    operation: str,
    shape: Shape,
    kernel_size: Sizes,
    stride: Sizes | None,
    padding: Padding,
    dilation: Sizes,
    ceil_mode: bool,
) -> Windows:
    """Plan the windows of a pooling of an array of `shape`."""
    rank = spatial_rank(
        operation,
        shape,
        kernel_size=kernel_size,
        stride=stride,
        padding=padding,
        dilation=dilation,
    )
    kernels = per_axis(operation, "kernel_size", kernel_size, rank, shape, least=1)
    strides = (
        kernels
        if stride is None
        else per_axis(operation, "stride", stride, rank, shape, least=1)
    )
    dilations = per_axis(operation, "dilation", dilation, rank, shape, least=1)
    extents = tuple(d * (k - 1) + 1 for k, d in zip(kernels, dilations, strict=True))
    pads = pairs(operation, padding, rank, shape, extents)
    if not isinstance(ceil_mode, bool):
        raise TypeError(f"{operation}: ceil_mode must be a bool, got {ceil_mode!r}")

    plane = shape[len(shape) - rank :]
    axes = []
    for i, (n, k, s, d, extent, (before, after)) in enumerate(
        zip(plane, kernels, strides, dilations, extents, pads, strict=True)
    ):
        room = n + before + after - extent
        if room < 0:
            rule = f"spans {extent} cells, more than the {n + before + after} of axis {i - rank}"
            fail(operation, "kernel_size", kernel_size, shape, rule + " with its padding")
        count = room // s + 1
        # PyTorch's rule: the last window starts inside the input or the padding before it.
        if ceil_mode and room % s and count * s < n + before:
            count += 1
        end = (count - 1) * s + extent - before
        # min and max only matter for cells between windows, which nothing reads.
        lead = tuple(min(p % d, n - 1) for p in range(-before, 0))
        trail = tuple(max(p - d * ((p - n) // d + 1), 0) for p in range(n, end))
        if d > n and _misses(n, count, k, s, d, before):
            fail(operation, "dilation", dilation, shape, "leaves a window without a single element")
        axes.append(AxisWindows(i - rank, n, count, k, s, d, lead, trail))
    return Windows(plane, tuple(axis.count for axis in axes), tuple(axes))


def _misses(n: int, count: int, k: int, s: int, d: int, before: int) -> bool:
    # Only taps further apart than the axis is long can step over all of it.
    return any(
        not any(0 <= i * s - before + t * d < n for t in range(k)) for i in range(count)
    )


# --- from small to large -------------------------------------------------------------------------


@kept
def unpooled_plane(
    operation: str,
    shape: Shape,
    kernel_size: Sizes | None,
    stride: Sizes | None,
    padding: Padding,
    dilation: Sizes,
    output_size: Sizes | None,
) -> tuple[int, Shape]:
    """Return the rank and the plane that a pooled array of `shape` is unpooled to."""
    if kernel_size is None and output_size is None:
        raise ValueError(
            f"{operation}: kernel_size or output_size must be given (array of shape {shape})"
        )
    given = {"kernel_size": kernel_size, "stride": stride, "output_size": output_size}
    rank = spatial_rank(operation, shape, **given, padding=padding, dilation=dilation)
    dilations = per_axis(operation, "dilation", dilation, rank, shape, least=1)
    kernels = per_axis(
        operation, "kernel_size", 1 if kernel_size is None else kernel_size, rank, shape, least=1
    )
    strides = (
        kernels
        if stride is None
        else per_axis(operation, "stride", stride, rank, shape, least=1)
    )
    extents = tuple(d * (k - 1) + 1 for k, d in zip(kernels, dilations, strict=True))
    if kernel_size is None:
        if stride is not None or padding != 0 or dilation != 1:
            fail(
                operation,
                "kernel_size",
                None,
                shape,
                "must be given with stride, padding or dilation",
            )
    else:
        pads = pairs(operation, padding, rank, shape, extents)
    if output_size is not None:
        return rank, per_axis(operation, "output_size", output_size, rank, shape, least=1)
    plane = tuple(
        (n - 1) * s - before - after + extent
        for n, s, extent, (before, after) in zip(
            shape[len(shape) - rank :], strides, extents, pads, strict=True
        )
    )
    if min(plane) < 1:
        fail(operation, "padding", padding, shape, f"leaves nothing of the output plane {plane}")
    return rank, plane


@dataclass(frozen=True)
class AxisResize:
    """One axis brought to another size; `scale` is output over input as the coordinates use it."""

    axis: int  # negative: counted from the end
    size: int
    output: int
    scale: float | None  # None: output_size was given, the scale is the exact output / size

    @property
    def repeats(self) -> int | None:
        """The whole factor, where the output is that many copies of each element."""
        exact = self.output % self.size == 0
        if exact and (self.scale is None or self.scale == self.output // self.size):
            return self.output // self.size
        return None


@kept
def resize(
    operation: str, shape: Shape, scale_factor: Scales | None, output_size: Sizes | None
) -> tuple[AxisResize, ...]:
    """Plan the size of each spatial axis from a factor or from the wanted size."""
    if (scale_factor is None) == (output_size is None):
        raise ValueError(
            f"{operation}: give either scale_factor or output_size, got scale_factor="
            f"{scale_factor!r} and output_size={output_size!r} (array of shape {shape})"
        )
    rank = spatial_rank(operation, shape, scale_factor=scale_factor, output_size=output_size)
    plane = shape[len(shape) - rank :]
    if output_size is not None:
        outputs = per_axis(operation, "output_size", output_size, rank, shape, least=1)
        scales: tuple[float | None, ...] = (None,) * rank
    else:
        scales = factors = _factors(operation, scale_factor, rank, shape)
        outputs = tuple(math.floor(n * factor) for n, factor in zip(plane, factors, strict=True))
        if min(outputs) < 1:
            fail(operation, "scale_factor", scale_factor, shape, f"leaves an empty plane {outputs}")
    return tuple(
        AxisResize(i - rank, n, output, scale)
        for i, (n, output, scale) in enumerate(zip(plane, outputs, scales, strict=True))
    )


def _factors(operation: str, scale_factor: Any, rank: int, shape: Shape) -> tuple[float, ...]:
    entries = scale_factor if isinstance(scale_factor, tuple | list) else (scale_factor,) * rank
    factors = []
    for entry in entries:
        if isinstance(entry, bool | str | bytes) or not hasattr(entry, "__float__"):
            raise TypeError(
                f"{operation}: scale_factor must be a number or a tuple of numbers, got "
                f"{scale_factor!r} (array of shape {shape})"
            )
        factor = float(entry)
        if not 0 < factor < math.inf:
            fail(operation, "scale_factor", scale_factor, shape, "must be positive and finite")
        factors.append(factor)
    return tuple(factors)


@kept
def nearest_sources(axis: AxisResize, coordinates: Coordinates) -> Shape:
    """Return the source index of each output index: floor(o/scale), or floor((o+0.5)/scale)."""
    n, output = axis.size, axis.output
    half = coordinates == "half_pixel"
    if axis.scale is None:
        # In whole numbers, since o * (n / output) in floats can fall below the integer it is.
        exact = ((2 * o + half) * n // (2 * output) for o in range(output))
    else:
        exact = (math.floor((o + 0.5 * half) / axis.scale) for o in range(output))
    return tuple(min(source, n - 1) for source in exact)


def check_choice(operation: str, argument: str, value: object, known: Sequence[str]) -> None:
    """Raise a ValueError that lists the known values."""
    if value not in known:
        raise ValueError(f"{operation}: {argument}={value!r} is not one of {', '.join(known)}")
