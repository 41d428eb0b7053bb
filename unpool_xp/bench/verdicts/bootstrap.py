"""From samples to faster, slower, same or undecided.

Intervals are percentile bootstraps of the median (Efron and Tibshirani 1993, chapter 13). Samples
of several processes are drawn in two stages, processes and then samples of each: one process is one
draw of memory and threads, and differs more from the next than its own samples show.
"""

from __future__ import annotations

import enum
import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import special

THRESHOLD = 0.05
CONFIDENCE = 0.95
_MIN_SAMPLES = 3  # samples: below, an interval says nothing
# The medians of processes disagree where they lie further apart, and each one's quartiles do not.
_DISAGREEMENT, _STEADY = 1.25, 1.1
_RESAMPLES = 2000

# Of fewer than five processes the resamples spread too little; so much wider the intervals are:
# Student's quantile over the normal one, times the root of n / (n - 1).
_WIDER = {2: 9.17, 3: 2.69, 4: 1.87}

Floats: TypeAlias = NDArray[np.float64]


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


def ratio(
    a_samples: Sequence[float],
    b_samples: Sequence[float],
    *,
    processes: tuple[Sequence[int], Sequence[int]] = ((), ()),
) -> Ratio:
    """Return the median of `a_samples` over that of `b_samples`.

    Parameters
    ----------
    a_samples, b_samples : sequence of float
        Seconds.
    processes : pair of sequence of int, optional
        Which process each sample is of. Default: all of `a_samples` of one, and all of `b_samples`.

    Returns
    -------
    Ratio
        With the interval (0, inf) where either has fewer than three samples. Swapping `a` and
        `b` gives the inverse.

    Raises
    ------
    ValueError
        If there is no sample, or one is not above zero and finite.

    Examples
    --------
    >>> from unpool_xp.bench.verdicts.bootstrap import ratio
    >>> ratio([2.0, 2.0, 2.0], [1.0, 1.0, 1.0])
    Ratio(estimate=2.0, low=2.0, high=2.0)
    """
    a = _validate_samples("ratio: a_samples", a_samples)
    b = _validate_samples("ratio: b_samples", b_samples)
    estimate = typical_seconds(a, processes[0]) / typical_seconds(b, processes[1])
    if min(len(a), len(b)) < _MIN_SAMPLES:
        low, high = 0.0, math.inf
    else:
        drawn_a, drawn_b = _draw_medians(a, processes[0]), _draw_medians(b, processes[1])
        # One's first stream meets the other's second, and the other way round: swapping the two
        # gives the same pairs of medians, so the inverse ratios.
        draws = np.log(drawn_a) - np.log(drawn_b[::-1])
        # In logarithms, where a ratio and its inverse lie alike.
        low, high = _percentiles(draws)
        low, high = math.exp(low), math.exp(high)
    return Ratio(estimate, low, high)


def typical_seconds(samples: Sequence[float] | Floats, process: Sequence[int] = ()) -> float:
    """Return the median over the processes of the median of each one's samples."""
    return float(np.median([np.median(own) for own in _by_process(samples, process)]))


def median_interval(samples: Sequence[float], process: Sequence[int] = ()) -> Interval:
    """Return the bootstrap interval of `typical_seconds`: (0, inf) of fewer than three samples.

    It refuses what `ratio` refuses.
    """
    values = _validate_samples("median_interval: samples", samples)
    if len(values) < _MIN_SAMPLES:
        return Interval(0.0, math.inf)
    return Interval(*_percentiles(_draw_medians(values, process)))


@dataclass(frozen=True)
class Times:
    """The seconds of a call in several samples, taken in one or several processes."""

    seconds: Sequence[float]
    process: Sequence[int] = ()  # of each sample; empty where it is not known
    disturbed: bool = False  # most of them, by other programs: they decide nothing

    @functools.cached_property
    def typical(self) -> float:
        """The `typical_seconds`."""
        return typical_seconds(self.seconds, self.process)

    @functools.cached_property
    def noise(self) -> float:
        """The `noise_floor`; infinite where others have disturbed it."""
        return math.inf if self.disturbed else noise_floor(self.seconds)

    @functools.cached_property
    def disagreement(self) -> Interval | None:
        """The lowest and highest median of the processes, where they disagree.

        That is where these lie further apart than 1.25x, while each process by itself is steady: a
        call takes the one or the other time, and more samples of a process would not tell.
        """
        enough = [s for s in _by_process(self.seconds, self.process) if len(s) >= _MIN_SAMPLES]
        if len(enough) < 2:
            return None
        first, medians, third = np.array([np.quantile(own, (0.25, 0.5, 0.75)) for own in enough]).T
        low, high = float(medians.min()), float(medians.max())
        if high <= _DISAGREEMENT * low or (third > _STEADY * first).any():
            return None
        return Interval(low, high)


def compare_times(a: Times, b: Times, threshold: float = THRESHOLD) -> tuple[Ratio, Verdict]:
    """Return the ratio of two times, and what it shows."""
    found = ratio(a.seconds, b.seconds, processes=(a.process, b.process))
    if a.disturbed or b.disturbed:
        return found, Verdict.UNDECIDED
    return found, verdict(found, max(a.noise, b.noise), threshold)


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
        Infinite where a half has fewer than three samples.

    Raises
    ------
    ValueError
        As `ratio`.

    Examples
    --------
    >>> from unpool_xp.bench.verdicts.bootstrap import noise_floor
    >>> noise_floor([1.0] * 6)
    0.0
    """
    values = _validate_samples("noise_floor: samples", samples)
    middle = len(values) // 2
    if middle < _MIN_SAMPLES:
        return math.inf
    halves = [(values[::2], values[1::2]), (values[:middle], values[middle:])]
    medians = [(float(np.median(a)), float(np.median(b))) for a, b in halves]
    return max(max(a / b, b / a) for a, b in medians) - 1


def verdict(ratio: Ratio, noise_floor: float, threshold: float = THRESHOLD) -> Verdict:
    """Say what a ratio shows.

    Parameters
    ----------
    ratio : Ratio
        First over second.
    noise_floor : float
        What the same code against itself shows, as `noise_floor` has it.
    threshold : float, optional
        The smallest difference that matters.

    Returns
    -------
    Verdict
        FASTER or SLOWER where the whole interval lies farther from 1 than the threshold and than
        the noise; SAME where the whole interval lies within the threshold; UNDECIDED otherwise.
        Noise never makes two things the same.

    Raises
    ------
    ValueError
        If `noise_floor` or `threshold` is negative or not a number.

    Examples
    --------
    >>> from unpool_xp.bench.verdicts.bootstrap import Ratio, verdict
    >>> verdict(Ratio(0.55, 0.5, 0.6), noise_floor=0.02)
    <Verdict.FASTER: 'faster'>
    >>> verdict(Ratio(0.9, 0.5, 1.4), noise_floor=0.02)
    <Verdict.UNDECIDED: 'undecided'>
    """
    for name, value in (("noise_floor", noise_floor), ("threshold", threshold)):
        if not value >= 0:
            raise ValueError(f"verdict: {name}={value!r} must be >= 0")
    # From 1 to 1 + x upwards is as far as from 1 to 1 / (1 + x) downwards.
    beyond, within = 1 + max(threshold, noise_floor), 1 + threshold
    if ratio.high < 1 / beyond:
        return Verdict.FASTER
    if ratio.low > beyond:
        return Verdict.SLOWER
    if ratio.low >= 1 / within and ratio.high <= within:
        return Verdict.SAME
    return Verdict.UNDECIDED


def _validate_samples(name: str, samples: Sequence[float]) -> Floats:
    values: Floats = np.asarray(samples, dtype=np.float64)
    if values.ndim != 1 or values.size == 0:
        raise ValueError(f"{name}={samples!r} must be at least one number")
    if not (np.isfinite(values).all() and (values > 0).all()):
        raise ValueError(f"{name}={samples!r} must all be > 0 and finite")
    return values


def _percentiles(draws: Floats) -> tuple[float, float]:
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(draws, [tail, 1 - tail])
    return float(low), float(high)


def _by_process(samples: Sequence[float] | Floats, process: Sequence[int]) -> list[Floats]:
    values = np.asarray(samples, dtype=np.float64)
    if len(process) == 0:
        return [values]
    if len(process) != len(values):
        raise ValueError(
            f"process={process!r} must have an entry for each of {len(values)} samples"
        )
    return [values[np.asarray(process) == number] for number in dict.fromkeys(process)]


def _draw_medians(samples: Floats, process: Sequence[int]) -> Floats:
    """Return resampled medians: shape (2 streams, resamples)."""
    groups = _by_process(samples, process)
    drawn = np.stack([_medians(own, number) for number, own in enumerate(groups)])
    if len(groups) == 1:
        return np.asarray(drawn[0])
    picks = np.random.default_rng(0).integers(len(groups), size=drawn.shape)
    # The same process twice is the same draw twice: what differs between processes counts most.
    medians = np.median(np.take_along_axis(drawn, picks, axis=0), axis=0)
    center = typical_seconds(samples, process)
    widened: Floats = center * (medians / center) ** _WIDER.get(len(groups), 1.0)
    return widened


def _medians(samples: Floats, seed: int) -> Floats:
    medians: Floats = np.sort(samples)[_resampled_ranks(len(samples), seed)].mean(axis=0)
    return medians


@functools.lru_cache(maxsize=256)
def _resampled_ranks(n: int, seed: int) -> NDArray[np.int64]:
    """Return which of n sorted samples the two middle ones of each resample are.

    The k-th smallest of n uniform numbers has the distribution Beta(k, n - k + 1), so the middle
    of a resample is drawn at once, whatever n. Shape (2 middle ones, 2 streams, resamples).
    """
    uniform = np.random.default_rng(seed).random((2, 2, _RESAMPLES // 2))
    k = (n + 1) // 2
    lower = upper = special.betaincinv(k, n - k + 1, uniform[0])
    if n % 2 == 0:  # the next is the smallest of the n - k that lie above
        upper = lower + (1 - lower) * (1 - uniform[1] ** (1 / (n - k)))
    ranks: NDArray[np.int64] = np.minimum(np.stack([lower, upper]) * n, n - 1).astype(np.int64)
    ranks.flags.writeable = False
    return ranks
