"""Import Python files by their path, and report in one line what is wrong with them."""

from __future__ import annotations

import importlib.util
import os
import sys
import traceback
from pathlib import Path
from types import ModuleType

from unpool_xp.backends.libraries import own_words

_SUFFIX = "_file"  # of the names of modules whose own is taken


def read_sources(variable: str) -> list[str]:
    """Return the sources in an environment variable, one per line."""
    return [source for source in os.environ.get(variable, "").split("\n") if source]


def add_source(variable: str, source: str) -> bool:
    """Add a source for this process and its children; return whether it was not there yet."""
    if source in (listed := read_sources(variable)):
        return False
    os.environ[variable] = "\n".join([*listed, source])
    return True


def module_title(name: str) -> str:
    """Return the name of a module, of one that `import_file` had to rename that of its file."""
    file = getattr(sys.modules.get(name), "__file__", None) or ""
    stem = name.removesuffix(_SUFFIX)
    return stem if Path(file).stem == stem else name


def import_file(file: Path) -> ModuleType:
    """Import a file of Python, whose name takes nothing from other modules.

    Parameters
    ----------
    file : Path
        Absolute.

    Returns
    -------
    module
        It can import what is beside the file.

    Raises
    ------
    FileNotFoundError
        If there is no such file. Whatever the file raises is raised as it is.
    """
    if not file.is_file():
        raise FileNotFoundError("no such file")
    known = sys.modules.get(file.stem)
    there = importlib.util.find_spec(file.stem) if known is None else known.__spec__
    name = file.stem if there is None or there.origin == str(file) else f"{file.stem}{_SUFFIX}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ImportError("not a Python file")
    if str(file.parent) not in sys.path:
        sys.path.append(str(file.parent))
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    return module


def explain_file(error: BaseException, file: str) -> str:
    """Return what an exception says, in one line, after the name of a file and the line in it."""
    text = own_words(error)
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if Path(frame.filename).name == file]
    if isinstance(error, FileNotFoundError) and not lines:
        text = "no such file"
    if isinstance(error, SyntaxError) and Path(error.filename or "").name == file:
        text, lines = error.msg, [error.lineno]
    return f"{file}{f', line {lines[-1]}' if lines else ''}: {text}"
