"""What is checked first: operations whose code has changed since they were measured."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import dask
import numpy as np
import pytest

import unpool_xp
from tests.support.calls import CALLS, outputs
from tests.support.rows import make_row
from unpool_xp import backends
from unpool_xp._plan import cache
from unpool_xp.bench.check import changed
from unpool_xp.bench.rows.provenance import GitError

PACKAGE = Path(unpool_xp.__file__).parent
OLD, NEW = "a" * 40, "b" * 40
NAMES = ["nearest_unpool", "max_pool", "avg_pool", "linear_unpool"]


class Git:
    """Between the old commit and now a file has changed."""

    def __init__(self) -> None:
        self.commits: list[str] = []  # that it is asked for
        self.file = "_impl/avg_pool.py"

    def run(self, folder: Path, *arguments: str) -> bytes:
        commit = arguments[3]
        self.commits.append(commit)
        if commit not in (OLD, NEW):
            raise GitError("unknown")
        return f"{self.file}\n".encode() if commit == OLD else b""


@pytest.fixture
def git(monkeypatch: pytest.MonkeyPatch) -> Git:
    fake = Git()
    monkeypatch.setattr(changed, "run_git", fake.run)
    return fake


def rows(**commits: str | None) -> list[object]:
    return [make_row(operation=name, commit=commit) for name, commit in commits.items()]


def test_what_has_changed_or_was_never_measured_comes_first(git: Git) -> None:
    known = rows(max_pool=OLD, avg_pool=OLD, nearest_unpool=NEW)
    order = changed.changed_first(NAMES, known)
    assert order == ["avg_pool", "linear_unpool", "nearest_unpool", "max_pool"]
    assert sorted(git.commits) == [OLD, NEW]


def test_the_newest_row_counts(git: Git) -> None:
    measured = [
        make_row(operation="avg_pool", commit=OLD, time="2026-01-01T00:00:00+00:00"),
        make_row(operation="avg_pool", commit=NEW, time="2026-02-01T00:00:00+00:00"),
    ]
    others = rows(nearest_unpool=NEW, max_pool=NEW, linear_unpool=NEW)
    assert changed.changed_first(NAMES, [*measured, *others]) == NAMES


@pytest.mark.parametrize("commit", [None, "c" * 40, "--output=/tmp/x", "HEAD"])
def test_a_commit_that_git_does_not_know_changes_no_order(git: Git, commit: str | None) -> None:
    assert changed.changed_first(NAMES, rows(**dict.fromkeys(NAMES, commit))) == NAMES
    assert set(git.commits) <= {"c" * 40}  # nothing that git would take for an option


@pytest.mark.parametrize(
    ("file", "users"),
    [
        ("_impl/nearest.py", {"nearest_unpool"}),
        ("_impl/fold_max.py", {"max_pool"}),
        ("_impl/conv_phases.py", set()),
        ("_plan/windows.py", {"max_pool", "avg_pool"}),
        ("_plan/sampling.py", {"nearest_unpool", "linear_unpool"}),  # imported as a module
        ("_plan/cache.py", {*NAMES}),
        ("_array/namespace.py", {*NAMES}),
        ("_array/adapted/functions.py", {*NAMES}),  # which a function imports
        ("_dask/operations.py", {*NAMES}),  # behind names that are imported on first use
        ("reference/pooling.py", set()),
        ("bench/check/run.py", set()),
    ],
)
def test_a_file_counts_for_the_operations_with_code_in_it(
    git: Git, file: str, users: set[str]
) -> None:
    assert (PACKAGE / file).exists()
    git.file = file
    order = changed.changed_first(NAMES, rows(**dict.fromkeys(NAMES, OLD)))
    assert set(order[: len(users)]) == users
    assert order == sorted(NAMES, key=lambda name: name not in users)


def test_git_names_the_files_as_they_are_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "inner" / "package"
    (package / "_impl").mkdir(parents=True)
    monkeypatch.setattr(changed, "_PACKAGE", package)
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b.c"]

    def commit() -> str:
        for command in (["add", "."], ["commit", "-q", "-m", "one"]):
            subprocess.run([*git, *command], check=True)
        head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True)
        return head.stdout.decode().strip()

    subprocess.run([*git, "init", "-q"], check=True)
    for file in (package / "_impl" / "one.py", package / "two.py", tmp_path / "three.py"):
        file.write_text("1")
    first = commit()
    assert changed._changed_files(first) == set()
    (package / "_impl" / "one.py").write_text("2")
    (tmp_path / "three.py").write_text("2")
    commit()
    (package / "two.py").write_text("2")  # in no commit yet
    assert changed._changed_files(first) == {package / "_impl" / "one.py", package / "two.py"}


def test_what_a_module_does_on_import_belongs_to_its_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "unpool_xp"
    package.mkdir()
    text = "from unpool_xp.other import change\n\ndef one():\n    pass\n\nchange(one)\n"
    (package / "on_import.py").write_text(text)
    monkeypatch.setattr(changed, "_PACKAGE", package)
    assert ("unpool_xp.on_import", "change") in changed._references("unpool_xp.on_import")["one"]


@pytest.mark.parametrize("label", ["numpy", "torch:cpu", "dask"])
def test_whatever_runs_in_a_call_is_code_of_its_operation(label: str) -> None:
    backend = backends.load(label)
    for function, arrays, options in CALLS:
        ran: set[Path] = set()

        def note(frame: FrameType, event: str, _: Any, ran: set[Path] = ran) -> None:
            if event == "call" and frame.f_code.co_name != "<module>":  # that is an import
                ran.add(Path(frame.f_code.co_filename))

        inputs = [backend.asarray(array) for array in arrays]
        function(*inputs, **options)  # imports, which run code as well
        cache.clear()
        before = sys.getprofile()
        with dask.config.set(scheduler="synchronous"):
            sys.setprofile(note)
            try:
                for output in outputs(function(*inputs, **options)):
                    np.asarray(output)
            finally:
                sys.setprofile(before)
        ours = {path for path in ran if path.is_relative_to(PACKAGE)}
        assert len(ours) > 5
        assert ours <= changed._files_of(function.__name__), function.__name__


def test_nothing_is_known_of_an_operation_of_others() -> None:
    assert changed._files_of("somebody_s_own") == set()
