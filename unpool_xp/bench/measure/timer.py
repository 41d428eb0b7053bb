"""The timed loop, and the order in which candidates take turns: A B B A.

Imports nothing of the package: the workers of the gate, which run other versions of it, load this
file by its path.
"""

from __future__ import annotations

import contextlib
import gc
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

T = TypeVar("T")

MIN_ROUNDS = 6


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
        Called before each call, outside of the time.
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


@contextlib.contextmanager
def gc_disabled() -> Iterator[None]:
    """Hold garbage collection off."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def to_and_fro(candidates: Sequence[T], round_number: int) -> Iterable[T]:
    """Return the order of a round: a machine that slows down slows all of them alike."""
    return candidates if round_number % 2 == 0 else reversed(candidates)


def sample_rounds(
    samplers: Sequence[Callable[[], object]], seconds: float, min_rounds: int = MIN_ROUNDS
) -> None:
    """Call each sampler once a round until the seconds are over; the rounds are even in number."""
    deadline, number = time.monotonic() + seconds, 0
    while number < min_rounds or time.monotonic() < deadline or number % 2:
        for sample in to_and_fro(samplers, number):
            sample()
        number += 1
