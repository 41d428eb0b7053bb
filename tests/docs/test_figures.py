"""The figures of the README and the documentation are those of committed rows."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def figures() -> ModuleType:
    """The script, imported anew: it keeps what it has read."""
    spec = importlib.util.spec_from_file_location("figures", ROOT / "docs" / "_ext" / "figures.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["figures"] = module  # where dataclasses look
    spec.loader.exec_module(module)
    return module


def test_every_figure_is_as_the_rows_say(figures: ModuleType) -> None:
    assert [*figures.outdated()] == []


def test_rows_of_another_commit_are_refused(
    figures: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    stated = figures.stated()
    other = {name: {**about, "commit": "0" * 40} for name, about in stated.items()}
    monkeypatch.setattr(figures, "stated", lambda: other)
    for name in stated:
        with pytest.raises(ValueError, match=r"is of commit .*states 0000000"):
            figures.source_file(name)
    assert "is of commit" in next(figures.outdated())


def test_a_figure_written_by_hand_is_found(
    figures: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    text = figures.README.read_text(encoding="utf-8")
    assert text.count("<!-- measured: ") >= 3
    monkeypatch.setattr(figures, "README", tmp_path / "README.md")
    figures.README.write_text(text.replace(" ms ", " us ", 1), encoding="utf-8")
    (problem,) = figures.outdated()
    assert "run make figures" in problem


def test_the_rules_of_thumb_hold_in_the_rows(figures: ModuleType) -> None:
    table = figures.over_best("quick")
    large = {row[0]: float(row[2].rstrip("x")) for row in table.rows if row[2] != "-"}
    assert min(large, key=large.__getitem__) == "jax:cpu compiled"
    assert max(large, key=large.__getitem__) == "dask"
