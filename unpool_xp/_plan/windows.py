"""Plans for pooling: sizes and offsets of windows as plain ints."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from unpool_xp._plan.arguments import (
    Padding,
    Shape,
    Sizes,
    as_int,
    check_bool,
    fail,
    padding_pairs,
    per_axis,
    spatial_rank,
)

if TYPE_CHECKING:
    import numpy.typing as npt

    from unpool_xp._plan.adaptive import AdaptiveAxis

# Taps from which elements are combined in pairs, which is then 1.2x to 10x as fast as tap by tap on
# one core of an Intel Xeon; and those of windows of which an element is in 4 or more.
LONG_WINDOW, LONG_OVERLAP = 64, 16
AnyWindows: TypeAlias = "PoolAxis | AdaptiveAxis"  # along one axis


@dataclass(frozen=True)
class PoolAxis:
    """The windows along one axis, and for each padding cell the input cell it copies."""

    axis: int  # negative: counted from the end
    size: int
    count: int  # windows
    kernel_size: int
    stride: int
    dilation: int
    padding: tuple[int, int]
    source_before: Shape  # for each padding cell, the nearest input cell of the same window
    source_after: Shape  # as many cells as the last window needs
    flat_stride: int  # from an element to the next one along the axis, in row-major order
    origin: int = 0  # first cell in the whole axis, if this is a part of it
    arrays: dict[Any, Any] = field(default_factory=dict, compare=False, repr=False)

    @property
    def output(self) -> int:
        """The cells of the output, one for each window."""
        return self.count

    @property
    def extent(self) -> int:
        """The cells that a window spans."""
        return (self.kernel_size - 1) * self.dilation + 1

    # Whether elements are combined in pairs, not tap by tap.
    in_pairs: bool = field(init=False, compare=False, repr=False)
    # For each tap, the slice of the padded axis that it reads; empty if `in_pairs`.
    tap_slices: tuple[slice, ...] = field(init=False, compare=False, repr=False)
    # Row-major offset of each tap from the first one.
    flat_offsets: Sequence[int] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        last = (self.count - 1) * self.stride
        overlap = self.kernel_size >= 4 * self.stride
        in_pairs = self.kernel_size >= (LONG_OVERLAP if overlap else LONG_WINDOW)
        object.__setattr__(self, "in_pairs", in_pairs)
        taps = range(0, 0 if self.in_pairs else self.kernel_size * self.dilation, self.dilation)
        tap_slices = tuple([slice(tap, tap + last + 1, self.stride) for tap in taps])
        object.__setattr__(self, "tap_slices", tap_slices)
        step = self.dilation * self.flat_stride
        flat_offsets: Sequence[int]
        if in_pairs:
            flat_offsets = range(0, self.kernel_size * step, step)
        else:  # no range: the step may be a symbol, of which it would take the value
            flat_offsets = tuple([tap * step for tap in range(self.kernel_size)])
        object.__setattr__(self, "flat_offsets", flat_offsets)

    @property
    def flat_extent(self) -> int:
        """The largest offset of a tap; a bound of the positions along the axis if `in_pairs`."""
        if self.in_pairs:
            return (self.origin + self.size) * self.flat_stride
        return self.flat_offsets[-1]

    @property
    def valid_taps(self) -> npt.NDArray[np.bool_]:
        """For each tap and window, whether it lies inside; one column if there is no padding."""
        if not self.source_before and not self.source_after:
            return np.ones((self.kernel_size, 1), dtype=bool)
        taps = np.arange(self.kernel_size)[:, None] * self.dilation
        cells = taps + np.arange(self.count) * self.stride - self.padding[0]
        return (cells >= 0) & (cells < self.size)

    def is_full(self, *, include_pad: bool) -> bool:
        """Return whether windows average over all of their taps; those beyond the padding do not.

        It never depends on the size of the axis where that is a symbol.
        """
        before, after = self.padding if include_pad else (0, 0)
        return len(self.source_before) <= before and len(self.source_after) <= after

    def part(self, first: int, last: int) -> tuple[int, int, PoolAxis]:
        """Return the input cells [start, stop) that the windows [first, last) need, and those."""
        low = first * self.stride - self.padding[0]
        high = low + (last - first - 1) * self.stride + (self.kernel_size - 1) * self.dilation + 1
        start, stop = max(low, 0), min(high, self.size)
        lead, trail = pad_source_indices(
            stop - start, self.dilation, start - low, max(high - stop, 0)
        )
        windows = replace(
            self,
            size=stop - start,
            count=last - first,
            padding=(start - low, self.size + self.padding[1] - stop),
            source_before=lead,
            source_after=trail,
            origin=self.origin + start,
            arrays={},
        )
        return start, stop, windows


@dataclass(frozen=True)
class MaxPoolPlan:
    """The windows of a pooling operation."""

    plane: Shape
    output: Shape
    axes: tuple[AnyWindows, ...]
    is_partial: bool = False  # one chunk of a larger plane: do not cache arrays for it
    is_strided: bool = True  # whether all axes are `PoolAxis`
    operation: str = "max_pool"
    arrays: dict[Any, Any] = field(default_factory=dict, compare=False, repr=False)
    # Elements of a window; and from its first one to its last, at most.
    window_size: int = field(init=False, compare=False, repr=False)
    flat_extent: int = field(init=False, compare=False, repr=False)
    padding: tuple[Shape, Shape] = field(init=False, compare=False, repr=False)  # before and after

    def __post_init__(self) -> None:
        object.__setattr__(self, "padding", pad_widths(self.axes))
        object.__setattr__(self, "window_size", math.prod([a.kernel_size for a in self.axes]))
        object.__setattr__(self, "flat_extent", sum([axis.flat_extent for axis in self.axes]))

    def part(self, axes: tuple[AnyWindows, ...]) -> MaxPoolPlan:
        """Return the plan of some of the windows."""
        outputs = tuple([axis.count for axis in axes])
        return replace(self, output=outputs, axes=axes, is_partial=True, arrays={})


@dataclass(frozen=True)
class AvgPoolPlan:
    """Plan of an average pooling: the windows and the divisor of each sum."""

    axes: tuple[AnyWindows, ...]
    divisor: float | None  # where it is the same for all windows
    include_pad: bool = True

    @property
    def output(self) -> Shape:
        """How many windows there are along each axis."""
        return tuple([axis.count for axis in self.axes])


def pad_widths(axes: tuple[AnyWindows, ...]) -> tuple[Shape, Shape]:
    """Return how many cells of padding each axis has before and after."""
    before = tuple([len(axis.source_before) for axis in axes])
    return before, tuple([len(axis.source_after) for axis in axes])


def _window_sizes(
    operation: str,
    shape: Shape,
    rank: int,
    kernel_size: Sizes,
    stride: Sizes,
    dilation: Sizes,
) -> tuple[Shape, Shape, Shape, Shape]:
    """Return kernel, stride, dilation and effective kernel of each axis."""
    kernels = per_axis(operation, "kernel_size", kernel_size, rank, shape, minimum=1)
    strides = per_axis(operation, "stride", stride, rank, shape, minimum=1)
    dilations = per_axis(operation, "dilation", dilation, rank, shape, minimum=1)
    extents = tuple(d * (k - 1) + 1 for k, d in zip(kernels, dilations, strict=True))
    return kernels, strides, dilations, extents


def plan_windows(
    operation: str,
    shape: Shape,
    kernel_size: Sizes,
    stride: Sizes | None,
    padding: Padding,
    dilation: Sizes,
    ceil_mode: bool,
    symbolic_axes: tuple[bool, ...] = (),
) -> tuple[PoolAxis, ...]:
    """Plan the windows of a pooling of an array of `shape`, axis by axis.

    Where the size of an axis is a symbol, the padding must not depend on it: there may be cells
    that no window reads.
    """
    rank = spatial_rank(operation, shape, kernel_size=kernel_size)
    sizes = (kernel_size, kernel_size if stride is None else stride, dilation)
    kernels, strides, dilations, extents = _window_sizes(operation, shape, rank, *sizes)
    plane = shape[len(shape) - rank :]
    steps = zip(plane, strides, extents, strict=True)
    excess = tuple([(-(-n // s) - 1) * s + extent - n for n, s, extent in steps])
    pads = padding_pairs(operation, padding, rank, shape, extents, excess)
    check_bool(operation, "ceil_mode", ceil_mode)

    axes = []
    for i, (n, k, s, d, extent, (before, after)) in enumerate(
        zip(plane, kernels, strides, dilations, extents, pads, strict=True)
    ):
        # In ceil mode a window may reach beyond the padding, but as in PyTorch it starts inside the
        # input or the padding before it.
        overhang = min(s, extent - after) - 1 if ceil_mode else 0
        count = (n + before + after - extent + overhang) // s + 1
        if count < 1:
            spread = f" with dilation={dilation!r}" if d > 1 else ""
            rule = f"spans {extent} cells{spread}, more than the {n + before + after} of axis "
            fail(operation, "kernel_size", kernel_size, shape, f"{rule}{i - rank} with its padding")
        firsts = range(-before, 0, s) if d > 1 else ()  # the windows that start in the padding
        if any(p % d >= n and p + before < count * s for p in firsts):
            fail(operation, "dilation", dilation, shape, "leaves a window without a single element")
        if symbolic_axes and symbolic_axes[i - rank]:
            n_after = after + overhang
        else:
            n_after = max((count - 1) * s + extent - before - n, 0)
        lead, trail = pad_source_indices(n, d, before, n_after)
        flat_stride = math.prod(list(plane[i + 1 :]))
        axes.append(
            PoolAxis(i - rank, n, count, k, s, d, (before, after), lead, trail, flat_stride)
        )
    return tuple(axes)


def plan_max_pool(
    operation: str,
    shape: Shape,
    kernel_size: Sizes,
    stride: Sizes | None,
    padding: Padding,
    dilation: Sizes,
    ceil_mode: bool,
    symbolic_axes: tuple[bool, ...] = (),
) -> MaxPoolPlan:
    """Plan the windows of a pooling of an array of `shape`."""
    sizes = (kernel_size, stride, padding, dilation)
    axes = plan_windows(operation, shape, *sizes, ceil_mode, symbolic_axes)
    plane, outputs = tuple([axis.size for axis in axes]), tuple([axis.count for axis in axes])
    return MaxPoolPlan(plane, outputs, axes, operation=operation)


def pad_source_indices(size: int, dilation: int, before: int, after: int) -> tuple[Shape, Shape]:
    """Return the input cell that each padding cell copies, before and after the axis.

    It is the nearest one a multiple of the dilation away, so it belongs to the same window.
    """
    # The min and max only affect cells that no window reads.
    lead = tuple([min(p % dilation, size - 1) for p in range(-before, 0)])
    trail = tuple([max(size + p % dilation - dilation, 0) for p in range(after)])
    return lead, trail


def plan_avg_pool(
    operation: str,
    shape: Shape,
    kernel_size: Sizes,
    stride: Sizes | None,
    padding: Padding,
    dilation: Sizes,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor: int | None = None,
    symbolic_axes: tuple[bool, ...] = (),
) -> AvgPoolPlan:
    """Plan an average pooling."""
    check_bool(operation, "count_include_pad", count_include_pad)
    sizes = (kernel_size, stride, padding, dilation)
    axes = plan_windows(operation, shape, *sizes, ceil_mode, symbolic_axes)
    if divisor is not None:
        divisor = as_int(operation, "divisor", divisor, shape)
        if not divisor:
            fail(operation, "divisor", divisor, shape, "must not be 0")
        if not -(2**63) <= divisor < 2**63:
            fail(operation, "divisor", divisor, shape, "must have at most 64 bits")
        return AvgPoolPlan(axes, float(divisor))  # for JAX an int has at most 32 bits
    return plan_means(axes, include_pad=count_include_pad)


def plan_means(axes: tuple[AnyWindows, ...], *, include_pad: bool) -> AvgPoolPlan:
    """Plan the means of windows."""
    is_full = all(axis.is_full(include_pad=include_pad) for axis in axes)
    divisor = math.prod([axis.kernel_size for axis in axes]) if is_full else None
    return AvgPoolPlan(axes, divisor, include_pad)
