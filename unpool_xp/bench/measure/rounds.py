"""Time one case on all its backends in interleaved rounds, one process per backend.

The turns go to and fro (A B C C B A), so that a machine that slows down slows all of them.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from unpool_xp.bench.cases.case import Case
from unpool_xp.bench.measure.measurement import Measurement
from unpool_xp.bench.measure.nvidia import clock_mhz, on_cuda
from unpool_xp.bench.measure.session import is_device_lost
from unpool_xp.bench.measure.timer import to_and_fro
from unpool_xp.bench.measure.workers import Pool, Worker, WorkerError, WorkerLostError

ROUNDS = 8
CELL_SECONDS = 0.15
TIMEOUT_SECONDS = 180.0
_MAX_SAMPLES_PER_ROUND = 12  # a visit
# Slow calls get a few turns more than their seconds allow, as long as that is not too long.
_MIN_ROUNDS, _GRACE_SECONDS = 5, 3.0
_MEMORY_PROCESSES = 4  # processes
_LARGE_BYTES = 2**26  # of a case whose inputs take long to make
_MIN_ANSWER_SECONDS = 1.0  # for an answer after the end of everything


@dataclass(frozen=True)
class Cell:
    """What a case is measured with.

    Parameters
    ----------
    label : str
        The backend.
    mode : {"eager", "compiled"}
        How.
    implementation : {"portable", "native"}
        Whose function.
    function : str
        Its name.
    """

    label: str
    mode: str
    implementation: str
    function: str


def cells_of(case: Case, label: str, modes: Sequence[str] = ("eager",)) -> list[Cell]:
    """Return the cells of a case on a backend: the portable function, then the natives."""
    functions = [("portable", f"unpool_xp.{case.definition.function.__name__}")]
    natives = case.natives(label.partition(":")[0])
    functions += [("native", native.name(case)) for native in natives]
    return [Cell(label, mode, *function) for mode in modes for function in functions]


class Interleaver:
    """The cells of one case: prepared, then sampled in turns; a lost worker is started again."""

    def __init__(
        self,
        pool: Pool,
        case: Case,
        cells: Sequence[Cell],
        timeout_s: float,
        until: float = math.inf,
    ) -> None:
        self.pool, self.case, self.timeout_s, self.until = pool, case, timeout_s, until
        self.measured = {cell: Measurement(error="not measured: out of time") for cell in cells}
        self.facts: dict[str, dict[str, Any]] = {}  # what the workers say of their backends
        self.sample_seconds: dict[Cell, float] = {}  # -> seconds a sample, as far as is known

    @property
    def _answer_timeout(self) -> float:
        """The seconds that a worker may take for an answer from now on."""
        return min(self.timeout_s, max(self.until - time.monotonic(), _MIN_ANSWER_SECONDS))

    def make_inputs(self) -> None:
        """Make the inputs of a large case in all workers at once; nothing is timed yet."""
        labels = list(dict.fromkeys(cell.label for cell in self.measured))
        if len(labels) < 2 or self.case.bytes_moved < _LARGE_BYTES:
            return
        case = self.case.to_json()

        def ask(label: str) -> None:
            # Whatever fails here, fails again where its reason goes into a row.
            with contextlib.suppress(WorkerError, WorkerLostError):
                self.pool[label].ask("make_inputs", timeout=self._answer_timeout, case=case)

        with ThreadPoolExecutor(len(labels)) as threads:
            list(threads.map(ask, labels))

    def prepare(self, cell: Cell) -> None:
        """Open a cell's session in its worker, or reopen it after the worker was lost."""
        arguments = {"session": session_name(cell), **prepare_arguments(self.case, cell)}
        answer = self._ask(cell, "prepare", **arguments)
        if answer is None:
            return
        measured, before = msgspec.convert(answer["measured"], Measurement), self.measured[cell]
        self.measured[cell] = measured
        if measured.error is not None:
            self._fail(cell, measured.error, is_device_lost(measured.error))
        elif measured.calls_per_sample is not None:
            # It may have been prepared before, in a worker that was lost.
            measured.samples_s = before.samples_s
            measured.device_samples_s = before.device_samples_s
            self.sample_seconds[cell] = answer["call_s"] * measured.calls_per_sample

    def sample(self, cell: Cell, seconds: float) -> None:
        """Take as many samples as fit, at least one."""
        n = min(max(int(seconds / max(self.sample_seconds[cell], 1e-6)), 1), _MAX_SAMPLES_PER_ROUND)
        answer = self._ask(cell, "sample", n=n, session=session_name(cell))
        if answer is None:
            return
        if answer["error"] is not None:
            self._fail(cell, answer["error"], is_device_lost(answer["error"]))
            return
        measured = self.measured[cell]
        measured.samples_s += answer["samples_s"]
        measured.device_samples_s += answer["device_samples_s"]
        typical = float(np.median(answer["samples_s"]))
        self.sample_seconds[cell] = typical * (measured.calls_per_sample or 1)

    def measure_peak(self, cell: Cell) -> None:
        """Measure the memory of a call, in a process of its own."""
        worker = Worker(cell.label)
        try:
            # Its failure leaves the times as they are.
            with contextlib.suppress(WorkerError, WorkerLostError):
                _ = worker.facts
                answer = worker.ask(
                    "peak", timeout=self._answer_timeout, **prepare_arguments(self.case, cell)
                )
                self.measured[cell].peak_bytes = answer["peak_bytes"]
        finally:
            worker.kill()

    def close(self) -> None:
        """Drop the sessions, so that the next case finds the memory free."""
        for label in {cell.label for cell in self.measured}:
            with contextlib.suppress(WorkerError, WorkerLostError):
                if self.pool.is_running(label):
                    self.pool[label].ask("drop", timeout=self.timeout_s)

    def _ask(self, cell: Cell, command: str, **arguments: Any) -> dict[str, Any] | None:
        """Send a command to the cell's worker; an error or a lost worker fails the cell."""
        try:
            worker = self.pool[cell.label]
            self.facts[cell.label] = worker.facts
            return worker.ask(command, timeout=self._answer_timeout, **arguments)
        except (WorkerError, WorkerLostError) as error:
            self._fail(cell, str(error))
        return None

    def _fail(self, cell: Cell, reason: str, device_lost: bool = False) -> None:
        """Drop a cell; where the worker is lost, reopen the sessions of its other cells."""
        if device_lost:
            self.pool[cell.label].kill()
            reason += " (the device was lost; its process was started anew)"
        self.measured[cell] = self.measured[cell].failed(reason)
        self.sample_seconds.pop(cell, None)
        if self.pool.is_running(cell.label):
            return
        lost = [other for other in self.sample_seconds if other.label == cell.label]
        for other in lost:
            del self.sample_seconds[other]
        for other in lost:
            self.prepare(other)


def measure_case(
    pool: Pool,
    case: Case,
    cells: Sequence[Cell],
    budget_s: float | None = None,
    *,
    rounds: int = ROUNDS,
    cell_s: float = CELL_SECONDS,
    timeout_s: float = TIMEOUT_SECONDS,
    memory: bool | Callable[[Case, Cell], bool] = False,
    until: float = math.inf,
) -> dict[Cell, Measurement]:
    """Measure a case with each of the cells, in turns.

    Parameters
    ----------
    pool : Pool
        The workers.
    case : Case
        What to measure.
    cells : sequence of Cell
        With what, in this order; where the budget ends, the last ones are left out.
    budget_s : float, optional
        Seconds for everything, the start of the workers included. A call that takes longer than
        what is left is still waited for. Default: `cell_s` seconds of samples for each cell.
    rounds : int, optional
        How many turns each cell gets.
    cell_s : float, optional
        Seconds of samples for each cell, where there is no budget.
    timeout_s : float, optional
        How long a worker may take for a request, before it is ended.
    memory : bool or callable, optional
        Whether to measure the peak memory as well, each in a new process; of which cells.
    until : float, optional
        The moment of `time.monotonic` at which everything ends: what is not done by then has
        failed, and a worker that is still busy is ended.

    Returns
    -------
    dict of Cell to Measurement
        A failed cell has ``checked`` false, a reason in ``error``, and no samples.
    """
    start = time.monotonic()
    interleaver = Interleaver(pool, case, cells, timeout_s, until)
    interleaver.make_inputs()
    for cell in cells:
        if time.monotonic() >= until:
            break
        # The workers' start and the checks may take two thirds, the samples have the rest.
        if budget_s is None or time.monotonic() - start < budget_s * 2 / 3:
            interleaver.prepare(cell)
    if budget_s is None:
        deadline = time.monotonic() + cell_s * len(interleaver.sample_seconds)
        grace = _GRACE_SECONDS
    else:
        deadline, grace = start + budget_s, 0.0
    for round_number in range(rounds):
        now, order = time.monotonic(), list(interleaver.sample_seconds)
        limit = grace if round_number < _MIN_ROUNDS else 0.0
        if not order or now >= until or (round_number >= 2 and now - deadline >= limit):
            break
        share = max(deadline - now, 0.0) / (rounds - round_number) / len(order)
        for cell in to_and_fro(order, round_number):
            if cell in interleaver.sample_seconds:  # its worker may be lost by now
                interleaver.sample(cell, share)
    on_gpu = [cell for cell in interleaver.sample_seconds if on_cuda(cell.label)]
    clock = clock_mhz() if on_gpu else None
    for cell in on_gpu:
        interleaver.measured[cell].clock_mhz = clock
    interleaver.close()
    with_memory = [
        cell
        for cell in cells
        if (memory(case, cell) if callable(memory) else memory)
        and interleaver.measured[cell].checked
    ]
    if with_memory and time.monotonic() < until:
        with ThreadPoolExecutor(_MEMORY_PROCESSES) as threads:  # no time is measured there
            list(threads.map(interleaver.measure_peak, with_memory))
    for cell, measured in interleaver.measured.items():
        measured.describe(interleaver.facts.get(cell.label, {}))
    return interleaver.measured


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
