"""Targets for a GPU, from made-up rows: met, missed, not measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.rows import failed_row, make_row
from unpool_xp.bench.cases.case import Case
from unpool_xp.bench.report.gpu_targets import TargetResult, check_gpu_targets, write_targets
from unpool_xp.bench.rows.schema import Row

LARGE = Case("nearest_unpool", (64, 64, 128, 128), scale=2)  # 1.07e9 bytes of output
SMALL = Case("nearest_unpool", (1, 64, 128, 128), scale=2)
SAME: dict[str, Any] = {"machine": "made-up-1", "run": "made-up"}


def row(case: Case, seconds: float, backend: str = "torch:cuda", **more: Any) -> Row:
    own = more.get("implementation") == "native"
    name = "torch.nn.functional.interpolate" if own else f"unpool_xp.{case.operation}"
    fields = {"bytes_moved": case.bytes_moved, "samples_s": [seconds] * 4, "function": name}
    return make_row(**case.to_json(), **SAME, backend=backend, **{**fields, **more})


def line(rows: list[Row], start: str) -> TargetResult:
    (found,) = [line for line in check_gpu_targets(rows) if line.text.startswith(start)]
    return found


@pytest.mark.parametrize(("share", "met"), [(0.9, True), (0.86, True), (0.84, False)])
def test_the_share_of_the_copy(share: float, met: bool) -> None:
    seconds = LARGE.bytes_moved / (share * 3000e9)
    rows = [
        row(LARGE, seconds, copy_gb_s=3000.0),
        row(SMALL, 1.0, copy_gb_s=3000.0),  # not over 1 GB
        row(LARGE, 1e-6, copy_gb_s=3000.0, mode="compiled"),
        row(LARGE, 1e-6, copy_gb_s=3000.0, implementation="native"),
    ]
    found = line(rows, "nearest_unpool on torch:cuda")
    assert found.met is met
    assert found.measured == pytest.approx(share)
    assert "the least of 1" in found.note


def test_what_was_not_measured_says_why() -> None:
    assert {found.verdict for found in check_gpu_targets([])} == {"not measured"}
    failed = failed_row("CUDA out of memory", **LARGE.to_json(), **SAME, backend="cupy:cuda")
    assert line([failed], "nearest_unpool on cupy:cuda").note == "CUDA out of memory"
    no_copy = row(LARGE, 1.0, copy_gb_s=None)
    assert line([no_copy], "nearest_unpool on torch").note == "the copy was not measured"


def test_a_large_case_without_a_time_is_not_hidden_by_another() -> None:
    larger = Case("nearest_unpool", (256, 64, 128, 128), scale=2)
    failed = failed_row("too large", **larger.to_json(), **SAME, backend="torch:cuda")
    found = line([row(LARGE, 1e-3, copy_gb_s=1000.0), failed], "nearest_unpool on torch")
    assert "1 without a time (too large)" in found.note


@pytest.mark.parametrize("operation", ["max_pool", "avg_pool"])
def test_a_large_input_counts_as_well_as_a_large_output(operation: str) -> None:
    case = Case(operation, (64, 64, 256, 256), kernel=2)
    rows = [row(case, case.bytes_moved / 1800e9, "cupy:cuda", copy_gb_s=3000.0)]
    found = line(rows, f"{operation} on cupy:cuda")
    assert (found.measured, found.met) == (pytest.approx(0.6), True)


def test_the_longest_first_call_on_cupy() -> None:
    rows = [
        row(SMALL, 1.0, "cupy:cuda", first_call_s=0.5),
        row(LARGE, 1.0, "cupy:cuda", first_call_s=1.5),
        row(LARGE, 1.0, "torch:cuda", first_call_s=9.0),
    ]
    found = line(rows, "the first call")
    assert (found.measured, found.met) == (1.5, False)
    assert found.note == "the longest of 2: nearest_unpool"


def test_portable_over_native() -> None:
    rows = [
        row(LARGE, 1.1),
        row(LARGE, 1.0, implementation="native"),
        row(SMALL, 0.4),
        row(SMALL, 0.1, implementation="native"),
        row(SMALL, 0.05, mode="compiled"),
        row(SMALL, 9.0, backend="torch:cpu", implementation="native"),
    ]
    eager = line(rows, "portable over native on torch:cuda, eager or fused")
    assert eager.measured == pytest.approx((1.1 * 4) ** 0.5)
    assert eager.met is False
    assert eager.note == "of 2 cases"
    with_fused = [*rows, row(SMALL, 0.1, mode="fused")]
    fused = line(with_fused, "portable over native on torch:cuda, eager")
    assert (fused.measured, fused.met) == (pytest.approx(1.1**0.5), True)
    compiled = line(rows, "portable over native on torch:cuda, compiled")
    assert (compiled.measured, compiled.met) == (pytest.approx(0.5), True)
    quicker = [*rows, row(SMALL, 0.04, mode="compiled", implementation="native")]
    assert line(quicker, "portable over native on torch:cuda, compiled").met is False


def test_the_table_is_markdown(tmp_path: Path) -> None:
    text = write_targets(check_gpu_targets([]), tmp_path / "new").read_text()
    assert text.count("\n|") == 2 + 10
    assert "not measured" in text
