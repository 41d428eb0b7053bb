"""Installed libraries of the standard that have no backend here."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from tests.support.command import run
from unpool_xp import backends
from unpool_xp.backends import discovery
from unpool_xp.bench.check.run import check_operation

ROOT = Path(__file__).parents[2]
LIBRARY = """
import os
import sys

import numpy as np

from tests.support import minimal_library

class Array(minimal_library.Array):
    def __array_namespace__(self, api_version=None):
        return sys.modules[__name__]

    def __array__(self, dtype=None, copy=None):
        return np.array(self._data)

globals().update(minimal_library.names_of(Array))
"""
DIES = "def searchsorted(*args, **options):\n    os._exit(7)\n"
MUTE = "del Array.__array__\n"
LIBRARIES = {"mine": "", "mine_dies": DIES, "mine_mute": MUTE, "mine_broken": "import no_such"}


@pytest.fixture(autouse=True)
def _libraries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install libraries that declare themselves, here and for child processes."""
    for name, more in LIBRARIES.items():
        (tmp_path / f"{name}.py").write_text(LIBRARY + more)
        metadata = tmp_path / f"{name}-1.2.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
        (metadata / "entry_points.txt").write_text(f"[array_api]\n{name} = {name}\n")
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(ROOT)]), os.pathsep)


def test_libraries_that_declare_themselves_are_found_without_an_import() -> None:
    found = backends.unlisted()
    assert set(LIBRARIES) <= set(found)
    assert "numpy" not in found  # which declares itself, too
    assert set(LIBRARIES).isdisjoint({*backends.known(), *sys.modules})
    assert backends.full_label("mine") == "mine"


def test_one_that_does_not_is_found_where_its_namespace_is(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {"pytest": "numpy.linalg", "msgspec": "xml.no_such", "no-such": "numpy"}
    monkeypatch.setattr(discovery, "_UNDECLARED", names)
    assert discovery.find_unlisted(())["numpy"] == ("numpy", "numpy")  # by its own entry point
    monkeypatch.setattr(discovery, "entry_points", lambda group: ())
    assert discovery.find_unlisted(()) == {"numpy": ("pytest", "numpy.linalg")}
    assert discovery.find_unlisted(["numpy"]) == {}


def test_operations_run_on_what_the_standard_says_of_it() -> None:
    backend = backends.load("mine")
    assert (backend.version, backend.facts.name) == ("1.2", "the only one")
    for operation in ("max_pool", "max_unpool"):
        (result,) = check_operation(backend, operation, "float32")
        assert result.outcome == "passed", result.detail
    backend.synchronize(backend.xp.zeros(3))
    mute = backends.load("mine_mute")
    with pytest.raises(TypeError, match="mine_mute: NumPy cannot read Array"):
        mute.synchronize(mute.xp.zeros(3))


def test_each_is_tried_in_a_process_of_its_own() -> None:
    labels = [word for name in LIBRARIES if name != "mine_mute" for word in ("-b", name)]
    shown = run("backends", *labels, "--quick", "--json")
    assert shown.returncode == 2, shown.stderr  # one that was named is missing
    mine, dies, broken = json.loads(shown.stdout)
    assert {result["outcome"] for result in mine["tried"].values()} == {"passed"}
    assert dies["tried"]["max_pool"]["outcome"] == "passed"
    lost = "crashed: mine_dies ended with exit code 7"
    assert dies["tried"]["max_unpool"] == {"outcome": "failed", "detail": lost, "lacks": []}
    assert broken["missing"].endswith("does not import: No module named 'no_such'")
