"""Arrays of Cubed, where it is installed: a graph alone is made, within the memory it allows."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from zarr.storage import MemoryStore

import unpool_xp as ux
from unpool_xp.bench.cases.operation import TOLERANCE

cubed = pytest.importorskip("cubed")

SHAPE, CHUNKS = (8, 4, 32, 32), (1, 1, 32, 32)
CHUNK, ARRAY = (math.prod(sizes) * 4 for sizes in (CHUNKS, SHAPE))  # bytes
ALLOWED = 24 * CHUNK
WEIGHT = np.random.default_rng(1).random((4, 1, 2, 2), dtype=np.float32)
INDICES = np.arange(math.prod(SHAPE)).reshape(SHAPE) % 1024

# Of an array on a library: the operation, and what a function makes of the other arrays.
CALLS: dict[str, Callable[[Any, Callable[[np.ndarray], Any]], Any]] = {
    "max_pool": lambda x, other: ux.max_pool(x, (3, 2), stride=2, padding=1),
    "max_pool of long windows": lambda x, other: ux.max_pool(x, (16, 16), stride=1),
    "avg_pool": lambda x, other: ux.avg_pool(x, (3, 2), stride=2, padding=1),
    "adaptive_max_pool": lambda x, other: ux.adaptive_max_pool(x, (7, 5)),
    "adaptive_avg_pool": lambda x, other: ux.adaptive_avg_pool(x, (7, 5)),
    "fractional_max_pool of equal regions": lambda x, other: ux.fractional_max_pool(
        x, 2, output_size=(20, 24), samples=(0.3, 0.7)
    ),
    "fractional_max_pool": lambda x, other: ux.fractional_max_pool(
        x, 2, output_size=(20, 24), seed=0
    ),
    "nearest_unpool by a factor": lambda x, other: ux.nearest_unpool(x, scale_factor=2),
    "nearest_unpool to a size": lambda x, other: ux.nearest_unpool(x, output_size=(50, 45)),
    "linear_unpool by a factor": lambda x, other: ux.linear_unpool(x, scale_factor=2),
    "linear_unpool to a size": lambda x, other: ux.linear_unpool(x, output_size=(50, 45)),
    "cubic_unpool": lambda x, other: ux.cubic_unpool(x, scale_factor=(1.5, 0.5), antialias=True),
    "fractional_max_unpool": lambda x, other: ux.fractional_max_unpool(x, output_size=(40, 50)),
    "conv_transpose": lambda x, other: ux.conv_transpose(x, other(WEIGHT), stride=2),
}
IMPOSSIBLE: dict[str, Callable[[Any, Callable[[np.ndarray], Any]], Any]] = {
    "max_unpool": lambda x, other: ux.max_unpool(x, other(INDICES), output_size=(64, 64)),
    "fractional_max_unpool": lambda x, other: ux.fractional_max_unpool(
        x, other(INDICES), output_size=(40, 50)
    ),
}


def planned(
    call: Callable[[Any, Callable[[np.ndarray], Any]], Any], x: np.ndarray, allowed: int = ALLOWED
) -> tuple[Any, ...]:
    """Return what a call makes of arrays of Cubed, which are in memory; it must compute nothing."""
    spec = cubed.Spec(
        intermediate_store=MemoryStore(), allowed_mem=allowed, executor_name="single-threaded"
    )

    def to_cubed(array: np.ndarray) -> Any:
        chunks = CHUNKS if array.shape[1:] == SHAPE[1:] else array.shape
        return cubed.from_array(array, chunks=chunks, spec=spec)

    with cubed.raise_if_computes():
        got = call(to_cubed(x), to_cubed)
    return got if isinstance(got, tuple) else (got,)


def on_numpy() -> np.ndarray:
    return np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)


@pytest.mark.parametrize("name", CALLS)
def test_nothing_is_computed_and_the_plan_fits_less_than_the_array(name: str) -> None:
    assert ALLOWED < ARRAY
    results = planned(CALLS[name], on_numpy())
    assert {result.spec.allowed_mem for result in results} == {ALLOWED}
    with cubed.raise_if_computes(), pytest.raises(RuntimeError, match="'compute' was called"):
        cubed.compute(*results)


@pytest.mark.parametrize("name", CALLS)
def test_what_is_computed_is_right(name: str) -> None:
    x = on_numpy()[:2]
    expected = CALLS[name](x, lambda array: array)
    expected = expected if isinstance(expected, tuple) else (expected,)
    for one, other in zip(cubed.compute(*planned(CALLS[name], x)), expected, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_allclose(one, other, TOLERANCE["float32"], TOLERANCE["float32"])


def test_phases_that_are_cut_in_two_ways_are_put_together(tmp_path: Path) -> None:
    x = np.random.default_rng(0).random((3, 1, 4))
    spec = cubed.Spec(tmp_path, allowed_mem="1MB")
    planned_x = cubed.from_array(x, chunks=(2, 1, 3), spec=spec)
    weight = np.ones((1, 2, 1))
    got = ux.conv_transpose(planned_x, cubed.from_array(weight, spec=spec), stride=3)
    np.testing.assert_array_equal(got.compute(), ux.conv_transpose(x, weight, stride=3))


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_what_cannot_be_is_an_error_by_name_before_any_work(name: str) -> None:
    with pytest.raises(NotImplementedError, match=f"^{name}: cubed has no argsort"):
        planned(IMPOSSIBLE[name], on_numpy(), allowed=5 * ARRAY)


@pytest.mark.parametrize("name", CALLS)
def test_too_little_memory_is_an_error_by_name_before_any_work(name: str) -> None:
    told = f"^{name.partition(' ')[0]}: cubed fails: .* mem"
    with pytest.raises(NotImplementedError, match=told):
        planned(CALLS[name], on_numpy(), allowed=3 * CHUNK)
