"""The mutants of a file: cosmic-ray's operators that fit plans of whole numbers, and clamps."""

from __future__ import annotations

import ast
import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.operators.operator import Example, Operator
from cosmic_ray.plugins import get_operator, operator_names
from parso.python.tree import Name

# A - for a + is a slip; a << or a ** for it is none that anybody makes.
ARITHMETIC = {"Add", "Sub", "Mul", "Div", "FloorDiv", "Mod"}
SWAPPED = {"min": "max", "max": "min", "any": "all", "all": "any", "floor": "ceil"}


@dataclass(frozen=True)
class Mutant:
    """A changed source, and what changed in it."""

    source: str
    line: int
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.before}  ->  {self.after}"


class SwapCall(Operator):
    """Call the opposite: the largest for the smallest, rounded up for rounded down."""

    def mutation_positions(self, node: Any) -> Iterator[Any]:
        if node.type == "name" and node.value in SWAPPED and node.get_next_leaf().value == "(":
            yield node.start_pos, node.end_pos

    def mutate(self, node: Any, index: int) -> Any:
        node.value = SWAPPED[node.value]
        return node

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return (Example("min(x, 0)", "max(x, 0)"),)


class DropClamp(Operator):
    """Take either side of a min or max of two."""

    def mutation_positions(self, node: Any) -> Iterator[Any]:
        for _ in self._sides(node):
            yield node.start_pos, node.end_pos

    def mutate(self, node: Any, index: int) -> Any:
        prefix = node.get_first_leaf().prefix
        side = self._sides(node)[index].get_code().strip()
        return Name(f"({side})", node.start_pos, prefix)

    @staticmethod
    def _sides(node: Any) -> list[Any]:
        if node.type != "atom_expr" or len(node.children) != 2:
            return []
        function, trailer = node.children
        given = trailer.children[1] if len(trailer.children) == 3 else trailer
        if function.get_code().strip() not in {"min", "max"} or given.type != "arglist":
            return []
        return [child for child in given.children if child.type != "operator"]

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return (Example("min(x, 0)", "(x)"),)


def operators() -> Iterator[Operator]:
    for name in operator_names():
        kind = get_operator(name)
        replaced = re.fullmatch(r".*/Replace(Binary|Comparison)Operator_(\w+)_(\w+)", name)
        if replaced:
            family, old, new = replaced.groups()
            if family == "Binary":
                chosen = {old, new} <= ARITHMETIC or (old, new) == ("BitAnd", "BitOr")
            else:
                # For ints and names `is` is what == is, or a SyntaxWarning.
                chosen = len({old, new} & {"Is", "IsNot"}) != 1
        else:
            chosen = not kind.arguments()
        if chosen:
            yield kind()
    yield SwapCall()
    yield DropClamp()


def mutants(source: str) -> list[Mutant]:
    """Return every mutant of the source, each once, in the order of the lines."""
    tree, same = get_ast(source), _means(source)
    found = {}
    for operator in operators():
        places = [node for node in ast_nodes(tree) for _ in operator.mutation_positions(node)]
        for occurrence, node in enumerate(places):
            changed = mutate_code(source, operator, occurrence)
            if changed is not None and _means(changed) != same and not _is_notation(node):
                found[changed] = _mutant(source, changed)
    return sorted(found.values(), key=lambda mutant: (mutant.line, mutant.after))


def _is_notation(node: Any) -> bool:
    """Tell the * before keyword-only parameters, and zip's strict=True: lengths agree anyway."""
    if node.parent is not None and node.parent.type == "argument":
        return bool(node.parent.get_first_leaf().value == "strict")
    return node.parent is not None and node.parent.type == "parameters"


def _means(source: str) -> str:
    try:
        return ast.dump(ast.parse(source))
    except SyntaxError as error:
        return str(error)


def _mutant(source: str, changed: str) -> Mutant:
    old, new = source.splitlines(), changed.splitlines()
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    _, start, stop, low, high = next(c for c in matcher.get_opcodes() if c[0] != "equal")
    before, after = (" ".join(" ".join(part).split()) for part in (old[start:stop], new[low:high]))
    return Mutant(changed, start + 1, before, after)
