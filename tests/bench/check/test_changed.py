"""What is checked first: operations whose code has changed since they were measured."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.rows import make_row
from unpool_xp.bench.check import changed
from unpool_xp.bench.rows.provenance import GitError

OLD, NEW = "a" * 40, "b" * 40
NAMES = ["nearest_unpool", "max_pool", "avg_pool", "linear_unpool"]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The commits that git is asked for; between the old one and now the means have changed."""
    commits = []

    def run_git(folder: Path, *arguments: str) -> bytes:
        commit = arguments[2]
        commits.append(commit)
        if commit not in (OLD, NEW):
            raise GitError("unknown")
        return b"unpool_xp/_impl/avg_pool.py\n" if commit == OLD else b""

    monkeypatch.setattr(changed, "run_git", run_git)
    return commits


def rows(**commits: str | None) -> list[object]:
    return [make_row(operation=name, commit=commit) for name, commit in commits.items()]


def test_what_has_changed_or_was_never_measured_comes_first(asked: list[str]) -> None:
    known = rows(max_pool=OLD, avg_pool=OLD, nearest_unpool=NEW)
    order = changed.changed_first(NAMES, known)
    assert order == ["avg_pool", "linear_unpool", "nearest_unpool", "max_pool"]
    assert sorted(asked) == [OLD, NEW]


def test_the_newest_row_counts(asked: list[str]) -> None:
    measured = [
        make_row(operation="avg_pool", commit=OLD, time="2026-01-01T00:00:00+00:00"),
        make_row(operation="avg_pool", commit=NEW, time="2026-02-01T00:00:00+00:00"),
    ]
    others = rows(nearest_unpool=NEW, max_pool=NEW, linear_unpool=NEW)
    assert changed.changed_first(NAMES, [*measured, *others]) == NAMES


@pytest.mark.parametrize("commit", [None, "c" * 40, "--output=/tmp/x", "HEAD"])
def test_a_commit_that_git_does_not_know_changes_no_order(
    asked: list[str], commit: str | None
) -> None:
    assert changed.changed_first(NAMES, rows(**dict.fromkeys(NAMES, commit))) == NAMES
    assert set(asked) <= {"c" * 40}  # nothing that git would take for an option


def test_the_modules_of_an_operation_are_those_that_it_uses() -> None:
    assert changed._modules_of("nearest_unpool") == {"nearest"}
    assert {"max_pool", "fold_max", "fused"} <= changed._modules_of("max_pool")
    assert "conv_transpose" not in changed._modules_of("max_pool")
    assert changed._modules_of("somebody_s_own") == set()
