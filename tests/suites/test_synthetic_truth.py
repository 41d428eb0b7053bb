"""The verdicts about made-up functions whose medians are known; rules that are too simple fail."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from scipy import stats

from tests.support.script import load_script
from unpool_xp.bench.verdicts.bootstrap import Ratio, Times, Verdict, compare_times

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "synthetic_truth.py"


@pytest.fixture(scope="module")
def truth() -> Any:
    return load_script(SCRIPT)


FEW = {"ratios": (1.0, 1.1, 3.0), "samples": (5, 20), "processes": (1, 3, 5)}


def test_next_to_no_verdict_is_wrong_and_none_calls_the_same_what_is_far_apart(truth: Any) -> None:
    counts = truth.count_outcomes(6, **FEW)
    assert list(truth.broken_bounds(counts)) == []
    assert counts[3.0, "steady", 20, 5]["right"] == 6


def samples_alone(slow: Times, fast: Times) -> tuple[Ratio, Verdict]:
    found, _ = compare_times(slow, fast)
    if stats.mannwhitneyu(slow.seconds, fast.seconds).pvalue >= 0.01:
        return found, Verdict.UNDECIDED
    return found, Verdict.SLOWER if found.estimate > 1 else Verdict.FASTER


def ties(slow: Times, fast: Times) -> tuple[Ratio, Verdict]:
    found, verdict = compare_times(slow, fast)
    return found, Verdict.SAME if verdict is Verdict.UNDECIDED else verdict


@pytest.mark.parametrize(("rule", "fault"), [(samples_alone, "wrong"), (ties, "tied")])
def test_a_rule_that_is_too_simple_breaks_a_bound(truth: Any, rule: Any, fault: str) -> None:
    counts = truth.count_outcomes(6, rule, kinds=("bimodal by process",), **FEW)
    assert any(text.endswith(fault) for text in truth.broken_bounds(counts))
