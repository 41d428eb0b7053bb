"""Unpooling against the oracle, on every backend."""

from __future__ import annotations

from typing import Any

import dask.array as da
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import strategies as st

import unpool_xp as ux
from tests.conftest import Target, jax_without_64_bits
from tests.support.closeness import assert_close
from tests.support.strategies import (
    PoolingArguments,
    examples,
    poolings,
    real_values,
    seeds,
    values,
)
from unpool_xp import reference


def test_same_padding_comes_back_to_the_size_that_was_pooled(target: Target) -> None:
    x = real_values((2, 2, 7, 6), 0)
    for padding in ("same", "same_lower"):
        options: dict[str, Any] = {"kernel_size": (3, 2), "stride": (2, 3), "padding": padding}
        pooled = ux.max_pool(x, **options)
        assert pooled.values.shape == (2, 2, 4, 2)
        got = target(ux.max_unpool, *pooled, **options, output_size=(7, 6), duplicates="sum")
        pairs = ((1, 1), (0, 0))
        explicit = ux.max_unpool(
            *pooled, **options | {"padding": pairs}, output_size=(7, 6), duplicates="sum"
        )
        np.testing.assert_array_equal(got, explicit)
        assert ux.max_unpool(*ux.max_pool(x[..., :6, :], **options), **options).shape[2:] == (6, 6)


# --- max_unpool ----------------------------------------------------------------------------------


@examples(
    60,
    case=poolings().filter(lambda case: case.plane_says_rank),
    duplicates=st.sampled_from(["any", "sum"]),
    check=st.booleans(),
    dtype=st.sampled_from(["float32", "float64", "int32"]),
    seed=seeds,
)
def test_max_unpool(
    target: Target, case: PoolingArguments, duplicates: Any, check: bool, dtype: str, seed: int
) -> None:
    x = values(case.shape, dtype, seed)
    pooled = ux.max_pool(x, **case.options)
    options = {"output_size": case.plane, "duplicates": duplicates, "check_indices": check}
    got = target(ux.max_unpool, *pooled, **options)
    assert got.dtype == x.dtype
    # Of several windows with one maximum each holds the same value, so "any" has one answer too.
    wanted = reference.max_unpool(pooled.values, pooled.indices, case.plane, duplicates)
    np.testing.assert_array_equal(got, wanted, strict=True)


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


# Those that a look at a sign or a cast could wrap into the plane.
FARTHEST = [
    *((-(2**7), "int8"), (-(2**15), "int16"), (-(2**31), "int32"), (-(2**63), "int64")),
    *((2**31, "uint32"), (2**63, "uint64"), (2**63 + 1, "uint64"), (2**64 - 1, "uint64")),
    *((1 - 2**31, "int32"), (1 - 2**63, "int64")),
]


@pytest.mark.parametrize("duplicates", ["any", "sum"])
def test_nothing_wraps_into_the_plane(target: Target, duplicates: Any) -> None:
    if target.mode == "compiled":
        cases = [FARTHEST[3]] if duplicates == "any" else []
    else:
        cases = FARTHEST
    for index, dtype in cases:
        arrays = np.ones((1, 1, 2)), np.asarray([[[index, 2]]], dtype=dtype)
        options: Any = {"output_size": 4, "duplicates": duplicates}
        got = target(ux.max_unpool, *arrays, check_indices=target.lazy, **options)
        assert got.tolist() == [[[0, 0, 1, 0]]], (index, dtype)
        if not target.lazy:
            for function in (ux.max_unpool, ux.fractional_max_unpool):
                with pytest.raises(IndexError, match=f"the first is {index}, element 0"):
                    target(function, *arrays, output_size=4)


def test_nothing_wraps_in_chunks() -> None:
    for index, dtype in FARTHEST:
        places = da.from_array(np.asarray([[[index, 2]]], dtype=dtype), chunks=(1, 1, 1))
        ones = da.ones((1, 1, 2), chunks=(1, 1, 1))
        for options in ({"output_size": 4}, {"kernel_size": 2}):
            got = ux.max_unpool(ones, places, **options).compute(scheduler="synchronous")
            assert got.tolist() == [[[0, 0, 1, 0]]], (index, dtype)


def test_a_plane_too_large_to_count_is_refused_by_name() -> None:
    values, indices = jnp.asarray([[[7]]], dtype=jnp.uint8), jnp.asarray([[[3]]], dtype=jnp.int32)
    with jax_without_64_bits(), pytest.raises(ValueError, match=r"int32 cannot count a plane of"):
        ux.max_unpool(values, indices, output_size=(2**31 + 10,))


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


@pytest.mark.parametrize(("size", "kernel"), [(4096, None), (9, 9)])
def test_half_precision_is_added_in_float32(target: Target, size: int, kernel: Any) -> None:
    if target.backend.library == "array_api_strict":
        pytest.skip("has no half precision")
    rng = np.random.default_rng(0)
    data = rng.uniform(0, 9, (1, 1, size)).astype(np.float16)
    places = np.full(data.shape, size - 1)
    exact = data.astype(np.float64).sum().astype(np.float16)
    options = {"output_size": size, "duplicates": "sum"}
    if kernel:
        options |= {"kernel_size": kernel, "stride": 1, "padding": (kernel - 1) // 2}
    got = target(ux.max_unpool, data, places, **options)
    assert got.dtype == np.float16
    assert got[0, 0, -1] == exact


def test_duplicates_are_added_or_one_stays(target: Target) -> None:
    data, places = np.asarray([[[1.0, 2.0, 4.0]]]), np.asarray([[[1, 1, 1]]])
    total = target(ux.max_unpool, data, places, output_size=3, duplicates="sum")
    assert total.tolist() == [[[0, 7.0, 0]]]
    one = target(ux.max_unpool, data, places, output_size=3)
    assert one[0, 0, 1] in (1.0, 2.0, 4.0)
    assert one[0, 0, ::2].tolist() == [0, 0]


# --- fractional_max_unpool -----------------------------------------------------------------------


@examples(
    30,
    shape=st.tuples(st.integers(0, 2), st.integers(3, 8), st.integers(3, 9)),
    samples=st.tuples(st.floats(0, 0.99), st.floats(0, 0.99)),
    seed=seeds,
)
def test_fractional_max_unpool(target: Target, shape: Any, samples: Any, seed: int) -> None:
    x = real_values(shape, seed)
    output = tuple(n - 1 for n in shape[1:])
    pooled = ux.fractional_max_pool(x, (2, 2), output_size=output, samples=samples)
    got = target(ux.fractional_max_unpool, *pooled, output_size=shape[1:])
    wanted = reference.fractional_max_unpool(
        pooled.values, pooled.indices, output_size=tuple(shape[1:])
    )
    assert_close(got, wanted)
    for plane, values_, places in zip(got, *pooled, strict=True):
        np.testing.assert_array_equal(plane.reshape(-1)[places], values_)


def test_fractional_max_unpool_without_indices(target: Target) -> None:
    x = real_values((2, 3, 5, 5), 0)
    got = target(ux.fractional_max_unpool, x, output_size=(9, 7))
    wanted = reference.fractional_max_unpool(x, output_size=(9, 7))
    assert_close(got, wanted)


def test_the_full_shape_puts_every_maximum_into_its_own_plane(target: Target) -> None:
    # PyTorch's documentation calls it with output_size=x.size().
    x = np.arange(1.0, 33.0, dtype=np.float32).reshape(2, 1, 4, 4)
    pooled = ux.max_pool(x, 2)
    wanted = reference.max_unpool(*pooled, (4, 4), "any")
    for kernel_size in (None,) if target.compiles else (2, (2, 2), None):
        options = {"kernel_size": kernel_size, "output_size": x.shape}
        np.testing.assert_array_equal(target(ux.max_unpool, *pooled, **options), wanted)
    options = {"kernel_size": 2, "output_size": (2, 1, 3, 3), "samples": [0.3, 0.6]}
    regions = target(ux.fractional_max_pool, x, **options)
    assert regions.values.shape == (2, 1, 3, 3)
    got = target(ux.fractional_max_unpool, *regions, output_size=x.shape)
    plane = target(ux.fractional_max_unpool, *regions, output_size=(4, 4))
    np.testing.assert_array_equal(got, plane)


def test_a_plane_without_a_cell(target: Target) -> None:
    # PyTorch's: what the padding takes away altogether.
    indices = np.zeros((1, 2, 1, 3), dtype=np.int64)
    got = target(ux.max_unpool, np.ones((1, 2, 1, 3)), indices, kernel_size=2, padding=1)
    assert got.shape == (1, 2, 0, 4)
