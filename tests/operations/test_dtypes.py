"""Dtypes: JAX as it is by default, without 64 bits, and what is too large to count."""

from __future__ import annotations

import contextlib
from functools import partial
from typing import Any

import array_api_strict as strict
import dask
import dask.array as da
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import unpool_xp as ux
from tests.conftest import Target, jax_without_64_bits
from tests.support.calls import CALLS, every_call, outputs


@every_call
def test_jax_without_64_bits(call: Any) -> None:
    function, arrays, options = call
    with jax_without_64_bits():
        narrow = [a.astype(np.int32) if a.dtype == np.int64 else a for a in arrays]
        got = jax.jit(partial(function, **options))(*map(jnp.asarray, narrow))
    for one, wanted in zip(outputs(got), outputs(function(*arrays, **options)), strict=True):
        assert one.dtype.itemsize <= 4
        np.testing.assert_allclose(np.asarray(one), wanted, rtol=1e-5, atol=1e-5)


def test_positions_that_the_index_dtype_cannot_hold_are_refused() -> None:
    # A view of one element: nothing of this size is ever allocated.
    plane = np.broadcast_to(np.float32(1), (2**16, 2**16))
    x = strict.asarray(plane, device=strict.Device("no_x64"), copy=False)
    with pytest.raises(ValueError, match=r"plane of shape \(65536, 65536\) has positions that"):
        ux.max_pool(x, (2**15, 2**15))


FAR = (2, 3, 2**17, 2**17)  # 2**34 cells a plane


@pytest.mark.parametrize(
    ("source", "target", "wanted"),
    [
        ("torch", "onnx", 2**34 - 1 + 5 * 2**34),
        ("torch", "tensorflow", (2**34 - 1) * 3 + 2),
        ("matlab", "torch", 2**34 - 2**17 - 1),
    ],
)
def test_indices_of_large_planes_are_converted_in_64_bits(
    eager: Target, source: Any, target: Any, wanted: int
) -> None:
    last = np.full((2, 3, 1, 1), 2**34 - 1)
    if eager.index_dtype != np.int64:
        with pytest.raises(ValueError, match=f"positions up to .* from {source} to {target}"):
            eager(ux.convert_indices, last, source=source, target=target, input_shape=FAR)
        return
    got = eager(ux.convert_indices, last, source=source, target=target, input_shape=FAR)
    assert got.dtype == np.int64
    assert got.flatten()[-1] == wanted


@pytest.mark.parametrize("lazy", [False, True])
def test_indices_that_cannot_be_counted_are_not_converted(lazy: bool) -> None:
    with jax_without_64_bits():
        last = jnp.zeros((2, 3, 1, 1), dtype=jnp.int32)
        given = of_jax(da.from_array(np.asarray(last))) if lazy else last
        shape = (2, 3, 2**15, 2**15)
        got = ux.convert_indices(given, "torch", "chainer", input_shape=shape, kernel_size=2**15)
        assert got.dtype == np.int32
        with pytest.raises(ValueError, match=r"positions up to 6442450943 from torch to onnx"):
            ux.convert_indices(given, "torch", "onnx", input_shape=shape)


def of_jax(lazy: da.Array) -> da.Array:
    """Return an array whose chunks are JAX's."""
    meta = jnp.zeros((0,) * lazy.ndim, dtype=lazy.dtype)
    return lazy.map_blocks(jnp.asarray, dtype=lazy.dtype, meta=meta)


# One call of each operation: in chunks JAX computes eagerly, and compiles each step of each shape.
FIRST_CALLS = {function.__name__: (function, *call) for function, *call in reversed(CALLS)}
MAKE_INDICES = ("max_pool", "adaptive_max_pool", "fractional_max_pool", "convert_indices")


@pytest.mark.parametrize(
    ("name", "narrow"),
    [*((name, True) for name in FIRST_CALLS), *((name, False) for name in MAKE_INDICES)],
)
def test_chunks_of_jax_have_its_index_dtype(name: str, narrow: bool) -> None:
    function, arrays, options = FIRST_CALLS[name]
    wanted = outputs(function(*arrays, **options))
    with jax_without_64_bits() if narrow else contextlib.nullcontext():
        if narrow:
            arrays = tuple(a.astype(np.int32) if a.dtype == np.int64 else a for a in arrays)
        # Two chunks with a border between them: for each new shape JAX compiles all there is.
        lazy = [of_jax(da.from_array(a, chunks=(2, 4, 3, 9)[: a.ndim])) for a in arrays]
        got = outputs(function(*lazy, **options))
        computed = dask.compute(*got, scheduler="synchronous")
        for one, array, right in zip(got, computed, wanted, strict=True):
            kept = right.dtype if right.dtype != np.int64 or not narrow else np.int32
            assert one.dtype == array.dtype == kept
            np.testing.assert_allclose(array, right, rtol=1e-5, atol=1e-5)


def test_a_plane_that_the_chunks_cannot_count_is_refused_before_anything_is_computed() -> None:
    x = da.zeros((1, 1, 2**17, 2**17), chunks=2**12, dtype=np.float32)
    with jax_without_64_bits():
        with pytest.raises(ValueError, match=r"max_pool: a plane of .* that int32 cannot hold"):
            ux.max_pool(of_jax(x), 2)
        with pytest.raises(ValueError, match=r"fractional_max_pool: a plane of .* int32 cannot"):
            ux.fractional_max_pool(of_jax(x), 2, output_size=9, samples=(0.5, 0.5))
    corner = ux.max_pool(of_jax(x), 2).indices[..., -1:, -1:]
    assert corner.compute().item() == (2**17 - 2) * 2**17 + 2**17 - 2


@every_call
@pytest.mark.parametrize(
    ("library", "half"),
    [("numpy", torch.float16), ("torch", torch.float16), ("torch", torch.bfloat16)],
)
def test_half_precision_is_rounded_once(call: Any, library: str, half: torch.dtype) -> None:
    function, arrays, options = call
    given = [torch.asarray(array) for array in arrays]
    halves = [tensor.to(half) if tensor.is_floating_point() else tensor for tensor in given]
    doubles = [tensor.double() if tensor.is_floating_point() else tensor for tensor in halves]
    narrow = [tensor.numpy() for tensor in halves] if library == "numpy" else halves
    got, wanted = function(*narrow, **options), function(*doubles, **options)
    for one, exact in zip(map(torch.asarray, outputs(got)), outputs(wanted), strict=True):
        assert one.dtype == (half if exact.is_floating_point() else exact.dtype)
        # What float32 loses before the result is rounded.
        low, high = ((exact + lost).to(one.dtype) for lost in (-1e-5, 1e-5))
        assert ((low <= one) & (one <= high)).all()


def test_half_precision_does_not_overflow_in_the_sum() -> None:
    x = np.full((1, 1, 4, 4), 60000.0, dtype=np.float16)
    assert ux.avg_pool(x, 4).tolist() == [[[[60000.0]]]]
