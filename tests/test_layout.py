"""Where everything goes and what it is called: folders of one concern, names of the field."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import unpool_xp

PACKAGE = Path(unpool_xp.__file__).parent
FOLDERS = sorted(path.parent for path in PACKAGE.rglob("__init__.py"))
MODULES = sorted(PACKAGE.rglob("*.py"))
MAP = PACKAGE.parent / "CONTRIBUTING.md"

# Names that the code once had, each replaced by the field's own word.
FORMER_NAMES = {
    *("plain", "smooth", "at_hand", "readable", "looked", "writable", "fuses_lookups", "in_chunks"),
    *("number", "at", "along", "constant", "padded", "surrounded", "raised", "times"),
    *("interleaved", "repeated", "lined_up", "take_known", "take_places", "blocks_pay"),
    *("in_blocks", "in_parts", "scatter_refuses", "cells_to_spare", "shares", "landings"),
    *("AxisSpread", "_spread", "spread", "_side_by_side", "suits", "taps", "stand_ins", "shifts"),
    *("first_shifts", "step", "reach", "Windows", "Means", "Regions", "Interpolation", "means"),
    *("transposed", "linear", "pace", "cuts", "Whole", "Part", "ReachParts", "AxisReach"),
    *("put_in_reach", "Picking", "Entries", "_picked", "put_entries", "by_chunks", "Core", "More"),
    *("_Strips", "kept", "made_anew", "Planner", "arguments", "Call", "place", "counting"),
    *("_lean_numpy", "_lean_torch", "_weave", "_woven", "_mended", "_between", "way", "_Put"),
    *("_signed", "Given", "Inputs", "given", "give", "UnsuitedError", "is_poisoned", "_Rounds"),
    *("turns", "weighed", "_Later", "how", "HOWS", "split_how", "how_of", "where", "pairs"),
    *("fractions", "up", "refused", "question", "origin_of", "writing", "Side", "Trio", "Taken"),
    *("Pass", "Question", "again", "twin_differences", "suspect", "Judged", "Compared", "Checked"),
    *("Measured", "Member", "Board", "stranded", "patience", "_bury", "_epitaph", "_said"),
    *("Line", "asked", "found", "copying", "multiplying", "growing", "recorded", "replay_of"),
    *("_Watched", "_noted", "_Names", "squeeze", "bands", "Payback", "Exhibition", "settled"),
    *("Doubling", "look", "wording", "digits", "judge", "machines_of", "show", "replay"),
    *("harness_truth", "planted", "test_waits", "OperationSpec", "Oracle"),
}
# Modules whose name was also that of a function with another meaning.
MODULE_NAMES = {"arguments", "transposed", "linear"}


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: str(path.relative_to(PACKAGE.parent)))
def test_a_folder_is_one_concern(folder: Path) -> None:
    modules = [path for path in folder.glob("*.py") if path.name != "__init__.py"]
    assert len(modules) <= 12
    docstring = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8")))
    assert docstring
    if folder != PACKAGE:
        assert re.search(r"\bImports?\b", docstring), "say what the folder may import"


def test_a_module_is_read_in_a_sitting() -> None:
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES}
    assert {str(path): count for path, count in lines.items() if count > 400} == {}


def test_names_are_the_fields() -> None:
    former = []
    for path in MODULES:
        name = path.relative_to(PACKAGE.parent).as_posix()
        if path.stem in FORMER_NAMES - MODULE_NAMES:
            former.append(name)
        former += [
            f"{name}:{node.lineno}: {node.name}"
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name in FORMER_NAMES
        ]
    assert former == []


def test_the_module_map_has_the_docstrings_of_the_folders() -> None:
    rows = dict(
        re.findall(r"^\| `(unpool_xp/[\w/]*)` \| (.*) \|$", MAP.read_text("utf-8"), re.MULTILINE)
    )
    wanted = {}
    for folder in FOLDERS:
        tree = ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))
        first = (ast.get_docstring(tree) or "").partition("\n")[0]
        wanted[f"{folder.relative_to(PACKAGE.parent).as_posix()}/"] = first
    assert rows == wanted
