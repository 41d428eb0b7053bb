"""The comparison of the harness with pyperf and torch.utils.benchmark; no time is asserted."""

from __future__ import annotations

import importlib.util
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "harness_accuracy.py"


@pytest.fixture(scope="module")
def truth() -> Any:
    spec = importlib.util.spec_from_file_location("harness_accuracy", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["harness_accuracy"] = module  # where dataclasses look for the annotations
    spec.loader.exec_module(module)
    return module


def test_five_cases_of_several_operations_and_backends(truth: Any) -> None:
    backend_modes, operations, sizes, _ = map(set, zip(*truth.CASES.values(), strict=True))
    assert len(truth.CASES) == len(operations) == 5
    assert {"numpy", "torch:cpu", "jax:cpu compiled"} <= backend_modes
    assert sizes == {"small", "large"}


def test_all_three_time_the_case() -> None:
    options = ("--case", "numpy small", "--processes", "2", "--values", "4", "--json")
    ran = subprocess.run(
        (sys.executable, str(SCRIPT), *options, "--tolerance", "inf"),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    (case,) = json.loads(ran.stdout)["cases"]
    assert case["name"] == "numpy small"
    numbers = [case[f"{who}_s"] for who in ("ours", "pyperf", "torch")]
    numbers += [*case["ratios"].values()]
    assert len(case["rounds"]) == 2
    numbers += [number for each in case["rounds"] for number in each.values()]
    assert all(math.isfinite(number) and number > 0 for number in numbers)


def test_the_ratio_is_the_median_of_the_rounds(truth: Any) -> None:
    # A machine that is twice as slow in one round is so for all three.
    rounds = [{"ours": 2.2 * f, "pyperf": 2.0 * f, "torch": 2.2 * f} for f in (1, 1, 2, 1, 1)]
    rounds.append({"ours": 9.0, "pyperf": 2.0, "torch": 2.2})  # disturbed
    judged = truth.judge("numpy small", rounds)
    assert judged.ratios == pytest.approx({"pyperf": 1.1, "torch": 1.0})
    assert judged.ours_s == pytest.approx(2.2)
    assert judged.off(0.05)
    assert not judged.off(0.11)


def test_the_three_call_the_same_function_on_the_same_arrays(
    truth: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = truth.prepared("numpy small")
    function, seen = session._call, []

    def watched(*arrays: Any) -> Any:
        seen.append([id(array) for array in arrays])
        return function(*arrays)

    monkeypatch.setattr(session, "_call", watched)
    turns = truth.Turns(session)
    for turn in range(3):
        before = len(seen)
        assert turns.value(2) == pytest.approx(2 * turns.taken["pyperf"][-1])
        # Two of pyperf's, two of torch's and two to warm it up, and a sample of ours.
        assert len(seen) - before == 6 + session.measured.calls_per_sample
        assert {who: len(times) for who, times in turns.taken.items()} == dict.fromkeys(
            ("ours", "pyperf", "torch"), turn + 1
        )
    assert all(ids == [id(array) for array in session._inputs.device] for ids in seen)


def test_a_wrong_result_is_an_exit_and_no_time(truth: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(truth.CASES, "wrong", ("numpy compiled", "max_pool", "small", 2))
    with pytest.raises(SystemExit, match="harness_accuracy: wrong: numpy: numpy has no compiler"):
        truth.prepared("wrong")


def test_a_session_that_is_not_prepared_gives_no_function(truth: Any) -> None:
    session = truth.prepared("numpy small")
    session.finish()
    with pytest.raises(RuntimeError, match=r"Session\.caller: call prepare first"):
        session.caller()
