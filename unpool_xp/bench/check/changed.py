"""Which operations have changed since they were measured, by git and their own modules."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import unpool_xp
from unpool_xp.bench.rows.provenance import GitError, run_git
from unpool_xp.bench.rows.schema import Row

_PACKAGE = Path(unpool_xp.__file__).parent
_IMPORT = re.compile(r"from unpool_xp\._impl\.(\w+) import (\([^)]*\)|.*)")


def changed_first(operations: Sequence[str], rows: Iterable[Row]) -> list[str]:
    """Return the operations, those first whose rows are of another code.

    Parameters
    ----------
    operations : sequence of str
        Their names.
    rows : iterable of Row
        What was measured before.

    Returns
    -------
    list of str
        First those without a row or with a row of a commit since which one of their modules in
        `_impl` has changed, as far as git tells; then the others. Both in the given order.
    """
    commits: dict[str, tuple[str, str]] = {}  # the newest, with its time
    for row in rows:
        newest = commits.get(row.operation, ("", ""))
        commits[row.operation] = max(newest, (row.time, row.commit or ""))
    changes = {commit: _changed_modules(commit) for commit in {c for _, c in commits.values()}}

    def is_changed(name: str) -> bool:
        if name not in commits:
            return True
        return not changes[commits[name][1]].isdisjoint(_modules_of(name))

    return sorted(operations, key=lambda name: not is_changed(name))


def _changed_modules(commit: str) -> set[str]:
    """Return the modules of `_impl` that differ from a commit; none where git does not know it."""
    plain = commit.removesuffix("+dirty")
    if not re.fullmatch("[0-9a-f]{40,64}", plain):
        return set()
    try:
        names = run_git(_PACKAGE, "diff", "--name-only", plain, "--", "_impl").decode().split()
    except GitError:
        return set()
    return {Path(name).stem for name in names}


def _modules_of(operation: str) -> set[str]:
    """Return the modules of `_impl` that an operation of ours is made of."""
    function = getattr(unpool_xp, operation, None)
    if function is None:
        return set()
    module = inspect.getmodule(function)
    assert module is not None
    imports = _IMPORT.findall(inspect.getsource(module))
    used: set[str] = set()
    sources = [function]
    while sources:  # with the private functions beside it; a docstring names the others
        names = set(re.findall(r"\w+", inspect.getsource(sources.pop()))) - used
        used |= names
        beside = [vars(module).get(name) for name in names if name.startswith("_")]
        sources += [one for one in beside if inspect.isfunction(one)]
    left = [name for name, what in imports if used.intersection(re.findall(r"\w+", what))]
    found: set[str] = set()
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            text = (_PACKAGE / "_impl" / f"{name}.py").read_text(encoding="utf-8")
            left += [one for one, _ in _IMPORT.findall(text)]
    return found
