"""Ratio, noise floor and verdict from the samples of base, control (base again) and head.

A pass is one process, in which the three take short turns: a machine that slows down, or a process
with a bad memory layout, slows all of them alike, as in duet benchmarking (Bulej et al. 2020). A
pass counts as one value, the median difference within a round, and the interval follows from how
far the passes lie apart. A case has few passes, so its spread is drawn towards that of all cases
on the backend, as in the moderated t of Smyth (2004). The noise floor is the far end of the
interval of base against base in the very same passes.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import special

from unpool_xp.bench.verdicts.bootstrap import Ratio, Verdict
from unpool_xp.bench.verdicts.resampling import CONFIDENCE

SIDES = ("base", "control", "head")
# The spread of all cases counts as this many values; each pass of a case adds two of its own.
_PRIOR = 4
_ALIKE = 2  # passes that all cases have
_NOISE_LIMIT = 0.1  # with a larger noise floor two builds are never the same
# Base against one other copy varies more than head against the mean of two.
_CONTROL = math.sqrt(3 / 4)

Floats: TypeAlias = NDArray[np.float64]


@dataclass
class PassSamples:
    """The samples of a case in one pass: seconds per call, one per build and round."""

    base: list[float]
    control: list[float]
    head: list[float]
    disturbed: bool = False  # by other programs
    seconds: float = 0.0  # spent on taking them


@dataclass(frozen=True)
class GateEstimate:
    """What the passes of a case show."""

    ratio: Ratio  # head over base
    noise: float  # how far base may be from itself
    verdict: Verdict


def estimate_change(
    passes: Sequence[PassSamples], threshold: float, spread: float | None = None
) -> GateEstimate:
    """Estimate a change from at least one pass.

    Parameters
    ----------
    passes : sequence of PassSamples
        Of one case.
    threshold : float
        The smallest difference that matters.
    spread : float, optional
        The `typical_spread` of all cases on the backend. Default: that of these passes.

    Examples
    --------
    >>> from unpool_xp.bench.gate.statistics import PassSamples, estimate_change
    >>> even = PassSamples([1.0, 1.0, 1.0], [1.0, 1.0, 1.0], [1.0, 1.0, 1.0])
    >>> estimate_change([even, even], threshold=0.05).verdict
    <Verdict.SAME: 'same'>
    """
    changes, controls = _pass_logs(passes)
    own = _residuals(passes)
    typical = _scale(own) if spread is None else spread
    freedom = _PRIOR + len(own)
    variance = (_PRIOR * typical**2 + len(own) * _scale(own) ** 2) / freedom
    # A case of long calls has few rounds: never narrower than these show.
    scale = math.sqrt(max(variance, *(_round_variance(taken) for taken in passes)))
    quantile = float(special.stdtrit(freedom, (1 + CONFIDENCE) / 2))
    width = quantile * scale / math.sqrt(len(passes))
    change = _center(changes)
    ratio = Ratio(*map(math.exp, (change, change - width, change + width)))
    away, error = abs(_center(controls)), width / _CONTROL
    noise = math.expm1(away + error)
    # The interval of the ratio includes the error of the passes already: count it about once.
    found = verdict(ratio, math.expm1(away + error / 2), threshold)
    if found is Verdict.UNDECIDED and noise <= _NOISE_LIMIT and ratio.low <= 1 <= ratio.high:
        # Head is no farther from base than base from itself, and the noise floor is small enough.
        found = Verdict.SAME
    return GateEstimate(ratio, noise, found)


def verdict(ratio: Ratio, noise_floor: float, threshold: float) -> Verdict:
    """Return what a ratio and its interval show.

    Parameters
    ----------
    ratio : Ratio
        First over second.
    noise_floor : float
        How much the same code differs from itself, as in 0.08 for 8 %.
    threshold : float
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
    >>> from unpool_xp.bench.gate.statistics import verdict
    >>> from unpool_xp.bench.verdicts.bootstrap import Ratio
    >>> verdict(Ratio(0.55, 0.5, 0.6), noise_floor=0.02, threshold=0.05)
    <Verdict.FASTER: 'faster'>
    >>> verdict(Ratio(0.9, 0.5, 1.4), noise_floor=0.02, threshold=0.05)
    <Verdict.UNDECIDED: 'undecided'>
    """
    for name, value in (("noise_floor", noise_floor), ("threshold", threshold)):
        if not value >= 0:
            raise ValueError(f"verdict: {name}={value!r} must be >= 0")
    # 1 + x is as far above 1 as 1 / (1 + x) is below.
    beyond, within = 1 + max(threshold, noise_floor), 1 + threshold
    if ratio.high < 1 / beyond:
        return Verdict.FASTER
    if ratio.low > beyond:
        return Verdict.SLOWER
    if ratio.low >= 1 / within and ratio.high <= within:
        return Verdict.SAME
    return Verdict.UNDECIDED


def typical_spread(cases: Iterable[Sequence[PassSamples]]) -> float:
    """Return how far the change in a pass typically lies from the truth; 0 without cases.

    In logarithms: 0.05 for 5 %. Each of the cases has a pass or more.
    """
    # The same number of each case: those that are hard to decide have more.
    residuals = [_residuals(passes[:_ALIKE]) for passes in cases]
    return _scale(np.concatenate(residuals)) if residuals else 0.0


def _pass_logs(passes: Sequence[PassSamples]) -> tuple[Floats, Floats]:
    """Return for each pass the logarithms of head over base, and of base over control."""
    changes, controls = [], []
    for taken in passes:
        change, control = _round_logs(taken)
        changes.append(np.median(change))
        controls.append(np.median(control))
    return np.array(changes), np.array(controls)


def _round_logs(taken: PassSamples) -> tuple[Floats, Floats]:
    """Return the logarithms of head over either base, and of base over control, in each round."""
    base, control, head = (np.log(getattr(taken, side)) for side in SIDES)
    return np.concatenate([head - base, head - control]), base - control


def _round_variance(taken: PassSamples) -> float:
    """Return the variance of the median over the rounds, estimated from their scatter."""
    change, control = _round_logs(taken)
    scatter = _CONTROL * _scale(np.concatenate([change - np.median(change), control]))
    return math.pi / 2 * scatter**2 / len(control)


def _residuals(passes: Sequence[PassSamples]) -> Floats:
    """Return the error of each pass, from its change and from its control, scaled as a change."""
    changes, controls = _pass_logs(passes)
    controls = controls * _CONTROL
    if len(passes) == 1:
        return controls  # a single change has no center to be off from
    shrunk = math.sqrt(1 - 1 / len(passes))  # the center follows each of them
    return np.concatenate([(changes - _center(changes)) / shrunk, controls])


def _center(values: Floats) -> float:
    """Return the median of the means of all pairs (Hodges and Lehmann 1963)."""
    first, second = np.triu_indices(len(values))
    return float(np.median((values[first] + values[second]) / 2))


def _scale(residuals: Floats) -> float:
    """Return their standard deviation, robust against outliers."""
    return 1.4826 * float(np.median(np.abs(residuals)))


def looks_changed(estimate: GateEstimate, threshold: float) -> bool:
    """Return whether a case must be measured again before it gets a verdict."""
    found = estimate.ratio
    far = not 1 / (1 + threshold) <= found.estimate <= 1 + threshold
    return far and not found.low <= 1 <= found.high


def aa_differences(passes: Sequence[PassSamples]) -> list[float]:
    """Return the A/A difference of each pass: 0.02 for 2 %."""
    _, controls = _pass_logs(passes)
    return [math.expm1(abs(log)) for log in controls.tolist()]


def round_orders(rounds: int, seed: str) -> list[tuple[str, ...]]:
    """Return the order of the sides in each round.

    It is random, so that no side always has the same neighbour. The side that ended a round does
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
