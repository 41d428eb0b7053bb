"""Worker processes, seen from the parent: start, request, time out, clean up, restart."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from unpool_xp.bench.measure.host.threads import thread_environment

START_SECONDS = 180.0  # importing a library with a cold disk cache
_QUIT_SECONDS = 5.0


class WorkerError(RuntimeError):
    """A worker answered with an error; it is still running."""


class WorkerLostError(RuntimeError):
    """A worker is gone: it crashed, or did not answer in time and was ended."""


class Worker:
    """A process that measures on one backend.

    Parameters
    ----------
    label : str
        The backend's label.
    command : sequence of str, optional
        What to start. Default: `unpool_xp.bench.worker` with this Python.
    environment : mapping of str to str, optional
        The variables of the process, to which `thread_environment` adds. Default: those of this
        one.

    Raises
    ------
    OSError
        If no process can be started.
    """

    def __init__(
        self,
        label: str,
        *,
        command: Sequence[str] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.label = label
        # In a session of its own, so that Ctrl-C reaches the parent alone.
        self._process = subprocess.Popen(
            command or [sys.executable, "-m", "unpool_xp.bench.worker", label],
            env=thread_environment(os.environ if environment is None else environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
        self._answers: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._stderr_tail: deque[str] = deque(maxlen=5)
        self._readers = [
            threading.Thread(target=target, daemon=True)
            for target in (self._read_answers, self._read_errors)
        ]
        for reader in self._readers:
            reader.start()
        self._facts: dict[str, Any] | None = None

    def _read_answers(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._answers.put(line)
        self._answers.put(None)

    def _read_errors(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            if line.strip():
                self._stderr_tail.append(line.strip())

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
            If the worker is gone.
        """
        if self._facts is None:
            self._facts = self.ask("hello", timeout=START_SECONDS)
        return self._facts

    def ask(self, command: str, *, timeout: float, **arguments: Any) -> dict[str, Any]:
        """Send a request and wait for its answer.

        Parameters
        ----------
        command : str
            One of the worker's.
        timeout : float
            Seconds to wait; then the worker is ended.
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
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"command": command, **arguments}) + "\n")
            self._process.stdin.flush()
            line = self._answers.get(timeout=timeout)
        except queue.Empty:
            self.kill()
            message = f"timed out: {self.label} did not answer {command!r} in {timeout:g} s"
            raise WorkerLostError(message) from None
        except OSError:
            line = None
        if line is None:
            raise WorkerLostError(self._exit_message())
        answer: dict[str, Any] = json.loads(line)
        if not answer.pop("ok"):
            raise WorkerError(answer["error"])
        return answer

    def _exit_message(self) -> str:
        self._process.wait()
        self._readers[1].join(timeout=1)
        code = self._process.returncode
        if code < 0:
            cause = f"signal {signal.Signals(-code).name}"
            cause += " (out of memory?)" if code == -9 else ""
        else:
            cause = f"exit code {code}"
        last = f": {self._stderr_tail[-1]}" if self._stderr_tail else ""
        return f"crashed: {self.label} ended with {cause}{last}"

    def close(self) -> None:
        """Let the worker finish what it does, or end it."""
        with contextlib.suppress(OSError):
            assert self._process.stdin is not None
            self._process.stdin.close()
        try:
            self._process.wait(_QUIT_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._close_streams()

    def kill(self) -> None:
        """End the worker at once."""
        self._process.kill()
        with contextlib.suppress(OSError):
            assert self._process.stdin is not None
            self._process.stdin.close()
        self._close_streams()

    def _close_streams(self) -> None:
        self._process.wait()
        for reader in self._readers:
            reader.join(timeout=_QUIT_SECONDS)
        for stream in (self._process.stdout, self._process.stderr):
            assert stream is not None
            stream.close()


class Pool:
    """One worker per label, started on first use and restarted after a loss.

    Parameters
    ----------
    labels : sequence of str
        The labels to start at once, side by side.
    """

    def __init__(self, labels: tuple[str, ...] | list[str] = ()) -> None:
        self._workers: dict[str, Worker] = {label: Worker(label) for label in labels}

    def __getitem__(self, label: str) -> Worker:
        worker = self._workers.get(label)
        if worker is None or not worker.alive:
            if worker is not None:
                worker.kill()
            worker = self._workers[label] = Worker(label)
        return worker

    def is_running(self, label: str) -> bool:
        """Return whether there is a worker of that label, and it runs."""
        worker = self._workers.get(label)
        return worker is not None and worker.alive

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:  # there is nothing to wait for
            for worker in self._workers.values():
                worker.kill()
        self.close()

    def close(self) -> None:
        """Close all workers."""
        while self._workers:
            self._workers.popitem()[1].close()


def find_loadable(labels: Sequence[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Load backends, each in a process of its own, so that none takes memory of a device here.

    Parameters
    ----------
    labels : sequence of str
        The labels to try.

    Returns
    -------
    found : dict of str to str
        From each label that loads to the full one, such as "torch" to "torch:cpu".
    missing : dict of str to str
        Why the others do not.
    """
    found, missing = {}, {}
    with Pool(list(labels)) as pool:
        for label in labels:
            try:
                found[label] = str(pool[label].facts["label"])
            except (WorkerError, WorkerLostError) as error:
                missing[label] = str(error).removeprefix("ValueError: ")
    return found, missing
