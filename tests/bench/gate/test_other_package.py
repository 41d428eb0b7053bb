"""The gate compares commits of a package that is not ours, whose operations are in a file."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command import run
from tests.support.injected_regression import git
from unpool_xp.bench.cases import loading
from unpool_xp.bench.gate import build as gate_build
from unpool_xp.bench.measure.host.load import LoadWatch

PROJECT = """
[project]
name = "scratch-stats"
version = "1"
"""
# Seconds are added to the clock that times it, which counts besides what the process works: other
# programs do not matter.
BASE = """
import time

WAIT = 20e-3

if not hasattr(time, "added"):
    time.added = 0.0
    time.perf_counter = lambda: time.process_time() + time.added

def take(seconds):
    time.added += seconds

def center(x, axis=-1):
    take(WAIT)
    return x - x.mean(axis, keepdims=True)

def scale(x):
    take(20e-3)
    return x / x.std(-1, keepdims=True)

def shift(x):
    return x + 1
"""
HEAD = """
WAIT *= 1.3

def spread(x):
    return x.max(-1) - x.min(-1)

def shift(x):
    return x + 2
"""
OPERATIONS = """
import numpy as np
from scratch_stats import center, scale, shift
from unpool_xp.bench import Operation, Parameter

SHAPES = [(20, 50)]

def inputs(shape, dtype, parameters, rng):
    return rng.standard_normal(shape).astype(dtype)

def nothing(shape, dtype, parameters, rng):
    raise KeyError("no data")

center = Operation(
    name="center", function=center, inputs=inputs, shapes=SHAPES,
    parameters={"axis": Parameter(help="Along which.", kind=int, default=0)},
)
scaled = Operation(name="scale", function=scale, inputs=inputs, shapes=SHAPES)
shift = Operation(
    name="shift", function=shift, inputs=inputs, shapes=SHAPES, reference=lambda x: x + 1
)
broken = Operation(name="broken", function=scale, inputs=nothing, shapes=SHAPES)
"""
PLUGIN = """
import sys
from pathlib import Path
from unpool_xp.bench import Operation

sys.path.append(str(Path(__file__).parent / "elsewhere"))
import plugin

plugged = Operation(
    name="plugged", function=plugin.plugged, shapes=[(20, 50)], reference=lambda x: x + 1
)
"""
ELSEWHERE = """
import scratch_stats

def plugged(x):
    return scratch_stats.shift(x)
"""
NEW_OPERATIONS = """
from scratch_stats import spread
from unpool_xp.bench import Operation

new = Operation(name="spread", function=spread, shapes=[(20, 50)])
calls_new = Operation(name="twice", function=lambda x: 2 * spread(x), shapes=[(20, 50)])
"""


def copy_install(tree: Path, python: Path) -> None:
    """What pip would do, without its seconds and its need of a network."""
    site = next((python.parents[1] / "lib").glob("python*/site-packages"))
    shutil.copytree(tree / "src", site, dirs_exist_ok=True)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A repository with a package; its branch "base" is followed by one in which it is slower."""
    folder = tmp_path / "repository"
    package = folder / "src" / "scratch_stats" / "__init__.py"
    package.parent.mkdir(parents=True)
    git(tmp_path, "init", "--quiet", "--initial-branch", "base", str(folder))
    (folder / "pyproject.toml").write_text(PROJECT)
    for branch, text in (("base", BASE), ("head", BASE + HEAD)):
        package.write_text(text)
        git(folder, "checkout", "--quiet", "-B", branch)
        git(folder, "add", "--all")
        git(folder, "commit", "--quiet", "--no-gpg-sign", "--message", branch)
    benchmarks = folder / "benchmarks"
    benchmarks.mkdir()
    files = {
        "my_ops.py": OPERATIONS,
        "new_ops.py": NEW_OPERATIONS,
        "plugin_ops.py": PLUGIN,
        "elsewhere/plugin.py": ELSEWHERE,
    }
    for name, text in files.items():
        (benchmarks / name).parent.mkdir(exist_ok=True)
        (benchmarks / name).write_text(text)
    monkeypatch.setattr(gate_build, "pip_install", copy_install)
    # It is installed here, too, as the working tree is; nothing of that is ever timed.
    monkeypatch.setattr("time.added", 0.0, raising=False)
    monkeypatch.syspath_prepend(folder / "src")
    monkeypatch.setattr(sys, "path", [*sys.path])  # the command adds to it
    loading._loaded.cache_clear()  # an entry point is new
    yield folder
    loading._loaded.cache_clear()
    sys.modules.pop("scratch_stats", None)


def test_a_planted_slowdown_of_somebodys_function_is_found_and_nothing_else(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Where other tests run beside this one, nothing would be decided.
    monkeypatch.setattr(LoadWatch, "is_disturbed", lambda watch: False)
    sources = [f"benchmarks/{name}_ops.py" for name in ("my", "new", "plugin")]
    options = ["--budget", "300", *(w for source in sources for w in ("--operation", source))]
    done = run("gate", "base", "-b", "numpy", *options, "--json", path=repository)
    assert done.returncode == 1, done.stderr
    found = json.loads(done.stdout)
    entries = {entry["name"].partition("-")[0]: entry for entry in found["entries"]}
    outcomes = {name: entry["outcome"] for name, entry in entries.items()}
    assert outcomes == {
        "center": "slower",
        "scale": "same",
        "shift": "broken",
        "plugged": "broken",
        "spread": "mended",
        "twice": "mended",
    }
    assert 1.28 < entries["center"]["ratio"] < 1.32
    # What calls the package calls that of its side.
    assert all("no time in head: wrong" in entries[name]["note"] for name in ("shift", "plugged"))
    assert "this version has no scratch_stats.spread" in entries["spread"]["note"]
    assert "cannot import name 'spread' from 'scratch_stats'" in entries["twice"]["note"]
    said = "broken-20x50-float32: wrong Operation: broken: inputs raised KeyError: 'no data'"
    assert f"not measured: {said}" in str(found["notes"])
    # Its own files are none of the repository's.
    assert ".gate" not in git(repository, "status", "--porcelain")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["base"], "name what to time, as in --operation my_ops.py"),
        (["base", "-o", "benchmarks/my_ops.py:center", "--kernel", "2"], "which takes --axis"),
        (["base", "--repository", ".."], "is in no git repository"),
    ],
)
def test_what_cannot_be_compared_is_said(arguments: list[str], said: str, repository: Path) -> None:
    done = run("gate", *arguments, "-b", "numpy", path=repository)
    assert done.returncode == 2
    assert said in done.stderr
