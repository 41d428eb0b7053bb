"""Find what `docs/english.toml` lists in the texts that people read; exit with 1 where it is."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = ("*.md", "Makefile", "docs/*.rst", "docs/api/*.rst", "unpool_xp/bench/report/static/*.*")
CODE = ("unpool_xp/**/*.py", "examples/**/*.py", "benchmarks/**/*.py", "docs/_ext/*.py")
LEFT = ("CHANGELOG.md",)  # older entries keep their words


def texts(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the texts of a file, with the lines on which they start.

    Of Python they are its strings: docstrings, help texts and messages.
    """
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        yield 1, text
        return
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


def problems(root: Path = ROOT) -> Iterator[str]:
    """Yield what the files of a checkout have of the list, a line each."""
    rules = tomllib.loads((root / "docs" / "english.toml").read_text(encoding="utf-8"))
    found = {path for pattern in (*PAGES, *CODE) for path in root.glob(pattern)}
    for path in sorted(found - {root / name for name in LEFT}):
        for line, text in texts(path):
            for pattern, better in rules.items():
                whole = rf"\b{pattern}\b".replace(" ", r"\s+")
                for match in re.finditer(whole, text, re.IGNORECASE):
                    at = line + text.count("\n", 0, match.start())
                    said = " ".join(match[0].split())
                    yield f"{path.relative_to(root)}:{at}: {said!r}; write {better!r}"


def main(root: Path = ROOT) -> None:
    """Look at every text."""
    found = [*problems(root)]
    print(*found, sep="\n", end="\n" if found else "")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
