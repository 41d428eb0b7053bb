"""The benchmark of an array larger than memory: right, within its limit, and the limit is one."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.support.command import python

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "dask" / "out_of_core.py"
COMMAND = (SCRIPT, "--gigabytes", "0.05", "--block", "1x4x64x64", "--seconds", "0.01", "--json")

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="RLIMIT_AS and /proc are Linux's"
)


@pytest.mark.parametrize("store", [False, True])
def test_it_says_what_it_took_and_the_result_is_right(tmp_path: Path, store: bool) -> None:
    done = python(*COMMAND, "--limit", "3", *(("--zarr", str(tmp_path)) if store else ()))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["run"]["right"]
    assert found["run"]["gb"] >= 0.05
    assert 0 < found["run"]["peak_gb"] <= found["run"]["mapped_gb"] <= found["limit_gb"] == 3
    assert found["share_of_numpy_a_core"] > 0
    assert not list(tmp_path.iterdir())


def test_what_needs_more_than_the_limit_fails() -> None:
    done = python(*COMMAND, "--limit", "0.05")
    assert done.returncode
    assert not done.stdout


def test_a_block_that_cannot_be_is_named() -> None:
    assert "--block [1, 3, 5, 5]" in python(*COMMAND, "--block", "1x3x5x5").stderr
