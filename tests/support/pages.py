"""The documentation, built from a copy."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from tests.support.command import python

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def copy_sources(folder: Path) -> Path:
    """Copy the pages and what they include, without what another build left behind."""
    shutil.copytree(ROOT / "examples", folder / "examples")  # which become pages
    shutil.copy(ROOT / "CHANGELOG.md", folder)
    kept = shutil.ignore_patterns("_build", "examples", "generated")
    return shutil.copytree(DOCS, folder / "docs", ignore=kept)


def build_pages(builder: str, source: Path) -> Path:
    """Build the pages, with a warning where a name leads nowhere or an example is wrong."""
    out = source.parent / builder
    options = ("-W", "--keep-going", "-q", "-b", builder, "-d", source.parent / "doctrees")
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    built = python("-m", "sphinx", *options, source, out, PYTHONPATH=path)
    assert built.returncode == 0, built.stdout + built.stderr
    return out
