"""Measure cases on the same backends until a budget is spent, what matters most first."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from unpool_xp.bench.cases.case import BackendMode, Case
from unpool_xp.bench.measure.interleaver import Interleaver
from unpool_xp.bench.measure.measurement import Cell, Measurement, cells_of
from unpool_xp.bench.measure.pools import Pool, open_pools
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
from unpool_xp.bench.rows.schema import Row
from unpool_xp.bench.verdicts.bootstrap import Times, Verdict, compare_times
from unpool_xp.bench.verdicts.ranking import rank, times_of

BUDGET_SECONDS = 20.0
_MIN_SECONDS = 2.0  # an answer that is a little late is better than none
# How late it may be where nothing has a time yet: a share of the budget, and as long as a library
# takes to start on a busy machine.
_GRACE_SHARE, _GRACE_SECONDS = 0.5, 8.0
_END_SECONDS = 0.5  # to end the workers, and to rank
# Samples after which what is known to be slower stops; fewer do where it is so much slower.
_ENOUGH_SAMPLES, _FAR = 5, 10.0


class BudgetedRun:
    """Measures cases on the same backends, until the time is up.

    What is known to be slower than the best stops, so that the budget goes to what is not decided.

    Parameters
    ----------
    labels : sequence of str
        Labels of backends that load here.
    modes : callable
        From a label to the modes to measure it in.
    budget_s : float, optional
        Seconds for all of it, the start of the workers included.
    threads : sequence of int, optional
        With how many threads the backends of the CPU are measured. Default: as many as they choose.
    started : float, optional
        The moment of `time.monotonic` at which the budget began. Default: now.
    timeout_s : float, optional
        Seconds that a worker may take for one request.

    Raises
    ------
    ValueError
        If there is no label.
    """

    def __init__(
        self,
        labels: Sequence[str],
        modes: Callable[[str], Sequence[str]],
        budget_s: float = BUDGET_SECONDS,
        threads: Sequence[int] = (),
        started: float | None = None,
        timeout_s: float = TIMEOUT_SECONDS,
    ) -> None:
        if not labels:
            raise ValueError(f"BudgetedRun: labels={labels!r} must name at least one backend")
        self.places, self.modes = places_of(labels, threads), modes
        self.budget_s, self.timeout_s = budget_s, timeout_s
        started = time.monotonic() if started is None else started
        self.end = started + budget_s - _END_SECONDS
        self.rows: dict[Case, list[Row]] = {}  # what is known so far, however it ends
        self._pools: list[Pool] = []
        self._origin: dict[str, Any] = {}

    @property
    def left_s(self) -> float:
        """Seconds until everything ends."""
        return self.end - time.monotonic()

    def candidates(self, case: Case) -> list[Cell]:
        """Return what can do the whole case; the portable function first, if time is short."""

        def can(cell: Cell) -> bool:
            if cell.implementation == "portable":
                return True
            native = case.find_native(cell.label.partition(":")[0], cell.function)
            return native.reason(case) is None and not native.values_only

        cells = [
            cell
            for label, number in self.places
            for cell in cells_of(case, label, self.modes(label), number)
        ]
        return sorted(filter(can, cells), key=lambda cell: cell.implementation != "portable")

    def require_memory(self, case: Case, cells: Sequence[Cell]) -> None:
        """Raise a MemoryError that says what a case needs, if it would not fit."""
        reason = memory_shortfall(case, cells)
        if reason is not None:
            raise MemoryError(f"{case.name} is {reason}")

    @contextlib.contextmanager
    def open(self) -> Iterator[None]:
        """Start the workers, and end them."""
        self._origin = provenance_fields(provenance.run_id())
        with open_pools(self.places, PROCESSES, lazy=True) as self._pools:
            yield
            for pool in self._pools:  # they have nothing to finish
                pool.end()

    def measure_first(self, case: Case, cells: Sequence[Cell], share: float) -> list[Row]:
        """Measure what matters most, in a share of the time that is left.

        It is waited for a little beyond the end while nothing has a time.
        """
        grace_s = max(_GRACE_SHARE * self.budget_s, _GRACE_SECONDS)
        return self._measure(case, cells, max(share * self.left_s, _MIN_SECONDS), grace_s)

    def measure_in_turn(
        self,
        cases: Sequence[Case],
        cells: Sequence[Cell] | Callable[[Case], Sequence[Cell]],
        progress: Callable[[Case], None],
        until: float | None = None,
    ) -> None:
        """Measure one case after the other, each in its share of what is left; or as many as fit.

        The time ends at `until`, a moment of `time.monotonic`. Default: where everything ends.
        """
        until, took_s = self.end if until is None else until, 0.0  # the last case
        for number, case in enumerate(cases):
            begun = time.monotonic()
            left, few = until - begun, cells(case) if callable(cells) else cells
            # A case takes all of its share and a little more, and could do with less.
            if left > took_s / 2 and memory_shortfall(case, few) is None:
                progress(case)
                self._measure(case, few, left / (len(cases) - number))
                took_s = time.monotonic() - begun

    def start_seconds(self, place: Place) -> float:
        """Return what the first worker of a place took to start, beside the others."""
        return self._pools[0][place].start_s

    def measure_peak(self, case: Case, cell: Cell) -> None:
        """Measure the peak memory of a call in a process of its own; the cell's row gets it."""
        interleaver = Interleaver(case, [cell], self.timeout_s, self.end)
        interleaver.measure_peaks([cell])
        peak = interleaver.measured[cell].peak_bytes
        self.rows[case] = [
            replace(row, peak_bytes=peak) if cell_of(row) == cell else row
            for row in self.rows[case]
        ]

    def _measure(
        self, case: Case, cells: Sequence[Cell], seconds: float, grace_s: float = 0.0
    ) -> list[Row]:
        def stopped(measured: Mapping[Cell, Measurement]) -> None:
            found = measured.items()
            self.rows[case] = [make_row(self._origin, case, cell, one) for cell, one in found]

        rows = self.rows[case] = measure_rows(
            self._pools,
            self._origin,
            case,
            cells,
            budget_s=seconds,
            limit=False,
            timeout_s=self.timeout_s,
            until=self.end,
            grace_s=grace_s,
            contenders=lambda measured: _contenders(measured, self._origin, case),
            stopped=stopped,
        )
        return rows


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


def cell_of(row: Row) -> Cell:
    """Return what a row was measured with."""
    return Cell(row.backend, row.mode, row.implementation, row.function, row.threads_asked)


def best_of_each(cells: Sequence[Cell], rows: Sequence[Row]) -> list[Cell]:
    """Return the portable cells, and the fastest native of each backend in each mode."""
    natives: dict[BackendMode, Cell] = {}
    for entry in rank(rows).timed:
        if not entry.is_portable:
            natives.setdefault(backend_mode_of(entry.row), cell_of(entry.row))
    return [cell for cell in cells if cell.implementation == "portable"] + [*natives.values()]
