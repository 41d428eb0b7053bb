"""The panel under pytest-benchmark: checked before it is timed, and its files hold rows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.script import load_script
from unpool_xp.bench.catalog.panel import panel_case
from unpool_xp.bench.rows import files, schema

ROOT = Path(__file__).parents[2]
CASE = panel_case("max_pool", "small", 2)
ONE = ("--operation", "max_pool", "--size", "small", "--stride", "2")

pytestmark = pytest.mark.usefixtures("fake_backends")


def pytest_benchmarks(*options: str, storage: Path) -> subprocess.CompletedProcess[str]:
    command = (sys.executable, "-m", "pytest", "benchmarks/", "-p", "no:cacheprovider", *options)
    where = (f"--benchmark-storage=file://{storage}", "--benchmark-max-time=0.01")
    # Not the outer run's: it may have its own workers and options.
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    return subprocess.run(
        (*command, *where), cwd=ROOT, env=inherited, capture_output=True, text=True, timeout=300
    )


def saved(storage: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in storage.rglob("*.json")]


def test_a_cell_is_measured_and_its_entry_is_a_row(tmp_path: Path) -> None:
    labels = ("--backend", "numpy", "--backend", "array_api_strict", "--native")
    ran = pytest_benchmarks(*labels, *ONE, storage=tmp_path / "kept")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    (found,) = saved(tmp_path / "kept")
    names = {entry["name"] for entry in found["benchmarks"]}
    assert names >= {"numpy", "array_api_strict", "numpy numpy.ndarray.reshape + argmax"}
    rows = []
    for entry in found["benchmarks"]:
        assert entry["group"] == CASE.name
        stats = entry["stats"]
        samples = {"samples_s": stats["data"], "calls_per_sample": stats["iterations"]}
        rows.append(schema.row_of({**entry["extra_info"]["row"], **samples}))
        assert set(samples).isdisjoint(entry["extra_info"]["row"])
    with files.RowWriter(tmp_path / "rows.jsonl") as writer:  # refuses what is no row
        for row in rows:
            writer.write(row)
    for row in rows:
        assert schema.failure_reason(row) is None
        assert (row.operation, tuple(row.shape)) == ("max_pool", CASE.shape)
        assert row.machine == found["machine_info"]["unpool_xp"]["id"]
    assert len({schema.case_key(row) for row in rows}) == len(rows)


def test_a_wrong_result_fails_and_has_no_time(tmp_path: Path) -> None:
    ran = pytest_benchmarks("--backend", "fake:wrong", *ONE, storage=tmp_path)
    assert ran.returncode == 1, ran.stdout + ran.stderr
    assert "AssertionError: wrong result: values[" in ran.stdout
    assert "no cell was measured" in ran.stdout
    assert saved(tmp_path) == []


def test_a_session_without_a_measured_cell_fails(tmp_path: Path) -> None:
    # Nothing asked for can be done: two skips would look like a success.
    ran = pytest_benchmarks("--backend", "numpy", *ONE, "--benchmark-skip", storage=tmp_path)
    assert ran.returncode == pytest.ExitCode.NO_TESTS_COLLECTED, ran.stdout + ran.stderr
    assert "no cell was measured" in ran.stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"backend": ["fake:missing"]}, "pip install the missing part"),
        ({"backend": ["nmpy"]}, "unknown backend 'nmpy'; known: numpy"),
        ({"backend": ["numpy"], "numprocesses": 2}, "measured in one process"),
    ],
)
def test_what_cannot_be_asked_for_is_a_usage_error(options: dict[str, Any], message: str) -> None:
    config = SimpleNamespace(option=SimpleNamespace(**options, benchmark_disable=False), stash={})
    with pytest.raises(pytest.UsageError, match=message):
        load_script(ROOT / "benchmarks" / "conftest.py").pytest_configure(config)


def test_the_tests_do_not_collect_the_benchmarks(pytestconfig: pytest.Config) -> None:
    assert "benchmarks" not in pytestconfig.getini("testpaths")
