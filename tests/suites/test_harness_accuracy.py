"""The comparison of the harness with pyperf and torch.utils.benchmark; no time is asserted."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import python
from tests.support.script import load_script
from unpool_xp.bench.measure.timer import WARM_CALLS

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "harness_accuracy.py"


@pytest.fixture(scope="module")
def harness() -> Any:
    return load_script(SCRIPT)


def test_five_cases_of_several_operations_and_backends(harness: Any) -> None:
    backend_modes, operations, sizes, _ = map(set, zip(*harness.CASES.values(), strict=True))
    assert len(harness.CASES) == len(operations) == 5
    assert {"numpy", "torch:cpu", "jax:cpu compiled"} <= backend_modes
    assert sizes == {"small", "large"}


def test_all_three_time_the_case() -> None:
    options = ("--case", "numpy small", "--processes", "2", "--values", "4", "--json")
    ran = python(SCRIPT, *options, "--tolerance", "inf")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    (case,) = json.loads(ran.stdout)["cases"]
    assert case["name"] == "numpy small"
    numbers = [case[f"{who}_s"] for who in ("ours", "pyperf", "torch")]
    numbers += [*case["ratios"].values()]
    assert len(case["rounds"]) == 2
    numbers += [number for each in case["rounds"] for number in each.values()]
    assert all(math.isfinite(number) and number > 0 for number in numbers)


def test_the_ratio_is_the_median_of_the_rounds(harness: Any) -> None:
    # A machine that is twice as slow in one round is so for all three.
    rounds = [{"ours": 2.2 * f, "pyperf": 2.0 * f, "torch": 2.2 * f} for f in (1, 1, 2, 1, 1)]
    rounds.append({"ours": 9.0, "pyperf": 2.0, "torch": 2.2})  # disturbed
    compared = harness.compare_harnesses("numpy small", rounds)
    assert compared.ratios == pytest.approx({"pyperf": 1.1, "torch": 1.0})
    assert compared.ours_s == pytest.approx(2.2)
    assert compared.is_off(0.05)
    assert not compared.is_off(0.11)


def test_the_three_call_the_same_function_on_the_same_arrays(
    harness: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = harness.prepare_session("numpy small")
    timed = session._timed["call"]
    function, seen = timed.call, []

    def watched(*arrays: Any) -> Any:
        seen.append([id(array) for array in arrays])
        return function(*arrays)

    monkeypatch.setattr(timed, "call", watched)
    turns = harness.InterleavedTimers(session)
    for turn in range(3):
        before = len(seen)
        assert turns.value(2) == pytest.approx(2 * turns.samples["pyperf"][-1])
        # Two of pyperf's, two of torch's and two to warm it up, and a sample of ours with its own.
        assert len(seen) - before >= 6 + WARM_CALLS + session.measured.calls_per_sample
        assert {who: len(times) for who, times in turns.samples.items()} == dict.fromkeys(
            ("ours", "pyperf", "torch"), turn + 1
        )
    assert all(ids == [id(array) for array in session._inputs.device] for ids in seen)


def test_a_case_that_cannot_run_is_an_exit(harness: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(harness.CASES, "wrong", ("numpy compiled", "max_pool", "small", 2))
    with pytest.raises(SystemExit, match="harness_accuracy: wrong: numpy: numpy has no compiler"):
        harness.prepare_session("wrong")


def test_a_session_that_is_not_prepared_gives_no_function(harness: Any) -> None:
    session = harness.prepare_session("numpy small")
    session.finish()
    with pytest.raises(RuntimeError, match=r"Session\.caller: call prepare first"):
        session.caller()
