"""Run base, base again and head in one process on one backend, taking turns on a case."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from unpool_xp.bench.cases.case import BackendMode
from unpool_xp.bench.gate.build import Build, GateError
from unpool_xp.bench.gate.case import GateMeasurement
from unpool_xp.bench.gate.statistics import SIDES, PassSamples, round_orders
from unpool_xp.bench.measure.host.load import LoadWatch
from unpool_xp.bench.measure.pools import Pool
from unpool_xp.bench.measure.workers import Worker, WorkerError, WorkerLostError

MIN_ROUNDS, MAX_ROUNDS = 6, 600
# Turns are short, so that what happens on the machine affects all three. They follow one another
# without a rest, so that thread pools stay awake.
_TURN_SECONDS = 2e-3
_REQUEST_SECONDS = 1.0  # of turns
_WORKER = Path(__file__).with_name("side.py")
_DROPPED_VARIABLES = ("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "COVERAGE_PROCESS_START")


class BuildProcess(Worker):
    """A process that imports the packages of builds, on one backend."""

    def __init__(self, builds: Mapping[str, Build], label: str, turn: Path) -> None:
        sides = [f"{side}={build.packages}" for side, build in builds.items()]
        python = str(next(iter(builds.values())).python)
        # -P: the modules of the script's folder must not hide others.
        super().__init__(
            label,
            command=[python, "-P", "-s", str(_WORKER), label, str(turn), *sides],
            environment={k: v for k, v in os.environ.items() if k not in _DROPPED_VARIABLES},
        )

    def close(self) -> None:
        """End the process, which has nothing to finish, and any children started by a library."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        super().close()


class BuildTrio:
    """The three sides in one process, which is started again for the next case if it is lost.

    Parameters
    ----------
    base, head : Build
        What is compared.
    on : BackendMode
        The backend, and the mode that functions run in.
    timeout_s : float
        How long a request may take; then the process is ended.
    scratch : Path
        A folder for the files of the process.
    sides : sequence of str
        The order in which the copies are imported.
    """

    def __init__(
        self,
        base: Build,
        head: Build,
        on: BackendMode,
        timeout_s: float,
        scratch: Path,
        sides: Sequence[str] = SIDES,
    ) -> None:
        builds = {"base": base, "control": base, "head": head}
        self._builds = {side: builds[side] for side in sides}
        self._packages = base.modules | head.modules
        self.on, self.timeout_s = on, timeout_s
        self._turn = scratch / "turn"
        self._turn.write_bytes(b"")
        self._facts: dict[str, dict[str, Any]] = {}
        self._pool = Pool(start=lambda label: BuildProcess(self._builds, label, self._turn))

    def __enter__(self) -> BuildTrio:
        return self

    def __exit__(self, *error: Any) -> None:
        self._pool.__exit__(*error)

    @property
    def facts(self) -> dict[str, dict[str, Any]]:
        """The description of each side; its "error" says why it cannot be used, or is None."""
        while self._builds and not set(self._builds) <= set(self._facts):
            try:
                self._facts |= self._process().facts["sides"]
            except (WorkerError, WorkerLostError) as error:
                for side in self._sides_at_work(tuple(self._builds)):
                    self._facts[side] = {"error": str(error)}
                    del self._builds[side]  # no other process imports it
        return self._facts

    def _process(self) -> Worker:
        """Return the process, once it is ready: its start has a time-out of its own."""
        try:
            worker = self._pool[self.on.label]
        except OSError as error:
            raise GateError(f"no process of the base could be started: {error}") from error
        _ = worker.facts
        return worker

    def _ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        # A new process knows nothing of a case before its inputs are loaded.
        worker = self._process() if command == "load" else self._pool.running(self.on.label)
        return worker.ask(command, timeout=self.timeout_s, **arguments)

    def _sides_at_work(self, among: Sequence[str]) -> list[str]:
        """Return the side whose turn it was when something went wrong; all if it was nobody's."""
        with contextlib.suppress(OSError):
            side = self._turn.read_text(encoding="ascii").strip()
            if side in among:
                return [side]
        return list(among)

    def run_pass(
        self, one: GateMeasurement, passes: list[PassSamples], seconds: float, *, seed: str
    ) -> None:
        """Prepare a case, check the outputs of all sides, sample them in random order.

        The rounds take about this many seconds, but there are at least six. Errors are entered
        into those of the case, the samples are added to `passes`.
        """
        one.errors |= {side: f["error"] for side, f in self.facts.items() if f["error"]}
        while good := [side for side in SIDES if side not in one.errors]:
            try:
                taken = self._attempt(one, good, seconds, seed)
            except (WorkerError, WorkerLostError) as error:
                # The others go on without it.
                one.errors |= dict.fromkeys(self._sides_at_work(good), str(error))
            else:
                passes += [taken] if taken else []
                return

    def _attempt(
        self, one: GateMeasurement, good: Sequence[str], seconds: float, seed: str
    ) -> PassSamples | None:
        loading, start = one.gate_case.loading_arguments, time.monotonic()
        self._turn.write_bytes(b"")
        self._ask("load", **loading)
        function = {
            "operation": one.gate_case.case.operation,
            "addresses": one.gate_case.addresses(self._packages),
        }
        digests = {
            side: self._ask("prepare", side=side, **function, mode=self.on.mode)["digest"]
            for side in good
        }
        one.prepare_s = time.monotonic() - start  # without the check, which is made once
        good = self._check(one, digests)
        if "head" not in good and not {"base", "control"} <= set(good):
            return None
        taken = self._sample(one, good, seconds, seed)
        self._ask("drop")
        return taken

    def _check(self, one: GateMeasurement, digests: dict[str, str]) -> list[str]:
        """Return the sides whose outputs are right."""
        gate_case = one.gate_case
        if not set(digests.values()) <= set(gate_case.check_results):
            # All of them, so that they have all done the same before they are timed.
            for side in digests:
                path = gate_case.folder / f"{side}.npz"
                digests[side] = self._ask("outputs", side=side, path=str(path))["digest"]
                gate_case.check(digests[side], path)
        for side, digest in digests.items():
            scope, error = gate_case.check_results[digest]
            one.scope = scope or one.scope
            if error is not None:
                one.errors[side] = error
        return [side for side in digests if side not in one.errors]

    def _sample(
        self, one: GateMeasurement, good: Sequence[str], seconds: float, seed: str
    ) -> PassSamples:
        """Sample the sides whose output was right, even if only one is left."""
        watch, taken, start = LoadWatch(), PassSamples([], [], []), time.monotonic()
        if one.calls is None:
            call_s = [self._ask("call_seconds", side=side)["call_s"] for side in good]
            # The same number of calls for all: as many as the quickest needs.
            one.calls = max(1, math.ceil(_TURN_SECONDS / min(call_s)))
            one.round_s = sum(call_s) * one.calls
        round_s = one.round_s
        rounds = min(max(int(seconds / round_s), MIN_ROUNDS), MAX_ROUNDS)
        orders = round_orders(rounds, seed)
        at_once = max(1, int(_REQUEST_SECONDS / round_s))
        for first in range(0, rounds, at_once):
            order = [s for turn in orders[first : first + at_once] for s in turn if s in good]
            answer = self._ask("sample", order=order, calls=one.calls)
            for side, sample in zip(order, answer["seconds"], strict=True):
                getattr(taken, side).append(sample)
        taken.disturbed = watch.is_disturbed()
        taken.seconds = time.monotonic() - start
        one.round_s = taken.seconds / rounds
        return taken
