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
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from unpool_xp.bench.cases.case import Case
from unpool_xp.bench.measure.host.nvidia import clock_mhz, on_cuda
from unpool_xp.bench.measure.measurement import Measurement, Samples
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
# In a race: as many as a verdict needs; and processes of the same code hardly differ by more.
_RACE_SAMPLES, _RACE_RATIO = 3, 2.0
# A cell that takes long is content with fewer processes.
_ENOUGH_PROCESSES, _LONG_CELL_SECONDS = 3, 5.0
_MEMORY_PROCESSES = 4  # processes
_LARGE_BYTES = 2**26  # of a case whose inputs take long to make
_MIN_ANSWER_SECONDS = 1.0  # for an answer after the end of everything
_MIN_TIMEOUT_SECONDS = 30.0  # where the budget is shorter: a call is waited for
_OUT_OF_TIME = "not measured: out of time"
_BESIDE = ("to_device", "from_device", "cold", "copy")  # what is timed beside the calls


@dataclass(frozen=True)
class Cell:
    """What a case is measured with."""

    label: str  # of the backend
    mode: str  # "eager" or "compiled"
    implementation: str  # "portable" or "native": whose function
    function: str  # its name
    threads: int | None = None  # None: as many as the library chooses

    @property
    def runs_on(self) -> Place:
        """Where it is measured."""
        return Place(self.label, self.threads)


def cells_of(
    case: Case, label: str, modes: Sequence[str] = ("eager",), threads: int | None = None
) -> list[Cell]:
    """Return the cells of a case on a backend: the portable function, then the natives."""
    functions = [("portable", f"unpool_xp.{case.definition.function.__name__}")]
    natives = case.natives(label.partition(":")[0])
    functions += [("native", native.name(case)) for native in natives]
    return [Cell(label, mode, *function, threads) for mode in modes for function in functions]


@dataclass
class _Open:
    """A cell whose session is open."""

    outputs: str  # their shapes and dtypes
    sample_s: float  # seconds of a sample, as far as is known


class Interleaver:
    """The cells of one case, prepared, then sampled in turns, in one process after the other.

    A worker that is lost is started again.
    """

    def __init__(
        self, case: Case, cells: Sequence[Cell], timeout_s: float, until: float = math.inf
    ) -> None:
        self.case, self.timeout_s, self.until = case, timeout_s, until
        self.kinds = list(_BESIDE)
        self.measured = {cell: Measurement(error=_OUT_OF_TIME) for cell in cells}
        self.facts: dict[Place, dict[str, Any]] = {}  # what the workers say of their backends
        self.open: dict[Cell, _Open] = {}
        self.spent_s = dict.fromkeys(cells, 0.0)
        self._known: dict[str, str] = {}  # outputs that were found right, whoever made them
        self._out: set[Cell] = set()  # of the race
        self._beside: dict[tuple[Any, ...], list[float]] = {}  # seconds of `kinds`
        self.lost_s = 0.0  # what lost workers have taken; no other cell has to pay for it
        self._pool, self._process = Pool(), 0

    @property
    def _answer_timeout(self) -> float:
        """The seconds that a worker may take for an answer from now on."""
        return min(self.timeout_s, max(self.until - time.monotonic(), _MIN_ANSWER_SECONDS))

    def enter(self, pool: Pool, process: int) -> list[Cell]:
        """Go on in the workers of a pool; return the cells that have not failed."""
        self._pool, self._process = pool, process
        left = (cell for cell in self.measured if cell not in self._out)
        cells = [cell for cell in left if self.measured[cell].error in (None, _OUT_OF_TIME)]
        for place in {cell.runs_on for cell in cells}:  # nothing starts once something is timed
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
        arguments = {"session": session_name(cell), "known": self._known}
        answer = self._ask(cell, "prepare", **arguments, **prepare_arguments(self.case, cell))
        if answer is None:
            return
        new = msgspec.convert(answer["measured"], Measurement)
        if new.error is not None:
            self._fail(cell, new.error, is_device_lost(new.error))
            return
        self._known[answer["digest"]] = new.check_scope or ""
        if not self.measured[cell].checked:  # otherwise another process was before
            self.measured[cell] = new
        self.open[cell] = _Open(answer["outputs"], answer["call_s"] * (new.calls_per_sample or 1))

    def sample(self, cell: Cell, seconds: float, least: int = 1) -> None:
        """Take as many samples as fit, and so many at least."""
        fit = int(seconds / max(self.open[cell].sample_s, 1e-6))
        n = min(max(fit, least), _MAX_SAMPLES_PER_ROUND)
        taken = self._take(cell, "call", n)
        if taken is not None:
            measured = self.measured[cell]
            measured.extend(taken, self._process)
            typical = float(np.median(taken.samples_s))
            self.open[cell].sample_s = typical * (measured.calls_per_sample or 1)

    def sample_beside(self) -> None:
        """Time what is beside the calls, once: of each backend, or of each cell."""
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
            "cold": session_name(cell),
        }
        return (what, cell.runs_on, own.get(what, ""))

    def _take(self, cell: Cell, what: str, n: int) -> Samples | None:
        answer = self._ask(cell, "sample", n=n, session=session_name(cell), what=what)
        if answer is None:
            return None
        if answer["error"] is not None:
            self._fail(cell, answer["error"], is_device_lost(answer["error"]))
            return None
        return msgspec.convert(answer["taken"], Samples)

    def drop_slower(self) -> None:
        """Leave out of the processes to come what is slower than the best at its worst."""
        taken = {cell: one.samples_s for cell, one in self.measured.items() if one.samples_s}
        best = min((max(samples) for samples in taken.values()), default=0.0)
        self._out |= {cell for cell, samples in taken.items() if min(samples) > _RACE_RATIO * best}

    def measure_peak(self, cell: Cell) -> None:
        """Measure the memory of a call, in a process of its own."""
        worker = Worker(*cell.runs_on)
        try:
            # Its failure leaves the times as they are.
            with contextlib.suppress(WorkerError, WorkerLostError):
                answer = worker.ask(
                    "peak", timeout=self._answer_timeout, **prepare_arguments(self.case, cell)
                )
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
            took_s = time.monotonic() - start
            self.spent_s[cell] += took_s
        self.lost_s += took_s if is_loss(reason) else 0.0
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
        How many turns each cell gets in each process.
    cell_s : float, optional
        Seconds of samples for each cell, where there is no budget.
    race : bool, optional
        Whether the first process takes three samples of each cell, and times the copies; and those
        to come one of each cell that is not slower for sure. `rounds` and `cell_s` do not count.
    timeout_s : float, optional
        How long a worker may take for a request, before it is ended.
    memory : bool or callable, optional
        Whether to measure the peak memory as well, each in a new process; of which cells.
    limit : bool, optional
        Whether to time a plain copy of as many bytes as well.
    until : float, optional
        The moment of `time.monotonic` at which everything ends: what is not done by then has
        failed, and a worker that is still busy is ended.

    Returns
    -------
    dict of Cell to Measurement
        A failed cell has ``checked`` false, a reason in ``error``, and no samples.
    """
    end = math.inf if budget_s is None else time.monotonic() + budget_s
    if budget_s is not None:
        timeout_s = min(timeout_s, max(budget_s, _MIN_TIMEOUT_SECONDS))
    interleaver = Interleaver(case, cells, timeout_s, until)
    left_out = {"copy": not limit, "cold": race}
    interleaver.kinds = [what for what in _BESIDE if not left_out.get(what)]
    for process, pool in enumerate(pools):
        left = end + interleaver.lost_s - time.monotonic()
        if process and (left <= 0 or time.monotonic() >= until):
            break
        share = None if budget_s is None else left / (len(pools) - process)
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
    start, until = time.monotonic() - interleaver.lost_s, interleaver.until

    def spent_s() -> float:
        return time.monotonic() - interleaver.lost_s - start

    for cell in interleaver.enter(pool, process):
        if time.monotonic() >= until:
            break
        if process >= _ENOUGH_PROCESSES and interleaver.spent_s[cell] > _LONG_CELL_SECONDS:
            continue
        # The workers' start and the checks may take two thirds, the samples have the rest.
        if budget_s is None or spent_s() < budget_s * 2 / 3:
            interleaver.prepare(cell)
    if budget_s is None:
        budget_s = spent_s() + cell_s * len(interleaver.open)
    for round_number in range(rounds):
        left, order = budget_s - spent_s(), list(interleaver.open)
        if not order or time.monotonic() >= until or (round_number >= _MIN_ROUNDS and left <= 0):
            break
        share = max(left, 0.0) / (rounds - round_number) / len(order)
        for cell in to_and_fro(order, round_number):
            if cell in interleaver.open:  # its worker may be lost by now
                interleaver.sample(cell, share)
        if round_number < _MIN_ROUNDS:
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


def session_name(cell: Cell) -> str:
    """Return what the session of a cell is called in its worker."""
    return f"{cell.mode}/{cell.function}"


def prepare_arguments(case: Case, cell: Cell) -> dict[str, Any]:
    """Return the arguments of the worker's commands "prepare" and "peak"."""
    return {
        "case": case.to_json(),
        "mode": cell.mode,
        "implementation": cell.implementation,
        "function": cell.function,
    }
