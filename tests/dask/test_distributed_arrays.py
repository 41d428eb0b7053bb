"""On workers of dask.distributed the operations give what they give in memory, come what may."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import dask.array as da
import distributed
import numpy as np
import psutil
import pytest

import unpool_xp as ux
from tests.support.calls import chunked, every_call, outputs
from tests.support.command import python


@pytest.fixture(scope="module")
def client() -> Iterator[distributed.Client]:
    """Two workers, each a process of its own."""
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0"
        ) as local,
        distributed.Client(local, set_as_default=False) as one,
    ):
        yield one


def computed(client: distributed.Client, *lazy: da.Array) -> list[np.ndarray]:
    return [future.result(timeout=120) for future in client.compute(list(lazy))]


@every_call
def test_processes_give_what_memory_gives(client: distributed.Client, call: Any) -> None:
    function, arrays, options = call
    lazy = outputs(function(*chunked(arrays, (1, 4, -1, -1)), **options))
    wanted = outputs(function(*arrays, **options))
    for one, right in zip(computed(client, *lazy), wanted, strict=True):
        np.testing.assert_allclose(one, right, rtol=1e-5, atol=1e-5)


def dies_once(block: np.ndarray, flag: Path, block_info: Any = None) -> np.ndarray:
    """End the worker that is the first to come to the block in the middle."""
    if block_info[0]["chunk-location"] == (3, 0, 0, 0):
        try:
            flag.touch(exist_ok=False)
        except FileExistsError:
            return block
        psutil.Process().kill()
    return block


@pytest.mark.parametrize("sizes", [(1, 3, -1, -1), (1, 3, 6, 10)])
def test_a_worker_that_is_killed_loses_nothing(
    client: distributed.Client, tmp_path: Path, sizes: tuple[int, ...]
) -> None:
    x = np.random.default_rng(0).normal(size=(6, 3, 24, 20)).astype("float32")
    flag = tmp_path / "died"
    pids = set(client.run(os.getpid).values())
    source = da.from_array(x, chunks=sizes).map_blocks(
        partial(dies_once, flag=flag), dtype=x.dtype, meta=x[:0]
    )
    values, indices = ux.max_pool(source, 3, stride=2)
    restored = ux.max_unpool(values, indices, 3, stride=2, duplicates="sum", output_size=(24, 20))
    got = computed(client, values, indices, restored, ux.linear_unpool(values, 2))
    assert flag.exists()
    pooled = ux.max_pool(x, 3, stride=2)
    wanted = ux.max_unpool(*pooled, 3, stride=2, duplicates="sum", output_size=(24, 20))
    for one, right in zip(got, [*pooled, wanted, ux.linear_unpool(pooled[0], 2)], strict=True):
        np.testing.assert_allclose(one, right, rtol=1e-5, atol=1e-5)
    client.wait_for_workers(2, timeout=60)
    assert set(client.run(os.getpid).values()) != pids


def test_the_example_of_large_arrays_runs_on_processes_too(tmp_path: Path) -> None:
    script = Path(__file__).parents[2] / "examples" / "larger_than_memory.py"
    options = ("--scheduler", "processes", "--pictures", "4")
    done = python("-W", "error", script, *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "25.0% of the pixels kept" in done.stdout
