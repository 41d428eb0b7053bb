"""The verdict on a ratio beside its noise floor."""

from __future__ import annotations

import math

import pytest

from unpool_xp.bench.gate.statistics import verdict
from unpool_xp.bench.verdicts.bootstrap import Ratio, Verdict


@pytest.mark.parametrize(
    ("found", "noise", "threshold", "expected"),
    [
        (Ratio(0.5, 0.4, 0.6), 0.0, 0.05, Verdict.FASTER),
        (Ratio(2.0, 1.8, 2.2), 0.0, 0.05, Verdict.SLOWER),
        (Ratio(1.0, 0.97, 1.03), 0.0, 0.05, Verdict.SAME),
        (Ratio(0.9, 0.7, 1.1), 0.0, 0.05, Verdict.UNDECIDED),
        (Ratio(0.94, 0.9, 0.97), 0.0, 0.05, Verdict.UNDECIDED),  # lies across the threshold
        (Ratio(0.5, 0.4, 0.6), 1.0, 0.05, Verdict.UNDECIDED),  # drowned in the noise
        (Ratio(2.0, 1.8, 2.2), 1.5, 0.05, Verdict.UNDECIDED),
        (Ratio(1.2, 1.15, 1.25), 0.5, 0.05, Verdict.UNDECIDED),  # noise makes nothing the same
        (Ratio(2.0, 0.0, math.inf), math.inf, 0.05, Verdict.UNDECIDED),
        (Ratio(1.0, 1.0, 1.0), math.inf, 0.05, Verdict.SAME),
        (Ratio(1.1, 1.09, 1.11), 0.0, 0.05, Verdict.SLOWER),
        (Ratio(1.1, 1.09, 1.11), 0.0, 0.2, Verdict.SAME),
    ],
)
def test_there_are_four_verdicts(found, noise, threshold, expected):
    assert verdict(found, noise, threshold) is expected


def test_arguments_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match=r"threshold=-0\.1"):
        verdict(Ratio(1, 1, 1), 0.0, threshold=-0.1)
    with pytest.raises(ValueError, match="noise_floor=nan"):
        verdict(Ratio(1, 1, 1), math.nan, 0.05)
