"""Where operations come from: installed packages, ours among them, and people's own files."""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.util
import os
import re
import sys
import traceback
from collections.abc import Iterator, Mapping
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from unpool_xp.bench.cases.inputs import OperationError
from unpool_xp.bench.cases.operation import Operation

# Sources that were asked for, so that the processes of the backends load them as well.
VARIABLE = "UNPOOL_XP_OPERATIONS"
_GROUP = "unpool_xp.operations"


def operations() -> Mapping[str, Operation]:
    """Return the operations by name: those of installed packages, then those that were loaded."""
    return _loaded()[0]


def problems() -> list[str]:
    """Return for each source that was not asked for by name, and does not load, a line on why."""
    return [*_loaded()[1]]


def load_operations(source: str) -> list[Operation]:
    """Load operations of a file, a folder or a module; every command then knows them by name.

    Parameters
    ----------
    source : str
        ``my_ops.py``, ``my_ops.py:cov`` for one of its operations, a folder of such files, or a
        module that can be imported, such as ``package.module`` or ``package.module:cov``.

    Returns
    -------
    list of Operation
        In the order in which the file defines them. Of a folder, those of the files that load.

    Raises
    ------
    OperationError
        If it does not load, or has no operation; the message says in a line why.

    Examples
    --------
    >>> from unpool_xp.bench import load_operations
    >>> load_operations("nowhere.py")
    Traceback (most recent call last):
        ...
    unpool_xp.bench.cases.inputs.OperationError: nowhere.py: no such file
    """
    target, name = _split(source)
    path = Path(target)
    if path.exists() or _is_path(target):
        target = str(path.resolve())
    found, failed = _read(target)
    if not found:
        raise OperationError(failed[0] if failed else f"{source}: there is no operation in it")
    if name and name not in found:
        raise OperationError(f"{source}: no operation {name!r}; there are {', '.join(found)}")
    known, origins = operations(), _loaded()[2]
    for one in found:
        if one in known and origins[one] != target:
            raise OperationError(f"{source}: {origins[one]} has an operation {one!r}, too")
    listed = _sources()
    if target not in listed:
        os.environ[VARIABLE] = os.pathsep.join([*listed, target])
        _loaded.cache_clear()
    return [found[name]] if name else [*found.values()]


def is_source(text: str) -> bool:
    """Return whether a text says where an operation is, not what it is called."""
    target, _ = _split(text)
    return _is_path(target) or ":" in text or "." in text


def _is_path(target: str) -> bool:
    return target.endswith(".py") or "/" in target or os.sep in target


def _split(source: str) -> tuple[str, str]:
    """Return the file, the folder or the module, and the operation's name or an empty one."""
    named = re.fullmatch(r"(.+):([A-Za-z]\w*)", source)
    return (named[1], named[2]) if named else (source, "")


def _sources() -> list[str]:
    return [source for source in os.environ.get(VARIABLE, "").split(os.pathsep) if source]


@functools.cache
def _loaded() -> tuple[dict[str, Operation], list[str], dict[str, str]]:
    """Return the operations by name, what went wrong, and the origin of each operation."""
    found: dict[str, Operation] = {}
    origins: dict[str, str] = {}
    failed: list[str] = []

    def add(origin: str, more: Mapping[str, Operation]) -> None:
        for name, operation in more.items():
            if name in found:
                failed.append(f"{origin}: {origins[name]} has an operation {name!r}, too")
            else:
                found[name], origins[name] = operation, origin

    for point in sorted(entry_points(group=_GROUP), key=lambda one: one.name != "unpool_xp"):
        try:
            with _named(point.name):
                add(point.name, _by_name(point.load(), point.name))
        except OperationError as error:
            failed.append(str(error))
    for source in _sources():
        more, wrong = _read(source)
        add(source, more)
        failed += wrong
    return found, failed, origins


@functools.cache
def _read(target: str) -> tuple[dict[str, Operation], list[str]]:
    """Return the operations of a file, of a folder or of a module, and what does not load."""
    path = Path(target)
    files = sorted(path.glob("*.py")) if path.is_dir() else [path]
    found: dict[str, Operation] = {}
    failed = []
    for file in files:
        try:
            shown = file.name if _is_path(target) else target
            with _named(shown):
                module = _import_file(file) if _is_path(target) else _import_module(target)
            more = _by_name(vars(module).values(), shown)
            for name in found.keys() & more.keys():
                raise OperationError(f"{shown}: another file has an operation {name!r}, too")
            found |= more
        except OperationError as error:
            failed.append(str(error))
    return found, failed


def _import_file(file: Path) -> ModuleType:
    if not file.is_file():
        raise OperationError(f"{file.name}: no such file")
    folder = str(file.parent)
    if folder not in sys.path:
        sys.path.append(folder)  # for what it imports from beside it
    name = file.stem if file.stem not in sys.modules else f"{file.stem}_operations"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise OperationError(f"{file.name}: no file of Python")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _import_module(name: str) -> ModuleType:
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.append(folder)
    return importlib.import_module(name)


@contextlib.contextmanager
def _named(source: str) -> Iterator[None]:
    """Say where an error of somebody's file is; keep what it prints out of the output."""
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    except OperationError as error:
        text = str(error)
        raise OperationError(text if text.startswith(source) else f"{source}: {text}") from error
    except SyntaxError as error:
        raise OperationError(f"{source}, line {error.lineno}: {error.msg}") from error
    except (Exception, SystemExit) as error:
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame.lineno for frame in frames if Path(frame.filename).name == source]
        line = f", line {lines[-1]}" if lines else ""
        words = " ".join(str(error).split())
        raise OperationError(f"{source}{line}: {type(error).__name__}: {words}") from error


def _by_name(values: Any, source: str) -> dict[str, Operation]:
    """Return the operations among values: one alone, or several of them."""
    found: dict[str, Operation] = {}
    for value in [values] if isinstance(values, Operation) else values:
        if isinstance(value, Operation):
            if found.get(value.name, value) is not value:
                raise OperationError(f"{source}: two operations are called {value.name!r}")
            found[value.name] = value
    return found
