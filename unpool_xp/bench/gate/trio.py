"""Three processes on one backend: base, base again and head, which time a case in turns."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from unpool_xp.bench.cases.case import BackendMode
from unpool_xp.bench.gate.build import Build, GateError
from unpool_xp.bench.gate.case import GateMeasurement
from unpool_xp.bench.gate.statistics import SIDES, PassSamples, round_orders
from unpool_xp.bench.measure.host.load import LoadWatch
from unpool_xp.bench.measure.pools import Pool
from unpool_xp.bench.measure.timer import WARM_SECONDS, calls_per_sample
from unpool_xp.bench.measure.workers import Worker, WorkerError, WorkerLostError

MIN_ROUNDS, MAX_ROUNDS = 5, 30
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

    def close(self) -> None:
        """End the process, which has nothing to finish, and any children started by a library."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        super().close()


class ProcessTrio:
    """The three processes; one that is lost is started again for the next case.

    One that takes longer than `timeout_s` for a request is ended.
    """

    def __init__(self, base: Build, head: Build, on: BackendMode, timeout_s: float) -> None:
        self.builds = builds = {"base": base, "control": base, "head": head}
        self.mode, self.timeout_s = on.mode, timeout_s
        self._threads = ThreadPoolExecutor(len(SIDES))
        self._processes = Pool(start=lambda side: BuildProcess(builds[side], on.label))

    def __enter__(self) -> ProcessTrio:
        return self

    def __exit__(self, *_: object) -> None:
        self._processes.close()
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
                answer = worker.facts  # its start has a time-out of its own
                if command != "hello":
                    answer = worker.ask(command, timeout=self.timeout_s, **arguments[side])
                return {"error": None, **answer}
            except (WorkerError, WorkerLostError) as error:
                return {"error": str(error)}
            except OSError as error:
                python = self.builds[side].python
                raise GateError(f"{python} could not be started: {error}") from error

        wanted = list(arguments)
        return dict(zip(wanted, self._threads.map(ask, wanted), strict=True))

    def run_pass(
        self, one: GateMeasurement, passes: list[PassSamples], round_s: float, *, seed: str
    ) -> None:
        """Prepare a case in all three processes, check their outputs, sample in random order.

        The rounds take about `round_s`, but there are at least five. What fails is entered under
        the errors of the case, the samples under `passes`.
        """
        message = {**one.gate_case.prepare_arguments, "mode": self.mode}
        answers = self._ask_all("prepare", dict.fromkeys(SIDES, message))
        self._check(one, answers)
        good = [side for side in SIDES if side not in one.errors]
        if "head" in good or {"base", "control"} <= set(good):
            passes.append(PassSamples([], [], []))
            self._sample(one, passes[-1], good, round_s, seed)
        self._ask_all("drop", {side: {} for side in SIDES if self._processes.is_running(side)})

    def _check(self, one: GateMeasurement, answers: dict[str, dict[str, Any]]) -> None:
        gate_case = one.gate_case
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
                scope, error = gate_case.check_results[answers[side]["digest"]]
                one.scope = scope or one.scope
            if error is not None:
                one.errors[side] = error

    def _sample(
        self,
        one: GateMeasurement,
        samples: PassSamples,
        good: Sequence[str],
        round_s: float,
        seed: str,
    ) -> None:
        """Sample the builds whose output was correct, even if only one is left."""

        def ask(side: str, command: str, **arguments: Any) -> dict[str, Any]:
            try:
                return self._processes[side].ask(command, timeout=self.timeout_s, **arguments)
            except (WorkerError, WorkerLostError) as error:
                one.errors[side] = str(error)
                raise

        watch = LoadWatch()
        with contextlib.suppress(WorkerError, WorkerLostError):
            # One by one: the others are suspended meanwhile.
            call_s = [ask(side, "call_seconds")["call_s"] for side in good]
            # As many calls for all, as the quickest needs.
            one.calls = calls_per_sample(min(call_s))
            rounds = int(round_s / (sum(call_s) * one.calls + len(good) * WARM_SECONDS))
            for order in round_orders(min(max(rounds, MIN_ROUNDS), MAX_ROUNDS), seed):
                for side in (name for name in order if name in good):
                    taken = ask(side, "sample", calls=one.calls)
                    getattr(samples, side).append(taken["seconds"])
        samples.disturbed = watch.is_disturbed()
