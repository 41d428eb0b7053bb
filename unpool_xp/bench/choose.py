"""Choose the fastest backend for a shape by measuring here, within a time budget."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from unpool_xp.bench.cases.case import BackendMode, Case
from unpool_xp.bench.measure.measurement import Cell, Measurement, cells_of
from unpool_xp.bench.measure.pools import open_pools
from unpool_xp.bench.measure.rounds import PROCESSES, TIMEOUT_SECONDS
from unpool_xp.bench.measure.sweep import (
    make_row,
    measure_rows,
    memory_shortfall,
    provenance_fields,
)
from unpool_xp.bench.measure.workers import Place, places_of
from unpool_xp.bench.rows import provenance
from unpool_xp.bench.rows.names import backend_mode_of
from unpool_xp.bench.rows.schema import Row, elements
from unpool_xp.bench.verdicts.bootstrap import Times, Verdict, compare_times
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
    times_of,
)

BUDGET_SECONDS = 20.0
_MIN_SECONDS = 2.0  # an answer that is a little late is better than none
# How late it may be where nothing has a time yet: a share of the budget, and as long as a library
# takes to start on a busy machine.
_GRACE_SHARE, _GRACE_SECONDS = 0.5, 8.0
_END_SECONDS = 0.5  # to end the workers, and to rank
_MAIN_SHARE = 0.7  # of what is left once the workers run; the rest goes to other sizes
_FACTORS = (0.5, 2.0, 0.25)  # of each spatial axis
# Samples after which what is known to be slower stops; fewer do where it is so much slower.
_ENOUGH_SAMPLES, _FAR = 5, 10.0


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
    labels: Sequence[str],
    *,
    budget_s: float = BUDGET_SECONDS,
    modes: Callable[[str], Sequence[str]],
    threads: Sequence[int] = (),
    progress: Callable[[str], None] = lambda doing: None,
    started: float | None = None,
    timeout_s: float = TIMEOUT_SECONDS,
    stopped: Callable[[Choice], None] = lambda choice: None,
) -> Choice:
    """Measure a case on backends, and find where the answer changes.

    Each backend's own functions are measured beside the portable one. What is known to be slower
    than the best stops, so that the budget goes to what is not decided.

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
    started : float, optional
        The moment of `time.monotonic` at which the budget began. Default: now.
    timeout_s : float, optional
        Seconds that a worker may take for one request.
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
    ValueError
        If there is no label.
    """
    if not labels:
        raise ValueError("choose: labels must name at least one backend")
    started = time.monotonic() if started is None else started
    end = started + budget_s - _END_SECONDS
    places = places_of(labels, threads)
    cells = _candidates(case, places, modes)
    reason = memory_shortfall(case, cells)
    if reason is not None:
        raise MemoryError(f"{case.name} is {reason}")
    origin = provenance_fields(provenance.run_id())

    rows: list[Row] = []
    other_sizes: dict[int, list[Row]] = {}

    def measure(at: Case, cells: Sequence[Cell], seconds: float) -> list[Row]:
        return measure_rows(
            pools,
            origin,
            at,
            cells,
            budget_s=seconds,
            limit=False,
            timeout_s=timeout_s,
            until=end,
            grace_s=max(_GRACE_SHARE * budget_s, _GRACE_SECONDS) if at == case else 0.0,
            contenders=lambda measured: _contenders(measured, origin, at),
            stopped=lambda measured: stopped_at(at, measured),
        )

    def stopped_at(at: Case, measured: Mapping[Cell, Measurement]) -> None:
        if at == case:
            rows.extend(make_row(origin, case, cell, one) for cell, one in measured.items())

    progress("starting the libraries")
    try:
        with open_pools(places, PROCESSES, lazy=True) as pools:
            progress(f"measuring {case.name}")
            main_s = max(_MAIN_SHARE * (end - time.monotonic()), _MIN_SECONDS)
            rows += measure(case, cells, main_s)
            few = _best_of_each(cells, rows)
            sizes = (scale_case(case, factor) for factor in _FACTORS)
            others = [other for other in sizes if other is not None]
            took_s = 0.0  # the last size
            for number, other in enumerate(others):
                begun = time.monotonic()
                left = end - begun
                if left > took_s and memory_shortfall(other, few) is None:
                    progress(f"other sizes: {other.name}")
                    share = left / (len(others) - number)
                    found = measure(other, few, share)
                    if any(row.samples_s for row in found):
                        other_sizes[math.prod(other.shape)] = found
                    took_s = time.monotonic() - begun
            for pool in pools:  # they have nothing to finish
                pool.end()
    except KeyboardInterrupt:
        if any(row.samples_s for row in rows):
            stopped(Choice(case, rows, other_sizes, budget_s))
        raise
    return Choice(case, rows, other_sizes, budget_s)


def _candidates(
    case: Case, places: Sequence[Place], modes: Callable[[str], Sequence[str]]
) -> list[Cell]:
    """Return what can do the whole case; the portable function first, if time is short."""

    def can(cell: Cell) -> bool:
        if cell.implementation == "portable":
            return True
        native = case.find_native(cell.label.partition(":")[0], cell.function)
        return native.reason(case) is None and not native.values_only

    cells = [
        cell for label, number in places for cell in cells_of(case, label, modes(label), number)
    ]
    return sorted(filter(can, cells), key=lambda cell: cell.implementation != "portable")


def _contenders(
    measured: Mapping[Cell, Measurement], origin: Mapping[str, Any], case: Case
) -> list[Cell]:
    """Return the cells that are not known to be slower than the best."""
    timed: dict[Cell, Times] = {}
    for cell, one in measured.items():
        times = times_of(make_row(origin, case, cell, one))
        if isinstance(times, Times):
            timed[cell] = times
    best = min(timed.values(), key=lambda times: times.typical, default=None)

    def has_lost(times: Times) -> bool:
        if best is None or times is best:
            return False
        ratio, verdict = compare_times(times, best)
        enough = len(times.seconds) >= _ENOUGH_SAMPLES or ratio.estimate >= _FAR
        return enough and verdict is Verdict.SLOWER

    return [cell for cell in measured if cell not in timed or not has_lost(timed[cell])]


def _best_of_each(cells: Sequence[Cell], rows: Sequence[Row]) -> list[Cell]:
    """Return the portable cells, and the fastest native of each backend in each mode."""
    cell_of = {id(row): cell for cell, row in zip(cells, rows, strict=True)}
    natives: dict[BackendMode, Cell] = {}
    for entry in rank(rows).timed:
        if not entry.is_portable:
            natives.setdefault(backend_mode_of(entry.row), cell_of[id(entry.row)])
    return [cell for cell in cells if cell.implementation == "portable"] + [*natives.values()]


def scale_case(case: Case, factor: float) -> Case | None:
    """Return a case with its spatial axes scaled; None where that cannot be."""
    first = len(case.shape) - case.rank
    plane = tuple(max(round(n * factor), 1) for n in case.shape[first:])
    shape = (*case.shape[:first], *plane)
    try:
        return None if shape == case.shape else case.replace(shape=shape)
    except ValueError:  # the kernel no longer fits
        return None
