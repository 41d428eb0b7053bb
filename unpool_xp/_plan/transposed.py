"""Plans for max unpooling and the transposed convolution, as plain ints and slices."""

from __future__ import annotations

import operator
from dataclasses import dataclass, field, replace

from unpool_xp._plan.arguments import (
    Padding,
    Shape,
    Sizes,
    as_int,
    fail,
    padding_pairs,
    per_axis,
    spatial_rank,
    without_lead,
)
from unpool_xp._plan.windows import _window_sizes


@dataclass(frozen=True)
class MaxUnpoolPlan:
    """Plan of a max unpooling: the output plane, and the sizes of the windows if they are known."""

    plane: Shape
    window_sizes: tuple[Shape, ...] | None  # pooled sizes, kernels, strides, dilations, padding

    @property
    def windows(self) -> tuple[ConvTransposeAxis, ...] | None:
        """The windows that pooled the plane."""
        if self.window_sizes is None:
            return None
        sizes = zip(*self.window_sizes, self.plane, strict=True)
        return tuple([ConvTransposeAxis(i - len(self.plane), *s) for i, s in enumerate(sizes)])


def plan_max_unpool(
    operation: str,
    shape: Shape,
    kernel_size: Sizes | None,
    stride: Sizes | None,
    padding: Padding,
    dilation: Sizes,
    output_size: Sizes | None,
) -> MaxUnpoolPlan:
    """Plan the output plane of a max unpooling, and the windows if they are known."""
    if kernel_size is None and output_size is None:
        raise ValueError(
            f"{operation}: kernel_size or output_size must be given (array of shape {shape})"
        )
    if kernel_size is None and len(shape) > 2:  # indices count in a plane, so it is no full shape
        output_size = without_lead(operation, output_size, shape, len(shape) - 2)
    rank = spatial_rank(operation, shape, kernel_size=kernel_size, output_size=output_size)
    output_size = without_lead(operation, output_size, shape, rank)
    if kernel_size is None:
        per_axis(operation, "dilation", dilation, rank, shape, minimum=1)
        if stride is not None or padding != 0 or dilation != 1:
            rule = "must be given with stride, padding or dilation"
            fail(operation, "kernel_size", None, shape, rule)
        plane = per_axis(operation, "output_size", output_size, rank, shape, minimum=1)
        return MaxUnpoolPlan(plane, None)
    sizes = (kernel_size, kernel_size if stride is None else stride, dilation)
    kernels, strides, dilations, extents = _window_sizes(operation, shape, rank, *sizes)
    pooled = shape[len(shape) - rank :]
    covered = _covered_cells(pooled, strides, extents)
    plane = tuple(map(operator.mul, pooled, strides))
    if output_size is not None:
        plane = per_axis(operation, "output_size", output_size, rank, shape, minimum=1)
    excess = tuple(map(operator.sub, covered, plane))
    pads = padding_pairs(operation, padding, rank, shape, extents, excess)
    if output_size is None and not isinstance(padding, str):
        plane = tuple(map(operator.sub, covered, map(sum, pads)))
        if min(plane) < 0:
            rule = f"leaves less than nothing of the output plane {plane}"
            fail(operation, "padding", padding, shape, rule)
    before = tuple([low for low, _ in pads])
    return MaxUnpoolPlan(plane, (pooled, kernels, strides, dilations, before))


def _covered_cells(plane: Shape, strides: Shape, extents: Shape) -> Shape:
    """Return how many cells one window for each element covers along each axis."""
    axes = zip(plane, strides, extents, strict=True)
    return tuple([(n - 1) * stride + extent for n, stride, extent in axes])


@dataclass(frozen=True)
class ConvTransposeAxis:
    """One axis of a transposed convolution: which output cells each tap writes to."""

    axis: int  # negative: counted from the end
    size: int
    kernel_size: int
    stride: int
    dilation: int
    before: int  # cells cropped from the start
    output: int

    @property
    def count(self) -> int:
        """The cells of the output."""
        return self.output

    @property
    def extent(self) -> int:
        """The elements of which a tap lands on a cell, at most."""
        return (self.kernel_size - 1) * self.dilation // self.stride + 1

    def part(self, first: int, last: int) -> tuple[int, int, ConvTransposeAxis]:
        """Return the elements [start, stop) of which a tap lands on the cells [first, last).

        There is one at least, and their axis goes with them.
        """
        lowest = first + self.before - (self.kernel_size - 1) * self.dilation
        start = min(max(-(-lowest // self.stride), 0), self.size - 1)
        stop = max(min((last - 1 + self.before) // self.stride + 1, self.size), start + 1)
        before = first + self.before - start * self.stride
        return start, stop, replace(self, size=stop - start, before=before, output=last - first)

    @property
    def disjoint(self) -> bool:
        """Whether every output cell is written at most once."""
        return self.kernel_size <= self.stride and self.dilation == 1

    @property
    def covers_output(self) -> bool:
        """Whether disjoint writes cover the whole output."""
        reached: int = sum([elements.stop - elements.start for elements, _ in self.scatter_slices])
        return reached == self.output

    # For each tap: the slice of input elements that it reads, and of output cells it writes.
    scatter_slices: tuple[tuple[slice, slice], ...] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        scatter_slices = tuple([self._tap_slices(tap) for tap in range(self.kernel_size)])
        object.__setattr__(self, "scatter_slices", scatter_slices)

    def _tap_slices(self, tap: int) -> tuple[slice, slice]:
        origin = tap * self.dilation - self.before
        first = min(max(-(origin // self.stride), 0), self.size)
        last = max(min(self.size, -((origin - self.output) // self.stride)), first)
        start = origin + first * self.stride
        cells = slice(start, start + (last - first) * self.stride, self.stride)
        return slice(first, last), cells


@dataclass(frozen=True)
class ConvTransposePlan:
    """Plan of a transposed convolution."""

    axes: tuple[ConvTransposeAxis, ...]
    groups: int

    @property
    def plane(self) -> Shape:
        """The output plane."""
        return tuple([axis.output for axis in self.axes])


def plan_conv_transpose(
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
) -> ConvTransposePlan:
    """Plan a transposed convolution (Dumoulin and Visin, arXiv 1603.07285)."""
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
    lead, out_channels = shape[: -rank - 1], weight_shape[1] * groups
    leads = ((*lead, channels), (*lead, out_channels))  # PyTorch users give the size of an input
    output_size = without_lead(operation, output_size, shape, rank, *leads)
    plane = shape[-rank:]
    if 0 in plane:
        raise ValueError(
            f"{operation}: spatial axis {len(shape) - rank + plane.index(0)} is empty "
            f"(array of shape {shape})"
        )
    sizes = (weight_shape[2:], stride, dilation)
    kernels, strides, dilations, extents = _window_sizes(operation, shape, rank, *sizes)
    extras = per_axis(operation, "output_padding", output_padding, rank, shape, minimum=0)
    covered = _covered_cells(plane, strides, extents)
    outputs = tuple(map(operator.mul, plane, strides))
    if output_size is not None:
        outputs = per_axis(operation, "output_size", output_size, rank, shape, minimum=0)
    excess = tuple(map(operator.sub, map(operator.add, covered, extras), outputs))
    pads = padding_pairs(operation, padding, rank, shape, extents, excess, limited=False)
    limits = tuple(map(max, strides, dilations))
    smallest = tuple(map(operator.sub, covered, map(sum, pads)))
    if output_size is not None:
        if any(extras):
            fail(operation, "output_padding", output_padding, shape, "excludes output_size")
        largest = tuple([low + limit - 1 for low, limit in zip(smallest, limits, strict=True)])
        sides = zip(smallest, outputs, largest, strict=True)
        if any(not low <= out <= high for low, out, high in sides):
            rule = f"must be from {smallest} to {largest}"
            fail(operation, "output_size", output_size, shape, rule)
    elif any(map(operator.ge, extras, limits)):
        rule = f"must be smaller than the stride or the dilation, {limits}"
        fail(operation, "output_padding", output_padding, shape, rule)
    elif not isinstance(padding, str):  # by name it leaves as many cells as strides
        outputs = tuple(map(operator.add, smallest, extras))
    if min(outputs) < 0:
        rule = f"leaves less than nothing of the output plane {outputs}"
        fail(operation, "padding", padding, shape, rule)
    before = [low for low, _ in pads]
    axes = zip(plane, kernels, strides, dilations, before, outputs, strict=True)
    return ConvTransposePlan(
        tuple([ConvTransposeAxis(i - rank, *axis) for i, axis in enumerate(axes)]), groups
    )
