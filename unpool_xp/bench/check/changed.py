"""Which operations have changed since they were measured, by git and what their code refers to."""

from __future__ import annotations

import ast
import functools
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import unpool_xp
from unpool_xp.bench.rows.provenance import GitError, run_git
from unpool_xp.bench.rows.schema import Row
from unpool_xp.capabilities import OPERATIONS

_PACKAGE = Path(unpool_xp.__file__).parent
_Symbol = tuple[str, str]  # a module of the package, and a name in it; "" stands for all of them


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
        First those without a row or with a row of a commit since which one of the files with
        their code has changed, as far as git tells; then the others. Both in the given order.
    """
    commits: dict[str, tuple[str, str]] = {}  # the newest, with its time
    for row in rows:
        newest = commits.get(row.operation, ("", ""))
        commits[row.operation] = max(newest, (row.time, row.commit or ""))
    changes = {commit: _changed_files(commit) for commit in {c for _, c in commits.values()}}

    def is_changed(name: str) -> bool:
        if name not in commits:
            return True
        return not changes[commits[name][1]].isdisjoint(_files_of(name))

    return sorted(operations, key=lambda name: not is_changed(name))


def _changed_files(commit: str) -> set[Path]:
    """Return the files of the package that differ from a commit; none if git does not know it."""
    plain = commit.removesuffix("+dirty")
    if not re.fullmatch("[0-9a-f]{40,64}", plain):
        return set()
    try:
        names = run_git(_PACKAGE, "diff", "--relative", "--name-only", plain, "--", ".")
    except GitError:
        return set()
    return {_PACKAGE / name for name in names.decode().splitlines()}


def _files_of(operation: str) -> set[Path]:
    """Return the files with the code of an operation of ours: where all of its names lead."""
    if operation not in OPERATIONS:
        return set()
    function = getattr(unpool_xp, operation)
    found: set[_Symbol] = set()
    left: set[_Symbol] = {(function.__module__, operation)}
    while left:
        found |= left
        left = {symbol for module, name in left for symbol in _references(module)[name]} - found
    return {_file_of(module) for module, _ in found}


def _file_of(module: str) -> Path:
    path = _PACKAGE.parent.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


@functools.cache
def _references(module: str) -> defaultdict[str, set[_Symbol]]:
    """Return what the code of each name of a module refers to, there and in other modules.

    What a module does on import, beside defining names, belongs to all of its names. Types are
    followed, too: a file too many does no harm.
    """
    tree = ast.parse(_file_of(module).read_text(encoding="utf-8"))
    found: defaultdict[str, set[_Symbol]] = defaultdict(set)
    modules: dict[str, str] = {}
    for node in ast.walk(tree):  # a function may import as well
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith(unpool_xp.__name__):
            for alias in node.names:
                name, target = alias.asname or alias.name, (str(node.module), alias.name)
                if _file_of(".".join(target)).exists():
                    modules[name] = ".".join(target)
                else:
                    found[name].add(target)

    def refer(node: ast.AST) -> Iterator[_Symbol]:
        if isinstance(node, ast.Name):
            yield (modules[node.id], "") if node.id in modules else (module, node.id)
        elif isinstance(node, ast.Attribute) and getattr(node.value, "id", None) in modules:
            yield modules[node.value.id], node.attr  # type: ignore[attr-defined]
        else:
            for child in ast.iter_child_nodes(node):
                yield from refer(child)

    on_import: set[_Symbol] = set()
    for statement in tree.body:
        names = _names_set_by(statement)
        for name in names:
            found[name].update(refer(statement))
        if not names:
            on_import.update(refer(statement))
    for references in found.values():
        references |= on_import
    found[""] = {(module, name) for name in found}
    return found


def _names_set_by(statement: ast.stmt) -> set[str]:
    """Return the name of a function or a class, or those that an assignment sets."""
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        return {statement.name}
    if not isinstance(statement, ast.Assign | ast.AnnAssign):
        return set()
    nodes = ast.walk(statement)
    return {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
