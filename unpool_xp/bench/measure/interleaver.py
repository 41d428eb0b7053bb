"""Sample the cells of one case in turns, in one process after the other.

What fails costs its cell alone; a worker that is lost is started again.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import statistics
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import msgspec
import numpy as np

from unpool_xp.bench.cases.case import Case
from unpool_xp.bench.measure.host.nvidia import clock_mhz, on_cuda
from unpool_xp.bench.measure.measurement import Cell, Measurement, Samples
from unpool_xp.bench.measure.pools import Pool, side_by_side
from unpool_xp.bench.measure.session import PINNED_COPIES, is_device_lost
from unpool_xp.bench.measure.workers import Place, Worker, WorkerError, WorkerLostError, is_loss

OUT_OF_TIME = "not measured: out of time"
_STOPPED = "not measured: stopped"
# What is timed besides the calls.
BESIDE = ("to_device", "from_device", *PINNED_COPIES, "cold", "copy")
_MAX_SAMPLES_PER_ROUND = 12  # a visit
# In a race a ratio by which the same code hardly ever differs.
_RACE_RATIO = 2.0
_MEMORY_PROCESSES = 4  # at a time
_LARGE_BYTES = 2**28  # that a case needs, whose inputs take long to make
_MIN_ANSWER_SECONDS = 1.0  # for an answer after the end of everything

Contenders: TypeAlias = Callable[[Mapping[Cell, Measurement]], Collection[Cell]]


@dataclass
class _Open:
    """A cell whose session is open."""

    outputs: str  # their shapes and dtypes
    sample_s: float  # seconds of a sample, as far as is known


class Interleaver:
    """Prepare the cells of one case, then sample them in turns, in one process after the other.

    A worker that is lost is started again.
    """

    def __init__(
        self,
        case: Case,
        cells: Sequence[Cell],
        timeout_s: float,
        until: float = math.inf,
        contenders: Contenders | None = None,
        grace_s: float = 0.0,
    ) -> None:
        self.case, self.timeout_s, self.until, self.contenders = case, timeout_s, until, contenders
        self.grace_s = grace_s
        self.kinds = list(BESIDE)
        self.measured = {cell: Measurement(error=OUT_OF_TIME) for cell in cells}
        self.facts: dict[Place, dict[str, Any]] = {}  # what the workers report of their backends
        self.open: dict[Cell, _Open] = {}
        self.spent_s = dict.fromkeys(cells, 0.0)
        self._known: dict[str, str] = {}  # digests of outputs that were found right
        self._out: set[Cell] = set()  # of the race
        self._beside: dict[tuple[Any, ...], list[float]] = {}  # seconds of `kinds`
        self.ready_s = 0.0  # what the start and the checks took in the last process
        self._pool, self._process = Pool(), 0
        self._lost_s = 0.0

    def clock(self) -> float:
        """Return a time that stops while a worker is being lost, so that no other pays for it."""
        return time.monotonic() - self._lost_s

    def in_race(self, cells: Iterable[Cell]) -> list[Cell]:
        """Return the cells that have neither failed nor lost the race."""
        if self.contenders is not None:
            self._out = set(self.measured) - set(self.contenders(self.measured))
        possible = {cell for cell, one in self.measured.items() if one.error in (None, OUT_OF_TIME)}
        return [cell for cell in cells if cell in possible - self._out]

    @property
    def is_over(self) -> bool:
        """Whether everything has to end now."""
        return self._left_s <= 0

    @property
    def _left_s(self) -> float:
        """Seconds until the end, which waits a little while nothing has a time yet."""
        known = any(one.samples_s for one in self.measured.values())
        return self.until + (0.0 if known else self.grace_s) - time.monotonic()

    @property
    def _answer_timeout(self) -> float:
        """The seconds that a worker may take for an answer from now on."""
        return min(self.timeout_s, max(self._left_s, _MIN_ANSWER_SECONDS))

    def enter(self, pool: Pool, process: int) -> list[Cell]:
        """Continue in the workers of a pool; return the cells that have not failed."""
        self._pool, self._process = pool, process
        cells = self.in_race(self.measured)
        places = list(dict.fromkeys(cell.runs_on for cell in cells))
        for place in places:  # those that have not started yet do so side by side
            with contextlib.suppress(WorkerLostError):
                _ = pool[place]
        pool.wait(lambda: self.is_over)  # nothing starts any more once something is timed
        if self.is_over:
            return []
        for place in places:
            try:
                self.facts[place] = pool[place].facts
            except (WorkerError, WorkerLostError) as error:
                for cell in [cell for cell in cells if cell.runs_on == place]:
                    cells.remove(cell)
                    if not self.measured[cell].samples_s:  # of another process
                        self._fail(cell, str(error))
        workers = [pool[place] for place in dict.fromkeys(cell.runs_on for cell in cells)]
        if len(workers) < 2 or self.case.needed_bytes < _LARGE_BYTES:
            return cells
        # The inputs of a large case are made in all workers at once: nothing is timed yet.
        case = self.case.to_json()

        def make_inputs(worker: Worker) -> None:
            # Whatever fails here, fails again where its reason goes into a row.
            with contextlib.suppress(WorkerError, WorkerLostError):
                worker.ask("make_inputs", timeout=self._answer_timeout, case=case)

        side_by_side(make_inputs, workers, len(workers), partial(_end, workers))
        return cells

    def prepare(self, cell: Cell) -> None:
        """Open a cell's session in its worker, or reopen it after the worker was lost."""
        arguments = {"session": cell.session, "known": self._known}
        answer = self._ask(cell, "prepare", **arguments, **cell.request(self.case))
        if answer is None:
            return
        new = msgspec.convert(answer["measured"], Measurement)
        if new.error is not None:
            self._fail(cell, new.error, is_device_lost(new.error))
            return
        self._known[answer["digest"]] = new.check_scope or ""
        if not self.measured[cell].checked:  # otherwise an earlier process has filled it
            self.measured[cell] = new
        self.open[cell] = _Open(answer["outputs"], answer["call_s"] * (new.calls_per_sample or 1))

    def sample(self, cell: Cell, seconds: float, least: int = 1) -> None:
        """Take as many samples as fit into the seconds, and at least `least`."""
        fit = int(seconds / max(self.open[cell].sample_s, 1e-6))
        n = min(max(fit, least), _MAX_SAMPLES_PER_ROUND)
        taken = self._take(cell, "call", n)
        if taken is not None:
            measured = self.measured[cell]
            measured.extend(taken, self._process)
            typical = float(np.median(taken.samples_s))
            self.open[cell].sample_s = typical * (measured.calls_per_sample or 1)

    def sample_beside(self) -> None:
        """Time the copies and the call after a rest once, for each backend or each cell."""
        done = set()
        for cell, what in itertools.product(list(self.open), self.kinds):
            if cell not in self.open:  # it has failed, or its worker is lost
                continue
            if what in PINNED_COPIES and not on_cuda(cell.label):  # no other backend has any
                continue
            key = self._beside_key(cell, what)
            if key not in done and (taken := self._take(cell, what, 1)) is not None:
                done.add(key)
                self._beside.setdefault(key, []).extend(taken.samples_s)

    def _beside_key(self, cell: Cell, what: str) -> tuple[Any, ...]:
        # Cells of a backend have the same inputs, and mostly the same outputs and as many bytes.
        own = {
            "from_device": self.open[cell].outputs,
            "from_device_pinned": self.open[cell].outputs,
            "copy": str(self.measured[cell].bytes_moved),
            "cold": cell.session,
        }
        return (what, cell.runs_on, own.get(what, ""))

    def _take(self, cell: Cell, what: str, n: int) -> Samples | None:
        answer = self._ask(cell, "sample", n=n, session=cell.session, what=what)
        if answer is None:
            return None
        if answer["error"] is not None:
            self._fail(cell, answer["error"], is_device_lost(answer["error"]))
            return None
        return msgspec.convert(answer["taken"], Samples)

    def drop_slower(self) -> None:
        """Leave cells out of later processes: those slower at their best than the best at worst."""
        taken = {cell: one.samples_s for cell, one in self.measured.items() if one.samples_s}
        best = min((max(samples) for samples in taken.values()), default=0.0)
        self._out |= {cell for cell, samples in taken.items() if min(samples) > _RACE_RATIO * best}

    def measure_peaks(self, cells: Sequence[Cell]) -> None:
        """Measure the memory of a call of each cell, in processes of their own."""
        workers: list[Worker] = []

        def measure_peak(cell: Cell) -> None:
            worker = Worker(*cell.runs_on)
            workers.append(worker)
            try:
                # Its failure leaves the times as they are.
                with contextlib.suppress(WorkerError, WorkerLostError):
                    request, timeout = cell.request(self.case), self._answer_timeout
                    peak = worker.ask("peak", timeout=timeout, **request)["peak_bytes"]
                    self.measured[cell].peak_bytes = peak
            finally:
                worker.kill()

        # No time is measured there.
        side_by_side(measure_peak, cells, _MEMORY_PROCESSES, partial(_end, workers))

    def results(self, *, stopped: bool = False) -> dict[Cell, Measurement]:
        """Return what was measured, with the facts of the backends."""
        for cell, one in self.measured.items():
            if stopped and not one.samples_s and one.error in (None, OUT_OF_TIME):
                self.measured[cell] = one.failed(_STOPPED)
            self.measured[cell].describe(self.facts.get(cell.runs_on, {}))
        return self.measured

    def close(self) -> None:
        """Drop the sessions, so that the next case finds the memory free."""
        labels = {cell.label for cell in self.open if on_cuda(cell.label)}
        clocks = {label: clock_mhz(label) for label in labels}
        for cell in self.open:
            measured = self.measured[cell]
            measured.clock_mhz = clocks.get(cell.label, measured.clock_mhz)
            for what in self.kinds:
                taken = self._beside.get(self._beside_key(cell, what))
                seconds = statistics.median(taken) if taken else None
                if what != "copy":
                    setattr(measured, f"{what}_s", seconds)
                elif seconds is not None:
                    measured.copy_gb_s = (measured.bytes_moved or 0) / seconds / 1e9
        self.open.clear()
        for place in {cell.runs_on for cell in self.measured}:
            with contextlib.suppress(WorkerError, WorkerLostError):
                if self._pool.is_running(place):
                    self._pool[place].ask("drop", timeout=self._answer_timeout)

    def _ask(self, cell: Cell, command: str, **arguments: Any) -> dict[str, Any] | None:
        """Send a command to the cell's worker; an error or a lost worker fails the cell."""
        start = time.monotonic()
        try:
            if command == "prepare":
                worker = self._pool[cell.runs_on]
            else:  # a new one would not have the session
                worker = self._pool.running(cell.runs_on)
            self.facts[cell.runs_on] = worker.facts
            return worker.ask(command, timeout=self._answer_timeout, **arguments)
        except (WorkerError, WorkerLostError) as error:
            reason = str(error)
        finally:
            self.spent_s[cell] += time.monotonic() - start
        self._lost_s += time.monotonic() - start if is_loss(reason) else 0.0
        self._fail(cell, reason)
        return None

    def _fail(self, cell: Cell, reason: str, device_lost: bool = False) -> None:
        """Drop a cell; where the worker is lost, reopen the sessions of its other cells."""
        if device_lost:
            self._pool[cell.runs_on].kill()
            reason += " (the device was lost; its process was restarted)"
        cut_off = self.is_over and is_loss(reason)
        if not (cut_off and self.measured[cell].samples_s):  # those before the end are good
            self.measured[cell] = self.measured[cell].failed(reason)
        self.open.pop(cell, None)
        if self._pool.is_running(cell.runs_on):
            return
        lost = [other for other in self.open if other.runs_on == cell.runs_on]
        for other in lost:
            del self.open[other]
        for other in [] if self.is_over else lost:
            self.prepare(other)


def _end(workers: Sequence[Worker]) -> None:
    for worker in [*workers]:
        worker.end()
