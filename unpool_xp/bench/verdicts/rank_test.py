"""Rank tests of two sets of samples (Mann and Whitney 1947)."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from scipy import special

from unpool_xp.bench.verdicts.resampling import Floats

SIGNIFICANCE = 0.01
_MOST_PAIRS = 250_000


def are_too_few(a: Floats, b: Floats) -> bool:
    """Return whether the rank test cannot be significant with this many samples."""
    return 2 / math.comb(len(a) + len(b), len(a)) >= SIGNIFICANCE


def gap_between(slow: Floats, fast: Floats) -> float:
    """Return the smallest of `slow` over the largest of `fast`: above 1 if they do not overlap."""
    return float(slow.min()) / float(fast.max())


def ranks_differ(slow: Floats, fast: Floats) -> bool:
    """Return whether the exact test is significant; with too few, whether the gap is wide enough.

    A gap is wide enough if it is wider than the largest of each over its smallest.
    """
    gap = gap_between(slow, fast)
    if are_too_few(slow, fast):
        return gap > max(float(own.max()) / float(own.min()) for own in (slow, fast))
    if gap > 1:
        return True
    from scipy import stats  # takes a second to import, and is seldom needed

    # With this many the normal distribution is as good, and the exact one takes minutes.
    method: Literal["exact", "asymptotic"]
    method = "exact" if len(slow) * len(fast) <= _MOST_PAIRS else "asymptotic"
    return bool(stats.mannwhitneyu(slow, fast, method=method).pvalue < SIGNIFICANCE)


def share_longer(slow: Floats, fast: Floats) -> float:
    """Return how often one of `slow` is longer than one of `fast`."""
    ordered = np.sort(fast)
    below, up_to = (np.searchsorted(ordered, slow, side) for side in ("left", "right"))
    return float(below.mean() + up_to.mean()) / (2 * len(fast))


def is_enough(share_longer: float, n: int) -> bool:
    """Return whether n of each would be significant by the rank test, approximately."""
    score = (share_longer - 0.5) * math.sqrt(12 * n**2 / (2 * n + 1))
    return bool(score >= -special.ndtri(SIGNIFICANCE / 2))
