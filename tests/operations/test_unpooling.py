"""Unpooling against the oracle, on every backend."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import unpool_xp as ux
from tests.conftest import Target
from tests.support.closeness import assert_close
from tests.support.strategies import PoolingArguments, poolings, real_values, resizes, seeds, values
from unpool_xp import reference

ANY_DTYPE = st.sampled_from(["float32", "float64", "int16", "int64", "uint8", "bool", "complex64"])


def check_nearest(
    target: Target, case: tuple[tuple[int, ...], dict[str, Any]], coordinates: Any, x: np.ndarray
) -> None:
    _, options = case
    got = target(ux.nearest_unpool, x, **options, coordinates=coordinates)
    wanted = reference.nearest_unpool(x, **options, coordinates=coordinates)
    np.testing.assert_array_equal(got, wanted, strict=True)


@given(case=resizes(), half=st.booleans(), dtype=ANY_DTYPE, seed=seeds)
@settings(max_examples=60)
def test_nearest_unpool(eager: Target, case: Any, half: bool, dtype: str, seed: int) -> None:
    coordinates = "half_pixel" if half else "asymmetric"
    check_nearest(eager, case, coordinates, values(case[0], dtype, seed))


@given(case=resizes(), half=st.booleans(), seed=seeds)
@settings(max_examples=10)
def test_nearest_unpool_compiled(compiled: Target, case: Any, half: bool, seed: int) -> None:
    coordinates = "half_pixel" if half else "asymmetric"
    check_nearest(compiled, case, coordinates, values(case[0], "float32", seed))


def check_linear(target: Target, case: Any, coordinates: str, seed: int) -> None:
    shape, options = case
    x = real_values(shape, seed)
    got = target(ux.linear_unpool, x, **options, coordinates=coordinates)
    wanted = reference.linear_unpool(x, **options, coordinates=coordinates)
    assert_close(got, wanted, rtol=1e-12, atol=1e-12)


COORDINATES = st.sampled_from(["asymmetric", "half_pixel", "align_corners"])


@given(case=resizes(), coordinates=COORDINATES, seed=seeds)
@settings(max_examples=60)
def test_linear_unpool(eager: Target, case: Any, coordinates: str, seed: int) -> None:
    check_linear(eager, case, coordinates, seed)


@given(case=resizes(), coordinates=COORDINATES, seed=seeds)
@settings(max_examples=10)
def test_linear_unpool_compiled(compiled: Target, case: Any, coordinates: str, seed: int) -> None:
    check_linear(compiled, case, coordinates, seed)


# --- max_unpool ----------------------------------------------------------------------------------


def check_max_unpool(
    target: Target, case: PoolingArguments, duplicates: Any, check: bool, dtype: str, seed: int
) -> None:
    x = values(case.shape, dtype, seed)
    pooled = ux.max_pool(x, **case.options)
    got = target(
        ux.max_unpool,
        pooled.values,
        pooled.indices,
        output_size=case.plane,
        duplicates=duplicates,
        check_indices=check,
    )
    assert got.dtype == x.dtype
    # Of several windows with one maximum each holds the same value, so "any" has one answer too.
    wanted = reference.max_unpool(pooled.values, pooled.indices, case.plane, duplicates)
    np.testing.assert_array_equal(got, wanted, strict=True)


DUPLICATES = st.sampled_from(["any", "sum"])


@given(
    case=poolings(),
    duplicates=DUPLICATES,
    check=st.booleans(),
    dtype=st.sampled_from(["float32", "float64", "int32"]),
    seed=seeds,
)
@settings(max_examples=60)
def test_max_unpool(
    eager: Target, case: PoolingArguments, duplicates: str, check: bool, dtype: str, seed: int
) -> None:
    check_max_unpool(eager, case, duplicates, check, dtype, seed)


@given(case=poolings(max_rank=2), duplicates=DUPLICATES, check=st.booleans(), seed=seeds)
@settings(max_examples=10)
def test_max_unpool_compiled(
    compiled: Target, case: PoolingArguments, duplicates: str, check: bool, seed: int
) -> None:
    check_max_unpool(compiled, case, duplicates, check, "float32", seed)


@given(case=poolings(least_lead=1), seed=seeds)
@settings(max_examples=40)
def test_the_default_size_pools_to_the_size_of_the_values(
    case: PoolingArguments, seed: int
) -> None:
    shape = [max(n, 1) for n in case.shape]
    options = {"kernel_size": case.kernel, "stride": case.stride, "dilation": case.dilation}
    indices = np.zeros(shape, dtype=np.int64)
    try:
        out = ux.max_unpool(values(tuple(shape), "int64", seed), indices, **options)
    except ValueError as error:
        assert "leaves a window" in str(error) or "nothing" in str(error)  # noqa: PT017
        return
    assert ux.max_pool(out, **options).values.shape == tuple(shape)


def test_the_article_s_example(target: Target) -> None:
    four, place = np.asarray([[[[4.0]]]]), np.asarray([[[[3]]]])
    unpooled = target(ux.max_unpool, four, place, kernel_size=2)
    assert unpooled.tolist() == [[[[0, 0], [0, 4.0]]]]
    wide = target(ux.max_unpool, four, np.asarray([[[[5]]]]), output_size=4)
    assert wide[0, 0, 1, 1] == 4
    assert wide.sum() == 4


@pytest.mark.parametrize("duplicates", ["any", "sum"])
def test_an_entry_outside_is_dropped_where_nobody_looks(target: Target, duplicates: Any) -> None:
    data = np.asarray([[[1.0, 2.0, 3.0, 4.0, 5.0]]])
    places = np.asarray([[[-1, 6, 2, 2**31, -(2**31)]]])
    got = target(
        ux.max_unpool, data, places, output_size=6, duplicates=duplicates, check_indices=False
    )
    assert got.tolist() == [[[0, 0, 3.0, 0, 0, 0]]]
    if target.lazy:
        got = target(ux.max_unpool, data, places, output_size=6, duplicates=duplicates)
        assert got.tolist() == [[[0, 0, 3.0, 0, 0, 0]]]


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "int32", "uint64"])
def test_indices_of_any_integer_dtype_serve(eager: Target, dtype: str) -> None:
    if eager.backend.library == "torch" and dtype == "uint64":
        dtype = "int64"  # torch has too little of uint64: see the capability table
    data = np.arange(1.0, 9.0).reshape(1, 1, 8)
    places = np.asarray([[[120, 3, 5, 7, 9, 11, 13, 100]]], dtype=dtype)
    got = eager(ux.max_unpool, data, places, output_size=300)
    wanted = np.zeros((1, 1, 300))
    wanted[0, 0, places[0, 0].astype(int)] = data[0, 0]
    np.testing.assert_array_equal(got, wanted)


def test_duplicates_are_added_or_one_stays(target: Target) -> None:
    data, places = np.asarray([[[1.0, 2.0, 4.0]]]), np.asarray([[[1, 1, 1]]])
    total = target(ux.max_unpool, data, places, output_size=3, duplicates="sum")
    assert total.tolist() == [[[0, 7.0, 0]]]
    one = target(ux.max_unpool, data, places, output_size=3)
    assert one[0, 0, 1] in (1.0, 2.0, 4.0)
    assert one[0, 0, ::2].tolist() == [0, 0]


# --- fractional_max_unpool -----------------------------------------------------------------------


@given(
    shape=st.tuples(st.integers(0, 2), st.integers(3, 8), st.integers(3, 9)),
    samples=st.tuples(st.floats(0, 0.99), st.floats(0, 0.99)),
    seed=seeds,
)
@settings(max_examples=30)
def test_fractional_max_unpool(eager: Target, shape: Any, samples: Any, seed: int) -> None:
    x = real_values(shape, seed)
    output = tuple(n - 1 for n in shape[1:])
    pooled = ux.fractional_max_pool(x, (2, 2), output_size=output, samples=samples)
    got = eager(ux.fractional_max_unpool, *pooled, output_size=shape[1:])
    wanted = reference.fractional_max_unpool(
        pooled.values, pooled.indices, output_size=tuple(shape[1:])
    )
    assert_close(got, wanted, rtol=1e-12, atol=1e-12)
    for plane, values_, places in zip(got, *pooled, strict=True):
        np.testing.assert_array_equal(plane.reshape(-1)[places], values_)


def test_fractional_max_unpool_compiled(compiled: Target) -> None:
    x = real_values((2, 3, 9, 7), 0)
    pooled = ux.fractional_max_pool(x, 2, output_size=5, seed=0)
    for arrays in (pooled, pooled[:1]):
        got = compiled(ux.fractional_max_unpool, *arrays, output_size=(9, 7))
        wanted = ux.fractional_max_unpool(*arrays, output_size=(9, 7))
        np.testing.assert_allclose(got, wanted, rtol=1e-12)


@pytest.mark.parametrize("shape", [(0, 3, 4, 4), (2, 0, 4, 4)])
def test_a_batch_of_none_is_a_batch(target: Target, shape: tuple[int, ...]) -> None:
    x = np.zeros(shape, dtype=np.float32)
    indices = np.zeros(shape, dtype=np.int64)
    assert target(ux.nearest_unpool, x, scale_factor=2).shape == (*shape[:2], 8, 8)
    assert target(ux.nearest_unpool, x, scale_factor=1.5).shape == (*shape[:2], 6, 6)
    assert target(ux.linear_unpool, x, scale_factor=2).shape == (*shape[:2], 8, 8)
    assert target(ux.max_unpool, x, indices, kernel_size=2).shape == (*shape[:2], 8, 8)
    got = target(ux.fractional_max_unpool, x, indices, scale_factor=1.5)
    assert got.shape == (*shape[:2], 6, 6)
