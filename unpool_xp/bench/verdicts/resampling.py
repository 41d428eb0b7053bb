"""Medians of resamples: percentile bootstraps (Efron and Tibshirani 1993, chapter 13).

Samples of several processes are drawn in two stages: processes, then samples of each.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import special

CONFIDENCE = 0.95
_RESAMPLES = 2000

# With fewer than five processes the resamples spread too little. Intervals are widened by this
# factor: Student's quantile over the normal one, times the root of n / (n - 1).
WIDENING = {2: 9.17, 3: 2.69, 4: 1.87}

Floats: TypeAlias = NDArray[np.float64]


def percentiles(draws: Floats) -> tuple[float, float]:
    """Return the ends of the interval that has 95 % of the draws."""
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(draws, [tail, 1 - tail])
    return float(low), float(high)


def by_process(samples: Sequence[float], process: Sequence[int]) -> list[Floats]:
    """Return the samples of each process; a single group where the processes are not known.

    It raises a ValueError if `process` does not have an entry for each sample.
    """
    if len(process) not in (0, len(samples)):
        raise ValueError(
            f"process={process!r} must have an entry for each of {len(samples)} samples"
        )
    groups: dict[int, list[float]] = {}
    for second, number in zip(
        samples, process if len(process) else [0] * len(samples), strict=True
    ):
        groups.setdefault(number, []).append(second)
    return [np.array(own, dtype=np.float64) for own in groups.values()]


def draw_medians(groups: Sequence[Floats], center: float) -> Floats:
    """Return resampled medians of groups of samples: shape (2 streams, resamples)."""
    drawn = np.stack([_medians(own, number) for number, own in enumerate(groups)])
    if len(groups) == 1:
        return np.asarray(drawn[0])
    picks = np.random.default_rng(0).integers(len(groups), size=drawn.shape)
    # A process that is picked twice brings the same draw twice: differences between processes
    # count most.
    medians = np.median(np.take_along_axis(drawn, picks, axis=0), axis=0)
    widened: Floats = center * (medians / center) ** WIDENING.get(len(groups), 1.0)
    return widened


def _medians(samples: Floats, seed: int) -> Floats:
    medians: Floats = np.sort(samples)[_resampled_ranks(len(samples), seed)].mean(axis=0)
    return medians


@functools.lru_cache(maxsize=256)
def _resampled_ranks(n: int, seed: int) -> NDArray[np.int64]:
    """Return the ranks, among n sorted samples, of the two middle ones of each resample.

    The k-th smallest of n uniform numbers has the distribution Beta(k, n - k + 1), so the middle
    of a resample is drawn directly, whatever n. Shape (2 middle ones, 2 streams, resamples).
    """
    uniform = np.random.default_rng(seed).random((2, 2, _RESAMPLES // 2))
    k = (n + 1) // 2
    lower = upper = special.betaincinv(k, n - k + 1, uniform[0])
    if n % 2 == 0:  # the next is the smallest of the n - k that lie above
        upper = lower + (1 - lower) * (1 - uniform[1] ** (1 / (n - k)))
    ranks: NDArray[np.int64] = np.minimum(np.stack([lower, upper]) * n, n - 1).astype(np.int64)
    ranks.flags.writeable = False
    return ranks
