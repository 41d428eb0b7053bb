"""The timed loop, and the order in which candidates take turns: A B B A.

Imports nothing of the package: the workers of the gate, which run other versions of it, load this
file by its path.
"""

from __future__ import annotations

import contextlib
import gc
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

T = TypeVar("T")

MIN_ROUNDS = 4
SAMPLE_SECONDS = 20e-3  # a sample is at least this long
# Before a sample: a thread pool that has slept needs some calls, or 16 ms, until it is awake.
WARM_CALLS, WARM_SECONDS = 3, 10e-3
_LONG_SECONDS = 0.5  # of untimed calls, after which a second or third one changes little


def time_calls(
    call: Callable[..., Any],
    arrays: Sequence[Any],
    synchronize: Callable[..., None],
    calls: int = 1,
    before: Callable[[], None] | None = None,
) -> float:
    """Return the mean seconds per call, without garbage collection.

    Waiting for the last call alone would not do: the others may be unfinished, or, where
    evaluation is lazy, never start.

    Parameters
    ----------
    call : callable
        What is timed.
    arrays : sequence of array
        Its arguments.
    synchronize : callable
        Waits for the outputs of each call before the next one starts.
    calls : int, optional
        How many.
    before : callable, optional
        Called before each call, and not timed.
    """
    clock = time.perf_counter
    with gc_disabled():
        if before is None:
            start = clock()
            for _ in range(calls):
                output = call(*arrays)
                synchronize(*(output if isinstance(output, tuple) else (output,)))
                del output
            return (clock() - start) / calls
        total = 0.0
        for _ in range(calls):
            before()
            start = clock()
            output = call(*arrays)
            synchronize(*(output if isinstance(output, tuple) else (output,)))
            total += clock() - start
            del output
        return total / calls


class TimedCall:
    """A call that is warmed up and then sampled.

    Parameters
    ----------
    call, arrays, synchronize, before
        As for `time_calls`.
    """

    def __init__(
        self,
        call: Callable[..., Any],
        arrays: Sequence[Any],
        synchronize: Callable[..., None],
        before: Callable[[], None] | None = None,
    ) -> None:
        self.call, self.arrays, self.synchronize = call, arrays, synchronize
        self.before = before
        self.calls = 0  # of a sample; chosen by the first warm-up

    def warm_up(self) -> float:
        """Call until caches and thread pools are as they are between calls.

        Makes at least three calls, and 10 ms of them, but no further call after half a second.

        Returns
        -------
        float
            The seconds of the last call.
        """
        clock, number = time.perf_counter, 0
        start = now = clock()
        while True:
            began, last = now, self.time(1)
            number, now = number + 1, clock()
            spent = now - start
            if spent >= _LONG_SECONDS or (number >= WARM_CALLS and spent >= WARM_SECONDS):
                # What comes before a call takes time, too.
                self.calls = self.calls or calls_per_sample(now - began)
                return last

    def sample(self) -> float:
        """Take a sample: return the seconds per call over as many calls as fill it."""
        return self.time(self.calls)

    def time(self, calls: int) -> float:
        """Return the mean seconds per call over this many calls."""
        return time_calls(self.call, self.arrays, self.synchronize, calls, self.before)


def calls_per_sample(call_s: float) -> int:
    """Return how many calls that take this long fill a sample."""
    return max(1, math.ceil(SAMPLE_SECONDS / max(call_s, 1e-9)))


@contextlib.contextmanager
def gc_disabled() -> Iterator[None]:
    """Switch garbage collection off for the time of the context."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def to_and_fro(candidates: Sequence[T], round_number: int) -> Iterable[T]:
    """Return the order of a round, so that a machine that slows down slows all of them alike."""
    return candidates if round_number % 2 == 0 else reversed(candidates)


def sample_rounds(
    samplers: Sequence[Callable[[], object]], seconds: float, min_rounds: int = MIN_ROUNDS
) -> None:
    """Call each sampler once per round until the seconds are over, for an even number of rounds."""
    deadline, number = time.monotonic() + seconds, 0
    while number < min_rounds or time.monotonic() < deadline or number % 2:
        for sample in to_and_fro(samplers, number):
            sample()
        number += 1
