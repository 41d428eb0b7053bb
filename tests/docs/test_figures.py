"""The figures of the README and the documentation are those of committed rows."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest
from PIL import Image

from tests.support.pages import load_extension


@pytest.fixture
def figures() -> ModuleType:
    return load_extension("figures")


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
    monkeypatch.setattr("sys.argv", ["figures.py", "--check"])
    with pytest.raises(SystemExit) as left:
        figures.main()
    assert left.value.code


def test_a_picture_of_another_commit_is_found(
    figures: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(figures, "PICTURE", tmp_path / "report.png")
    Image.new("1", (1, 1)).save(figures.PICTURE)
    (problem,) = figures.outdated()
    assert "report.png is of another commit" in problem


def test_the_rules_of_thumb_hold_in_the_rows(figures: ModuleType) -> None:
    table = figures.over_best("quick")
    large = {row[0]: float(row[2].rstrip("x")) for row in table.rows if row[2] != "-"}
    assert min(large, key=large.__getitem__) == "jax:cpu compiled"
    assert max(large, key=large.__getitem__) == "dask"
