"""Find what `docs/english.toml` lists in the texts that people read; exit with 1 where it is."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
RULES = tomllib.loads((ROOT / "docs" / "english.toml").read_text(encoding="utf-8"))


def texts(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the texts of a file, with the lines on which they start."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        yield 1, text
        return
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            if (docstring := ast.get_docstring(node, clean=False)) is not None:
                yield node.body[0].lineno, docstring
        elif isinstance(node, ast.keyword) and node.arg == "help":
            yield node.value.lineno, ast.unparse(node.value)


def problems(path: Path) -> Iterator[str]:
    """Yield what a file has of the list, a line each."""
    for line, text in texts(path):
        for pattern, better in RULES["write"].items():
            for found in re.finditer(rf"\b{pattern}\b".replace(" ", r"\s+"), text, re.IGNORECASE):
                at = line + text.count("\n", 0, found.start())
                said = " ".join(found[0].split())
                yield f"{path.relative_to(ROOT)}:{at}: {said!r}; write {better!r}"


def main() -> None:
    """Look at every text."""
    pages = [*ROOT.glob("docs/*.rst"), *ROOT.glob("docs/api/*.rst"), *ROOT.glob("*.md")]
    code = [*ROOT.glob("unpool_xp/**/*.py"), *ROOT.glob("examples/*.py")]
    left = {ROOT / name for name in [*RULES["left"]["files"], "CHANGELOG.md"]}
    found = [one for path in sorted({*pages, *code} - left) for one in problems(path)]
    print(*found, sep="\n", end="\n" if found else "")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
