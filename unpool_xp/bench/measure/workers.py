"""Worker processes, seen from the parent: start, request, time out, clean up.

A worker runs only while it starts or answers, and is suspended the rest of the time: a thread pool
that has just worked keeps spinning, for up to a tenth of a second, and takes the processors from
the worker that is being timed.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any, NamedTuple

import psutil

from unpool_xp.bench.measure.host.activity import Activity
from unpool_xp.bench.measure.host.threads import chosen_environment, thread_environment
from unpool_xp.bench.measure.server import MARK, one_line

START_SECONDS = 60.0  # importing a library with a cold disk cache
QUIT_SECONDS = 3.0
# Shares of a time limit: a worker that does nothing for this long hangs.
_IDLE_SHARE, _DEVICE_IDLE_SHARE = 0.1, 0.5
_MIN_IDLE_SECONDS, _MAX_IDLE_SECONDS = 5.0, 30.0
LOOK_SECONDS = 0.5  # between two looks at a worker that has not answered
_DRAIN_SECONDS = 1.0  # to read the last output of a worker that has ended
_LONGEST_LINE = 2**24  # far more than an answer has; a library may print without end


class WorkerError(RuntimeError):
    """A worker answered with an error; it is still running.

    Attributes
    ----------
    kind : str
        The name of the exception there.
    """

    def __init__(self, message: str, kind: str = "") -> None:
        super().__init__(message)
        self.kind = kind


class WorkerLostError(RuntimeError):
    """A worker is gone: it crashed, or did not answer in time and was ended."""


def is_loss(reason: str | None) -> bool:
    """Return whether a reason is that a worker was lost."""
    return (reason or "").startswith(("timed out: ", "crashed: ", "not started: "))


class Place(NamedTuple):
    """Where something is measured: the backend and the number of threads."""

    label: str
    threads: int | None = None  # None: as the library chooses


def places_of(labels: Iterable[str], threads: Sequence[int] = ()) -> list[Place]:
    """Return the places of backends: those of the CPU once for each number of threads."""
    places = []
    for label in labels:
        numbers = (threads if on_cpu(label) else ()) or (None,)
        places += [Place(label, number) for number in numbers]
    return places


def on_cpu(label: str) -> bool:
    """Return whether a backend computes on the CPU."""
    return label.partition(":")[2] in ("", "cpu")


@dataclass
class _Request:
    """A request to a worker, and its answer."""

    command: str
    timeout: float
    activity: Activity
    answer: dict[str, Any] | None = None
    loss: str | None = None  # why there will be no answer

    def __post_init__(self) -> None:
        self.end = time.monotonic() + self.timeout

    def overdue(self, label: str) -> str | None:
        """Return why not to wait for the answer any longer, or None."""
        wanted = "start" if self.command == "hello" else f"answer {self.command!r}"
        if time.monotonic() >= self.end:
            return f"timed out: {label} did not {wanted} in {self.timeout:g} s"
        idle_s = self.activity.idle_seconds()
        # While another device works, some libraries only wait.
        elsewhere = self.command != "hello" and not on_cpu(label)
        share_s = (_DEVICE_IDLE_SHARE if elsewhere else _IDLE_SHARE) * self.timeout
        limit_s = min(max(share_s, _MIN_IDLE_SECONDS), _MAX_IDLE_SECONDS)
        if idle_s >= limit_s:
            return f"timed out: {label} did not {wanted}; it has done nothing for {idle_s:.0f} s"
        return None


class Worker:
    """A process that measures on one backend.

    Parameters
    ----------
    label : str
        The backend's label.
    threads : int, optional
        The number of threads. Default: as the library chooses.
    command : sequence of str, optional
        What to start. Default: `unpool_xp.bench.worker` with this Python.
    environment : mapping of str to str, optional
        The variables of the process, to which those of its threads are added. Default: those of
        this one.

    Raises
    ------
    OSError
        If no process can be started.
    """

    def __init__(
        self,
        label: str,
        threads: int | None = None,
        *,
        command: Sequence[str] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.label = label
        arguments = [label, *([] if threads is None else [str(threads)])]
        self.variables = worker_variables(label, threads, environment)
        # In a process group of its own, so that Ctrl-C reaches the parent alone. In the same
        # session, so that a group that is suspended when the parent dies is ended by the system.
        process = self._process = subprocess.Popen(
            command or [sys.executable, "-m", "unpool_xp.bench.worker", *arguments],
            env=self.variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
            process_group=0,
        )
        self._started, self._quit_at = time.monotonic(), math.inf
        self.start_s = 0.0  # what its start took, once it has
        self._system = psutil.Process(process.pid)
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        self._requests = process.stdin
        self._answers: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._last_words = ""
        self._readers = [
            threading.Thread(target=self._read_answers, args=(process.stdout,), daemon=True),
            threading.Thread(target=self._read_errors, args=(process.stderr,), daemon=True),
        ]
        for reader in self._readers:
            reader.start()
        self._request: _Request | None = None  # the one that has no answer yet
        self._hello: dict[str, Any] | Exception | None = None
        self._has_answered = False  # more than that
        self.hung: str | None = None  # why it was ended, where it has not

    def _read_answers(self, stdout: IO[str]) -> None:
        with stdout:
            for line in iter(lambda: stdout.readline(_LONGEST_LINE), ""):
                printed, mark, answer = line.rpartition(MARK)
                with contextlib.suppress(ValueError, RecursionError):  # it may print such a mark
                    found = json.loads(answer) if mark else None
                    if isinstance(found, dict) and "ok" in found:
                        self._answers.put(found)
                        continue
                self._last_words = (printed or line).strip() or self._last_words
        self._answers.put(None)

    def _read_errors(self, stderr: IO[str]) -> None:
        with stderr:
            for line in iter(lambda: stderr.readline(_LONGEST_LINE), ""):
                self._last_words = line.strip() or self._last_words

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    @property
    def facts(self) -> dict[str, Any]:
        """The worker's answer to "hello"; the first access waits for it.

        Raises
        ------
        WorkerError
            If the backend is not available; the message says why.
        WorkerLostError
            If the worker is gone, or did not start in time.
        """
        while not self.is_ready(LOOK_SECONDS):
            pass
        if isinstance(self._hello, Exception):
            raise self._hello
        assert self._hello is not None
        return self._hello

    @property
    def lost_at_start(self) -> str | None:
        """Why it was lost before it was ready, or None."""
        if not self.alive:
            self.is_ready(_DRAIN_SECONDS)
        return str(self._hello) if isinstance(self._hello, WorkerLostError) else None

    def is_ready(self, seconds: float) -> bool:
        """Wait up to this long for the answer to "hello"; return whether `facts` is known."""
        if self._hello is None and self._request is None:
            self._send("hello", START_SECONDS)
        if self._hello is None and self._is_answered(seconds):
            try:
                self._hello = self._receive()
                self.start_s = time.monotonic() - self._started
            except (WorkerError, WorkerLostError) as error:
                self._hello = error
        return self._hello is not None

    def ask(self, command: str, *, timeout: float, **arguments: Any) -> dict[str, Any]:
        """Send a request and wait for its answer.

        Parameters
        ----------
        command : str
            One of the worker's.
        timeout : float
            Seconds to wait; then the worker is ended. So is one that does nothing for a tenth of
            them, half of them where another device may work, but from 5 to 30 s: a deadlock is not
            waited for to the end.
        **arguments
            Of the command, as plain JSON.

        Returns
        -------
        dict
            The answer.

        Raises
        ------
        WorkerError
            If the worker answers with an error.
        WorkerLostError
            If it is gone, or does not answer in time.
        """
        _ = self.facts  # its start has a time limit of its own
        self._send(command, timeout, **arguments)
        while not self._is_answered(LOOK_SECONDS):
            pass
        return self._receive()

    def _send(self, command: str, timeout: float, **arguments: Any) -> None:
        self._resume()
        self._request = _Request(command, timeout, Activity(self._system))
        with contextlib.suppress(OSError):  # it has ended, which is found out below
            self._requests.write(json.dumps({"command": command, **arguments}) + "\n")
            self._requests.flush()

    def _is_answered(self, seconds: float) -> bool:
        """Wait up to this long for an answer; return True also if none will ever come."""
        request = self._request
        assert request is not None
        try:
            left = request.end - time.monotonic()
            request.answer = self._answers.get(timeout=max(min(seconds, left), 0.0))
        except queue.Empty:
            if not self.alive:  # a child of its may keep the streams open
                with contextlib.suppress(queue.Empty):
                    request.answer = self._answers.get(timeout=_DRAIN_SECONDS)
                return True
            request.loss = request.overdue(self.label)
            if request.loss is None:
                return False
            self.kill()
        return True

    def _receive(self) -> dict[str, Any]:
        request, self._request = self._request, None
        assert request is not None
        if request.answer is None:
            self.hung = None if self._has_answered else request.loss
            raise WorkerLostError(request.loss or self.exit_message())
        self._has_answered = request.command != "hello"
        self._suspend()
        answer = dict(request.answer)
        if not answer.pop("ok"):
            raise WorkerError(one_line(str(answer["error"])), str(answer.get("kind", "")))
        return answer

    def _suspend(self) -> None:
        with contextlib.suppress(psutil.Error):  # it has ended
            self._system.suspend()

    def _resume(self) -> None:
        with contextlib.suppress(psutil.Error):
            self._system.resume()

    def resident_bytes(self) -> int:
        """Return the memory of the process."""
        with contextlib.suppress(psutil.Error):  # it has ended
            return int(self._system.memory_info().rss)
        return 0

    def exit_message(self) -> str:
        """Wait for the end of the process; return a message with its exit code or signal."""
        try:
            self._process.wait(_DRAIN_SECONDS)
        except subprocess.TimeoutExpired:  # its streams are closed, and it goes on
            self.kill()
            return f"crashed: {self.label} has closed its streams"
        self._readers[1].join(timeout=_DRAIN_SECONDS)
        code = self._process.returncode
        if code < 0:
            known = {number.value: number.name for number in signal.Signals}
            cause = f"signal {known.get(-code, -code)}"
            cause += " (out of memory?)" if code == -9 else ""
        else:
            cause = f"exit code {code}"
        last = f": {self._last_words}" if self._last_words else ""
        return one_line(f"crashed: {self.label} ended with {cause}{last}")

    def leave(self) -> None:
        """Tell the worker to end, without waiting for it."""
        self._quit_at = min(self._quit_at, time.monotonic() + QUIT_SECONDS)
        self._resume()
        with contextlib.suppress(OSError):
            self._requests.close()

    def close(self) -> None:
        """Let the worker finish within a few seconds, else end it."""
        self.leave()
        try:
            self._process.wait(max(self._quit_at - time.monotonic(), 0.0))
        except subprocess.TimeoutExpired:
            self.end()
            self._process.wait()
        if hasattr(os, "killpg"):  # a library may have started processes, which go on without it
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
        for reader in self._readers:
            reader.join(timeout=_DRAIN_SECONDS)

    def kill(self) -> None:
        """End the worker at once."""
        self.end()
        self.close()

    def end(self) -> None:
        """End the process and its children, which are of its group, without waiting for them."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if self.alive and hasattr(os, "killpg"):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.kill()


def worker_variables(
    label: str, threads: int | None, environment: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return the variables of a worker's process."""
    variables = thread_environment(os.environ if environment is None else environment)
    if threads is None:
        return variables
    return chosen_environment(variables, label.partition(":")[0], threads)
