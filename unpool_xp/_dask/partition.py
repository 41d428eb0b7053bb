"""Partition an operation by output chunks: the input each chunk needs, and its plan.

Plain ints only. Positions are relative to the part; strides and offsets that make up indices are
those of the whole array. Imports no array library.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

from unpool_xp._plan.arguments import Coordinates, Shape
from unpool_xp._plan.resize import (
    AxisLinear,
    AxisResize,
    Sources,
    linear,
    linear_sources,
    nearest_sources,
)
from unpool_xp._plan.transposed import AxisSpread
from unpool_xp._plan.windows import AxisWindows, stand_ins


class Part(NamedTuple):
    """The input slice [start, stop) of one axis, and the plan for that slice."""

    start: int
    stop: int
    plan: Any


class AxisParts(Protocol):
    """An axis of an operation that can be done in parts."""

    @property
    def axis(self) -> int:
        """The axis of the arrays, counted from the end."""

    @property
    def output(self) -> int:
        """The cells of the output."""

    @property
    def pace(self) -> tuple[int, int]:
        """Output cells over input cells, as a fraction."""

    def part(self, first: int, last: int) -> Part:
        """Return what the cells [first, last) of the output need."""


def cuts(axis: AxisParts, bounds: Sequence[int]) -> list[int]:
    """Return the output chunk bounds that match the input chunks."""
    made, of = axis.pace
    inner = {min(-(-bound * made // of), axis.output) for bound in bounds[1:-1]}
    return sorted(inner | {0, axis.output})


@dataclass(frozen=True)
class Whole:
    """An axis that stays in one piece."""

    axis: int
    size: int
    output: int

    @property
    def pace(self) -> tuple[int, int]:
        """Everything goes with everything."""
        return self.output, 1

    def part(self, first: int, last: int) -> Part:
        """Return the axis."""
        return Part(0, self.size, self)


@dataclass(frozen=True)
class WindowParts:
    """Windows along an axis; `counts`, by how many elements the sum of each is divided."""

    whole: AxisWindows
    counts: Shape = ()

    @property
    def axis(self) -> int:
        """The axis."""
        return self.whole.axis

    @property
    def output(self) -> int:
        """The windows."""
        return self.whole.count

    @property
    def pace(self) -> tuple[int, int]:
        """One window per stride."""
        return 1, self.whole.stride

    def part(self, first: int, last: int) -> Part:
        """Return the windows [first, last)."""
        whole = self.whole
        low = first * whole.stride - whole.padding[0]
        high = low + (last - first - 1) * whole.stride + (whole.taps - 1) * whole.dilation + 1
        start, stop = max(low, 0), min(high, whole.size)
        before, size = start - low, stop - start
        lead, trail = stand_ins(size, whole.dilation, before, high - start)
        windows = replace(
            whole,
            size=size,
            count=last - first,
            padding=(before, 0),
            before=lead,
            after=trail,
            offset=whole.offset + start,
            arrays={},
        )
        return Part(start, stop, (windows, self.counts[first:last]))


@dataclass(frozen=True)
class SpreadParts:
    """The axis of a transposed convolution."""

    whole: AxisSpread

    @property
    def axis(self) -> int:
        """The axis."""
        return self.whole.axis

    @property
    def output(self) -> int:
        """The cells of the output."""
        return self.whole.output

    @property
    def pace(self) -> tuple[int, int]:
        """One stride per input element."""
        return self.whole.stride, 1

    def part(self, first: int, last: int) -> Part:
        """Return the elements of which a tap lands on the cells [first, last), one at least."""
        whole = self.whole
        behind = first + whole.before - (whole.taps - 1) * whole.dilation
        start = min(max(-(-behind // whole.stride), 0), whole.size - 1)
        stop = max(min((last - 1 + whole.before) // whole.stride + 1, whole.size), start + 1)
        before = first + whole.before - start * whole.stride
        own = replace(whole, size=stop - start, before=before, output=last - first)
        return Part(start, stop, own)


@dataclass(frozen=True)
class AxisReach:
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
class ReachParts:
    """The axis that the maxima of windows are put back along."""

    spread: AxisSpread

    @property
    def axis(self) -> int:
        """The axis."""
        return self.spread.axis

    @property
    def output(self) -> int:
        """The cells of the output."""
        return self.spread.output

    @property
    def pace(self) -> tuple[int, int]:
        """One stride per window."""
        return self.spread.stride, 1

    def part(self, first: int, last: int) -> Part:
        """Return the windows that reach into the cells [first, last)."""
        spread = self.spread
        start, stop, _ = SpreadParts(spread).part(first, last)
        if last == spread.output:  # windows beyond the plane are seen too: somebody must check them
            stop = spread.size
        extent = (spread.taps - 1) * spread.dilation + 1
        low = start * spread.stride - spread.before
        reach = AxisReach(
            spread.output, first, last - first, stop - start, low, spread.stride, extent
        )
        return Part(start, stop, reach)


@dataclass(frozen=True)
class SpanOfResize:
    """Cells [first, last) of a resized axis that was `whole`; a recipe, made up where it is used.

    The lists of sources and weights are as long as the part, so they are not sent along.
    """

    whole: AxisResize
    coordinates: Coordinates
    first: int
    last: int
    start: int

    @property
    def axis(self) -> int:
        """The axis."""
        return self.whole.axis

    @property
    def repeats(self) -> int | None:
        """The whole factor, as of the whole axis."""
        return self.whole.repeats


def nearest_of_span(span: SpanOfResize) -> Sources:
    """Return the source of each cell of a part."""
    found = nearest_sources(span.whole, span.coordinates, span.first, span.last)
    return Sources(tuple([source - span.start for source in found]))


def linear_of_span(span: SpanOfResize) -> AxisLinear:
    """Return the plan of the interpolation of a part."""
    return linear(span.whole, span.coordinates, span.first, span.last)


@dataclass(frozen=True)
class NearestParts:
    """An axis of repeated values."""

    whole: AxisResize
    coordinates: Coordinates

    @property
    def axis(self) -> int:
        """The axis."""
        return self.whole.axis

    @property
    def output(self) -> int:
        """The cells of the output."""
        return self.whole.output

    @property
    def pace(self) -> tuple[int, int]:
        """As many cells as the axis grows."""
        return self.whole.output, self.whole.size

    def part(self, first: int, last: int) -> Part:
        """Return the sources of the cells [first, last)."""
        (start,) = nearest_sources(self.whole, self.coordinates, first, first + 1)
        (end,) = nearest_sources(self.whole, self.coordinates, last - 1, last)
        span = SpanOfResize(self.whole, self.coordinates, first, last, start)
        return Part(start, end + 1, span)


@dataclass(frozen=True)
class LinearParts:
    """An axis that is interpolated, or, with the size it had, left as it is."""

    whole: AxisResize
    coordinates: Coordinates
    between: bool  # whether there is something between two elements

    @property
    def axis(self) -> int:
        """The axis."""
        return self.whole.axis

    @property
    def output(self) -> int:
        """The cells of the output."""
        return self.whole.output

    @property
    def pace(self) -> tuple[int, int]:
        """As many cells as the axis grows."""
        return self.whole.output, self.whole.size

    def part(self, first: int, last: int) -> Part:
        """Return the neighbours of the cells [first, last)."""
        if not self.between:
            return Part(first, last, None)
        (start,), _, _ = linear_sources(self.whole, self.coordinates, first, first + 1)
        _, (end,), _ = linear_sources(self.whole, self.coordinates, last - 1, last)
        span = SpanOfResize(self.whole, self.coordinates, first, last, start)
        return Part(start, end + 1, span)


@dataclass(frozen=True)
class RegionParts:
    """Fractional regions: all starts lie between `low` and `high`."""

    axis: int
    size: int
    taps: int
    low: Any  # (out,): the first start of all planes, on the host
    high: Any  # (out,): the last

    @property
    def output(self) -> int:
        """The regions."""
        return len(self.low)

    @property
    def pace(self) -> tuple[int, int]:
        """As many regions as the axis shrinks."""
        return self.output, self.size

    def part(self, first: int, last: int) -> Part:
        """Return the regions [first, last)."""
        start, stop = int(self.low[first]), int(self.high[last - 1]) + self.taps
        return Part(start, stop, (first, last, start, stop - start))


@dataclass(frozen=True)
class PlaneParts:
    """An axis whose output needs no input of its own: values are put there from anywhere."""

    axis: int
    size: int
    output: int

    @property
    def pace(self) -> tuple[int, int]:
        """As many cells as the axis grows."""
        return self.output, self.size

    def part(self, first: int, last: int) -> Part:
        """Return the cells alone."""
        return Part(0, 0, (first, last))
