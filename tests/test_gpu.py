"""One command for machines with a GPU, and what a device can do to a sweep, on a made-up device."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from unpool_xp import backends
from unpool_xp.bench.cases import Case
from unpool_xp.bench.measure import is_poisoned
from unpool_xp.bench.presets import preset
from unpool_xp.bench.results import read_rows
from unpool_xp.bench.sweep import run_sweep

from . import fake_backend
from .test_check import run

GOOD = Case("max_pool", (1, 2, 4, 4), kernel=2)
POISON = Case("max_pool", (3, 2, 4, 4), kernel=2)
FULL = Case("max_pool", (4, 2, 4, 4), kernel=2)
LARGE = Case("max_pool", (1, 2, 64, 64), kernel=2)
QUICKLY: dict[str, Any] = {"rounds": 2, "cell_s": 0.0}


@pytest.fixture(autouse=True)
def _fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_backend.install(monkeypatch)


def swept(tmp_path: Path, *cases: Case, label: str = "fake:cuda", **options: Any) -> list[Any]:
    out = tmp_path / "run.jsonl"
    run_sweep(cases, [label], out=out, in_order=True, **QUICKLY, **options)
    return read_rows([out]).rows


def test_a_case_too_large_for_the_device_says_so_and_nothing_is_allocated(tmp_path: Path) -> None:
    large, good = swept(tmp_path, LARGE, GOOD)
    assert large["error"].startswith("too large for the device: about ")
    assert "it has 20000" in large["error"]
    assert large["samples_s"] == []
    assert good["checked"]


def test_after_too_little_memory_what_is_kept_is_given_back(tmp_path: Path) -> None:
    first, again, good = swept(tmp_path, FULL, Case("avg_pool", (4, 2, 4, 4), kernel=2), GOOD)
    assert "CUDA out of memory" in first["error"]
    assert again["checked"]  # the fake gives memory once some was freed
    assert good["checked"]


def test_a_lost_device_costs_its_case_and_the_process_is_started_anew(tmp_path: Path) -> None:
    lost, good = swept(tmp_path, POISON, GOOD)
    assert "illegal memory access" in lost["error"]
    assert "started anew" in lost["error"]
    assert good["checked"]


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
    assert is_poisoned(reason) == poisoned


def test_a_budget_ends_the_sweep_between_cases_and_resume_goes_on(tmp_path: Path) -> None:
    out = tmp_path / "run.jsonl"
    options: dict[str, Any] = {"out": out, "in_order": True, **QUICKLY}
    cases = [GOOD, FULL, Case("avg_pool", (1, 2, 4, 4), kernel=2)]
    summary = run_sweep(cases, ["fake:async"], budget_s=0.0, **options)
    assert (summary.measured, summary.left) == (0, 3)
    summary = run_sweep(cases, ["fake:async"], resume=True, **options)
    assert (summary.measured, summary.left) == (3, 0)
    assert [row["operation"] for row in read_rows([out]).rows] == [c.operation for c in cases]


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
    assert {row["operation"] for row in read_rows([path]).rows} <= {"conv_transpose"}
    assert list((tmp_path / "report").glob("*.html"))


def test_without_a_gpu_it_says_what_it_looked_for(tmp_path: Path) -> None:
    script = """
import sys
from unpool_xp import backends
load = backends.load
def missing(label):
    if label.endswith(":cuda"):
        raise backends.BackendUnavailableError(f"{label}: no device")
    return load(label)
backends.load = missing
sys.argv = ["unpool-xp", "gpu"]
from unpool_xp.cli import main
main()
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 2
    for label in ("torch:cuda", "cupy:cuda", "jax:cuda"):
        assert f"{label}: no device" in done.stderr
    assert run("gpu", "--backend", "torch:nowhere").returncode == 2


def test_nothing_of_the_host_has_memory_to_free() -> None:
    assert backends.load("numpy").free_memory() is None
    assert json.dumps(backends.load("numpy").facts.threads) == "1"
