"""Machines two by two: what takes how long on each, over the cases that both have."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from unpool_xp.bench.cases.case import BackendMode
from unpool_xp.bench.report.ranked import RankedCase, RankedMachine
from unpool_xp.bench.rows.names import backend_mode_of, operation_text
from unpool_xp.bench.rows.schema import Key, workload_key
from unpool_xp.bench.verdicts.bootstrap import Ratio
from unpool_xp.bench.verdicts.ranking import Ranked

_INTERVAL_WIDTH = 2 * 1.96  # across a 95 % interval
Times = dict[tuple[str, str, BackendMode], dict[Key, Ranked]]


@dataclass(frozen=True)
class MachineLine:
    """One of unpool_xp's own functions on two machines, over the cases that both have."""

    operation: str
    dtype: str
    on: BackendMode
    cases: int
    first_seconds: float  # the geometric mean of the times
    second_seconds: float
    ratio: Ratio  # the second's time over the first's, in the geometric mean


@dataclass(frozen=True)
class MachinePair:
    """Two machines, by their numbers, and what both have run."""

    first: int
    second: int
    lines: Sequence[MachineLine]


def compare_machines(machines: Sequence[RankedMachine]) -> list[MachinePair]:
    """Return every two machines that have a case of unpool_xp's own functions in common.

    Of the portable functions alone: the same code everywhere.
    """
    times = [_times(machine.cases) for machine in machines]
    pairs = (
        MachinePair(first, second, _lines(times[first], times[second]))
        for first, second in itertools.combinations(range(len(machines)), 2)
    )
    return [pair for pair in pairs if pair.lines]


def _times(cases: Iterable[RankedCase]) -> Times:
    """Return the times of the portable functions, by operation, dtype and where they ran."""
    found: Times = {}
    for case in cases:
        for timed in case.timed:
            row = timed.row
            if row.implementation == "portable":
                key = (operation_text(row), row.dtype, backend_mode_of(row))
                found.setdefault(key, {})[workload_key(row)] = timed
    return found


def _lines(first: Times, second: Times) -> list[MachineLine]:
    lines = []
    for key in sorted(first.keys() & second.keys(), key=str):
        shared = first[key].keys() & second[key].keys()
        pairs = [(second[key][case], first[key][case]) for case in shared]
        if pairs:
            there, here = (
                statistics.geometric_mean(timed.seconds for timed in times)
                for times in zip(*pairs, strict=True)
            )
            lines.append(MachineLine(*key, len(pairs), here, there, _mean_ratio(pairs)))
    return lines


def _mean_ratio(pairs: Sequence[tuple[Ranked, Ranked]]) -> Ratio:
    """Return the geometric mean of times over times, from 0 to inf if any has too few samples."""
    logs = [math.log(one.seconds / other.seconds) for one, other in pairs]
    variance = sum(_variance(timed) for pair in pairs for timed in pair)
    mean, half = sum(logs) / len(logs), 1.96 * math.sqrt(variance) / len(logs)
    if not math.isfinite(half):
        return Ratio(math.exp(mean), 0.0, math.inf)
    return Ratio(math.exp(mean), math.exp(mean - half), math.exp(mean + half))


def _variance(timed: Ranked) -> float:
    """Return that of the logarithm of the median, as its interval shows it."""
    low, high = timed.interval.low, timed.interval.high
    if low <= 0 or not math.isfinite(high):
        return math.inf
    return (math.log(high / low) / _INTERVAL_WIDTH) ** 2
