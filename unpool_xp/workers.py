"""How many threads share the planes of a large NumPy array: NumPy has none of its own."""

from __future__ import annotations

import contextlib
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import numpy as np

from unpool_xp._plan.arguments import as_index

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

__all__ = ["get_workers", "set_workers"]

VARIABLE = "UNPOOL_XP_WORKERS"


class Scope:
    """The workers of one thread for some time, whose threads start when they are needed."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._owner = (os.getpid(), threading.get_ident())
        self._executor: ThreadPoolExecutor | None = None

    @property
    def is_own(self) -> bool:
        """Whether this thread made it, not one that inherited it, nor a forked process."""
        return self._owner == (os.getpid(), threading.get_ident())

    def executor(self) -> ThreadPoolExecutor:
        """Return what runs all shares but the caller's own."""
        if self._executor is None:
            from concurrent.futures import ThreadPoolExecutor

            self._executor = ThreadPoolExecutor(self.workers - 1, thread_name_prefix="unpool_xp")
        return self._executor

    def close(self) -> None:
        """Wait until its threads have ended."""
        if self._executor is not None:
            self._executor.shutdown()


_scope: ContextVar[Scope | None] = ContextVar("unpool_xp_workers", default=None)
_of_environment: dict[int, Scope] = {}  # by how many workers it asks for


@contextlib.contextmanager
def set_workers(workers: int) -> Iterator[None]:
    """Spread large NumPy arrays over threads, within a ``with`` block of this thread.

    Parameters
    ----------
    workers : int
        How many threads compute, the calling one among them. Below zero they are counted from the
        number of processors: -1 is all of them.

    Raises
    ------
    TypeError
        If it is not an integer.
    ValueError
        If it is 0, or below minus the number of processors.

    See Also
    --------
    get_workers : How many there are.

    Notes
    -----
    The results have the same bits with any number of workers. Each takes some planes (an image and
    channel) at a time; arrays below 2 MiB are left to one. Other libraries have threads of their
    own, which this does not change.

    Without a block it is 1, or what the environment variable ``UNPOOL_XP_WORKERS`` says. That is
    for the main thread of a program alone, and a block for the thread that it is in: within the
    tasks of Dask, of joblib or of a thread pool it is 1, so that their threads do not start others,
    unless a task has a block of its own. The threads end with the block.

    The convention is that of ``scipy.fft.set_workers``.

    Examples
    --------
    >>> import numpy as np
    >>> import unpool_xp as ux
    >>> x = np.ones((4, 64, 112, 112), np.float32)
    >>> with ux.set_workers(2):
    ...     y = ux.nearest_unpool(x, 2)
    >>> y.shape
    (4, 64, 224, 224)
    """
    scope = Scope(_plain_count("set_workers: workers", workers))
    token = _scope.set(scope)
    try:
        yield
    finally:
        _scope.reset(token)
        scope.close()


def get_workers() -> int:
    """Return how many threads share the planes of a large NumPy array in this thread.

    Returns
    -------
    int
        At least 1.

    Raises
    ------
    ValueError
        If the environment variable ``UNPOOL_XP_WORKERS`` is not a number of workers.

    See Also
    --------
    set_workers : Set it.

    Examples
    --------
    >>> import unpool_xp as ux
    >>> with ux.set_workers(3):
    ...     ux.get_workers()
    3
    """
    return current_scope().workers


def current_scope() -> Scope:
    """Return the workers of this thread."""
    scope = _scope.get()
    if scope is not None:
        return scope if scope.is_own else ALONE
    text = os.environ.get(VARIABLE)
    if not text or threading.current_thread() is not threading.main_thread():
        return ALONE
    import multiprocessing

    # A process that joblib or multiprocessing has started is one of several.
    if multiprocessing.current_process().name != "MainProcess":
        return ALONE
    try:
        workers = _plain_count(VARIABLE, int(text))
    except ValueError as error:
        raise ValueError(f"{VARIABLE}={text!r} must be a number of workers, such as 2") from error
    scope = _of_environment.get(workers)
    if scope is None or not scope.is_own:
        scope = _of_environment[workers] = Scope(workers)
    return scope


def _plain_count(name: str, workers: int) -> int:
    number, cores = as_index(workers), os.cpu_count() or 1
    if number is None:
        raise TypeError(f"{name}={workers!r} must be an integer")
    if number == 0 or number < -cores:
        raise ValueError(f"{name}={workers!r} must be at least 1, or from -1 to -{cores}")
    return number if number > 0 else cores + 1 + number


ALONE = Scope(1)


def run_shared(scope: Scope, compute: Callable[[int], None], starts: Sequence[int]) -> None:
    """Call a function with each of these numbers, on as many threads as there are workers."""
    number = min(scope.workers, len(starts))
    if number < 2:
        for start in starts:
            compute(start)
        return
    left, errors = deque(starts), np.geterr()

    def take_and_compute() -> None:
        try:
            with np.errstate(**errors):  # that of the caller: a thread has its own
                while True:
                    try:
                        start = left.popleft()
                    except IndexError:
                        return
                    compute(start)
        except BaseException:
            left.clear()
            raise

    from concurrent.futures import wait

    executor = scope.executor()
    others: list[Any] = [executor.submit(take_and_compute) for _ in range(number - 1)]
    token = _scope.set(ALONE)  # what it calls starts no others
    try:
        take_and_compute()
    finally:
        _scope.reset(token)
        wait(others)
    for other in others:
        other.result()
