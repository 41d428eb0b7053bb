"""One command for machines with a GPU."""

from __future__ import annotations

import math
import re
import time
from pathlib import Path

import pytest

from tests.support.command import run
from unpool_xp.bench.cases.case import Case
from unpool_xp.bench.catalog.presets import preset
from unpool_xp.bench.check.run import OUT_OF_TIME, check_backends
from unpool_xp.bench.measure.measurement import Cell
from unpool_xp.bench.measure.session import is_device_lost
from unpool_xp.bench.rows.files import read_rows
from unpool_xp.capabilities import DTYPES
from unpool_xp.cli.commands import gpu


@pytest.mark.parametrize(
    ("reason", "lost"),
    [
        ("AcceleratorError: CUDA error: device-side assert triggered", True),
        ("CUDARuntimeError: cudaErrorIllegalAddress: an illegal memory access", True),
        ("XlaRuntimeError: INTERNAL: CUDA_ERROR_ILLEGAL_ADDRESS", True),
        ("OutOfMemoryError: CUDA out of memory. Tried to allocate 8.00 GiB", False),
        ("XlaRuntimeError: RESOURCE_EXHAUSTED: Out of memory while trying to allocate", False),
    ],
)
def test_which_errors_end_a_process(reason: str, lost: bool) -> None:
    assert is_device_lost(reason) == lost


def test_the_sizes_are_powers_of_two_up_to_a_billion() -> None:
    shared = {case for name in ("quick", "segnet", "unet") for case in preset(name).cases}
    cases = [case for case in {*preset("gpu").cases} - shared if case.operation == "max_pool"]
    sizes = {math.prod(case.shape) for case in cases}
    assert sizes == {2**power for power in (10, 13, 16, 19, 22, 25, 28, 30)}


def test_the_preset_has_what_a_cpu_measures_and_what_a_gpu_is_for() -> None:
    cases = preset("gpu").cases
    for name in ("quick", "segnet", "unet"):
        assert {*preset(name).cases} <= {*cases}
    for operation in ("max_pool", "avg_pool", "max_unpool", "nearest_unpool", "linear_unpool"):
        of = [case for case in cases if case.operation == operation]
        assert {case.dtype for case in of} >= {"float32", "float16"}
        assert any(case.backward for case in of)
    assert any(c.parameters.get("kernel") == (3, 3) for c in cases if c.operation == "avg_pool")
    convolutions = [case for case in cases if case.operation == "conv_transpose"]
    assert {case.dtype for case in convolutions} == {"float32", "float16"}
    assert any(case.backward for case in convolutions)


def test_the_command_checks_and_says_what_it_had_no_time_for(tmp_path: Path) -> None:
    arguments = ["gpu", "--backend", "numpy", "--operation", "conv_transpose", "--minutes", "0.1"]
    done = run(*arguments, "--results", str(tmp_path))
    assert done.returncode == 2  # the time to write the report is more than there is
    assert re.search(r"^conv_transpose ", done.stdout, re.MULTILINE)
    assert "0 measured, 0 without a time" in done.stderr
    (path,) = tmp_path.glob("sweeps/*/*.jsonl")
    assert f"--resume {path.stem}" in done.stderr
    assert read_rows([path]).rows == []
    assert not list((tmp_path / "report").glob("*.html"))
    assert "not measured" in (tmp_path / "report" / "reach.md").read_text()
    assert "target for a GPU" in done.stdout
    said = [done.stderr.index(f"step {number} of 4: ") for number in (1, 2, 3, 4)]
    assert said == sorted(said)  # what is left, before each step
    assert done.stderr.index("to go on:") < done.stderr.index("0 measured")
    again = run(*arguments, "--results", str(tmp_path), "--resume", "last")
    assert f"rows go to {path}" in again.stderr
    assert [*tmp_path.glob("sweeps/*/*.jsonl")] == [path]


def test_force_is_for_a_run_that_goes_on(tmp_path: Path) -> None:
    done = run("gpu", "--force", "--results", str(tmp_path))
    assert done.returncode == 2
    assert "--force is for --resume RUN" in done.stderr


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


def test_what_is_measured_is_checked_first() -> None:
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
    few = ("float32", "int8", "bfloat16")  # for each another process starts
    monkeypatch.setattr("unpool_xp.bench.check.run.DTYPES", few)
    checked = check_backends(["fake:crash", "numpy"], operations=["max_pool"])
    dead = [c for c in checked if c.backend == "fake:crash"]
    (crash,) = {c.detail for c in dead if "crashed" in c.detail}
    assert crash == "crashed: fake:crash ended with exit code 7: the fake library's last words"
    assert {c.dtype for c in dead} == {*few}  # the rest goes on
    assert "passed" in {c.outcome for c in checked if c.backend == "numpy"}


def test_the_cpu_is_left_out_of_what_takes_it_minutes_and_memory_is_of_few() -> None:
    cases = preset("gpu").cases

    def measured(label: str, mode: str = "eager") -> list[Case]:
        return [case for case in cases if gpu._should_measure(case, _cell(label, mode))]

    def with_memory(label: str) -> set[str]:
        return {case.operation for case in cases if gpu._measures_memory(case, _cell(label))}

    assert measured("torch:cuda") == measured("jax:cuda", "compiled") == list(cases)
    assert len(measured("numpy")) < len(cases)
    assert 0 < len(measured("torch:cuda", "compiled")) < len(cases) / 2
    assert measured("torch:cpu", "compiled") == []
    assert not any(case.backward for case in measured("cupy:cuda"))
    fused = measured("torch:cuda", "fused")
    assert {case.operation for case in fused} == {"max_pool", "avg_pool", "linear_unpool"}
    assert not gpu._should_measure(fused[0], Cell("torch:cuda", "fused", "native", ""))
    assert preset("gpu").modes("torch:cuda:1") == ("eager", "fused", "compiled")
    assert "fused" not in preset("gpu").modes("torch:cpu") + preset("quick").modes("torch:cuda")
    weighed = {"max_pool", "max_unpool", "nearest_unpool", "avg_pool", "linear_unpool"}
    assert weighed <= with_memory("jax:cuda")
    assert with_memory("numpy") == set()


def _cell(label: str, mode: str = "eager") -> Cell:
    return Cell(label, mode, "portable", "")
