"""`make test-lowest` installs the lowest versions that pyproject.toml declares, and no others."""

from __future__ import annotations

import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[1]


def test_the_lowest_versions_are_those_that_are_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    lines = (ROOT / "constraints-lowest.txt").read_text(encoding="utf-8").splitlines()
    pinned = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    declared = {}
    names = (
        "torch",
        "jax",
        "mlx",
        "dask",
        "strict",
        "gallery",
        "bench",
        "cluster",
        "examples",
        "test",
    )
    for text in (*project["dependencies"], *(one for name in names for one in extras[name])):
        wanted = Requirement(text)
        if wanted.name != "unpool-xp":
            (bound,) = wanted.specifier
            assert bound.operator == ">=", text
            declared[wanted.name] = bound.version
    assert set(pinned) == {*declared, "jaxlib"}
    for name in set(declared) - {"torch"}:  # its older builds bring gigabytes of CUDA
        assert Version(pinned[name]) == Version(declared[name]), name
    assert Version(pinned["torch"]) >= Version(declared["torch"])
