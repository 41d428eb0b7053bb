"""Runs of sweeps are listed and removed."""

from __future__ import annotations

import gzip
import io
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.command import APP, run
from tests.support.rows import failed_row, make_row, write

NAME = "20260131T120000Z-1a2b3c"


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Three runs of two machines: one packed, one damaged."""
    sweeps = tmp_path / "results" / "sweeps"
    first = write(sweeps / "a" / f"{NAME}.jsonl", make_row(), failed_row("crash", backend="dask"))
    (sweeps / "b").mkdir()
    (sweeps / "b" / f"{NAME}.jsonl.gz").write_bytes(gzip.compress(first.read_bytes()))
    damaged = write(sweeps / "a" / "20260201T120000Z-1a2b3c.jsonl", make_row())
    damaged.write_bytes(damaged.read_bytes() + b"torn\n")
    return tmp_path / "results"


def test_runs_are_listed_with_what_they_hold(results: Path) -> None:
    done = run("sweep", "runs", "list", "--results", str(results))
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    names = [line for line in lines if not line.startswith(" ")]
    assert names == [f"a {NAME}", "a 20260201T120000Z-1a2b3c", f"b {NAME}"]
    assert "2 rows, 1 failed" in lines[1]
    assert "2025-01-01, commit 01234567, not in" in lines[1]
    assert "dask 2.0, numpy 2.0" in done.stdout
    assert "1 row, 1 bad line" in done.stdout
    assert run("sweep", "runs", "list", "--results", str(results / "no")).returncode == 2


def test_a_run_that_is_there_packed_as_well_is_listed_once(results: Path) -> None:
    first = results / "sweeps" / "a" / f"{NAME}.jsonl"
    packed = first.with_name(f"{NAME}.jsonl.gz")
    packed.write_bytes(gzip.compress(first.read_bytes()))
    write(first, make_row(backend="jax:cpu"))  # it went on since
    lines = run("sweep", "runs", "list", "--results", str(results)).stdout.splitlines()
    assert lines.count(f"a {NAME}") == 1
    assert "3 rows, in 2 files, 1 failed" in lines[1]
    assert run("sweep", "runs", "rm", NAME, "--yes", "--results", str(results)).returncode == 0
    assert not first.exists()
    assert not packed.exists()


@pytest.mark.parametrize(("answer", "left"), [("y\n", 1), ("n\n", 3), ("", 3)])
def test_a_run_is_removed_of_all_machines_once_that_is_confirmed(
    results: Path, answer: str, left: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(answer))
    done = run("sweep", "runs", "rm", NAME, "--results", str(results))
    assert done.returncode == (0 if left == 1 else 2)
    assert len(list(results.rglob("*.jsonl*"))) == left


@pytest.mark.parametrize("name", ["last", "../a", f"a/{NAME}", "", "*"])
def test_a_run_that_is_not_there_is_not_removed(results: Path, name: str) -> None:
    done = run("sweep", "runs", "rm", name, "--yes", "--results", str(results))
    assert done.returncode == 2
    assert len(list(results.rglob("*.jsonl*"))) == 3


def test_a_run_that_git_has_needs_force(results: Path) -> None:
    git = ("git", "-C", str(results))
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "add", "sweeps/b"], check=True)
    remove = ("sweep", "runs", "rm", NAME, "--yes", "--results", str(results))
    done = run(*remove)
    assert done.returncode == 2
    assert "--force" in done.stderr
    assert len(list(results.rglob("*.jsonl*"))) == 3
    (results / ".git" / "index").write_text("broken")  # it may be there: git cannot tell
    assert run(*remove).returncode == 2
    assert run(*remove, "--force").returncode == 0
    assert len(list(results.rglob("*.jsonl*"))) == 1


def test_a_sweep_is_a_command_beside_its_runs() -> None:
    for words in (["sweep"], ["sweep", "--list"], ["sweep", "runs", "list", "--results", "x"]):
        name, _, rest = APP.resolve_command(APP.context_class(APP), words)
        assert [*name.split(), *rest] == words
