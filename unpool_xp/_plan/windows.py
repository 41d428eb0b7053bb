"""The plan of an operation on windows: sizes, crops, offsets, in plain ints.

Imports no array library.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from unpool_xp._plan.arguments import (
    Padding,
    Scales,
    Shape,
    Sizes,
    as_int,
    factors_per_axis,
    fail,
    padding_pairs,
    per_axis,
    spatial_rank,
)

# --- windows: pooling ----------------------------------------------------------------------------


@dataclass(frozen=True)
class AxisWindows:
    """The windows along one axis, and the real cells that stand in for cells outside of it."""

    axis: int  # negative: counted from the end
    size: int
    count: int  # windows
    taps: int
    stride: int
    dilation: int
    padding: tuple[int, int]
    before: Shape  # for each cell of padding, in order, the nearest real cell of the same window
    after: Shape  # as many cells as the last window needs
    step: int  # from an element to the next one along the axis, in row-major order
    offset: int = 0  # where the axis starts in the one that it is a part of
    arrays: dict[Any, Any] = field(default_factory=dict, compare=False, repr=False)

    @property
    def starts(self) -> range:
        """The first position of each window, below 0 in the padding."""
        low = -self.padding[0]
        return range(low, low + self.count * self.stride, self.stride)

    # For each tap the slice of cells, those outside included, that it meets.
    cells: tuple[slice, ...] = field(init=False, compare=False, repr=False)
    # How far each tap lies behind the first one in row-major order.
    shifts: Shape = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        last = (self.count - 1) * self.stride
        taps = range(0, self.taps * self.dilation, self.dilation)
        cells = tuple([slice(tap, tap + last + 1, self.stride) for tap in taps])
        object.__setattr__(self, "cells", cells)
        object.__setattr__(self, "shifts", tuple([tap * self.step for tap in taps]))

    @property
    def first_shifts(self) -> Shape:
        """The shift of the first tap of each window that meets a real cell."""
        firsts = [max(-(start // self.dilation), 0) for start in self.starts]
        return tuple([first * self.dilation * self.step for first in firsts])

    @property
    def inside(self) -> tuple[Shape, ...]:
        """For each tap whether it meets a real cell, window by window; once where all do."""
        if not self.before and not self.after:
            return ((1,),) * self.taps
        reach = range(0, self.taps * self.dilation, self.dilation)
        return tuple(
            tuple([int(0 <= start + tap < self.size) for start in self.starts]) for tap in reach
        )

    def counts(self, *, include_pad: bool) -> Shape:
        """Return how many taps of each window count: never those beyond the padding."""
        before, after = self.padding
        low, high = (-before, self.size + after) if include_pad else (0, self.size)
        reach = range(0, self.taps * self.dilation, self.dilation)
        return tuple(sum(low <= start + tap < high for tap in reach) for start in self.starts)


@dataclass(frozen=True)
class Windows:
    """The windows of a pooling operation."""

    plane: Shape
    output: Shape
    axes: tuple[AxisWindows, ...]
    part: bool = False  # of a plane: what is made for it serves once
    arrays: dict[Any, Any] = field(default_factory=dict, compare=False, repr=False)

    @property
    def taps(self) -> int:
        """How many elements a window has."""
        return math.prod([axis.taps for axis in self.axes])

    @property
    def reach(self) -> int:
        """How far the last element of a window lies behind its first one."""
        return sum([axis.shifts[-1] for axis in self.axes])


@dataclass(frozen=True)
class Means:
    """The windows of an average pooling, and by how many elements the sum of each is divided."""

    axes: tuple[AxisWindows, ...]
    counts: tuple[Shape, ...]  # along each axis
    divisor: int | None  # where it is the same for all windows


def _window_sizes(
    operation: str,
    shape: Shape,
    rank: int,
    kernel_size: Sizes,
    stride: Sizes | None,
    padding: Padding,
    dilation: Sizes,
) -> tuple[Shape, Shape, Shape, Shape, tuple[tuple[int, int], ...]]:
    """Return kernel, stride, dilation, effective kernel and padding of each axis."""
    kernels = per_axis(operation, "kernel_size", kernel_size, rank, shape, least=1)
    strides = (
        kernels if stride is None else per_axis(operation, "stride", stride, rank, shape, least=1)
    )
    dilations = per_axis(operation, "dilation", dilation, rank, shape, least=1)
    extents = tuple(d * (k - 1) + 1 for k, d in zip(kernels, dilations, strict=True))
    pads = padding_pairs(operation, padding, rank, shape, extents)
    return kernels, strides, dilations, extents, pads


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
    kernels, strides, dilations, extents, pads = _window_sizes(
        operation, shape, rank, kernel_size, stride, padding, dilation
    )
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
        if any(p % d >= n for p in range(-before, min(count * s - before, 0), s)):
            fail(operation, "dilation", dilation, shape, "leaves a window without a single element")
        lead, trail = stand_ins(n, d, before, end)
        step = math.prod(list(plane[i + 1 :]))
        axes.append(AxisWindows(i - rank, n, count, k, s, d, (before, after), lead, trail, step))
    return Windows(plane, tuple(axis.count for axis in axes), tuple(axes))


def stand_ins(size: int, dilation: int, before: int, end: int) -> tuple[Shape, Shape]:
    """Return the real cells that stand in for those before the axis, and from its size to `end`.

    Each is the nearest one a multiple of the dilation away: one of the same window.
    """
    # min and max only matter for cells between windows, which nothing reads.
    lead = tuple(min(p % dilation, size - 1) for p in range(-before, 0))
    trail = (max(p - dilation * ((p - size) // dilation + 1), 0) for p in range(size, end))
    return lead, tuple(trail)


def averages(
    operation: str,
    shape: Shape,
    kernel_size: Sizes,
    stride: Sizes | None,
    padding: Padding,
    dilation: Sizes,
    ceil_mode: bool,
    count_include_pad: bool,
) -> tuple[Windows, tuple[Shape, ...]]:
    """Plan the windows, and for each axis by how many elements the sum of a window is divided."""
    if not isinstance(count_include_pad, bool):
        raise TypeError(f"{operation}: count_include_pad must be a bool, got {count_include_pad!r}")
    plan = windows(operation, shape, kernel_size, stride, padding, dilation, ceil_mode)
    return plan, tuple(axis.counts(include_pad=count_include_pad) for axis in plan.axes)


def means(
    operation: str,
    shape: Shape,
    kernel_size: Sizes,
    stride: Sizes | None,
    padding: Padding,
    dilation: Sizes,
    ceil_mode: bool,
    count_include_pad: bool,
) -> Means:
    """Plan an average pooling."""
    sizes = (kernel_size, stride, padding, dilation, ceil_mode)
    plan, counts = averages(operation, shape, *sizes, count_include_pad)
    alike = all(len(set(count)) == 1 for count in counts)
    return Means(plan.axes, counts, math.prod([c[0] for c in counts]) if alike else None)


def fractional_output(
    operation: str,
    shape: Shape,
    kernel_size: Sizes,
    output_size: Sizes | None,
    output_ratio: Scales | None,
) -> tuple[Shape, Shape]:
    """Return the kernel and the output size of each axis of a fractional pooling."""
    if (output_size is None) == (output_ratio is None):
        raise ValueError(
            f"{operation}: give either output_size or output_ratio, got output_size="
            f"{output_size!r} and output_ratio={output_ratio!r} (array of shape {shape})"
        )
    rank = spatial_rank(
        operation,
        shape,
        kernel_size=kernel_size,
        output_size=output_size,
        output_ratio=output_ratio,
    )
    kernels = per_axis(operation, "kernel_size", kernel_size, rank, shape, least=1)
    plane = shape[len(shape) - rank :]
    name: str
    given: Any
    if output_size is not None:
        name, given = "output_size", output_size
        outputs = per_axis(operation, name, given, rank, shape, least=1)
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
    return kernels, outputs


# --- from small to large -------------------------------------------------------------------------


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
    if kernel_size is None:
        per_axis(operation, "dilation", dilation, rank, shape, least=1)
        if stride is not None or padding != 0 or dilation != 1:
            rule = "must be given with stride, padding or dilation"
            fail(operation, "kernel_size", None, shape, rule)
        return rank, per_axis(operation, "output_size", output_size, rank, shape, least=1)
    _, strides, _, extents, pads = _window_sizes(
        operation, shape, rank, kernel_size, stride, padding, dilation
    )
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


def unpooled_windows(
    operation: str,
    shape: Shape,
    plane: Shape,
    kernel_size: Sizes,
    stride: Sizes | None,
    padding: Padding,
    dilation: Sizes,
) -> tuple[AxisSpread, ...]:
    """Return where the windows lie that were pooled from `plane` to the last axes of `shape`."""
    rank = len(plane)
    kernels, strides, dilations, _, pads = _window_sizes(
        operation, shape, rank, kernel_size, stride, padding, dilation
    )
    pooled = shape[len(shape) - rank :]
    return tuple(
        AxisSpread(i - rank, n, k, s, d, before, output)
        for i, (n, k, s, d, (before, _), output) in enumerate(
            zip(pooled, kernels, strides, dilations, pads, plane, strict=True)
        )
    )


@dataclass(frozen=True)
class AxisSpread:
    """One axis of a transposed convolution: where each tap of the kernel lands."""

    axis: int  # negative: counted from the end
    size: int
    taps: int
    stride: int
    dilation: int
    before: int  # cells cropped from the start
    output: int

    @property
    def apart(self) -> bool:
        """Whether no two shares land on the same cell."""
        return self.taps <= self.stride and self.dilation == 1

    @property
    def full(self) -> bool:
        """Whether shares that do not meet reach every cell."""
        reached: int = sum([kept.stop - kept.start for kept, _ in self.landings])
        return reached == self.output

    # For each tap the elements whose share lands inside, and the cells where.
    landings: tuple[tuple[slice, slice], ...] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        landings = tuple([self._landing(tap) for tap in range(self.taps)])
        object.__setattr__(self, "landings", landings)

    def _landing(self, tap: int) -> tuple[slice, slice]:
        place = tap * self.dilation - self.before
        first = min(max(-(place // self.stride), 0), self.size)
        last = max(min(self.size, -((place - self.output) // self.stride)), first)
        start = place + first * self.stride
        cells = slice(start, start + (last - first) * self.stride, self.stride)
        return slice(first, last), cells


def transposed(
    operation: str,
    shape: Shape,
    weight_shape: Shape,
    bias_shape: Shape | None,
    stride: Sizes,
    padding: Padding,
    output_padding: Sizes,
    output_size: Sizes | None,
    groups: int,
    dilation: Sizes,
) -> tuple[AxisSpread, ...]:
    """Plan the axes of a transposed convolution (Dumoulin and Visin, arXiv 1603.07285)."""
    rank = len(weight_shape) - 2
    if rank < 1 or 0 in weight_shape:
        raise ValueError(
            f"{operation}: weight must have the shape (Cin, Cout/groups, *kernel), got "
            f"{weight_shape}"
        )
    if len(shape) < rank + 1:
        raise ValueError(
            f"{operation}: x of shape {shape} has no channels before the {rank} spatial axes of "
            f"weight of shape {weight_shape}"
        )
    groups = as_int(operation, "groups", groups, shape)
    channels = shape[-rank - 1]
    if channels != weight_shape[0]:
        raise ValueError(
            f"{operation}: x of shape {shape} has {channels} channels, weight of shape "
            f"{weight_shape} takes {weight_shape[0]}"
        )
    if groups < 1 or channels % groups:
        fail(operation, "groups", groups, shape, f"must divide the {channels} channels of x")
    if bias_shape is not None and bias_shape != (weight_shape[1] * groups,):
        raise ValueError(
            f"{operation}: bias must have the shape ({weight_shape[1] * groups},), one entry for "
            f"each channel of the output, got {bias_shape}"
        )
    sizes: dict[str, Any] = {"stride": stride, "padding": padding, "dilation": dilation}
    sizes |= {"output_padding": output_padding, "output_size": output_size}
    for name, size in sizes.items():
        if isinstance(size, tuple | list) and len(size) != rank:
            fail(operation, name, size, shape, f"must have {rank} entries, as weight has axes")
    plane = shape[-rank:]
    if 0 in plane:
        raise ValueError(
            f"{operation}: spatial axis {len(shape) - rank + plane.index(0)} is empty "
            f"(array of shape {shape})"
        )
    kernels = weight_shape[2:]
    strides = per_axis(operation, "stride", stride, rank, shape, least=1)
    dilations = per_axis(operation, "dilation", dilation, rank, shape, least=1)
    extras = per_axis(operation, "output_padding", output_padding, rank, shape, least=0)
    extents = tuple(d * (k - 1) + 1 for k, d in zip(kernels, dilations, strict=True))
    pads = padding_pairs(operation, padding, rank, shape, extents)
    limits = tuple(max(s, d) for s, d in zip(strides, dilations, strict=True))
    least = tuple(
        (n - 1) * s - before - after + extent
        for n, s, (before, after), extent in zip(plane, strides, pads, extents, strict=True)
    )
    if output_size is not None:
        if any(extras):
            fail(operation, "output_padding", output_padding, shape, "excludes output_size")
        outputs = per_axis(operation, "output_size", output_size, rank, shape, least=1)
        extras = tuple(out - low for out, low in zip(outputs, least, strict=True))
        if any(not 0 <= more < limit for more, limit in zip(extras, limits, strict=True)):
            most = tuple(low + limit - 1 for low, limit in zip(least, limits, strict=True))
            fail(operation, "output_size", output_size, shape, f"must be from {least} to {most}")
    elif any(more >= limit for more, limit in zip(extras, limits, strict=True)):
        rule = f"must be smaller than the stride or the dilation, {limits}"
        fail(operation, "output_padding", output_padding, shape, rule)
    outputs = tuple(low + more for low, more in zip(least, extras, strict=True))
    if min(outputs) < 1:
        fail(operation, "padding", padding, shape, f"leaves nothing of the output plane {outputs}")
    return tuple(
        AxisSpread(i - rank, *axis)
        for i, axis in enumerate(
            zip(
                plane,
                kernels,
                strides,
                dilations,
                (before for before, _ in pads),
                outputs,
                strict=True,
            )
        )
    )
