"""Timing on devices with their own queue: the device clock, and flushing the cache."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from unpool_xp.backends import Backend
from unpool_xp.bench.measure.timer import gc_disabled, time_calls

_CACHE_MULTIPLE = 4  # the cache is flushed for a working set of less than this many caches
_REPEATS = 3


class Flush:
    """Flushes the cache of a device by rewriting memory of twice its size.

    Parameters
    ----------
    backend : Backend
        Whose device.
    cache_bytes : int
        The size of its last cache.
    """

    def __init__(self, backend: Backend, cache_bytes: int) -> None:
        self.backend = backend
        self._buffer = backend.asarray(np.zeros(cache_bytes // 2, np.float32))
        self.wait()  # compiles
        self.seconds = time_calls(self.queue, (), backend.synchronize, _REPEATS)

    @classmethod
    def if_needed(cls, backend: Backend, bytes_moved: int) -> Flush | None:
        """Return a flush for a call that moves this many bytes; None if the cache hardly matters.

        Parameters
        ----------
        backend : Backend
            Where it runs.
        bytes_moved : int
            By one call.
        """
        cache = backend.cache_bytes
        if not cache or bytes_moved >= _CACHE_MULTIPLE * cache:
            return None
        return cls(backend, cache)

    def queue(self) -> Any:
        """Put a flush into the device's queue; the host does not wait."""
        return self.backend.xp.add(self._buffer, 1.0)

    def wait(self) -> None:
        """Flush the cache, and return once it is done."""
        self.backend.synchronize(self.queue())


def device_sample(
    backend: Backend,
    call: Callable[..., Any],
    arrays: Sequence[Any],
    calls: int,
    flush: Flush | None = None,
) -> list[float]:
    """Return one sample by the device's own clock, or nothing if it has no clock.

    The calls are queued without waiting, so that the time of the host does not count, unless it
    is the slower of the two.

    Parameters
    ----------
    backend : Backend
        Where it runs.
    call : callable
        What runs.
    arrays : sequence of array
        Its inputs.
    calls : int
        How many.
    flush : Flush, optional
        What is queued before each call.
    """
    clocks = []
    with gc_disabled():
        for _ in range(calls):
            clock = backend.device_clock()
            if clock is None:
                return []
            if flush is not None:
                flush.queue()
            clock.start()
            output = call(*arrays)
            clock.stop()
            del output
            clocks.append(clock)
    return [sum(clock.seconds() for clock in clocks) / calls]
