"""Choose the fastest backend for a shape by measuring here, within a time budget."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from unpool_xp.bench.budget import BUDGET_SECONDS, BudgetedRun, best_of_each
from unpool_xp.bench.cases.case import Case
from unpool_xp.bench.rows.schema import Row, elements
from unpool_xp.bench.verdicts.crossover import (
    DeviceCrossover,
    WinnerChange,
    device_crossovers,
    winner_changes,
)
from unpool_xp.bench.verdicts.ranking import (
    Ranked,
    Ranking,
    Tax,
    by_workload,
    rank,
    tax,
)

_MAIN_SHARE = 0.7  # of what is left once the workers run; the rest goes to other sizes
_FACTORS = (0.5, 2.0, 0.25)  # of each spatial axis


@dataclass(frozen=True)
class Choice:
    """The answer for one case.

    Attributes
    ----------
    case : Case
        What was asked for.
    rows : list of Row
        What was measured for it: the portable function and the libraries' own.
    other_sizes : dict of int to list of Row
        The same at other sizes, by the elements of the first array; of a library's own functions
        the fastest.
    budget_s : float
        Seconds that it was to take.
    """

    case: Case
    rows: list[Row]
    other_sizes: dict[int, list[Row]]
    budget_s: float = BUDGET_SECONDS

    def ranking(self, *, with_transfer: bool = False) -> Ranking:
        """Return all functions on all backends, the fastest first."""
        return rank(self.rows, with_transfer=with_transfer)

    @cached_property
    def rankings(self) -> dict[int, Ranking]:
        """The ranking at each size, the smallest first."""
        return {elements(rows[0]): rank(rows) for rows in by_workload(self._all_rows).values()}

    @property
    def taxes(self) -> list[Tax]:
        """The portable function against each library's own."""
        return tax(self.rows)

    def crossovers(self) -> list[WinnerChange]:
        """Return from which size on another function is the one to use."""
        return winner_changes(self.rankings.values())

    def device_crossovers(self, *, with_transfer: bool = False) -> list[DeviceCrossover]:
        """Return from which size on each other device is quicker than the best on the CPU."""
        return device_crossovers(self._all_rows, with_transfer=with_transfer)

    @property
    def _all_rows(self) -> list[Row]:
        return [*self.rows, *(row for other in self.other_sizes.values() for row in other)]

    def budget_needed(self, entry: Ranked) -> int | None:
        """Return the seconds that would decide an undecided entry, as a plain number.

        None where more samples would not decide it: too close, or others have disturbed them.
        """
        if entry.needed is None:
            return None
        seconds = max(entry.needed * self.budget_s, 1.0)
        unit = 10.0 ** math.floor(math.log10(seconds))
        steps = (1, 1.5, 2, 3, 4, 6, 8, 10)
        return math.ceil(next(step for step in steps if step * unit >= seconds * 0.999) * unit)


def choose(
    case: Case,
    run: BudgetedRun,
    *,
    progress: Callable[[str], None] = lambda doing: None,
    stopped: Callable[[Choice], None] = lambda choice: None,
) -> Choice:
    """Measure a case on backends, and find where the answer changes.

    Each backend's own functions are measured beside the portable one.

    Parameters
    ----------
    case : Case
        What to measure.
    run : BudgetedRun
        Where, and for how long.
    progress : callable, optional
        Called with a word on what is being done.
    stopped : callable, optional
        Called with the answer so far, if there is any, where a KeyboardInterrupt ends it.

    Returns
    -------
    Choice
        The rows, and what follows from them.

    Raises
    ------
    MemoryError
        If the case would not fit into memory; the message says what it needs. Nothing has been
        allocated by then.
    """
    cells = run.candidates(case)
    run.require_memory(case, cells)

    def answer() -> Choice:
        rows = run.rows.get(case, [])
        others = {math.prod(at.shape): found for at, found in run.rows.items() if at != case}
        timed = {n: found for n, found in others.items() if any(row.samples_s for row in found)}
        return Choice(case, rows, timed, run.budget_s)

    progress("starting the libraries")
    try:
        with run.open():
            progress(f"measuring {case.name}")
            run.measure_first(case, cells, _MAIN_SHARE)
            few = best_of_each(cells, run.rows[case])
            sizes = (scale_case(case, factor) for factor in _FACTORS)
            run.measure_in_turn(
                [other for other in sizes if other is not None],
                few,
                lambda other: progress(f"other sizes: {other.name}"),
            )
    except KeyboardInterrupt:
        if any(row.samples_s for row in run.rows.get(case, [])):
            stopped(answer())
        raise
    return answer()


def scale_case(case: Case, factor: float) -> Case | None:
    """Return a case with its spatial axes scaled; None where that cannot be."""
    first = len(case.shape) - case.rank
    plane = tuple(max(round(n * factor), 1) for n in case.shape[first:])
    shape = (*case.shape[:first], *plane)
    try:
        return None if shape == case.shape else case.replace(shape=shape)
    except ValueError:  # the kernel no longer fits
        return None
