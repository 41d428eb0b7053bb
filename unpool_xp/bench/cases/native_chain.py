"""A library's own functions one after another, for a case that is made of several operations."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice, product
from typing import Any

from unpool_xp.backends import Backend
from unpool_xp.bench.cases.case import Case
from unpool_xp.bench.cases.native import Native, define, output_names

MOST_CHAINS = 4  # of a library


def native_chains(case: Case) -> list[Native]:
    """Return the chains of each library's own functions that do a case.

    All parts of one operation are done by the same function. A library that has several for an
    operation has several chains, in which each function occurs; one that has none for a part, has
    none.

    Parameters
    ----------
    case : Case
        What the chains do.

    Returns
    -------
    list of Native
        At most `MOST_CHAINS` of each library.
    """
    natives = (native for part in case.parts for native in part.definition.natives)
    return [
        _chain(library, case.forward, dict(zip(choices, chosen, strict=True)))
        for library in dict.fromkeys(native.library for native in natives)
        for choices in [_choices(library, case)]
        for chosen in _varied([*choices.values()])
    ]


def _choices(library: str, case: Case) -> dict[str, list[Native]]:
    """Return, by operation, what does all parts that are of it."""
    choices: dict[str, list[Native]] = {}
    for part, (_, made) in zip(case.parts, case.definition.names(case), strict=True):
        needs_indices = any(name != "_" for name in made[1:])
        able = [
            native
            for native in part.natives(library)
            if native.reason(part) is None and not (native.values_only and needs_indices)
        ]
        before = choices.get(part.operation, able)
        choices[part.operation] = [native for native in before if native in able]
    return choices


def _varied(choices: Sequence[Sequence[Native]]) -> list[tuple[Native, ...]]:
    """Return combinations in which each native occurs, then others while there are few."""
    every = islice(product(*choices), MOST_CHAINS)
    if not all(choices):
        return []
    diagonal = [tuple(of[n % len(of)] for of in choices) for n in range(MOST_CHAINS)]
    return list(dict.fromkeys([*diagonal, *every]))[:MOST_CHAINS]


@dataclass(frozen=True)
class _Link:
    """A part of a chain: a function, whose prepared values end with its number."""

    part: Case
    native: Native
    number: int

    @property
    def name(self) -> str:
        return f"layer_{self.number}"

    @property
    def outputs(self) -> list[str]:
        return ["y"] if self.native.values_only else output_names(self.part)

    def lines(self) -> list[str]:
        once = list(self.native.once(self.part))
        body = [*self.native.lines(self.part), f"return {', '.join(self.outputs)}"]
        lines = [*once, *define(self.name, list(self.part.inputs), body)]
        names = "|".join(_assigned(once))
        rename = re.compile(rf"(?<![\w.])({names})\b")  # no attribute, such as np.ones
        return [rename.sub(rf"\1_{self.number}", line) for line in lines] if names else lines

    def drawn(self, backend: Backend) -> dict[str, Any]:
        found = self.native.drawn(self.part, backend)
        return {f"{name}_{self.number}": value for name, value in found.items()}


def _assigned(lines: Sequence[str]) -> list[str]:
    """Return the names that lines of Python give to values and functions."""
    names: list[str] = []
    for node in ast.parse("\n".join(lines)).body:
        if isinstance(node, ast.FunctionDef):
            names.append(node.name)
        elif isinstance(node, ast.Assign):
            names += [target.id for target in node.targets if isinstance(target, ast.Name)]
    return names


def _links(case: Case, chosen: dict[str, Native]) -> list[_Link]:
    """Return what does each part; the same function where a part is done by the same lines."""
    links: list[_Link] = []
    same: dict[tuple[object, ...], int] = {}
    for number, part in enumerate(case.parts, start=1):
        native = chosen[part.operation]
        once = native.once(part)
        does = (part if once else None, native, *once, *native.lines(part))
        links.append(_Link(part, native, same.setdefault(does, number)))
    return links


def _chain(library: str, case: Case, chosen: dict[str, Native]) -> Native:
    links = _links(case, chosen)
    titles = dict.fromkeys(link.native.title.format(d=link.part.rank) for link in links)
    first, *others = titles
    short = [re.sub(r"^([A-Za-z_]+\.)+", "", title) for title in others]
    calls = [
        f"{', '.join(made[: len(link.outputs)])} = {link.name}({', '.join(taken)})"
        for link, (taken, made) in zip(links, case.definition.names(case), strict=True)
    ]
    functions = {link.number: link for link in links}.values()
    return Native(
        library,
        "; ".join([first, *short]),
        lambda case: calls,
        once=lambda case: [line for link in functions for line in link.lines()],
        drawn=lambda case, backend: {
            name: value for link in functions for name, value in link.drawn(backend).items()
        },
    )
