"""Where the weights along a resized axis repeat: a small filter for each phase of the output.

Output cells a period apart have the same weights, for elements equally far apart (Crochiere and
Rabiner 1981, doi 10.1109/PROC.1981.11969).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from unpool_xp._plan.sampling import NDArray

_MAX_CELLS = 32  # of a period; each is some calls
_MIN_PERIODS = 8  # of fewer cells the calls cost more than they save
_MAX_TAPS = 4
_MAX_UNIT = 64


class Polyphase(NamedTuple):
    """The cells of an axis by phase: those of phase p are ``m * cells + p``, for all whole m."""

    cells: int  # of a period
    elements: int  # that a period covers
    unit: float  # a power of two that makes whole numbers of the weights of a linear factor
    # For each phase the elements ``m * elements + offset`` and their weights, times the unit.
    taps: tuple[tuple[tuple[int, float], ...], ...]
    inside: tuple[tuple[int, int], ...]  # for each phase the m whose elements the axis has

    def periods(self, phase: int, first: int, last: int) -> tuple[int, int, int, int]:
        """Return the [begin, end) of a phase among the cells [first, last), a whole period on.

        And, between them, the [start, stop) whose elements the axis has: begin, start, stop, end.
        """
        begin, end = first // self.cells, -(-(last - phase) // self.cells)
        start = min(max(begin, self.inside[phase][0]), end)
        return begin, start, max(min(end, self.inside[phase][1]), start), end

    def cells_of(self, phase: int, start: int, stop: int) -> slice:
        """Return the cells of a phase for m in [start, stop)."""
        begin = start * self.cells + phase
        return slice(begin, begin + (stop - start - 1) * self.cells + 1, self.cells)

    def elements_at(self, offset: int, start: int, stop: int) -> slice:
        """Return the elements at an offset for m in [start, stop)."""
        begin = start * self.elements + offset
        return slice(begin, begin + (stop - start - 1) * self.elements + 1, self.elements)

    def complete(self, first: int, last: int) -> tuple[int, int]:
        """Return the periods of the cells [first, last) whose elements the axis has, as cells."""
        ranges = [self.periods(phase, first, last)[1:3] for phase in range(self.cells)]
        start = min(max(start for start, _ in ranges) * self.cells, last)
        return start, max(min(min(stop for _, stop in ranges) * self.cells, last), start)

    def elements_between(self, first: int, last: int, size: int) -> tuple[int, int]:
        """Return the elements [start, stop) that the cells [first, last) are made of."""
        offsets = [offset for taps in self.taps for offset, _ in taps]
        start = first // self.cells * self.elements + min(offsets)
        stop = (last - 1) // self.cells * self.elements + max(offsets) + 1
        return min(max(start, 0), size - 1), max(min(stop, size), 1)


def find_polyphase(
    size: int,
    output: int,
    n_taps: int,
    period: tuple[int, int] | None,
    weighted_taps: Callable[[int, int], tuple[NDArray, NDArray]],
) -> Polyphase | None:
    """Return the phases of an axis; None where they are many or short.

    `period` is after how many cells the weights repeat, and how many elements further on;
    `weighted_taps` gives the elements and weights (taps, cells) of the cells [first, last).
    """
    if period is None or n_taps > _MAX_TAPS:
        return None
    cells, elements = period
    middle = output // cells // 2
    if cells > _MAX_CELLS or output < _MIN_PERIODS * cells:
        return None
    sources, weights = weighted_taps(middle * cells, (middle + 1) * cells)
    if sources.min() < 1 or sources.max() > size - 2:  # an end may stand for what lies beyond
        return None
    offsets = sources - middle * elements
    phases = []
    for phase in range(cells):
        total: dict[int, float] = {}  # a tap without weight shares that of another one
        columns = offsets[:, phase].tolist(), weights[:, phase].tolist()
        for offset, weight in zip(*columns, strict=True):
            total[offset] = total.get(offset, 0.0) + weight
        phases.append(sorted(total.items()))
    unit = max([weight.as_integer_ratio()[1] for taps in phases for _, weight in taps])
    unit = unit if unit <= _MAX_UNIT else 1
    inside = []
    for phase, taps in enumerate(phases):
        count = -(-(output - phase) // cells)
        first = max(-(taps[0][0] // elements), 0)
        inside.append((first, min((size - 1 - taps[-1][0]) // elements + 1, count)))
    scaled = tuple([tuple([(offset, w * unit) for offset, w in taps]) for taps in phases])
    return Polyphase(cells, elements, float(unit), scaled, tuple(inside))
