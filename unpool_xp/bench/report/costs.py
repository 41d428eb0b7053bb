"""What a time alone leaves out: the cost of compiling, and on which device to run."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from unpool_xp.bench.report.ranked import (
    RankedCase,
    by_series,
    fastest_with_copies,
    verdict_between,
)
from unpool_xp.bench.rows.names import backend_mode_of
from unpool_xp.bench.verdicts.bootstrap import Verdict
from unpool_xp.bench.verdicts.crossover import (
    DeviceCrossover,
    WinnerChange,
    device_crossovers,
    is_gpu,
    winner_changes,
)
from unpool_xp.bench.verdicts.ranking import Ranked


@dataclass(frozen=True)
class CompileBreakEven:
    """A compiled call beside the same one eager."""

    compiled: Ranked
    eager: Ranked
    calls: int | None  # from how many on compiled takes less in all; None where it never does
    clear: bool  # whether the two are known to differ at all


def compile_break_evens(cases: Iterable[RankedCase]) -> list[CompileBreakEven]:
    """Return when compiling pays back, for each row measured in both modes."""
    found = []
    for case in cases:
        eager = {_function_key(timed): timed for timed in case.timed if timed.row.mode == "eager"}
        for timed in case.timed:
            beside, first = eager.get(_function_key(timed)), timed.row.first_call_s
            if timed.row.mode == "compiled" and beside is not None and first is not None:
                calls = break_even_calls(timed.seconds, beside.seconds, first)
                differ = verdict_between(timed, beside)
                clear = differ in (Verdict.FASTER, Verdict.SLOWER)
                found.append(CompileBreakEven(timed, beside, calls, clear))
    return found


def _function_key(timed: Ranked) -> tuple[str, int | None, str, str]:
    row = timed.row
    return row.backend, row.threads_asked, row.implementation, row.function


def break_even_calls(compiled_s: float, eager_s: float, first_s: float) -> int | None:
    """Return the number of calls from which on compiled takes less time in all than eager.

    None where compiled is not faster, so that it never does.

    >>> break_even_calls(compiled_s=1.0, eager_s=3.0, first_s=11.0)  # 11 + 5 against 6 * 3
    6
    """
    if compiled_s >= eager_s:
        return None
    # first + (n - 1) * compiled < n * eager
    return max(1, math.floor((first_s - compiled_s) / (eager_s - compiled_s)) + 1)


@dataclass(frozen=True)
class DevicePoint:
    """The best CPU backend beside the best GPU backend at one size."""

    case: RankedCase
    cpu: Ranked
    gpu: Ranked
    ratio: float  # CPU time over GPU time: above 1 where the GPU is faster
    ratio_with_copies: float | None  # the data starts, and is wanted, on the host


def device_points(cases: Iterable[RankedCase]) -> list[list[DevicePoint]]:
    """Return CPU beside GPU for each case that has both, by operation, settings and size."""
    series = ([point for case in same for point in _points_of(case)] for same in by_series(cases))
    return [points for points in series if points]


def _points_of(case: RankedCase) -> Iterator[DevicePoint]:
    cpus = [t for t in case.timed if not is_gpu(t.row.backend)]
    gpus = [t for t in case.timed if is_gpu(t.row.backend)]
    if cpus and gpus:
        near, far = fastest_with_copies(cpus), fastest_with_copies(gpus)
        copied = near[0] / far[0] if near is not None and far is not None else None
        yield DevicePoint(case, cpus[0], gpus[0], cpus[0].seconds / gpus[0].seconds, copied)


class Crossovers(NamedTuple):
    """A GPU backend beside the best CPU backend, for cases that differ in size alone."""

    first: RankedCase  # the smallest
    here: DeviceCrossover  # the data is on the device
    copied: DeviceCrossover  # it is on the host


def crossovers(cases: Iterable[RankedCase]) -> list[Crossovers]:
    """Return from which size on each GPU backend is faster, by operation and settings."""
    found = []
    for series in by_series(cases):
        rows = [row for case in series for row in case.rows]
        here, copied = (device_crossovers(rows, with_transfer=copies) for copies in (False, True))
        found += [Crossovers(series[0], *pair) for pair in zip(here, copied, strict=True)]
    return found


def backend_changes(cases: Iterable[RankedCase]) -> list[list[WinnerChange]]:
    """Return where the fastest backend changes, for what was timed at several sizes."""
    return [
        winner_changes(series, name=lambda row: str(backend_mode_of(row)))
        for series in by_series(cases)
        if sum(bool(case.timed) for case in series) > 1
    ]
