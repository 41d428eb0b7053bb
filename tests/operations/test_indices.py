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
    wanted = oracle(there, *pair, case).astype(target.index_dtype)
    np.testing.assert_array_equal(got, wanted, strict=True)


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


IMPOSSIBLE: dict[str, list[int]] = {
    "torch": [16, -1, 2**31 - 1, -(2**31), 99, -5],
    "onnx": [15, 32, -1],  # the first: of the other plane
    "onnx_column_major": [15, 32, -1],
    "tensorflow": [0, 32, -1],  # the first: of the other channel
    "tensorflow_batch": [0, 33, -1],
    "chainer": [4, -1],
    "matlab": [0, 17],
}


@pytest.mark.parametrize(
    ("source", "index"), [(name, index) for name, wrong in IMPOSSIBLE.items() for index in wrong]
)
def test_an_index_that_cannot_be_in_its_convention(eager: Target, source: Any, index: int) -> None:
    options: dict[str, Any] = {"input_shape": (1, 2, 4, 4), "kernel_size": 2, "stride": 4}
    fits = {"onnx": 16, "onnx_column_major": 16, "tensorflow": 1, "tensorflow_batch": 1}
    right = fits.get(source, 1)
    shape = (1, 1, 1, 2) if "tensorflow" in source else (1, 2, 1, 1)
    first = 1 if source == "matlab" else 0
    given = np.asarray([first, right]).reshape(shape)
    there = eager(ux.convert_indices, given, source=source, target="torch", **options)
    assert there.shape == (1, 2, 1, 1)
    given = np.asarray([first, index]).reshape(shape)
    if eager.lazy:  # nothing can be looked at
        return
    message = f"convert_indices: 1 of 2 indices cannot be {source} indices.*is {index}, element 1 "
    with pytest.raises(IndexError, match=message):
        eager.call(ux.convert_indices, eager.asarray(given), source, "torch", **options)


def test_an_index_outside_its_window_has_no_number_there(eager: Target) -> None:
    options: dict[str, Any] = {"input_shape": (1, 1, 4, 4), "kernel_size": 2}
    right = np.asarray([[[[5, 6], [9, 10]]]])
    assert eager(
        ux.convert_indices, right, source="torch", target="chainer", **options
    ).tolist() == [[[[3, 2], [1, 0]]]]
    if eager.lazy:
        return
    for place, wrong in (((0, 0), 15), ((0, 1), 0), ((1, 0), 6)):
        indices = right.copy()
        indices[0, 0][place] = wrong
        with pytest.raises(
            IndexError, match=f"1 of 4 .* within their windows; the first is {wrong}"
        ):
            eager.call(ux.convert_indices, eager.asarray(indices), "torch", "chainer", **options)
    # In the padding there is nothing that could be the maximum.
    options |= {"padding": 1, "stride": 6}
    padding = eager.asarray(np.asarray([[[[0]]]]))
    with pytest.raises(IndexError, match="1 of 1 indices cannot be chainer indices"):
        eager.call(ux.convert_indices, padding, "chainer", "torch", **options)


@pytest.mark.parametrize(
    ("dtype", "index"), [("uint64", 2**63 + 5), ("uint64", 2**64 - 1), ("int8", -5)]
)
@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_an_index_is_not_wrapped_into_the_plane(library: str, dtype: str, index: int) -> None:
    asarray = pytest.importorskip(library).asarray
    indices = asarray(np.asarray([[[[index]]]], dtype=dtype))
    with pytest.raises(IndexError, match=f"the first is {index}, element 0"):
        ux.convert_indices(indices, "torch", "onnx", input_shape=(1, 1, 16, 16))


def test_windows_that_are_rounded_up() -> None:
    # The kernel is longer than the axis.
    pooled = ux.max_pool(np.asarray([[[1.0, 2.0, 3.0]]]), 5, stride=3, ceil_mode=True)
    options: dict[str, Any] = {"input_shape": (1, 1, 3), "kernel_size": 5, "stride": 3}
    assert ux.convert_indices(pooled.indices, "torch", "chainer", **options).tolist() == [[[2]]]
