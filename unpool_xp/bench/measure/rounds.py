"""Time one case on all its backends in interleaved rounds, each in several processes.

The turns go to and fro (A B C C B A), so that a machine that slows down slows all of them. One
process is one draw of memory and threads, so there are several, one after the other.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import statistics
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeAlias

import msgspec
import numpy as np

from unpool_xp.bench.cases.case import Case
from unpool_xp.bench.measure.host.nvidia import clock_mhz, on_cuda
from unpool_xp.bench.measure.measurement import Cell, Measurement, Samples
from unpool_xp.bench.measure.pools import Pool
from unpool_xp.bench.measure.session import is_device_lost
from unpool_xp.bench.measure.timer import to_and_fro
from unpool_xp.bench.measure.workers import Place, Worker, WorkerError, WorkerLostError, is_loss

ROUNDS = 4  # in a process
PROCESSES = 5  # of each backend, where there is no budget
CELL_SECONDS = 0.3
TIMEOUT_SECONDS = 180.0
_MAX_SAMPLES_PER_ROUND = 12  # a visit
_MIN_ROUNDS = 2  # in a process, whatever they take
# In a race: as many samples as a verdict needs; a ratio by which the same code hardly ever differs.
_RACE_SAMPLES, _RACE_RATIO = 3, 2.0
# Fewer processes are enough for a cell that takes long.
_ENOUGH_PROCESSES, _LONG_CELL_SECONDS = 3, 5.0
_MEMORY_PROCESSES = 4  # at a time
_LARGE_BYTES = 2**26  # of a case whose inputs take long to make
_MIN_ANSWER_SECONDS = 1.0  # for an answer after the end of everything
_MIN_TIMEOUT_SECONDS = 30.0  # where the budget is shorter: a call is waited for
_OUT_OF_TIME = "not measured: out of time"
_BESIDE = ("to_device", "from_device", "cold", "copy")  # what is timed besides the calls


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
    ) -> None:
        self.case, self.timeout_s, self.until, self.contenders = case, timeout_s, until, contenders
        self.kinds = list(_BESIDE)
        self.measured = {cell: Measurement(error=_OUT_OF_TIME) for cell in cells}
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
        possible = {
            cell for cell, one in self.measured.items() if one.error in (None, _OUT_OF_TIME)
        }
        return [cell for cell in cells if cell in possible - self._out]

    @property
    def _answer_timeout(self) -> float:
        """The seconds that a worker may take for an answer from now on."""
        return min(self.timeout_s, max(self.until - time.monotonic(), _MIN_ANSWER_SECONDS))

    def enter(self, pool: Pool, process: int) -> list[Cell]:
        """Continue in the workers of a pool; return the cells that have not failed."""
        self._pool, self._process = pool, process
        cells = self.in_race(self.measured)
        places = list(dict.fromkeys(cell.runs_on for cell in cells))
        for place in places:  # those that have not started yet do so side by side
            with contextlib.suppress(WorkerLostError):
                _ = pool[place]
        pool.wait()  # nothing starts any more once something is timed
        for place in places:
            try:
                self.facts[place] = pool[place].facts
            except (WorkerError, WorkerLostError) as error:
                for cell in [cell for cell in cells if cell.runs_on == place]:
                    cells.remove(cell)
                    if not self.measured[cell].samples_s:  # of another process
                        self._fail(cell, str(error))
        workers = [pool[place] for place in dict.fromkeys(cell.runs_on for cell in cells)]
        if len(workers) < 2 or self.case.bytes_moved < _LARGE_BYTES:
            return cells
        # The inputs of a large case are made in all workers at once: nothing is timed yet.
        case = self.case.to_json()

        def make_inputs(worker: Worker) -> None:
            # Whatever fails here, fails again where its reason goes into a row.
            with contextlib.suppress(WorkerError, WorkerLostError):
                worker.ask("make_inputs", timeout=self._answer_timeout, case=case)

        with ThreadPoolExecutor(len(workers)) as threads:
            list(threads.map(make_inputs, workers))
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
            key = self._beside_key(cell, what)
            if key not in done and (taken := self._take(cell, what, 1)) is not None:
                done.add(key)
                self._beside.setdefault(key, []).extend(taken.samples_s)

    def _beside_key(self, cell: Cell, what: str) -> tuple[Any, ...]:
        # Cells of a backend have the same inputs, and mostly the same outputs and as many bytes.
        own = {
            "from_device": self.open[cell].outputs,
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

    def measure_peak(self, cell: Cell) -> None:
        """Measure the memory of a call, in a process of its own."""
        worker = Worker(*cell.runs_on)
        try:
            # Its failure leaves the times as they are.
            with contextlib.suppress(WorkerError, WorkerLostError):
                answer = worker.ask("peak", timeout=self._answer_timeout, **cell.request(self.case))
                self.measured[cell].peak_bytes = answer["peak_bytes"]
        finally:
            worker.kill()

    def close(self) -> None:
        """Drop the sessions, so that the next case finds the memory free."""
        clock = clock_mhz() if any(on_cuda(cell.label) for cell in self.open) else None
        for cell in self.open:
            measured = self.measured[cell]
            if on_cuda(cell.label):
                measured.clock_mhz = clock
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
            reason += " (the device was lost; its process was started anew)"
        self.measured[cell] = self.measured[cell].failed(reason)
        self.open.pop(cell, None)
        if self._pool.is_running(cell.runs_on):
            return
        lost = [other for other in self.open if other.runs_on == cell.runs_on]
        for other in lost:
            del self.open[other]
        for other in lost:
            self.prepare(other)


def measure_case(
    pools: Sequence[Pool],
    case: Case,
    cells: Sequence[Cell],
    budget_s: float | None = None,
    *,
    rounds: int = ROUNDS,
    cell_s: float = CELL_SECONDS,
    timeout_s: float = TIMEOUT_SECONDS,
    race: bool = False,
    memory: bool | Callable[[Case, Cell], bool] = False,
    limit: bool = True,
    until: float = math.inf,
    contenders: Contenders | None = None,
) -> dict[Cell, Measurement]:
    """Measure a case with each of the cells, in turns, in several processes one after the other.

    Parameters
    ----------
    pools : sequence of Pool
        The workers; of each pool one process per backend.
    case : Case
        What to measure.
    cells : sequence of Cell
        With what, in this order; where the budget ends, the last ones are left out.
    budget_s : float, optional
        Seconds for everything, the start of the workers included. A call that takes longer than
        what is left is still waited for. Default: `cell_s` seconds of samples for each cell.
    rounds : int, optional
        The number of turns of each cell in each process.
    cell_s : float, optional
        Seconds of samples for each cell, where there is no budget.
    race : bool, optional
        Whether the first process takes three samples of each cell and times the copies, and later
        ones take one of each cell that is not slower for sure. `rounds` and `cell_s` do not count.
    timeout_s : float, optional
        How long a worker may take for a request, before it is ended.
    memory : bool or callable, optional
        Whether to measure the peak memory as well, each in a new process; or a function of the case
        and the cell that decides.
    limit : bool, optional
        Whether to time a plain copy of as many bytes as well.
    until : float, optional
        The moment of `time.monotonic` at which everything ends: cells not done by then have
        failed, and a worker that is still busy is ended.
    contenders : callable, optional
        For a race with a budget: returns, for what was measured so far, the cells to sample
        further. The rounds go on until the budget is spent, or one is left. Default: all.

    Returns
    -------
    dict of Cell to Measurement
        A failed cell has ``checked`` false, a reason in ``error``, and no samples.
    """
    end = math.inf if budget_s is None else time.monotonic() + budget_s
    if budget_s is not None:
        timeout_s = min(timeout_s, max(budget_s, _MIN_TIMEOUT_SECONDS))
    interleaver = Interleaver(case, cells, timeout_s, until, contenders)
    left_out = {"copy": not limit, "cold": race}
    interleaver.kinds = [what for what in _BESIDE if not left_out.get(what)]
    for process, pool in enumerate(pools):
        now = interleaver.clock()
        if process and (now >= end or time.monotonic() >= until):
            break
        if contenders and process:
            decided = process >= _ENOUGH_PROCESSES and len(interleaver.in_race(cells)) < 2
            if decided or now + interleaver.ready_s >= end:
                break
        # All cells take part in the first process of a race, so it may use the whole budget.
        parts = 1 if contenders and not process else len(pools) - process
        share = None if budget_s is None else (end - now) / parts
        if race:
            _race_in_process(interleaver, pool, process)
        else:
            _measure_in_process(interleaver, pool, process, rounds, cell_s / len(pools), share)
    checked = (cell for cell in cells if interleaver.measured[cell].checked)
    with_memory = [one for one in checked if (memory(case, one) if callable(memory) else memory)]
    if with_memory and time.monotonic() < until:
        with ThreadPoolExecutor(_MEMORY_PROCESSES) as threads:  # no time is measured there
            list(threads.map(interleaver.measure_peak, with_memory))
    for cell, measured in interleaver.measured.items():
        measured.describe(interleaver.facts.get(cell.runs_on, {}))
    return interleaver.measured


def _measure_in_process(
    interleaver: Interleaver,
    pool: Pool,
    process: int,
    rounds: int,
    cell_s: float,
    budget_s: float | None,
) -> None:
    start, until = interleaver.clock(), interleaver.until
    racing = interleaver.contenders is not None
    least, beside = (_RACE_SAMPLES, 1) if racing and not process else (_MIN_ROUNDS, _MIN_ROUNDS)
    for cell in interleaver.enter(pool, process):
        if time.monotonic() >= until:
            break
        if process >= _ENOUGH_PROCESSES and interleaver.spent_s[cell] > _LONG_CELL_SECONDS:
            continue
        # The start of the workers and the checks may take two thirds; the rest is for samples.
        if budget_s is None or interleaver.clock() - start < budget_s * 2 / 3:
            interleaver.prepare(cell)
    interleaver.ready_s = interleaver.clock() - start
    if budget_s is None:
        deadline = interleaver.clock() + cell_s * len(interleaver.open)
    elif racing and not process:  # the rest is for those still in the race
        deadline = start + budget_s / 2
    else:
        deadline = start + budget_s
    for round_number in itertools.count():
        now, order = interleaver.clock(), interleaver.in_race(interleaver.open)
        finished = len(order) < 2 if racing else round_number >= rounds
        if not order or time.monotonic() >= until:
            break
        if round_number >= min(least, rounds) and (finished or now >= deadline):
            break
        share = max(deadline - now, 0.0) / max(rounds - round_number, 1) / len(order)
        for cell in to_and_fro(order, round_number):
            if cell in interleaver.open:  # its worker may be lost by now
                interleaver.sample(cell, share)
        if round_number < beside:
            interleaver.sample_beside()
    interleaver.close()


def _race_in_process(interleaver: Interleaver, pool: Pool, process: int) -> None:
    for cell in interleaver.enter(pool, process):
        if time.monotonic() < interleaver.until:
            interleaver.prepare(cell)
    for cell in to_and_fro(list(interleaver.open), process):
        if cell in interleaver.open and time.monotonic() < interleaver.until:
            interleaver.sample(cell, 0.0, least=1 if process else _RACE_SAMPLES)
    if not process:
        interleaver.sample_beside()
    interleaver.drop_slower()
    interleaver.close()
