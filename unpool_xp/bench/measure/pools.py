"""The workers of several backends: start them side by side, restart them, find out what loads."""

from __future__ import annotations

import atexit
import contextlib
import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent import futures
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, TypeVar

import psutil

from unpool_xp import backends
from unpool_xp.backends.registry import name_file
from unpool_xp.bench.measure.workers import (
    LOOK_SECONDS,
    Place,
    Worker,
    WorkerError,
    WorkerLostError,
    worker_variables,
)

_MEMORY_SHARE = 0.2  # of what is free: what the workers of one pool may take
_CHANCES = 3
T = TypeVar("T")

# Workers that have started and done nothing, or were lost while starting; the next start uses them.
_spares: dict[Place, Worker] = {}


def start_worker(place: str | Place) -> Worker:
    """Start the worker of a place, or of a label; raise a WorkerLostError if there can be none.

    One that was lost in `find_loadable` is returned as it is: it knows why.
    """
    wanted = Place(place) if isinstance(place, str) else place
    spare = _spares.pop(wanted, None)
    if spare is not None:
        if spare.variables == worker_variables(*wanted):
            return spare
        spare.kill()
    try:
        return Worker(*wanted)
    except OSError as error:
        message = f"not started: {wanted.label}: {error.strerror}"
        raise WorkerLostError(message) from error


def kept_versions() -> dict[str, str]:
    """Return the version of each library whose worker `find_loadable` has kept, by its label."""
    versions = {}
    for place, worker in _spares.items():
        with contextlib.suppress(WorkerError, WorkerLostError):
            versions[place.label] = str(worker.facts["version"])
    return versions


def close_spares() -> None:
    """End the workers that `find_loadable` has kept and nobody has used."""
    while _spares:
        _spares.popitem()[1].kill()


atexit.register(close_spares)


class Pool:
    """One worker per place or label, started on first use and restarted after a loss.

    A worker that is lost before it is ready is not restarted, since it would be lost again. Nor is
    one that hangs for the third time in a row before it has answered anything.

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
        self._workers: dict[str | Place, Worker] = {}
        self._hangs: Counter[str | Place] = Counter()  # in a row
        for place in places:
            with contextlib.suppress(WorkerLostError):  # the next request reports why
                self._workers[place] = start(place)

    def __getitem__(self, place: str | Place) -> Worker:
        if not self.is_running(place):
            if place in self._workers:
                lost = self._workers[place]
                if lost.lost_at_start is not None:
                    raise WorkerLostError(lost.lost_at_start)
                self._hangs[place] = self._hangs[place] + 1 if lost.hung is not None else 0
                if self._hangs[place] >= _CHANCES:
                    raise WorkerLostError(lost.hung)
                lost.kill()
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

    def wait(self, is_over: Callable[[], bool] = lambda: False) -> float:
        """Wait until every worker is ready or lost, or it is over; return what the slowest took."""
        waiting = [*self._workers.values()]
        while waiting and not is_over():
            share = LOOK_SECONDS / len(waiting)
            waiting = [worker for worker in waiting if not worker.is_ready(share)]
        return max((worker.start_s for worker in self._workers.values()), default=0.0)

    def resident_bytes(self) -> int:
        """Return the memory of all workers."""
        return sum(worker.resident_bytes() for worker in self._workers.values())

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:  # there is nothing to wait for
            self.end()
        self.close()

    def __contains__(self, place: str | Place) -> bool:
        return place in self._workers

    def release(self, place: str | Place) -> Worker:
        """Return a worker that the pool no longer ends."""
        return self._workers.pop(place)

    def end(self) -> None:
        """End all workers at once; pending requests fail as lost."""
        for worker in [*self._workers.values()]:
            worker.end()

    def leave(self) -> None:
        """Tell all workers to end, without waiting for them."""
        for worker in self._workers.values():
            worker.leave()

    def close(self) -> None:
        """Close all workers."""
        self.leave()
        while self._workers:
            self._workers.popitem()[1].close()


def side_by_side(
    function: Callable[[T], object],
    items: Iterable[T],
    number: int,
    end_workers: Callable[[], object],
) -> None:
    """Call a function on items, in so many threads, each of which waits for a worker.

    Where one fails, or Ctrl-C is pressed, the others are not waited for: their workers are ended.
    """
    threads = ThreadPoolExecutor(max(number, 1))
    calls = [threads.submit(function, item) for item in items]
    try:
        for call in calls:
            call.result()
    except BaseException:
        threads.shutdown(wait=False, cancel_futures=True)
        begun = [call for call in calls if not call.cancelled()]
        while futures.wait(begun, LOOK_SECONDS).not_done:
            end_workers()
        raise
    finally:
        threads.shutdown()


class Loadable(NamedTuple):
    """Which backends load.

    Attributes
    ----------
    found : dict of str to str
        From each label that loads to the full one, such as "torch" to "torch:cpu".
    missing : dict of str to str
        Why the others do not.
    broken : list of str
        Those of the missing whose library is here: it raises, crashes or hangs.
    """

    found: dict[str, str]
    missing: dict[str, str]
    broken: list[str]


def find_loadable(labels: Iterable[str], *, keep: bool = False) -> Loadable:
    """Load backends, each in a process of its own, side by side and with a time limit.

    Parameters
    ----------
    labels : iterable of str
        The labels to try.
    keep : bool, optional
        Whether to keep the processes for the next `start_worker` on the same label, with the
        number of threads that its library chooses: an import takes seconds, and a process that
        hung would hang as long again.

    Returns
    -------
    Loadable
        What was found; an unknown label is missing.
    """
    found, missing, broken = Loadable({}, {}, [])
    full: dict[str, str] = {}
    for label in labels:
        try:
            full[label] = backends.full_label(label)
        except ValueError as error:
            missing[label] = str(error)
    with Pool(list(dict.fromkeys(full.values()))) as pool:
        pool.wait()
        for label, place in full.items():
            try:
                name = str(pool[place].facts["label"])
                name_file(place, name)
                found[label] = name
            except (WorkerError, WorkerLostError, ValueError) as error:
                missing[label] = str(error)
                if getattr(error, "kind", "") != backends.BackendUnavailableError.__name__:
                    broken.append(label)
        if keep:
            for place in set(full.values()):
                if place in pool:
                    _spares[Place(backends.full_label(place))] = pool.release(place)
    return Loadable(found, missing, broken)


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
        No more workers are started after this time.
    lazy : bool, optional
        Whether all but the first worker of a place start on their first request.

    Yields
    ------
    list of Pool
        At least one; the workers that were started are ready, or have failed.
    """
    start = time.monotonic()
    with contextlib.ExitStack() as stack:
        pools = [stack.enter_context(Pool(places))]
        start_s = pools[0].wait()
        close_spares()
        good = [place for place in places if pools[0].is_running(place)]
        while len(pools) < processes and time.monotonic() - start + start_s <= seconds:
            # The next takes as long as the first, and as much memory.
            waiting = len(pools) if lazy else 1  # those that have no memory yet
            if (
                waiting * pools[0].resident_bytes()
                > _MEMORY_SHARE * psutil.virtual_memory().available
            ):
                break
            starting = () if lazy else good
            more = stack.enter_context(Pool(starting))
            more.wait()
            if not all(more.is_running(place) for place in starting):  # no fault of the first
                break
            pools.append(more)
        yield pools
        for pool in pools:  # all of them at once, and then wait for each
            pool.leave()
