"""What a library's threads cost between two calls.

Between two calls a thread can spin, so that the next call finds it awake, at the price of a core
that others could use; or it sleeps, and the next call has to wait for it.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from threadpoolctl import threadpool_info  # type: ignore[import-untyped]

from unpool_xp.backends import Backend
from unpool_xp.backends.base import usable_cores
from unpool_xp.bench.measure.timer import time_calls

_PRODUCT_SIZE = 300  # large enough for every library to share it out, and done within a millisecond
_RESTS, _REST_SECONDS = 3, 0.3
_WARM_SECONDS, _MIN_WARM_CALLS = 0.05, 3
_ON_BLAS = ("numpy", "array_api_strict")  # have no other threads than those of their products


@dataclass(frozen=True)
class ThreadPool:
    """The threads that a library computes with on the CPU.

    Attributes
    ----------
    pool_threads : int or None
        How many share a matrix product; None on another device.
    spin_s : float or None
        Seconds of CPU time that the process uses in a rest of 0.3 s after a call, of all threads
        together. None, as all that follows, without a second thread or a second core.
    warm_s, rested_s : float or None
        Seconds of a matrix product right after others, and after a rest.
    """

    pool_threads: int | None
    spin_s: float | None = None
    warm_s: float | None = None
    rested_s: float | None = None


def measure_thread_pool(backend: Backend) -> ThreadPool:
    """Measure what the threads of a library do after a call, and what it takes to wake them.

    To be asked in the library's own process, whose CPU time is that of its threads.

    Parameters
    ----------
    backend : Backend
        The library; on another device than the CPU nothing is measured.

    Returns
    -------
    ThreadPool
        The medians of a few rests, which take less than two seconds.
    """
    threads = pool_threads(backend)
    if threads is None or min(threads, usable_cores()) < 2:
        return ThreadPool(threads)
    shape = (_PRODUCT_SIZE, _PRODUCT_SIZE)
    square = backend.asarray(np.random.default_rng(0).random(shape, dtype=np.float32))

    def product_seconds() -> float:
        return time_calls(_product(backend), (square,), backend.synchronize)

    spins, warm, rested = [], [], []
    for _ in range(_RESTS):
        started = time.perf_counter()
        calls = [product_seconds()]  # compiles, or wakes
        while time.perf_counter() - started < _WARM_SECONDS or len(calls) <= _MIN_WARM_CALLS:
            calls.append(product_seconds())
        warm += calls[1:]
        used = time.process_time()
        time.sleep(_REST_SECONDS)
        spins.append(time.process_time() - used)
        rested.append(product_seconds())
    return ThreadPool(threads, *map(statistics.median, (spins, warm, rested)))


def _product(backend: Backend) -> Any:
    return lambda square: backend.xp.matmul(square, square)


def pool_threads(backend: Backend) -> int | None:
    """Return how many threads share a matrix product of this process; None on another device."""
    if backend.library not in _ON_BLAS:
        return backend.facts.threads
    pools = (pool for pool in threadpool_info() if pool["user_api"] == "blas")
    return max((int(pool["num_threads"]) for pool in pools), default=1)
