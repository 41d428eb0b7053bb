"""The recommended backend per operation and size, its lead, and how certain that is.

The page repeats this in JavaScript for filtered rows; both use the medians and their intervals.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from unpool_xp.bench.report.ranked import RankedCase, TimedRow, size_class_of
from unpool_xp.bench.verdicts.bootstrap import Ratio, Verdict, verdict

How = tuple[str, str, str]
_INTERVAL_WIDTH = 2 * 1.96  # across a 95 % interval


@dataclass(frozen=True)
class Answer:
    """What to use for one operation, dtype and band of sizes.

    Attributes
    ----------
    operation, dtype : str
        Of what.
    size_class : int
        A number in `unpool_xp.bench.report.ranked.SIZE_CLASSES`.
    winner : tuple of str
        The backend, the mode and the implementation that is the fastest over all the cases.
    function : str
        Its name in one of them.
    cases : int
        How many there are.
    first_in : int
        In how many of them nothing is known to be faster.
    runner_up : tuple of str or None
        The best on another backend; None where no other has all the cases.
    ratio : Ratio or None
        Its time over the winner's: the geometric mean over the cases.
    verdict : Verdict or None
        The runner-up beside the winner: SLOWER where the answer is clear.
    portable : tuple of str or None
        The best of unpool_xp's own, where the winner is not.
    portable_ratio : Ratio or None
        Its time over the winner's.
    """

    operation: str
    dtype: str
    size_class: int
    winner: How
    function: str
    cases: int
    first_in: int
    runner_up: How | None
    ratio: Ratio | None
    verdict: Verdict | None
    portable: How | None
    portable_ratio: Ratio | None


def answers(cases: Iterable[RankedCase]) -> list[Answer]:
    """Return the answers of one machine.

    Parameters
    ----------
    cases : iterable of RankedCase
        Of one machine.

    Returns
    -------
    list of Answer
        By dtype, that of the most cases first; then by operation, then by size.
    """
    groups: dict[tuple[str, str, int], list[RankedCase]] = {}
    count: dict[str, int] = {}
    for case in cases:
        if case.timed:
            dtype = case.first_row.dtype
            key = (dtype, case.operation, size_class_of(case.bytes_moved))
            groups.setdefault(key, []).append(case)
            count[dtype] = count.get(dtype, 0) + 1
    order = sorted(groups, key=lambda key: (-count[key[0]], *key))
    return [_answer(key, groups[key]) for key in order]


def _answer(key: tuple[str, str, int], cases: Sequence[RankedCase]) -> Answer:
    dtype, operation, size_class = key
    times: dict[How, dict[int, TimedRow]] = {}
    for number, case in enumerate(cases):
        for timed in case.timed:  # the fastest first: of several functions, that one counts
            times.setdefault(timed.how, {}).setdefault(number, timed)
    most = max(map(len, times.values()))
    whole = {how: found for how, found in times.items() if len(found) == most}

    def slowness(how: How) -> float:
        return sum(
            math.log(timed.seconds / cases[number].timed[0].seconds)
            for number, timed in whole[how].items()
        )

    order = sorted(whole, key=slowness)
    winner = order[0]
    mine = times[winner]

    def ratio_to_winner(how: How | None) -> tuple[Ratio, float] | None:
        if how is None or mine.keys() != whole[how].keys():
            return None
        return mean_ratio([(whole[how][number], timed) for number, timed in mine.items()])

    runner_up = next((how for how in order if how[0] != winner[0]), None)
    portable = next((how for how in order if how[2] == "portable"), None)
    second, own = (
        ratio_to_winner(runner_up),
        ratio_to_winner(portable if portable != winner else None),
    )
    return Answer(
        operation,
        dtype,
        size_class,
        winner,
        next(iter(mine.values())).row.function,
        len(cases),
        sum(not is_slower(timed, cases[number].timed[0]) for number, timed in mine.items()),
        runner_up if second else None,
        second[0] if second else None,
        verdict(*second) if second else None,
        portable if own else None,
        own[0] if own else None,
    )


def mean_ratio(pairs: Sequence[tuple[TimedRow, TimedRow]]) -> tuple[Ratio, float]:
    """Return the geometric mean of times over times, and the noise that it is seen through.

    Parameters
    ----------
    pairs : sequence of tuple of Timed
        The first over the second; at least one.

    Returns
    -------
    ratio : Ratio
        With the interval (0, inf) where any has too few samples.
    noise : float
        The mean over the pairs of the larger noise floor.
    """
    logs = [math.log(one.seconds / other.seconds) for one, other in pairs]
    variance = sum(_variance(timed) for pair in pairs for timed in pair)
    mean, half = sum(logs) / len(logs), 1.96 * math.sqrt(variance) / len(logs)
    noise = sum(max(one.noise, other.noise) for one, other in pairs) / len(logs)
    if not math.isfinite(half):
        return Ratio(math.exp(mean), 0.0, math.inf), noise
    return Ratio(math.exp(mean), math.exp(mean - half), math.exp(mean + half)), noise


def is_slower(timed: TimedRow, best: TimedRow) -> bool:
    """Return whether one is known to be slower than the best."""
    return timed is not best and verdict(*mean_ratio([(timed, best)])) is Verdict.SLOWER


def _variance(timed: TimedRow) -> float:
    """Return that of the logarithm of the median, as its interval shows it."""
    if timed.low <= 0 or not math.isfinite(timed.high):
        return math.inf
    return (math.log(timed.high / timed.low) / _INTERVAL_WIDTH) ** 2


def count_fastest(cases: Iterable[RankedCase]) -> tuple[dict[str, int], int]:
    """Return in how many cases a backend has the fastest or is tied with it, and of how many.

    Parameters
    ----------
    cases : iterable of RankedCase
        Of one machine.

    Returns
    -------
    counts : dict of str to int
        By backend, the most first.
    cases : int
        How many have a time.
    """
    counts: dict[str, int] = {}
    number = 0
    for case in cases:
        number += bool(case.timed)
        for backend in {t.row.backend for t in case.timed if _is_fastest(t)}:
            counts[backend] = counts.get(backend, 0) + 1
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0]))), number


def _is_fastest(timed: TimedRow) -> bool:
    return timed.entry.place == 1 or timed.entry.tied_with_best


def geometric_mean(ratios: Iterable[float]) -> float:
    """Return the mean that gives a ratio and its inverse the same weight."""
    logs = [math.log(ratio) for ratio in ratios]
    return math.exp(sum(logs) / len(logs))
