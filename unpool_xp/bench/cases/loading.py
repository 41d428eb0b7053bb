"""Where operations come from: installed packages, ours among them, and people's own files."""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
import re
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from unpool_xp.backends.files import add_source, explain_file, import_file, read_sources
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
    found, failed, _ = _read(target)
    if not found:
        raise OperationError("\n".join(failed) or f"{source}: there is no operation in it")
    if name and name not in found:
        raise OperationError(f"{source}: no operation {name!r}; there are {', '.join(found)}")
    known, _, origins = _loaded()
    free = {one: found[one] for one in found if known.get(one, found[one]) is found[one]}
    for one in [name] if name else found:
        # Of a folder the others go on.
        if one not in free and not (path.is_dir() and free):
            raise OperationError(f"{source}: {origins[one]} has an operation {one!r}, too")
    if add_source(VARIABLE, target):
        _loaded.cache_clear()
    return [found[name]] if name else [*free.values()]


def is_source(text: str) -> bool:
    """Return whether a text says where an operation is, not what it is called."""
    target, _ = _split(text)
    is_folder = text != "" and Path(text).is_dir() and text not in operations()
    return _is_path(target) or ":" in text or "." in text or is_folder


def _is_path(target: str) -> bool:
    return target.endswith(".py") or "/" in target or os.sep in target


def _split(source: str) -> tuple[str, str]:
    """Return the file, the folder or the module, and the operation's name or an empty one."""
    named = re.fullmatch(r"(.+):([A-Za-z]\w*)", source)
    return (named[1], named[2]) if named else (source, "")


@functools.cache
def _loaded() -> tuple[dict[str, Operation], list[str], dict[str, str]]:
    """Return the operations by name, what went wrong, and the origin of each operation."""
    found: dict[str, Operation] = {}
    origins: dict[str, str] = {}
    failed: list[str] = []

    def add(more: Mapping[str, Operation], files: Mapping[str, str]) -> None:
        for name, operation in more.items():
            if found.setdefault(name, operation) is not operation:
                failed.append(f"{files[name]}: {origins[name]} has an operation {name!r}, too")
            origins.setdefault(name, files[name])

    for point in sorted(entry_points(group=_GROUP), key=lambda one: one.name != "unpool_xp"):
        try:
            with _named(f"entry point {point.name}"):
                more = _by_name(point.load())
            add(more, dict.fromkeys(more, point.name))
        except OperationError as error:
            failed.append(str(error))
    for source in read_sources(VARIABLE):
        more, wrong, files = _read(source)
        add(more, files)
        failed += wrong
    return found, failed, origins


@functools.cache
def _read(target: str) -> tuple[dict[str, Operation], list[str], dict[str, str]]:
    """Return the operations of a file, a folder or a module, what does not load, and the files."""
    path = Path(target)
    files = sorted(path.glob("*.py")) if path.is_dir() else [path]
    found: dict[str, Operation] = {}
    places: dict[str, str] = {}
    failed = []
    for file in files:
        try:
            shown = file.name if _is_path(target) else target
            with _named(shown):
                module = import_file(file) if _is_path(target) else _import_module(target)
                more = _by_name([*vars(module).values()])
                for name in more:
                    if found.get(name, more[name]) is not more[name]:
                        raise OperationError(f"{places[name]} has an operation {name!r}, too")
            places = dict.fromkeys(more, shown) | places
            found |= more
        except OperationError as error:
            failed.append(str(error))
    return found, failed, places


def _import_module(name: str) -> ModuleType:
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.append(folder)
    return importlib.import_module(name)


@contextlib.contextmanager
def _named(source: str) -> Iterator[None]:
    """Report where the error in a user's file is; keep what the file prints out of the output."""
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    except (Exception, SystemExit) as error:
        text = explain_file(error, source).replace("OperationError: ", "")
        raise OperationError(text) from error


def _by_name(values: Any) -> dict[str, Operation]:
    """Return the operations among values: one alone, or several of them, in lists or not."""
    found: dict[str, Operation] = {}
    for value in values if isinstance(values, tuple | list) else [values]:
        for one in value if isinstance(value, tuple | list) else [value]:
            if isinstance(one, Operation) and found.setdefault(one.name, one) is not one:
                raise OperationError(f"two operations are called {one.name!r}")
    if not found:
        raise OperationError("there is no operation in it")
    return found
