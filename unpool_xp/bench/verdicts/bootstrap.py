"""From samples to faster, slower, same or undecided: `compare_times`.

Processes of the same code differ by more than the samples within one show: each has its own luck
with memory and threads. So intervals resample processes and then samples, and the rank test is of
processes where there are enough of them. A rank test of all samples would take the luck of one
process for a difference.
"""

from __future__ import annotations

import enum
import functools
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from unpool_xp.bench.verdicts.rank_test import (
    are_too_few,
    gap_between,
    is_enough,
    ranks_differ,
    share_longer,
)
from unpool_xp.bench.verdicts.resampling import (
    WIDENING,
    Floats,
    by_process,
    draw_medians,
    percentiles,
)

THRESHOLD = 0.05
_MAX_NOISE = 0.1  # noise counts up to here; intervals of what is as fast lie within it
_MIN_SAMPLES = 3  # with fewer, an interval means nothing
_MIN_SAMPLES_SAME = 5  # as many as the rank test needs to find a difference
_MIN_PROCESSES_SAME = 2  # one may be lucky all the time, and its samples agree
# Processes of the same call have differed by 2.4x, each of them steady. If every second one does,
# four against four lie apart by chance in 1 of 128 cases, three against three in 1 of 32, one
# against one in every second. With few processes a difference smaller than this may be luck.
_MIN_PROCESSES, _LUCK = 4, {1: 2.5, 2: 2.5, 3: 2.0}
_MULTIPLES = (1.5, 2.0, 3.0, 4.0, 5.0, 10.0, 20.0, 50.0, 100.0)  # of the samples taken
# The medians of processes disagree where they lie further apart, and each one's quartiles do not.
_DISAGREEMENT, _STEADY = 1.25, 1.1


class Verdict(enum.Enum):
    """How the first of two compares with the second."""

    FASTER = "faster"
    SLOWER = "slower"
    SAME = "same"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Interval:
    """A confidence interval from `low` to `high`."""

    low: float
    high: float


@dataclass(frozen=True)
class Ratio:
    """A time over another, and its interval: below 1 where the first is faster."""

    estimate: float
    low: float
    high: float


@dataclass(frozen=True)
class Times:
    """The seconds of a call in several samples, taken in one or several processes."""

    seconds: Sequence[float]  # above zero and finite
    process: Sequence[int] = ()  # of each sample; empty where it is not known
    disturbed: bool = False  # other programs disturbed most of them: they decide nothing

    @functools.cached_property
    def by_process(self) -> list[Floats]:
        """The seconds of each process."""
        return by_process(self.seconds, self.process)

    @functools.cached_property
    def medians(self) -> Floats:
        """The median of each process."""
        return np.array([statistics.median(own.tolist()) for own in self.by_process])

    @functools.cached_property
    def typical(self) -> float:
        """The median over the processes of the median of each one's samples."""
        return float(statistics.median(self.medians.tolist()))

    @functools.cached_property
    def interval(self) -> Interval:
        """The bootstrap interval of `typical`: (0, inf) for fewer than three samples."""
        few = len(self.seconds) < _MIN_SAMPLES
        return Interval(*((0.0, math.inf) if few else percentiles(self.draws)))

    @functools.cached_property
    def draws(self) -> Floats:
        """Medians of resamples: shape (2 streams, resamples)."""
        return draw_medians(self.by_process, self.typical)

    @functools.cached_property
    def noise(self) -> float:
        """The `noise_floor`."""
        return noise_floor(self.seconds)

    @functools.cached_property
    def disagreement(self) -> Interval | None:
        """The lowest and highest median of the processes, where they disagree.

        They disagree where they lie further apart than 1.25x while each process by itself is
        steady. More samples of a process would not change that.
        """
        enough = [own for own in self.by_process if len(own) >= _MIN_SAMPLES]
        if len(enough) < 2:
            return None
        first, medians, third = np.array([np.quantile(own, (0.25, 0.5, 0.75)) for own in enough]).T
        low, high = float(medians.min()), float(medians.max())
        if high <= _DISAGREEMENT * low or (third > _STEADY * first).any():
            return None
        return Interval(low, high)

    def ratio_to(self, other: Times) -> Ratio:
        """Return `typical` over that of the other; swapping the two gives the inverse.

        The interval is (0, inf) where either has fewer than three samples.
        """
        estimate = self.typical / other.typical
        if min(len(self.seconds), len(other.seconds)) < _MIN_SAMPLES:
            return Ratio(estimate, 0.0, math.inf)
        # The first stream of each meets the second of the other, so that swapping the two gives
        # the same pairs of medians, and the inverse ratios.
        # In logarithms a ratio and its inverse are symmetric.
        low, high = percentiles(np.log(self.draws) - np.log(other.draws[::-1]))
        return Ratio(estimate, math.exp(low), math.exp(high))


def compare_times(a: Times, b: Times, threshold: float = THRESHOLD) -> tuple[Ratio, Verdict]:
    """Return the ratio of two times, and what it shows.

    Parameters
    ----------
    a, b : Times
        Measured in turns, or in the same conditions.
    threshold : float, optional
        The smallest difference that matters: 0.05 is 5 %.

    Returns
    -------
    Ratio
        Of `a` over `b`, with its interval.
    Verdict
        FASTER or SLOWER where the ratio is farther from 1 than the threshold and the noise floor
        (of which 10 % count at most), and the samples of the two are apart:

        - with four processes or more of each, by an exact rank test of their medians, p < 0.01;
        - with fewer, by the rank test of all samples, if the processes of the two do not overlap
          and the ratio is at least 2 (three processes) or 2.5 (fewer): processes that run the same
          code may differ as much;
        - where the processes are not known, by the rank test of all samples, if the samples of the
          two do not overlap or the ratio is above all of the noise floor;
        - where there are too few for p < 0.01 whatever their order, as 4 against 5, if the gap
          between the two is wider than the largest of each over its smallest; for samples, the
          ratio must be at least 2.5 as well.

        SAME where the ratio is closer to 1, its whole interval lies within 10 % or the threshold,
        and there are five samples of each or more, of two processes or more where those are known.
        UNDECIDED otherwise, and always where one is disturbed or has a single sample.

    Examples
    --------
    >>> from unpool_xp.bench.verdicts.bootstrap import Times, compare_times
    >>> slow, fast = Times([9.0, 9.1, 9.3, 9.0, 9.2]), Times([1.0, 1.1, 1.0, 1.3, 1.0])
    >>> compare_times(slow, fast)[1]
    <Verdict.SLOWER: 'slower'>
    """
    found = a.ratio_to(b)
    fewest = min(len(a.seconds), len(b.seconds))
    if a.disturbed or b.disturbed or fewest < 2:
        return found, Verdict.UNDECIDED
    beyond = 1 + max(threshold, min(max(a.noise, b.noise), _MAX_NOISE))
    if max(found.estimate, 1 / found.estimate) > beyond:
        slower = found.estimate > 1
        if _is_slower(a, b) if slower else _is_slower(b, a):
            return found, Verdict.SLOWER if slower else Verdict.FASTER
    else:
        within = 1 + max(threshold, _MAX_NOISE)
        inside = 1 / within <= found.low and found.high <= within
        if inside and fewest >= _MIN_SAMPLES_SAME and _may_be_same(a, b):
            return found, Verdict.SAME
    return found, Verdict.UNDECIDED


def _is_slower(slow: Times, fast: Times) -> bool:
    known, processes = _have_processes(slow, fast), _fewest_processes(slow, fast)
    if known and processes >= _MIN_PROCESSES:
        return ranks_differ(slow.medians, fast.medians)
    samples = np.asarray(slow.seconds), np.asarray(fast.seconds)
    if known or are_too_few(*samples):
        apart = slow.typical >= _LUCK[processes] * fast.typical
        return apart and gap_between(slow.medians, fast.medians) > 1 and ranks_differ(*samples)
    beyond_noise = slow.typical > (1 + max(slow.noise, fast.noise)) * fast.typical
    return (beyond_noise or gap_between(*samples) > 1) and ranks_differ(*samples)


def _may_be_same(a: Times, b: Times, times: float = 1.0) -> bool:
    enough = times * _fewest_processes(a, b) >= _MIN_PROCESSES_SAME
    return enough or not _have_processes(a, b)


def _have_processes(a: Times, b: Times) -> bool:
    return bool(a.process and b.process)


def _fewest_processes(a: Times, b: Times) -> int:
    return min(len(a.medians), len(b.medians))


def samples_needed(a: Times, b: Times, threshold: float = THRESHOLD) -> float | None:
    """Return how many times as many samples would decide, if they were like those taken.

    Parameters
    ----------
    a, b : Times
        A pair that `compare_times` leaves undecided.
    threshold : float, optional
        As for `compare_times`.

    Returns
    -------
    float or None
        Such as 3.0: three times the samples, taken in three times the processes. None where 100
        times as many would not decide, or other programs have disturbed them.
    """
    if a.disturbed or b.disturbed:
        return None
    found = a.ratio_to(b)
    slow, fast = (a, b) if found.estimate > 1 else (b, a)
    samples = min(len(a.seconds), len(b.seconds))
    processes = _fewest_processes(a, b)
    known = _have_processes(a, b)
    apart = math.log(slow.typical / fast.typical)
    beyond = math.log1p(max(threshold, min(max(a.noise, b.noise), _MAX_NOISE)))
    room = math.log1p(max(threshold, _MAX_NOISE)) - apart  # for half the interval
    half = math.log(found.high / found.low) / 2 if found.low else 0.0
    # How often one of the slow takes longer than one of the fast.
    share_samples = share_longer(np.asarray(slow.seconds), np.asarray(fast.seconds))
    share_processes = share_longer(slow.medians, fast.medians)
    for times in _MULTIPLES:
        n_samples, n = int(times * samples), int(times * processes)
        if apart <= beyond:
            # A single process shows nothing of how processes differ.
            widths = WIDENING.get(processes, 1.0), WIDENING.get(n, 1.0) if processes > 1 else 1.0
            narrower = math.sqrt(times) * widths[0] / widths[1]
            enough = n_samples >= _MIN_SAMPLES_SAME and half <= room * narrower
            enough = enough and _may_be_same(a, b, times)
        elif known and n >= _MIN_PROCESSES:
            enough = is_enough(share_processes, n)
        elif known and not (share_processes == 1 and apart >= math.log(_LUCK[n])):
            enough = False
        else:
            enough = is_enough(share_samples, n_samples)
        if enough:
            return times
    return None


def noise_floor(samples: Sequence[float]) -> float:
    """Estimate how much the same code differs from itself.

    Parameters
    ----------
    samples : sequence of float
        Seconds, in the order in which they were taken.

    Returns
    -------
    float
        How far the median of one half lies from that of the other, as in 0.08 for 8 %: of every
        second sample from the rest (jitter), and of the first half from the second (drift).
        Where a half has fewer than three samples, how far the largest lies from the smallest.

    Raises
    ------
    ValueError
        If there is no sample, or one is not above zero and finite.

    Examples
    --------
    >>> from unpool_xp.bench.verdicts.bootstrap import noise_floor
    >>> noise_floor([1.0] * 6)
    0.0
    """
    values: Floats = np.asarray(samples, dtype=np.float64)
    if values.ndim != 1 or values.size == 0:
        raise ValueError(f"noise_floor: samples={samples!r} must be at least one number")
    if not (np.isfinite(values).all() and (values > 0).all()):
        raise ValueError(f"noise_floor: samples={samples!r} must all be > 0 and finite")
    middle = len(values) // 2
    if middle < _MIN_SAMPLES:
        return float(values.max()) / float(values.min()) - 1
    halves = [(values[::2], values[1::2]), (values[:middle], values[middle:])]
    medians = [(statistics.median(a.tolist()), statistics.median(b.tolist())) for a, b in halves]
    return float(max(max(a / b, b / a) for a, b in medians)) - 1
