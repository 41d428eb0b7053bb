"""The check of the English finds a listed phrase in every kind of text, and nothing else."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from tests.support.pages import DOCS, load_extension

LISTED = '"stood" = "was"\n"in place of" = "instead of"\n'


@pytest.fixture
def english() -> ModuleType:
    return load_extension("english")


def checkout(root: Path, file: str, text: str) -> Path:
    (root / "docs").mkdir(exist_ok=True)
    (root / "docs" / "english.toml").write_text(LISTED)
    (root / file).parent.mkdir(parents=True, exist_ok=True)
    (root / file).write_text(text)
    return root


@pytest.mark.parametrize(
    ("file", "text", "line"),
    [
        ("README.md", "It\nstood here.", 2),
        ("docs/page.rst", "A mean in place\nof a maximum.", 1),
        ("unpool_xp/bench/report/static/page.html", "<p>It stood here.", 1),
        ("unpool_xp/module.py", '"""The module.\n\nIt stood here.\n"""', 3),
        ("unpool_xp/deep/module.py", 'def f():\n    """Return what stood here."""', 2),
        ("unpool_xp/cli/module.py", 'option(help="What "\n"stood here.")', 1),
        ("unpool_xp/module.py", 'raise ValueError(f"{x} stood here")', 1),
        ("examples/module.py", 'print("a mean in place of a maximum")', 1),
    ],
    ids=["readme", "page", "report", "module", "docstring", "help", "message", "example"],
)
def test_a_listed_phrase_is_found(
    english: ModuleType, tmp_path: Path, file: str, text: str, line: int
) -> None:
    (problem,) = english.problems(checkout(tmp_path, file, text))
    assert problem.startswith(f"{file}:{line}: ")
    assert problem.endswith(("'stood'; write 'was'", "'in place of'; write 'instead of'"))
    with pytest.raises(SystemExit) as left:
        english.main(tmp_path)
    assert left.value.code


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("docs/page.rst", "It is understood."),
        ("unpool_xp/module.py", "stood = 1"),
        ("CHANGELOG.md", "It stood here."),
    ],
)
def test_anything_else_is_left_alone(
    english: ModuleType, tmp_path: Path, file: str, text: str
) -> None:
    assert [*english.problems(checkout(tmp_path, file, text))] == []


def test_the_list_of_this_project_is_read(english: ModuleType, tmp_path: Path) -> None:
    texts = "It is no array, had for want of memory, so many bytes a call; there is no error."
    root = checkout(tmp_path, "README.md", texts)
    (root / "docs" / "english.toml").write_text((DOCS / "english.toml").read_text())
    found = [problem.split(": ")[1] for problem in english.problems(root)]
    assert sorted(found) == [
        "'bytes a call'; write 'per'",
        "'for want of'; write 'for lack of'",
        "'is no array'; write 'is not a'",
    ]
