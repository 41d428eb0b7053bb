"""Three processes on one backend: base, base again and head, which time a case in turns."""

from __future__ import annotations

import contextlib
import math
import os
import signal
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from unpool_xp.bench.cases.case import BackendMode, Case
from unpool_xp.bench.cases.expected import ExpectedOutputs, MismatchError
from unpool_xp.bench.gate.build import Build, GateError
from unpool_xp.bench.gate.statistics import SIDES, PassSamples, round_orders
from unpool_xp.bench.measure.session import describe_error
from unpool_xp.bench.measure.workers import Worker, WorkerError, WorkerLostError

# A sample is at least this long; longer ones are more often cut by other programs.
SAMPLE_SECONDS = 2e-3
ROUND_SECONDS = 0.36  # of samples for the three sides of a case in a pass
MIN_ROUNDS, MAX_ROUNDS = 5, 25
_WORKER = Path(__file__).with_name("side.py")
_DROPPED_VARIABLES = ("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "COVERAGE_PROCESS_START")


class BuildProcess(Worker):
    """A process that imports the package of one build, on one backend."""

    def __init__(self, build: Build, label: str) -> None:
        # -P: the modules of the script's folder must not hide others.
        super().__init__(
            label,
            command=[str(build.python), "-P", "-s", str(_WORKER), label, str(build.folder)],
            environment={k: v for k, v in os.environ.items() if k not in _DROPPED_VARIABLES},
        )

    def kill(self) -> None:
        """End the process and any children started by a library."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        super().kill()


@dataclass
class GateCase:
    """A case, its inputs on disk, and the outputs checked so far."""

    case: Case
    folder: Path  # of its arrays
    # From the digest of outputs to the scope of the check, or to the mismatch.
    check_results: dict[str, tuple[str | None, str | None]] = field(default_factory=dict)
    _expected: ExpectedOutputs | None = None

    @property
    def prepare_arguments(self) -> dict[str, Any]:
        """Arguments of the "prepare" command; all builds read the arrays from one file."""
        path = self.folder / f"{self.case.name}.npz"
        options = self.case.options()
        arrays = {k: v for k, v in options.items() if isinstance(v, np.ndarray)}
        if not path.exists():
            np.savez(path, *self.case.arrays().values(), *arrays.values())
        return {
            "operation": self.case.definition.function.__name__,
            "inputs": str(path),
            "options": {k: v for k, v in options.items() if k not in arrays},
            "named": list(arrays),
        }

    def check(self, digest: str, outputs: Path) -> None:
        """Check outputs against the reference; store the scope, or the mismatch."""
        if digest in self.check_results:
            return
        if self._expected is None:
            self._expected = ExpectedOutputs(self.case, self.case.arrays())
        with np.load(outputs) as archive:
            arrays = [archive[name] for name in archive.files]
        try:
            self.check_results[digest] = self._expected.check(arrays), None
        except MismatchError as error:
            self.check_results[digest] = None, describe_error(error)


@dataclass
class PassResult:
    """Result of one pass of a case: samples, or why a build has none."""

    samples: PassSamples | None = None
    calls: int | None = None
    scope: str | None = None
    errors: dict[str, str] = field(default_factory=dict)


class ProcessTrio:
    """The three processes; one that is lost is started again for the next case.

    One that takes longer than `timeout_s` for a request is ended.
    """

    def __init__(self, base: Build, head: Build, on: BackendMode, timeout_s: float) -> None:
        self.builds = {"base": base, "control": base, "head": head}
        self.label, self.mode, self.timeout_s = on.label, on.mode, timeout_s
        self._threads = ThreadPoolExecutor(len(SIDES))
        self._processes: dict[str, BuildProcess] = {}

    def __enter__(self) -> ProcessTrio:
        try:
            for side in SIDES:
                self._processes[side] = BuildProcess(self.builds[side], self.label)
        except OSError as error:
            self._end()
            raise GateError(f"{self.builds[side].python} could not be started: {error}") from error
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def _end(self) -> None:
        for side in self._processes.values():
            side.kill()  # it has nothing to finish
        self._threads.shutdown(cancel_futures=True)

    def facts(self) -> dict[str, dict[str, Any]]:
        """Return the description of each side, or its "error"."""
        return self._ask_all("hello", {side: {} for side in SIDES})

    def _ask_all(
        self, command: str, arguments: Mapping[str, dict[str, Any]]
    ) -> dict[str, dict[str, Any]]:
        """Ask several sides at once; each answer has an "error", or None."""

        def ask(side: str) -> dict[str, Any]:
            try:
                worker = self._processes[side]
                if not worker.alive:
                    worker.kill()
                    worker = self._processes[side] = BuildProcess(self.builds[side], self.label)
                if command == "hello":
                    return {"error": None, **worker.facts}
                _ = worker.facts  # its start has a time-out of its own
                answer = worker.ask(command, timeout=self.timeout_s, **arguments[side])
                return {"error": None, **answer}
            except (WorkerError, WorkerLostError) as error:
                return {"error": str(error)}

        wanted = list(arguments)
        return dict(zip(wanted, self._threads.map(ask, wanted), strict=True))

    def run_pass(self, gate_case: GateCase, *, seed: str) -> PassResult:
        """Prepare a case in all three processes, check their outputs, sample in random order."""
        result = PassResult()
        message = {**gate_case.prepare_arguments, "mode": self.mode}
        answers = self._ask_all("prepare", dict.fromkeys(SIDES, message))
        self._check(gate_case, answers, result)
        good = [side for side in SIDES if side not in result.errors]
        if "head" in good or {"base", "control"} <= set(good):
            self._sample(good, answers, result, seed)
        self._ask_all("drop", {side: {} for side in SIDES if self._processes[side].alive})
        return result

    def _check(
        self, gate_case: GateCase, answers: dict[str, dict[str, Any]], result: PassResult
    ) -> None:
        good = [side for side in SIDES if answers[side]["error"] is None]
        if any(answers[side]["digest"] not in gate_case.check_results for side in good):
            # All of them, so that they have all done the same before they are timed.
            paths = {side: gate_case.folder / f"{side}.npz" for side in good}
            written = self._ask_all("outputs", {side: {"path": str(paths[side])} for side in good})
            for side in good:
                answers[side] |= written[side]
                if written[side]["error"] is None:
                    gate_case.check(written[side]["digest"], paths[side])
        for side in SIDES:
            error = answers[side]["error"]
            if error is None:
                result.scope, error = gate_case.check_results[answers[side]["digest"]]
            if error is not None:
                result.errors[side] = error

    def _sample(
        self, good: list[str], answers: dict[str, dict[str, Any]], result: PassResult, seed: str
    ) -> None:
        """Sample the builds whose output was correct, even if only one is left."""
        seconds = [max(answers[side]["call_s"], 1e-9) for side in good]
        # As many calls for all, as the quickest needs.
        result.calls = max(1, math.ceil(SAMPLE_SECONDS / min(seconds)))
        round_seconds = sum(seconds) * result.calls
        rounds = min(max(int(ROUND_SECONDS / round_seconds), MIN_ROUNDS), MAX_ROUNDS)
        samples: dict[str, list[float]] = {side: [] for side in SIDES}
        result.samples = PassSamples(**samples)
        for order in round_orders(rounds, seed):
            for side in (name for name in order if name in good):
                try:
                    worker = self._processes[side]
                    answer = worker.ask("sample", timeout=self.timeout_s, calls=result.calls)
                except (WorkerError, WorkerLostError) as error:
                    result.errors[side] = str(error)
                    return
                samples[side].append(answer["seconds"])
