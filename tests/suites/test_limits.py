"""`benchmarks/limits` measures what is beyond the array calls, bytes and memory that must be."""

from __future__ import annotations

import dataclasses
import importlib
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import unpool_xp
from unpool_xp import backends, workers
from unpool_xp.bench.cases.case import BackendMode, Case

sys.path.append(str(Path(__file__).parents[2] / "benchmarks" / "limits"))
call_recorder, measures, limits = map(importlib.import_module, ("call_recorder", "measures", "run"))

NUMPY = BackendMode("numpy")
CASE = Case("nearest_unpool", (1, 2, 4, 4), scale=2)


@pytest.mark.parametrize("label", ["numpy", "torch:cpu"])
@pytest.mark.parametrize("case", limits.OVERHEAD_CASES, ids=lambda case: case.operation)
def test_the_array_calls_of_an_operation_are_recorded(label: str, case: Case) -> None:
    backend = backends.load(label)
    arrays = [backend.asarray(array) for array in case.arrays().values()]
    function, options = case.definition.function, case.options()
    calls = call_recorder.record_calls(lambda *given: function(*given, **options), *arrays)
    assert len(calls) >= 2
    call_recorder.build_replay(calls)()
    assert not any("unpool_xp" in (getattr(call, "__module__", "") or "") for call, *_ in calls)


def test_only_the_outermost_calls_are_recorded_and_recording_ends() -> None:
    x = np.arange(6.0).reshape(2, 3)

    def work(x: Any) -> Any:
        total = np.zeros(3)
        total += x.sum(axis=0)
        return np.mean(x[:1] * 2)

    calls = call_recorder.record_calls(work, x)
    names = [getattr(call, "__name__", "") for call, *_ in calls]
    assert names[:2] == ["zeros", "sum"]
    assert names[-1] == "mean"
    assert "__getitem__" in names
    assert np.zeros.__module__ == "numpy"
    with pytest.raises(ValueError, match="numpy and torch can"):
        call_recorder.record_calls(work, SimpleNamespace())


def test_traffic_counts_what_each_call_reads_and_writes() -> None:
    found = measures.traffic(NUMPY, Case("nearest_unpool", (1, 2, 8, 8), scale=2))
    assert found["ideal_bytes"] == 5
    assert found["bytes"] >= found["ideal_bytes"]
    made, two = np.zeros(4, np.float32), np.ones((2, 4), np.float32)
    assert measures.count_traffic(np.add.__call__, (made, made), {}) == (48, 4)
    assert measures.count_traffic(np.reshape, (made, (2, 2)), {}) == (0, 0)
    assert measures.count_traffic(np.matmul.__call__, (two, two.T), {}) == (80, 2 * 4 * 4)
    setitem = np.ndarray.__setitem__
    assert measures.count_traffic(setitem, (made, slice(0, 2), made[:2]), {}) == (16, 0)


def test_overhead_is_what_is_left_of_a_call_without_its_array_calls() -> None:
    found = measures.overhead(NUMPY, limits.OVERHEAD_CASES[3])
    assert found["seconds"] > found["own_seconds"]
    assert found["array_calls"] >= 1


def test_workers_are_timed_beside_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measures, "usable_cores", lambda: 3)
    seen, case = set(), limits.WORKER_CASES[0].replace(shape=(1, 2, 8, 8))

    def watched(x: Any, **options: Any) -> Any:
        seen.add(workers.get_workers())
        return unpool_xp.max_pool(x, **options)

    operation = dataclasses.replace(case.definition, function=watched)
    found = measures.worker_gain(NUMPY, case.replace(operation=operation))
    assert seen == {1, 3}
    assert found["gain"] > 0
    assert limits._gain_cells({"seconds": 1.0, "best_seconds": 0.5, "gain": 2.0})[-1] == "2.00"


def test_a_growing_case_is_checked_at_both_ends() -> None:
    assert measures.scaling(NUMPY, CASE, (1, 10**9))[10**9] is None  # beyond the memory
    assert measures.scaling(NUMPY, CASE, (3,))[3] > 0

    def wrong_at_the_end(x: Any, **options: Any) -> Any:
        out = unpool_xp.nearest_unpool(x, **options)
        out[-1, -1, -1, -1] += 1
        return out

    broken = dataclasses.replace(CASE.definition, function=wrong_at_the_end)
    with pytest.raises(ValueError, match="should be"):
        measures.scaling(NUMPY, CASE.replace(operation=broken), (3,))


@pytest.mark.parametrize(
    ("label", "peak", "share"), [("numpy", 72, 0.5), ("jax:cpu", 48, 0.5), ("numpy", None, None)]
)
def test_memory_is_counted_beyond_inputs_and_outputs(
    monkeypatch: pytest.MonkeyPatch, label: str, peak: int | None, share: float | None
) -> None:
    monkeypatch.setattr(measures, "peak_bytes", lambda *_: peak)
    case = Case("max_pool", (1, 1, 4, 4), kernel=2)  # 4 cells of 4 and 8 bytes
    assert measures.scratch_share(BackendMode(label), case)["share"] == share


def test_the_limits_are_printed_and_a_failure_has_its_reason(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bandwidth, scaling = limits.LIMITS[0], limits.LIMITS[-1]
    half = {"seconds": 1.0, "best_seconds": 0.5, "share": 0.5}
    assert bandwidth.cells(half | {"cached": False})[-1] == "[bold red]50%[/]"
    assert bandwidth.cells(half | {"cached": True})[-1] == "50% in the cache"
    unsupported = Case("max_pool", (1, 1, 4, 4), kernel=2, dtype="bfloat16")
    tiny = [replace(limit, cases=(CASE, unsupported)) for limit in (bandwidth, limits.LIMITS[4])]
    monkeypatch.setattr(limits, "LIMITS", tiny)
    assert limits.main(["--backend", "numpy"]) == 3
    shown = capsys.readouterr().out
    assert shown.count("numpy nearest_unpool 1x2x4x4 f2: ") == 0
    assert limits.main(["--backend", "numpy", "--operation", "nearest_unpool"]) == 0
    assert "rate over that of a plain copy" in shown
    assert "nearest_unpool 1x2x4x4 f2" in shown
    assert "numpy max_pool 1x1x4x4 k2 s2: " in shown
    assert scaling.cells({measures.BEYOND_CACHES: 1e-9, 10**6: 2e-9})[-1] == "[bold red]2.00[/]"
    assert scaling.cells({1: 1e-9, measures.BEYOND_CACHES: None}) == ["1.00", "-", "-"]
