"""Worker processes, seen from the parent: start, request, time out, clean up, restart.

A worker runs only while it starts or answers, and is suspended the rest of the time: a thread pool
that has just worked keeps spinning, for up to a tenth of a second, and takes the processors from
the worker that is being timed.
"""

from __future__ import annotations

import contextlib
import functools
import json
import math
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import IO, Any, NamedTuple

import psutil

from unpool_xp.bench.measure.host.threads import chosen_environment, thread_environment

START_SECONDS = 180.0  # importing a library with a cold disk cache
_QUIT_SECONDS = 5.0
_MEMORY_SHARE = 0.2  # of what is free: what the workers of one pool may take


class WorkerError(RuntimeError):
    """A worker answered with an error; it is still running."""


class WorkerLostError(RuntimeError):
    """A worker is gone: it crashed, or did not answer in time and was ended."""


class Place(NamedTuple):
    """Where something is measured: on a backend, with so many threads."""

    label: str
    threads: int | None = None  # None: as the library chooses


def places_of(labels: Iterable[str], threads: Sequence[int] = ()) -> list[Place]:
    """Return the places of backends: those of the CPU once for each number of threads."""
    places = []
    for label in labels:
        on_cpu = label.partition(":")[2] in ("", "cpu")
        places += [Place(label, number) for number in (threads if on_cpu else ()) or (None,)]
    return places


class Worker:
    """A process that measures on one backend.

    Parameters
    ----------
    label : str
        The backend's label.
    threads : int, optional
        How many it computes with. Default: as the library chooses.
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
        variables = thread_environment(os.environ if environment is None else environment)
        arguments = [label]
        if threads is not None:
            variables = chosen_environment(variables, label.partition(":")[0], threads)
            arguments.append(str(threads))
        # In a process group of its own, so that Ctrl-C reaches the parent alone. In the same
        # session, so that a group that is suspended when the parent dies is ended by the system.
        process = self._process = subprocess.Popen(
            command or [sys.executable, "-m", "unpool_xp.bench.worker", *arguments],
            env=variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
            process_group=0,
        )
        self._system = psutil.Process(process.pid)
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        self._requests = process.stdin
        self._answers: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._last_words = ""
        self._readers = [
            threading.Thread(target=self._read_answers, args=(process.stdout,), daemon=True),
            threading.Thread(target=self._read_errors, args=(process.stderr,), daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    def _read_answers(self, stdout: IO[str]) -> None:
        with stdout:
            for line in stdout:
                self._answers.put(line)
        self._answers.put(None)

    def _read_errors(self, stderr: IO[str]) -> None:
        with stderr:
            for line in stderr:
                self._last_words = line.strip() or self._last_words

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    @functools.cached_property
    def facts(self) -> dict[str, Any]:
        """The worker's answer to "hello"; the first access waits for it.

        Raises
        ------
        WorkerError
            If the backend is not available; the message says why.
        WorkerLostError
            If the worker is gone.
        """
        return self.ask("hello", timeout=START_SECONDS)

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
        self._resume()
        try:
            self._requests.write(json.dumps({"command": command, **arguments}) + "\n")
            self._requests.flush()
            line = self._answers.get(timeout=timeout)
        except queue.Empty:
            self.kill()
            message = f"timed out: {self.label} did not answer {command!r} in {timeout:g} s"
            raise WorkerLostError(message) from None
        except OSError:
            line = None
        if line is None:
            raise WorkerLostError(self.exit_message())
        self._suspend()
        answer: dict[str, Any] = json.loads(line)
        if not answer.pop("ok"):
            raise WorkerError(answer["error"])
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
        """Wait for the end of the process, and say what it ended with."""
        self._process.wait()
        self._readers[1].join(timeout=1)
        code = self._process.returncode
        if code < 0:
            cause = f"signal {signal.Signals(-code).name}"
            cause += " (out of memory?)" if code == -9 else ""
        else:
            cause = f"exit code {code}"
        last = f": {self._last_words}" if self._last_words else ""
        return f"crashed: {self.label} ended with {cause}{last}"

    def close(self) -> None:
        """Let the worker finish what it does, or end it."""
        self._resume()
        with contextlib.suppress(OSError):
            self._requests.close()
        try:
            self._process.wait(_QUIT_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for reader in self._readers:
            reader.join(timeout=_QUIT_SECONDS)

    def kill(self) -> None:
        """End the worker at once."""
        self._process.kill()
        self.close()


def start_worker(place: str | Place) -> Worker:
    """Start the worker of a place, or of a label."""
    return Worker(place) if isinstance(place, str) else Worker(*place)


class Pool:
    """One worker per place or label, started on first use and restarted after a loss.

    Parameters
    ----------
    places : sequence of str or Place
        Those to start at once, side by side.
    start : callable, optional
        Starts the worker of a place. Default: `start_worker`.
    """

    def __init__(
        self,
        places: Sequence[str | Place] = (),
        start: Callable[[Any], Worker] = start_worker,
    ) -> None:
        self._start = start
        self._workers = {place: start(place) for place in places}

    def __getitem__(self, place: str | Place) -> Worker:
        if not self.is_running(place):
            if place in self._workers:
                self._workers[place].kill()
            self._workers[place] = self._start(place)
        return self._workers[place]

    def running(self, place: str | Place) -> Worker:
        """Return a worker that has been started; raise a WorkerLostError if it has ended since."""
        worker = self._workers[place]
        if not worker.alive:
            raise WorkerLostError(worker.exit_message())
        return worker

    def is_running(self, place: str | Place) -> bool:
        """Return whether there is a worker of that place, and it runs."""
        return place in self._workers and self._workers[place].alive

    def resident_bytes(self) -> int:
        """Return the memory of all workers."""
        return sum(worker.resident_bytes() for worker in self._workers.values())

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
    with Pool(labels) as pool:
        for label in labels:
            try:
                found[label] = str(pool[label].facts["label"])
            except (WorkerError, WorkerLostError) as error:
                missing[label] = str(error).removeprefix("ValueError: ")
    return found, missing


@contextlib.contextmanager
def open_pools(
    places: Sequence[Place], processes: int, seconds: float = math.inf, *, lazy: bool = False
) -> Iterator[list[Pool]]:
    """Start several workers for each place, and end them.

    Parameters
    ----------
    places : sequence of Place
        The backends and their threads.
    processes : int
        How many workers for each; fewer where the memory is short.
    seconds : float, optional
        When so much time has gone, no more are started.
    lazy : bool, optional
        Whether all but the first worker of a place start when something is asked of them.

    Yields
    ------
    list of Pool
        At least one; the workers that were started are ready, or have failed.
    """
    start = time.monotonic()
    with contextlib.ExitStack() as stack:
        pools: list[Pool] = []
        while len(pools) < processes:
            taken = time.monotonic() - start
            # The next takes as long as the last, and as much memory.
            if pools and taken * (1 + 1 / len(pools)) > seconds:
                break
            waiting = len(pools) if lazy else 1  # those that have no memory yet
            if pools and (
                waiting * pools[0].resident_bytes()
                > _MEMORY_SHARE * psutil.virtual_memory().available
            ):
                break
            starting = () if lazy and pools else places
            pools.append(stack.enter_context(Pool(starting)))
            for place in starting:
                with contextlib.suppress(WorkerError, WorkerLostError):  # its rows will say why
                    _ = pools[-1][place].facts
        yield pools
