"""Ratios, intervals and the verdict of four."""

from __future__ import annotations

import math
from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.rows import noisy
from unpool_xp.bench.verdicts.bootstrap import (
    Interval,
    Ratio,
    Times,
    Verdict,
    compare_times,
    noise_floor,
    samples_needed,
)

SECONDS = st.floats(1e-7, 1e3)
SAMPLES = st.lists(SECONDS, min_size=1, max_size=30)
OPPOSITE = {
    Verdict.FASTER: Verdict.SLOWER,
    Verdict.SLOWER: Verdict.FASTER,
    Verdict.SAME: Verdict.SAME,
    Verdict.UNDECIDED: Verdict.UNDECIDED,
}


def ratio(a: list[float], b: list[float]) -> Ratio:
    return Times(a).ratio_to(Times(b))


def judged(a: list[float], b: list[float]) -> Verdict:
    return compare_times(Times(a), Times(b))[1]


@given(SAMPLES, SAMPLES, st.floats(1e-3, 1e3))
def test_scaling_one_scales_the_ratio_and_scaling_both_changes_nothing(a, b, scale):
    found = ratio(a, b)
    more = [scale * s for s in a]
    for scaled, factor in (
        (ratio(more, b), scale),
        (ratio(more, [scale * s for s in b]), 1),
    ):
        expected = [factor * part for part in astuple(found)]
        assert astuple(scaled) == pytest.approx(expected, rel=1e-9)


@given(SAMPLES, SAMPLES)
def test_swapping_inverts_the_ratio_and_the_verdict(a, b):
    found, swapped = ratio(a, b), ratio(b, a)
    assert swapped.estimate == pytest.approx(1 / found.estimate, rel=1e-9)
    if found.low:
        assert (swapped.low, swapped.high) == pytest.approx((1 / found.high, 1 / found.low))
    assert judged(b, a) is OPPOSITE[judged(a, b)]
    assert judged(a, a) in (Verdict.SAME, Verdict.UNDECIDED)


@given(SAMPLES, SAMPLES)
def test_few_samples_have_an_interval_without_ends(a, b):
    found = ratio(a, b)
    if min(len(a), len(b)) < 3:
        assert (found.low, found.high) == (0, math.inf)
        assert judged(a, b) is Verdict.UNDECIDED or min(len(a), len(b)) == 2
    else:
        assert 0 < found.low <= found.high < math.inf


@pytest.mark.parametrize("n", [3, 4, 7, 8, 25])
def test_the_resampled_medians_are_those_of_a_plain_bootstrap(n):
    samples = np.arange(1.0, n + 1)
    generator = np.random.default_rng(1)
    plain = np.median(generator.choice(samples, (20_000, n)), axis=1)
    expected = np.quantile(plain, [0.025, 0.975])
    found = Times(samples.tolist()).interval
    assert (found.low, found.high) == pytest.approx(expected, abs=0.5 if n < 20 else 1.0)


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    hits = 0
    for seed in range(200):
        found = ratio(noisy(1.0, 25, 0.1, seed), noisy(2.0, 25, 0.1, 1000 + seed))
        hits += found.low <= 0.5 <= found.high
    assert 180 <= hits <= 199


def spread_over(processes: int, samples: list[float]) -> Times:
    return Times(samples, [processes * number // len(samples) for number in range(len(samples))])


STEADY = noisy(1.0, seed=1)


@pytest.mark.parametrize(
    ("slow", "fast", "expected", "needed"),
    [
        # nobody knows of which process
        (Times(noisy(1.2, seed=2)), Times(STEADY), Verdict.SLOWER, None),
        (Times(noisy(3.0, seed=2)), Times(STEADY), Verdict.SLOWER, None),
        (Times(noisy(1.0, seed=2)), Times(STEADY), Verdict.SAME, None),
        (
            Times([28.0, 54, 60, 90, 110]),
            Times([3.6, 4, 4, 5, 5.5, 5.7, 5.8]),
            Verdict.SLOWER,
            None,
        ),
        (Times([3.0, 3.1, 3.2]), Times([1.0, 1.1, 1.2]), Verdict.SLOWER, None),
        (Times([3.0, 4.0, 9.0]), Times([1.0, 1.1, 1.2]), Verdict.UNDECIDED, 2),  # gap below spread
        (Times([9.0, 9.0]), Times([1.0, 1.0]), Verdict.SLOWER, None),
        (Times([1.3, 1.4]), Times([1.0, 1.0]), Verdict.UNDECIDED, 3),
        (Times([9.0]), Times([1.0]), Verdict.UNDECIDED, 5),
        (Times([1.0] * 3), Times([1.01] * 3), Verdict.UNDECIDED, 2),
        (Times(noisy(9.0), disturbed=True), Times(STEADY), Verdict.UNDECIDED, None),
        # of one, whose luck it may be, and of several
        (spread_over(1, noisy(2.0, seed=2)), spread_over(1, STEADY), Verdict.UNDECIDED, 3),
        (spread_over(1, noisy(3.0, seed=2)), spread_over(1, STEADY), Verdict.SLOWER, None),
        (spread_over(1, noisy(1.0, seed=2)), spread_over(1, STEADY), Verdict.UNDECIDED, 2),
        (spread_over(1, noisy(1.0, seed=2)), spread_over(5, STEADY), Verdict.UNDECIDED, 2),
        (spread_over(3, noisy(1.0, seed=2)), spread_over(3, STEADY), Verdict.SAME, None),
        (spread_over(5, noisy(1.2, seed=2)), spread_over(5, STEADY), Verdict.SLOWER, None),
        (spread_over(4, noisy(1.2, seed=2)), spread_over(5, STEADY), Verdict.SLOWER, None),
        (spread_over(3, noisy(1.2, seed=2)), spread_over(5, STEADY), Verdict.UNDECIDED, 2),
        (spread_over(3, noisy(2.1, seed=2)), spread_over(5, STEADY), Verdict.SLOWER, None),
        # One of the processes takes the other's time, however many samples say otherwise.
        (
            spread_over(5, [1.5] * 160 + [1.01] * 40),
            spread_over(5, [1.0] * 160 + [1.49] * 40),
            Verdict.UNDECIDED,
            1.5,
        ),
    ],
)
def test_samples_that_are_apart_decide(slow, fast, expected, needed):
    assert compare_times(slow, fast)[1] is expected
    assert compare_times(fast, slow)[1] is OPPOSITE[expected]
    if expected is Verdict.UNDECIDED:
        assert samples_needed(slow, fast) == samples_needed(fast, slow) == needed


def test_what_matters_is_up_to_the_threshold():
    slow, fast = spread_over(5, noisy(1.2, seed=2)), spread_over(5, STEADY)
    assert compare_times(slow, fast, 0.3)[1] is Verdict.SAME


def test_the_noise_floor_sees_jitter_and_drift():
    assert noise_floor([1.0] * 8) == 0
    assert noise_floor([1.0, 2.0] * 6) == pytest.approx(1.0)
    assert noise_floor(np.linspace(1.0, 1.3, 60).tolist()) > 0.12  # 0.07 of it is the spread
    assert noise_floor(noisy(1.0, 100)) < 0.05
    assert noise_floor([1.0, 1.5, 1.0, 2.0, 1.0]) == 1.0  # too few for halves
    assert noise_floor([1.0]) == 0


def in_processes(*samples: list[float]) -> Times:
    numbers = [number for number, own in enumerate(samples) for _ in own]
    return Times([second for own in samples for second in own], numbers)


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        ([[0.9, 1.0, 1.01], [2.0, 2.0, 2.1], [1.5, 1.5, 1.5]], Interval(1.0, 2.0)),
        ([[1.0] * 3, [1.26] * 3], Interval(1.0, 1.26)),
        ([[1.0] * 3, [1.24] * 3], None),
        ([[1.0] * 3, [1.7, 2.0, 2.3]], None),  # noise of one process
        ([[1.0] * 3, [2.0] * 2], None),  # too few to know
        ([[1.0, 1.0, 1.0, 2.0, 2.0, 2.0]], None),
    ],
)
def test_steady_processes_that_differ_disagree(samples, expected):
    assert in_processes(*samples).disagreement == expected


@pytest.mark.parametrize("bad", [[], [0.0, 1.0, 1.0], [-1.0], [math.nan] * 3, [math.inf] * 3])
def test_samples_that_cannot_be_are_refused(bad):
    with pytest.raises(ValueError, match="samples"):
        noise_floor(bad)


def test_many_samples_are_judged_in_no_more_memory_than_they_take() -> None:
    chance = np.random.default_rng(0)
    fast, slow = (Times((k * chance.uniform(1, 2, 50_000)).tolist()) for k in (1.0, 1.3))
    assert compare_times(slow, fast)[1] is Verdict.SLOWER
    assert samples_needed(slow, fast) is not None
