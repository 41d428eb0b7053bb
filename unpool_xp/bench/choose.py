"""Choose the fastest backend for a shape by measuring here, within a time budget."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from unpool_xp.bench.cases.case import Case
from unpool_xp.bench.measure.pools import open_pools
from unpool_xp.bench.measure.rounds import cells_of
from unpool_xp.bench.measure.sweep import measure_rows, memory_shortfall, provenance_fields
from unpool_xp.bench.measure.workers import places_of
from unpool_xp.bench.rows import provenance
from unpool_xp.bench.rows.schema import Row, elements
from unpool_xp.bench.verdicts.crossover import (
    DeviceCrossover,
    WinnerChange,
    device_crossovers,
    winner_changes,
)
from unpool_xp.bench.verdicts.ranking import Ranking, Tax, by_workload, rank, tax

BUDGET_SECONDS = 20.0
PROCESSES = 3  # of each backend, where the budget is enough for them
_START_SHARE = 0.5  # of the budget, for starting them
_MIN_SECONDS = 2.0  # an answer that is a little late is better than none
_MAIN_SHARE = 0.6  # of what is left once the workers run; the rest goes to other sizes
_FACTORS = (0.25, 0.5, 2.0)  # of each spatial axis


@dataclass(frozen=True)
class Choice:
    """The answer for one case.

    Attributes
    ----------
    case : Case
        What was asked for.
    rows : list of Row
        What was measured for it, natives too.
    other_sizes : dict of int to list of Row
        The portable function at other sizes, by the elements of its first array.
    """

    case: Case
    rows: list[Row]
    other_sizes: dict[int, list[Row]]

    @property
    def portable(self) -> list[Row]:
        """The rows of the portable function, at all sizes."""
        rows = [*self.rows, *(row for other in self.other_sizes.values() for row in other)]
        return [row for row in rows if row.implementation == "portable"]

    def ranking(self, *, with_transfer: bool = False) -> Ranking:
        """Return the portable function on each backend, the fastest first."""
        portable = [row for row in self.rows if row.implementation == "portable"]
        return rank(portable, with_transfer=with_transfer)

    @cached_property
    def rankings(self) -> dict[int, Ranking]:
        """The ranking at each size, the smallest first."""
        return {elements(rows[0]): rank(rows) for rows in by_workload(self.portable).values()}

    @property
    def taxes(self) -> list[Tax]:
        """The portable function against each library's own."""
        return tax(self.rows)

    def crossovers(self) -> list[WinnerChange]:
        """Return from which size on another backend is the one to use."""
        return winner_changes(self.rankings.values())

    def device_crossovers(self, *, with_transfer: bool = False) -> list[DeviceCrossover]:
        """Return from which size on each other device is quicker than the best on the CPU."""
        return device_crossovers(self.portable, with_transfer=with_transfer)


def choose(
    case: Case,
    labels: Sequence[str],
    *,
    budget_s: float = BUDGET_SECONDS,
    modes: Callable[[str], Sequence[str]],
    threads: Sequence[int] = (),
    progress: Callable[[str], None] = lambda doing: None,
) -> Choice:
    """Measure a case on backends, and find where the answer changes.

    Parameters
    ----------
    case : Case
        What to measure.
    labels : sequence of str
        Labels of backends that load here.
    budget_s : float, optional
        Seconds for all of it, the start of the workers included.
    modes : callable
        From a label to the modes to measure it in.
    threads : sequence of int, optional
        With how many threads the backends of the CPU are measured. Default: as many as they choose.
    progress : callable, optional
        Called with a word on what is being done.

    Returns
    -------
    Choice
        The rows, and what follows from them.

    Raises
    ------
    MemoryError
        If the case would not fit into memory; the message says what it needs. Nothing has been
        allocated by then.
    ValueError
        If there is no label.
    """
    if not labels:
        raise ValueError("choose: labels must name at least one backend")
    places = places_of(labels, threads)
    cells = [
        cell for label, number in places for cell in cells_of(case, label, modes(label), number)
    ]
    # What the answer needs comes first: where the budget ends, natives are left out.
    cells.sort(key=lambda cell: cell.implementation != "portable")
    reason = memory_shortfall(case, cells)
    if reason is not None:
        raise MemoryError(f"{case.name} is {reason}")
    start = time.monotonic()
    progress("starting the libraries")
    with open_pools(places, PROCESSES, _START_SHARE * budget_s) as pools:
        left = budget_s - (time.monotonic() - start)
        progress(f"measuring {case.name}")
        origin = provenance_fields(provenance.run_id())
        main_s = max(_MAIN_SHARE * left, _MIN_SECONDS)
        rows = measure_rows(pools, origin, case, cells, budget_s=main_s, limit=False)
        portable = [cell for cell in cells if cell.implementation == "portable"]
        other_sizes: dict[int, list[Row]] = {}
        others = [other for factor in _FACTORS if (other := scale_case(case, factor)) is not None]
        for number, other in enumerate(others):
            left = budget_s - (time.monotonic() - start)
            if left > 0 and memory_shortfall(other, portable) is None:
                progress(f"other sizes: {other.name}")
                share = left / (len(others) - number)
                other_sizes[math.prod(other.shape)] = measure_rows(
                    pools, origin, other, portable, budget_s=share, limit=False
                )
    return Choice(case, rows, other_sizes)


def scale_case(case: Case, factor: float) -> Case | None:
    """Return a case with its spatial axes scaled; None where that cannot be."""
    first = len(case.shape) - case.rank
    plane = tuple(max(round(n * factor), 1) for n in case.shape[first:])
    shape = (*case.shape[:first], *plane)
    try:
        return None if shape == case.shape else replace(case, shape=shape)
    except ValueError:  # the kernel no longer fits
        return None
