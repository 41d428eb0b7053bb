"""`unpool-xp check` tells right from wrong, and says which."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

import unpool_xp
from tests.conftest import CPU
from tests.support.command import python, run
from unpool_xp import backends, capabilities
from unpool_xp.bench.check import trials
from unpool_xp.bench.check.run import CheckResult, check_operation, to_json, to_junit

# JAX compiles each step of each eager call. `unpool-xp check` has all dtypes, and the tests of the
# operations have the other integers and floats.
DTYPES_OF_JAX = ("bool", "int32", "bfloat16", "complex64")


def dtypes_of(label: str) -> Sequence[str]:
    return DTYPES_OF_JAX if label.startswith("jax") else capabilities.DTYPES


def checked(label: str, operations: Iterable[str]) -> list[CheckResult]:
    backend = backends.load(label)
    return [
        result
        for operation in operations
        for dtype in dtypes_of(label)
        for result in check_operation(backend, operation, dtype)
    ]


def test_there_is_a_trial_of_every_operation_and_a_declaration() -> None:
    settings = {f"{verb}_{what}" for verb in ("get", "set") for what in ("fusion", "workers")}
    names = set(unpool_xp.__all__) - settings
    operations = {name for name in names if name[0].islower() and name[0] != "_"}
    assert {trial.operation for trial in trials.TRIALS} == operations
    assert set(capabilities.OPERATIONS) == operations


@pytest.mark.parametrize("label", CPU)
def test_every_operation_agrees_with_the_reference(label: str) -> None:
    results = checked(label, capabilities.OPERATIONS)
    assert [result for result in results if result.outcome == "failed"] == []
    modes = 2 if label.startswith("jax") else 1
    assert len(results) == modes * len(capabilities.OPERATIONS) * len(dtypes_of(label))
    for result in results:
        reason = capabilities.why_not(result.operation, label.partition(":")[0], result.dtype)
        assert (result.outcome == "skipped") == (reason is not None)
        assert result.detail == (reason or "")


def test_a_dtype_that_an_own_backend_does_not_have_is_no_mismatch(fake_backends: None) -> None:
    results = {result.dtype: result for result in checked("fake:async", ["nearest_unpool"])}
    assert results["float32"].outcome == "passed"
    assert results["bfloat16"].outcome == "skipped"
    assert results["bfloat16"].detail == "fake:async has no dtype bfloat16"


def test_a_gap_that_is_named_is_a_gap() -> None:
    # A reason that no longer holds must go: each skipped dtype of a library must really fail.
    import torch

    for operation in ("max_pool", "max_unpool", "conv_transpose"):
        for dtype in ("uint16", "uint32", "uint64"):
            assert capabilities.why_not(operation, "torch", dtype)
            trial = next(t for t in trials.TRIALS if t.operation == operation)
            inputs = [torch.tensor(array) for array in trial.arrays(dtype)]
            with pytest.raises(TypeError, match="that its library computes with"):
                trial.function(*inputs, **trial.options)


@pytest.mark.parametrize("kind", ["value", "dtype", "shape", "error"])
def test_what_is_wrong_is_found(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    right = unpool_xp.nearest_unpool

    def wrong(x: np.ndarray, **options: object) -> np.ndarray:
        output = right(x, **options).copy()  # type: ignore[arg-type]
        if kind == "error":
            raise RuntimeError("broken on purpose")
        if kind == "value":
            output.flat[-1] += 1
        return {"dtype": output.astype(np.float64), "shape": output[:-1]}.get(kind, output)

    monkeypatch.setattr(unpool_xp, "nearest_unpool", wrong)
    results = checked("numpy", ["nearest_unpool", "max_pool"])
    found = {r.operation: r for r in results if r.outcome == "failed" and r.dtype == "float32"}
    assert set(found) == {"nearest_unpool"}
    said = {
        "value": "is 1.0, should be|is .*, should be",
        "dtype": "the dtype is float64, not that of the input, float32",
        "shape": "has shape .* should be",
        "error": "RuntimeError: broken on purpose",
    }
    assert re.search(said[kind], found["nearest_unpool"].detail)


def test_json_and_junit_say_the_same() -> None:
    results = [
        CheckResult("numpy", "eager", "max_pool", "float32", "passed"),
        CheckResult("numpy", "eager", "max_pool", "bool", "skipped", "no order"),
        CheckResult("dask", "eager", "avg_pool", "float64", "failed", "is 1, should be <2>"),
    ]
    assert [entry["outcome"] for entry in to_json(results)] == ["passed", "skipped", "failed"]
    suite = ElementTree.fromstring(to_junit(results))
    assert suite.attrib["tests"] == "3"
    assert suite.attrib["failures"] == "1"
    assert suite.attrib["skipped"] == "1"
    failure = suite.find("testcase/failure")
    assert failure is not None
    assert failure.attrib["message"] == "is 1, should be <2>"


def test_the_command_is_green_and_writes_both_formats(tmp_path: Path) -> None:
    report = tmp_path / "check.xml"
    shown = run("check", "--backend", "numpy", "--json", "--junit", str(report))
    assert shown.returncode == 0, shown.stderr
    entries = json.loads(shown.stdout)
    assert {entry["operation"] for entry in entries} == set(capabilities.OPERATIONS)
    assert ElementTree.parse(report).getroot().attrib["failures"] == "0"
    table = run("check", "--backend", "numpy", "--operation", "max_pool")
    assert "max_pool" in table.stdout
    assert "11 ok" in table.stdout
    assert "0 bad" in table.stdout


def test_an_operation_broken_on_purpose_is_named_and_exits_1(tmp_path: Path) -> None:
    shutil.copytree(Path(unpool_xp.__file__).parent, tmp_path / "unpool_xp")
    source = tmp_path / "unpool_xp" / "_array" / "numeric.py"
    text, right = source.read_text(encoding="utf-8"), "(taps == values) * weights"
    assert text.count(right) == 1
    source.write_text(text.replace(right, "(taps != values) * weights"), encoding="utf-8")
    command = ("-m", "unpool_xp", "check", "--backend", "numpy", "--operation", "max_pool")
    shown = python(*command, cwd=tmp_path, PYTHONPATH=str(tmp_path))
    assert shown.returncode == 1, shown.stdout + shown.stderr
    assert "bad max_pool on numpy (" in shown.stdout


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--operation", "upsample", "unknown operation upsample; known: max_pool"),
        ("--backend", "tensorflow", "unknown backend 'tensorflow'; known: numpy"),
        ("--backend", "fake:missing", "fake:missing: pip install the missing part"),
    ],
)
def test_bad_arguments_exit_2_and_say_what_is_known(
    option: str, value: str, message: str, fake_backends: None
) -> None:
    shown = run("check", option, value)
    assert shown.returncode == 2
    assert message in " ".join(shown.stderr.split())
