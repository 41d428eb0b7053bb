"""The recommended backend per operation and size, its lead, and how certain that is.

The page repeats this in JavaScript for filtered rows; both use the medians and their intervals.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from unpool_xp.bench.report.ranked import Contender, RankedCase, size_class_of
from unpool_xp.bench.verdicts.bootstrap import Ratio, Verdict, verdict
from unpool_xp.bench.verdicts.ranking import Ranked

_INTERVAL_WIDTH = 2 * 1.96  # across a 95 % interval


@dataclass(frozen=True)
class Rival:
    """A contender beside the winner: its time over the winner's, the geometric mean of the cases.

    The verdict is SLOWER where that is clear.
    """

    contender: Contender
    ratio: Ratio
    verdict: Verdict


@dataclass(frozen=True)
class Answer:
    """What to use for one operation, dtype and band of sizes."""

    operation: str
    dtype: str
    size_class: int  # a number in `SIZE_CLASSES`
    winner: Contender  # the fastest over all the cases
    function: str  # its name in one of them
    cases: int
    first_in: int  # in how many of them nothing is known to be faster than the winner
    runner_up: Rival | None  # the best on another backend; None where no other has all the cases
    portable: Rival | None  # the best of unpool_xp's own, where the winner is not


def answers(cases: Iterable[RankedCase]) -> list[Answer]:
    """Return the answers of one machine: by dtype, the most cases first; by operation; by size."""
    groups: dict[tuple[str, str, int], list[RankedCase]] = {}
    for case in (case for case in cases if case.timed):
        key = (case.first_row.dtype, case.operation, size_class_of(case.bytes_moved))
        groups.setdefault(key, []).append(case)
    count = Counter(case.first_row.dtype for group in groups.values() for case in group)
    order = sorted(groups, key=lambda key: (-count[key[0]], *key))
    return [_answer(key, groups[key]) for key in order]


def _answer(key: tuple[str, str, int], cases: Sequence[RankedCase]) -> Answer:
    dtype, operation, size_class = key
    times: dict[Contender, dict[int, Ranked]] = {}
    for number, case in enumerate(cases):
        for timed in case.timed:  # the fastest first: of several functions, that one counts
            times.setdefault(Contender.of(timed.row), {}).setdefault(number, timed)
    most = max(map(len, times.values()))

    def slowness(one: Contender) -> float:
        return sum(
            math.log(timed.seconds / cases[number].timed[0].seconds)
            for number, timed in times[one].items()
        )

    order = sorted((one for one, found in times.items() if len(found) == most), key=slowness)
    winner = order[0]
    mine = times[winner]

    def rival(which: Callable[[Contender], bool]) -> Rival | None:
        one = next(filter(which, order), winner)
        if one == winner or mine.keys() != times[one].keys():
            return None
        ratio, noise = mean_ratio([(times[one][number], timed) for number, timed in mine.items()])
        return Rival(one, ratio, verdict(ratio, noise))

    return Answer(
        operation,
        dtype,
        size_class,
        winner,
        next(iter(mine.values())).row.function,
        len(cases),
        sum(not is_slower(timed, cases[number].timed[0]) for number, timed in mine.items()),
        rival(lambda one: one.on.label != winner.on.label),
        rival(lambda one: one.implementation == "portable"),
    )


def mean_ratio(pairs: Sequence[tuple[Ranked, Ranked]]) -> tuple[Ratio, float]:
    """Return the geometric mean of times over times, and the noise that it is seen through.

    The interval is (0, inf) where any has too few samples; the noise is the mean over the pairs of
    the larger noise floor.
    """
    logs = [math.log(one.seconds / other.seconds) for one, other in pairs]
    variance = sum(_variance(timed) for pair in pairs for timed in pair)
    mean, half = sum(logs) / len(logs), 1.96 * math.sqrt(variance) / len(logs)
    noise = sum(max(one.noise, other.noise) for one, other in pairs) / len(logs)
    if any(timed.disturbed for pair in pairs for timed in pair):
        noise = math.inf  # they decide nothing
    if not math.isfinite(half):
        return Ratio(math.exp(mean), 0.0, math.inf), noise
    return Ratio(math.exp(mean), math.exp(mean - half), math.exp(mean + half)), noise


def is_slower(timed: Ranked, best: Ranked) -> bool:
    """Return whether one is known to be slower than the best."""
    return timed is not best and verdict(*mean_ratio([(timed, best)])) is Verdict.SLOWER


def _variance(timed: Ranked) -> float:
    """Return that of the logarithm of the median, as its interval shows it."""
    low, high = timed.interval.low, timed.interval.high
    if low <= 0 or not math.isfinite(high):
        return math.inf
    return (math.log(high / low) / _INTERVAL_WIDTH) ** 2


class FastestCounts(NamedTuple):
    """In how many cases each backend is the fastest or tied with it, and of how many."""

    counts: dict[str, int]  # the most first
    cases: int  # that have a time

    @property
    def leaders(self) -> list[str]:
        """The backends that are the fastest most often."""
        return [name for name, count in self.counts.items() if count == self.most]

    @property
    def most(self) -> int:
        """In how many cases they are."""
        return max(self.counts.values())


def count_fastest(cases: Iterable[RankedCase]) -> FastestCounts:
    """Return which backends are the fastest most often on one machine."""
    fastest = [{t.row.backend for t in case.timed if t.is_fastest} for case in cases if case.timed]
    counts = Counter(backend for tied in fastest for backend in tied)
    by_count = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return FastestCounts(dict(by_count), len(fastest))
