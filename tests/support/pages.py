"""The documentation, built from a copy, and the modules that it is built with."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from pathlib import Path
from types import ModuleType

from tests.support.command import python

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def copy_sources(folder: Path) -> Path:
    """Copy the pages and what they include, without what another build left behind."""
    shutil.copytree(ROOT / "examples", folder / "examples")  # which become pages
    shutil.copy(ROOT / "CHANGELOG.md", folder)
    kept = shutil.ignore_patterns("_build", "examples", "generated")
    return shutil.copytree(DOCS, folder / "docs", ignore=kept)


def build_pages(builder: str, source: Path, *more: str) -> Path:
    """Build the pages, with a warning where a name leads nowhere or an example is wrong."""
    out = source.parent / builder
    options = ("-W", "--keep-going", "-q", "-b", builder, "-d", source.parent / "doctrees", *more)
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    built = python("-m", "sphinx", *options, source, out, PYTHONPATH=path)
    assert built.returncode == 0, built.stdout + built.stderr
    return out


def load_extension(name: str) -> ModuleType:
    """Return a module of `docs/_ext`, loaded again: it may keep what it has read."""
    spec = importlib.util.spec_from_file_location(name, DOCS / "_ext" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where dataclasses look
    spec.loader.exec_module(module)
    return module
