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

from unpool_xp.bench.cases.case import Case
from unpool_xp.bench.cases.expected import MismatchError, Oracle
from unpool_xp.bench.gate.build import Build, GateError
from unpool_xp.bench.gate.statistics import SIDES, Pass, orders
from unpool_xp.bench.measure.session import reason_of
from unpool_xp.bench.measure.workers import Worker, WorkerError, WorkerLostError

# A sample is at least this long; longer ones are more often cut by other programs.
SAMPLE_SECONDS = 2e-3
TURN_SECONDS = 0.36  # of samples for the three sides of a case in a pass
FEWEST_TURNS, MOST_TURNS = 5, 25
_WORKER = Path(__file__).with_name("side.py")
_LEAKS = ("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "COVERAGE_PROCESS_START")


class Side(Worker):
    """A process of one build on one backend.

    Parameters
    ----------
    build : Build
        Whose package it imports.
    label : str
        The backend's label.
    """

    def __init__(self, build: Build, label: str) -> None:
        # -P: the folder of the script holds names such as "pool", which are the harness's.
        super().__init__(
            label,
            command=[str(build.python), "-P", "-s", str(_WORKER), label, str(build.folder)],
            environment={k: v for k, v in os.environ.items() if k not in _LEAKS},
        )

    def kill(self) -> None:
        """End the process and any children started by a library."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        super().kill()


@dataclass
class Question:
    """A case, its inputs on disk, and the outputs checked so far.

    Parameters
    ----------
    case : Case
        The case.
    scratch : Path
        A folder for its arrays.
    """

    case: Case
    scratch: Path
    verdicts: dict[str, tuple[str | None, str | None]] = field(default_factory=dict)
    _oracle: Oracle | None = None

    @property
    def message(self) -> dict[str, Any]:
        """Arguments of the "prepare" command; all builds read the arrays from one file."""
        path = self.scratch / f"{self.case.name}.npz"
        options = self.case.options()
        arrays = {k: v for k, v in options.items() if isinstance(v, np.ndarray)}
        if not path.exists():
            np.savez(path, *self.case.arrays().values(), *arrays.values())
        return {
            "operation": self.case.spec.function.__name__,
            "inputs": str(path),
            "options": {k: v for k, v in options.items() if k not in arrays},
            "named": list(arrays),
        }

    def check(self, digest: str, outputs: Path) -> None:
        """Check outputs against the reference; store the scope, or the mismatch."""
        if digest in self.verdicts:
            return
        if self._oracle is None:
            self._oracle = Oracle(self.case, self.case.arrays())
        with np.load(outputs) as archive:
            arrays = [archive[name] for name in archive.files]
        try:
            self.verdicts[digest] = self._oracle.check(arrays), None
        except MismatchError as error:
            self.verdicts[digest] = None, reason_of(error)


@dataclass
class Taken:
    """Result of one pass of a case: samples, or why a build has none."""

    turns: Pass | None = None
    calls: int | None = None
    scope: str | None = None
    errors: dict[str, str] = field(default_factory=dict)


class Trio:
    """The three processes; one that is lost is started again for the next case.

    Parameters
    ----------
    base, head : Build
        What is compared.
    label : str
        The backend.
    mode : {"eager", "compiled"}
        How.
    timeout_s : float
        How long a side may take for one request, before it is ended.
    """

    def __init__(self, base: Build, head: Build, label: str, mode: str, timeout_s: float) -> None:
        self.builds = {"base": base, "again": base, "head": head}
        self.label, self.mode, self.timeout_s = label, mode, timeout_s
        self._threads = ThreadPoolExecutor(len(SIDES))
        self._sides: dict[str, Side] = {}

    def __enter__(self) -> Trio:
        try:
            for side in SIDES:
                self._sides[side] = Side(self.builds[side], self.label)
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
        for side in self._sides.values():
            side.kill()  # it has nothing to finish
        self._threads.shutdown(cancel_futures=True)

    def facts(self) -> dict[str, dict[str, Any]]:
        """Return what each side says of itself, or its "error"."""
        return self._ask_all("hello", {side: {} for side in SIDES})

    def _ask_all(
        self, command: str, arguments: Mapping[str, dict[str, Any]]
    ) -> dict[str, dict[str, Any]]:
        """Ask several sides at once; where one cannot answer, its answer has an "error"."""

        def ask(side: str) -> dict[str, Any]:
            try:
                worker = self._sides[side]
                if not worker.alive:
                    worker.kill()
                    worker = self._sides[side] = Side(self.builds[side], self.label)
                if command == "hello":
                    return {"error": None, **worker.facts}
                _ = worker.facts  # its start has a time-out of its own
                answer = worker.ask(command, timeout=self.timeout_s, **arguments[side])
                return {"error": None, **answer}
            except (WorkerError, WorkerLostError) as error:
                return {"error": str(error)}

        wanted = list(arguments)
        return dict(zip(wanted, self._threads.map(ask, wanted), strict=True))

    def take(self, question: Question, *, seed: str) -> Taken:
        """Prepare a case in all three processes, check their outputs, sample in random order.

        Parameters
        ----------
        question : Question
            The case.
        seed : str
            Of the order of the sides.

        Returns
        -------
        Taken
            With samples only where all three sides were right.
        """
        taken = Taken()
        message = {**question.message, "mode": self.mode}
        answers = self._ask_all("prepare", dict.fromkeys(SIDES, message))
        self._check(question, answers, taken)
        good = [side for side in SIDES if side not in taken.errors]
        if "head" in good or {"base", "again"} <= set(good):
            self._sample(good, answers, taken, seed)
        self._ask_all("drop", {side: {} for side in SIDES if self._sides[side].alive})
        return taken

    def _check(self, question: Question, answers: dict[str, dict[str, Any]], taken: Taken) -> None:
        good = [side for side in SIDES if answers[side]["error"] is None]
        if any(answers[side]["digest"] not in question.verdicts for side in good):
            # All of them, so that they have all done the same before they are timed.
            paths = {side: question.scratch / f"{side}.npz" for side in good}
            written = self._ask_all("outputs", {side: {"path": str(paths[side])} for side in good})
            for side in good:
                answers[side] |= written[side]
                if written[side]["error"] is None:
                    question.check(written[side]["digest"], paths[side])
        for side in SIDES:
            error = answers[side]["error"]
            if error is None:
                taken.scope, error = question.verdicts[answers[side]["digest"]]
            if error is not None:
                taken.errors[side] = error

    def _sample(
        self, good: list[str], answers: dict[str, dict[str, Any]], taken: Taken, seed: str
    ) -> None:
        """Sample the builds whose output was correct, even if only one is left."""
        seconds = [max(answers[side]["call_s"], 1e-9) for side in good]
        # As many calls for all, as the quickest needs.
        taken.calls = max(1, math.ceil(SAMPLE_SECONDS / min(seconds)))
        turn = sum(seconds) * taken.calls
        rounds = min(max(int(TURN_SECONDS / turn), FEWEST_TURNS), MOST_TURNS)
        samples: dict[str, list[float]] = {side: [] for side in SIDES}
        taken.turns = Pass(**samples)
        for order in orders(rounds, seed):
            for side in (name for name in order if name in good):
                try:
                    worker = self._sides[side]
                    answer = worker.ask("sample", timeout=self.timeout_s, calls=taken.calls)
                except (WorkerError, WorkerLostError) as error:
                    taken.errors[side] = str(error)
                    return
                samples[side].append(answer["seconds"])
