"""Ratio, noise floor and verdict from the samples of base, control (base again) and head.

A pass is three processes, started for it and sampled in turns. The same code in two processes
differs more than a process from itself: memory lies elsewhere. So the interval is a bootstrap in
two stages, of passes and then of the turns in a pass, and the noise floor is the far end of the
interval that base against base has in the very same passes.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from unpool_xp.bench.verdicts.bootstrap import CONFIDENCE, Ratio, Verdict, verdict

SIDES = ("base", "control", "head")
_RESAMPLES = 2000

Floats: TypeAlias = NDArray[np.float64]


@dataclass
class PassSamples:
    """The samples of a case in one pass: seconds per call, one per build and round."""

    base: list[float]
    control: list[float]
    head: list[float]
    disturbed: bool = False  # by other programs


@dataclass(frozen=True)
class GateEstimate:
    """What the passes of a case show."""

    ratio: Ratio  # head over base
    noise: float  # how far base is from itself
    verdict: Verdict


def estimate_change(passes: Sequence[PassSamples], threshold: float) -> GateEstimate:
    """Estimate a change from at least one pass; the ratio is the median of the passes' medians.

    Examples
    --------
    >>> from unpool_xp.bench.gate.statistics import PassSamples, estimate_change
    >>> even = PassSamples([1.0, 1.0, 1.0], [1.0, 1.0, 1.0], [1.0, 1.0, 1.0])
    >>> estimate_change([even, even], threshold=0.05).verdict
    <Verdict.SAME: 'same'>
    """
    change_logs, aa_logs = [], []
    for taken in passes:
        base, control, head = (np.log(getattr(taken, side)) for side in SIDES)
        change_logs.append(head - (base + control) / 2)
        aa_logs.append(base - control)
    change_interval = _interval(change_logs)
    aa_interval = _interval(aa_logs)
    noise = math.exp(max(-aa_interval[1], aa_interval[2])) - 1
    ratio = Ratio(*(math.exp(value) for value in change_interval))
    return GateEstimate(ratio, max(noise, 0.0), verdict(ratio, max(noise, 0.0), threshold))


def _interval(logs: Sequence[Floats]) -> tuple[float, float, float]:
    """Return the median of the passes' medians, and its bootstrap interval."""
    generator = np.random.default_rng(0)
    estimate = float(np.median([np.median(turns) for turns in logs]))
    medians = np.stack(
        [
            np.median(turns[generator.integers(len(turns), size=(len(turns), _RESAMPLES))], axis=0)
            for turns in logs
        ]
    )
    picks = generator.integers(len(logs), size=(len(logs), _RESAMPLES))
    draws = np.median(np.take_along_axis(medians, picks, axis=0), axis=0)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(draws, [tail, 1 - tail])
    return estimate, min(float(low), estimate), max(float(high), estimate)


def needs_retest(estimate: GateEstimate, threshold: float) -> bool:
    """Return whether a case must be measured again before it gets a verdict."""
    found = estimate.ratio
    far = not 1 / (1 + threshold) <= found.estimate <= 1 + threshold
    return far and not found.low <= 1 <= found.high


def aa_differences(passes: Sequence[PassSamples]) -> list[float]:
    """Return the A/A difference of each pass: 0.02 for 2 %."""
    logs = (np.median(np.log(taken.base) - np.log(taken.control)) for taken in passes)
    return [math.exp(abs(float(log))) - 1 for log in logs]


def round_orders(rounds: int, seed: str) -> list[tuple[str, ...]]:
    """Return the order of the sides in each turn.

    At random, so that no side always has the same neighbour; but the one that ended a turn does
    not begin the next: it would find its own data in the caches, and the others would not.
    """
    generator = np.random.default_rng(zlib.crc32(seed.encode()))
    orders: list[tuple[str, ...]] = []
    for _ in range(rounds):
        order = tuple(generator.permutation(SIDES).tolist())
        if orders and orders[-1][-1] == order[0]:
            order = order[::-1]
        orders.append(order)
    return orders
