"""Partition an operation by output chunks: the input each chunk needs, and its plan.

Plain ints only. Positions are relative to the part; strides and offsets that make up indices are
those of the whole array. Imports no array library.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, Protocol, TypeAlias, TypeVar

from unpool_xp._plan.fractional import RegionAxis
from unpool_xp._plan.resize import ResizeAxis, ResizeSpan
from unpool_xp._plan.sampling import Kernel, Nearest
from unpool_xp._plan.transposed import ConvTransposeAxis
from unpool_xp._plan.windows import AnyWindows, PoolAxis


class AxisPart(NamedTuple):
    """The input slice [start, stop) of one axis, and the plan for that slice."""

    start: int
    stop: int
    plan: Any


class WholeAxis(Protocol):
    """An axis of an operation, as it was planned."""

    @property
    def axis(self) -> int:
        """The axis of the arrays, counted from the end."""

    @property
    def size(self) -> int:
        """The cells of the input."""

    @property
    def output(self) -> int:
        """The cells of the output."""


class AxisSizes(NamedTuple):
    """An axis of which the sizes alone are planned."""

    axis: int
    size: int
    output: int


AxisT_co = TypeVar("AxisT_co", bound=WholeAxis, covariant=True)


@dataclass(frozen=True)
class AxisPartition(Generic[AxisT_co]):
    """An axis of an operation that can be done in parts."""

    whole: AxisT_co

    @property
    def ratio(self) -> tuple[int, int]:
        """Output cells over input cells, as a fraction."""
        return self.whole.output, self.whole.size

    def part(self, first: int, last: int) -> AxisPart:
        """Return what the cells [first, last) of the output need."""
        raise NotImplementedError


AnyPartition: TypeAlias = AxisPartition[WholeAxis]


def chunk_bounds(axis: AnyPartition, bounds: Sequence[int]) -> list[int]:
    """Return the output chunk bounds that match the input chunks."""
    outputs, inputs = axis.ratio
    inner = {min(-(-bound * outputs // inputs), axis.whole.output) for bound in bounds[1:-1]}
    return sorted(inner | {0, axis.whole.output}) if axis.whole.output else [0, 0]


@dataclass(frozen=True)
class UnsplitAxis(AxisPartition[AxisSizes]):
    """An axis that stays in one piece."""

    @property
    def ratio(self) -> tuple[int, int]:
        """Everything goes with everything."""
        return self.whole.output, 1

    def part(self, first: int, last: int) -> AxisPart:
        """Return the axis."""
        return AxisPart(0, self.whole.size, self.whole)


@dataclass(frozen=True)
class WindowPartition(AxisPartition[AnyWindows]):
    """The windows of a pooling along an axis."""

    @property
    def ratio(self) -> tuple[int, int]:
        """One window per stride, of as many windows as there are."""
        whole = self.whole
        return (1, whole.stride) if isinstance(whole, PoolAxis) else (whole.count, whole.size)

    def part(self, first: int, last: int) -> AxisPart:
        """Return the windows [first, last)."""
        return AxisPart(*self.whole.part(first, last))


@dataclass(frozen=True)
class ConvTransposePartition(AxisPartition[ConvTransposeAxis]):
    """The axis of a transposed convolution."""

    @property
    def ratio(self) -> tuple[int, int]:
        """One stride per input element."""
        return self.whole.stride, 1

    def part(self, first: int, last: int) -> AxisPart:
        """Return the elements of which a tap lands on the cells [first, last), one at least."""
        return AxisPart(*self.whole.part(first, last))


@dataclass(frozen=True)
class UnpoolAxis:
    """The pooling windows that overlap one chunk of the unpooled axis."""

    plane: int  # cells of the whole axis
    origin: int  # the first cell of the part
    size: int  # cells of the part
    count: int  # windows that reach into the part
    first: int  # where the first of them starts in the whole axis, below 0 in the padding
    stride: int
    extent: int  # cells that a window spans

    @property
    def within(self) -> bool:
        """Whether no window reaches beyond the part."""
        last = self.first + (self.count - 1) * self.stride + self.extent
        return self.first >= self.origin and last <= self.origin + self.size

    @property
    def inner(self) -> bool:
        """Whether no window reaches beyond the whole axis."""
        last = self.first + (self.count - 1) * self.stride + self.extent
        return self.first >= 0 and last <= self.plane


@dataclass(frozen=True)
class UnpoolPartition(ConvTransposePartition):
    """The axis that the maxima of windows are put back along."""

    def part(self, first: int, last: int) -> AxisPart:
        """Return the windows that reach into the cells [first, last)."""
        whole = self.whole
        start, stop, _ = super().part(first, last)
        if last == whole.output:  # the last part also checks windows beyond the plane
            stop = whole.size
        extent = (whole.kernel_size - 1) * whole.dilation + 1
        low = start * whole.stride - whole.before
        unpool_axis = UnpoolAxis(
            whole.output, first, last - first, stop - start, low, whole.stride, extent
        )
        return AxisPart(start, stop, unpool_axis)


@dataclass(frozen=True)
class ResizePartition(AxisPartition[ResizeAxis]):
    """An axis that is repeated or interpolated, or, with the size it had, left as it is."""

    method: Nearest | Kernel
    is_kept: bool = False
    reads_all: bool = False  # for all cells: elements that no cell is made of have a use as well

    def part(self, first: int, last: int) -> AxisPart:
        """Return the elements that the cells [first, last) need, and the recipe of the cells."""
        if self.is_kept:
            return AxisPart(first, last, None)
        if self.reads_all:
            span = ResizeSpan.of_whole(self.whole, self.method)
        else:
            span = ResizeSpan.of_part(self.whole, self.method, first, last)
        return AxisPart(span.start, span.stop, span)


@dataclass(frozen=True)
class FractionalPoolPartition(AxisPartition[RegionAxis]):
    """Fractional regions: all starts lie between `first_starts` and `last_starts`."""

    first_starts: Any  # (out,): the first start of all planes, on the host
    last_starts: Any  # (out,): the last

    @classmethod
    def of_regions(cls, regions: RegionAxis) -> FractionalPoolPartition:
        """Return the axis, with the first and the last start of each region."""
        starts, planes = regions.starts, tuple(range(regions.starts.ndim - 1))
        if not starts.size:  # no planes: any will do
            last = regions.size - regions.kernel_size
            return cls(
                regions, starts.min(axis=planes, initial=0), starts.max(axis=planes, initial=last)
            )
        return cls(regions, starts.min(axis=planes), starts.max(axis=planes))

    def part(self, first: int, last: int) -> AxisPart:
        """Return the regions [first, last)."""
        start = int(self.first_starts[first])
        stop = int(self.last_starts[last - 1]) + self.whole.kernel_size
        return AxisPart(start, stop, self.whole.between(first, last, start, stop))


@dataclass(frozen=True)
class ScatterPartition(AxisPartition[AxisSizes]):
    """An axis whose output needs no input of its own: values are put there from anywhere."""

    def part(self, first: int, last: int) -> AxisPart:
        """Return the cells alone."""
        return AxisPart(0, 0, (first, last))
