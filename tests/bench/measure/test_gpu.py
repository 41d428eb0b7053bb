"""One command for machines with a GPU, and what a device can do to a sweep, on a made-up device."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import run
from unpool_xp import backends
from unpool_xp.bench.cases.case import Case
from unpool_xp.bench.catalog.presets import preset
from unpool_xp.bench.check.run import OUT_OF_TIME, check_backends
from unpool_xp.bench.measure.rounds import Cell
from unpool_xp.bench.measure.session import is_device_lost
from unpool_xp.bench.measure.sweep import run_sweep
from unpool_xp.bench.measure.workers import Worker, WorkerLostError
from unpool_xp.bench.rows.files import read_rows
from unpool_xp.bench.rows.schema import Row
from unpool_xp.capabilities import DTYPES
from unpool_xp.cli import gpu

GOOD = Case("max_pool", (1, 2, 4, 4), kernel=2)
POISON = Case("max_pool", (3, 2, 4, 4), kernel=2)
FULL = Case("max_pool", (4, 2, 4, 4), kernel=2)
LARGE = Case("max_pool", (1, 2, 64, 64), kernel=2)
QUICKLY: dict[str, Any] = {"rounds": 2, "cell_s": 0.0}

pytestmark = pytest.mark.usefixtures("fake_backends")


def swept(tmp_path: Path, *cases: Case, label: str = "fake:cuda", **options: Any) -> list[Row]:
    out = tmp_path / "run.jsonl"
    run_sweep(cases, [label], out=out, in_order=True, **QUICKLY, **options)
    return read_rows([out]).rows


def test_a_case_too_large_for_the_device_says_so_and_nothing_is_allocated(tmp_path: Path) -> None:
    large, good = swept(tmp_path, LARGE, GOOD)
    assert large.error.startswith("too large for the device: about ")
    assert "it has 20000" in large.error
    assert large.samples_s == []
    assert good.checked


def test_after_too_little_memory_what_is_kept_is_given_back(tmp_path: Path) -> None:
    first, again, good = swept(tmp_path, FULL, Case("avg_pool", (4, 2, 4, 4), kernel=2), GOOD)
    assert "CUDA out of memory" in first.error
    assert again.checked  # the fake gives memory once some was freed
    assert good.checked


def test_a_lost_device_costs_its_case_and_the_process_is_started_anew(tmp_path: Path) -> None:
    lost, good = swept(tmp_path, POISON, GOOD)
    assert "illegal memory access" in lost.error
    assert "started anew" in lost.error
    assert good.checked


@pytest.mark.parametrize(
    ("reason", "poisoned"),
    [
        ("AcceleratorError: CUDA error: device-side assert triggered", True),
        ("CUDARuntimeError: cudaErrorIllegalAddress: an illegal memory access", True),
        ("XlaRuntimeError: INTERNAL: CUDA_ERROR_ILLEGAL_ADDRESS", True),
        ("OutOfMemoryError: CUDA out of memory. Tried to allocate 8.00 GiB", False),
        ("XlaRuntimeError: RESOURCE_EXHAUSTED: Out of memory while trying to allocate", False),
    ],
)
def test_which_errors_end_a_process(reason: str, poisoned: bool) -> None:
    assert is_device_lost(reason) == poisoned


def test_a_budget_ends_the_sweep_between_cases_and_resume_goes_on(tmp_path: Path) -> None:
    out = tmp_path / "run.jsonl"
    options: dict[str, Any] = {"out": out, "in_order": True, **QUICKLY}
    cases = [GOOD, FULL, Case("avg_pool", (1, 2, 4, 4), kernel=2)]
    summary = run_sweep(cases, ["fake:async"], budget_s=0.0, **options)
    assert (summary.measured, summary.left) == (0, 3)
    summary = run_sweep(cases, ["fake:async"], resume=True, **options)
    assert (summary.measured, summary.left) == (3, 0)
    assert [row.operation for row in read_rows([out]).rows] == [c.operation for c in cases]


def test_the_sizes_are_powers_of_two_up_to_a_billion() -> None:
    cases = [case for case in preset("gpu").cases if case.operation == "max_pool"]
    sizes = {case.shape[0] * case.shape[1] * case.shape[2] * case.shape[3] for case in cases}
    assert sizes == {2**power for power in (10, 13, 16, 19, 22, 25, 28, 30)}


def test_the_command_checks_measures_and_reports(tmp_path: Path) -> None:
    arguments = ["gpu", "--backend", "numpy", "--operation", "conv_transpose", "--minutes", "0.1"]
    done = run(*arguments, "--results", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "conv_transpose" in done.stdout
    assert "left out for want of time" in done.stderr
    (path,) = tmp_path.glob("sweeps/*/*.jsonl")
    assert {row.operation for row in read_rows([path]).rows} <= {"conv_transpose"}
    assert list((tmp_path / "report").glob("*.html"))
    assert "not measured" in (tmp_path / "report" / "reach.md").read_text()
    assert "what is asked of a GPU" in done.stdout


def test_without_a_gpu_it_says_what_it_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # also where there is one
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))  # not the made-up device
    done = run("gpu", "--results", str(tmp_path))
    assert done.returncode == 2
    for label in ("torch:cuda", "cupy:cuda", "jax:cuda"):
        assert f"{label}: " in done.stderr
    assert not list(tmp_path.iterdir())
    assert run("gpu", "--backend", "torch:nowhere").returncode == 2


def test_a_check_that_takes_long_is_ended_and_says_so() -> None:
    start = time.monotonic()
    operations = ["nearest_unpool", "hangs"]
    checked = check_backends(["numpy", "fake:hang"], operations=operations, budget_s=0.0)
    assert {(c.outcome, c.detail) for c in checked} == {("skipped", OUT_OF_TIME)}
    assert time.monotonic() - start < 30
    assert {c.backend for c in checked} == {"numpy", "fake:hang"}


def test_what_is_measured_is_checked_first(monkeypatch: pytest.MonkeyPatch) -> None:
    checked = check_backends(["numpy"], operations=["nearest_unpool", "max_pool"], budget_s=100.0)
    assert [(c.operation, c.dtype) for c in checked][:3] == [
        ("nearest_unpool", "float32"),
        ("max_pool", "float32"),
        ("nearest_unpool", "float16"),
    ]
    assert not [c for c in checked if c.outcome == "failed"]
    assert len(checked) == 2 * len(DTYPES)
    assert OUT_OF_TIME not in {c.detail for c in checked}


def test_a_process_that_dies_while_checking_costs_what_it_was_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = Worker.ask

    def dies(self: Worker, command: str, **options: Any) -> Any:
        if options.get("dtype") == "float32":
            self.kill()
            raise WorkerLostError("crashed: it ended")
        return real(self, command, **options)

    monkeypatch.setattr(Worker, "ask", dies)
    checked = check_backends(["numpy"], operations=["nearest_unpool"], budget_s=100.0)
    bad = [(c.dtype, c.detail) for c in checked if c.outcome == "failed"]
    assert bad == [("float32", "crashed: it ended")]
    assert len(checked) == len(DTYPES)


def test_a_case_in_flight_at_the_end_is_cut_off_without_a_row(tmp_path: Path) -> None:
    out = tmp_path / "run.jsonl"
    start = time.monotonic()
    hanging = Case("max_pool", (3, 2, 4, 4), kernel=2)
    options: dict[str, Any] = {"out": out, "in_order": True, "budget_s": 15.0, **QUICKLY}
    summary = run_sweep([GOOD, hanging, FULL], ["fake:hang"], **options)
    assert time.monotonic() - start < 40  # its hang would last an hour
    assert (summary.measured, summary.failed, summary.left) == (1, 0, 2)
    (row,) = read_rows([out]).rows
    assert row.checked


def test_a_case_is_measured_where_it_is_wanted(tmp_path: Path) -> None:
    out = tmp_path / "run.jsonl"
    only = {"wanted": lambda case, cell: cell.label == "numpy" or case == GOOD}
    run_sweep([GOOD, FULL], ["numpy", "fake:async"], out=out, **only, **QUICKLY)
    asked = [(r.backend, r.shape[0]) for r in read_rows([out]).rows if _ours(r)]
    assert sorted(asked) == [("fake:async", 1), ("numpy", 1), ("numpy", 4)]


def _ours(row: Any) -> bool:
    return row.implementation == "portable"


def test_the_cpu_is_left_out_of_what_takes_it_minutes_and_memory_is_of_few() -> None:
    cases = preset("gpu").cases
    assert {case for case in cases if not gpu._should_measure(case, _cell("numpy"))}
    assert all(gpu._should_measure(case, _cell("torch:cuda")) for case in cases)
    compiled = [
        case for case in cases if gpu._should_measure(case, _cell("torch:cuda", "compiled"))
    ]
    assert 0 < len(compiled) < len(cases) / 2
    assert all(gpu._should_measure(case, _cell("jax:cuda", "compiled")) for case in cases)
    assert not any(gpu._should_measure(case, _cell("torch:cpu", "compiled")) for case in cases)
    weighed = {case.operation for case in cases if gpu._measures_memory(case, _cell("jax:cuda"))}
    assert {"max_pool", "max_unpool", "nearest_unpool", "avg_pool", "linear_unpool"} <= weighed
    assert not any(gpu._measures_memory(case, _cell("numpy")) for case in cases)


def _cell(label: str, mode: str = "eager") -> Cell:
    return Cell(label, mode, "portable", "")


def test_nothing_of_the_host_has_memory_to_free() -> None:
    assert backends.load("numpy").free_memory() is None
    assert json.dumps(backends.load("numpy").facts.threads) == "1"
