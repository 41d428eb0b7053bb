"""convert_indices against the oracle, between all conventions, on every backend."""

from __future__ import annotations

from itertools import product
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import strategies as st

import unpool_xp as ux
from tests.conftest import Target
from tests.support.strategies import PoolingArguments, examples, poolings, real_values, seeds
from unpool_xp import reference
from unpool_xp._plan.index_conventions import Convention

CONVENTIONS: tuple[Any, ...] = get_args(Convention)


def oracle(indices: np.ndarray, source: str, target: str, case: PoolingArguments) -> np.ndarray:
    return reference.convert_indices(
        indices, source, target, case.shape, case.kernel, case.stride, case.padding, case.dilation
    )


def pooled(case: PoolingArguments, seed: int) -> tuple[np.ndarray, dict[str, Any]]:
    """Return positions of a real pooling, and the options that tell of it."""
    options = {name: value for name, value in case.options.items() if name != "ceil_mode"}
    indices = ux.max_pool(real_values(case.shape, seed), **case.options).indices
    return indices, {**options, "input_shape": case.shape}


def four(case: PoolingArguments) -> bool:
    return len(case.shape) == len(case.kernel) + 2


@examples(
    25,
    case=poolings(lead=st.tuples(st.integers(0, 3), st.integers(0, 3))).filter(four),
    seed=seeds,
    pair=st.tuples(*[st.sampled_from(CONVENTIONS)] * 2),
)
def test_between_all_conventions(
    target: Target, case: PoolingArguments, seed: int, pair: tuple[Any, Any]
) -> None:
    indices, options = pooled(case, seed)
    there = oracle(indices, "torch", pair[0], case)
    got = target(ux.convert_indices, there, source=pair[0], target=pair[1], **options)
    np.testing.assert_array_equal(got, oracle(there, *pair, case), strict=True)


@pytest.mark.parametrize(("source", "target"), list(product(CONVENTIONS, repeat=2)))
def test_there_and_back(source: Any, target: Any) -> None:
    case = PoolingArguments((2, 3, 7, 9), (3, 2), (2, 2), ((1, 0), (0, 1)), (1, 2), ceil_mode=True)
    indices, options = pooled(case, 0)
    start = ux.convert_indices(indices, "torch", source, **options)
    there = ux.convert_indices(start, source, target, **options)
    back = ux.convert_indices(there, target, source, **options)
    np.testing.assert_array_equal(back, start)
    if source != target:
        assert there.shape != start.shape or (there != start).any()


@pytest.mark.parametrize("target", CONVENTIONS)
def test_compiled(compiled: Target, target: Any) -> None:
    case = PoolingArguments((2, 3, 6, 8), (2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1), ceil_mode=False)
    indices, options = pooled(case, 0)
    got = compiled(ux.convert_indices, indices, source="torch", target=target, **options)
    np.testing.assert_array_equal(got, oracle(indices, "torch", target, case), strict=True)


def test_indices_of_tensorflow_find_their_values_in_nhwc(eager: Target) -> None:
    x = real_values((2, 3, 4, 6), 0)
    got = ux.max_pool(x, 2)
    options: dict[str, Any] = {"source": "torch", "input_shape": x.shape}
    flat = np.moveaxis(x, 1, -1).reshape(-1)
    places = eager(ux.convert_indices, got.indices, target="tensorflow_batch", **options)
    np.testing.assert_array_equal(flat[places], np.moveaxis(got.values, 1, -1))
    without = eager(ux.convert_indices, got.indices, target="tensorflow", **options)
    np.testing.assert_array_equal(without[0], places[0])
    assert (without[1] < 4 * 6 * 3).all()
