"""Dtypes: JAX as it is by default, without 64 bits, and what is too large to count."""

from __future__ import annotations

from typing import Any

import array_api_strict as strict
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import unpool_xp as ux
from unpool_xp._compat import computing_dtype

from .conftest import jax_without_64_bits
from .test_portability import every_call, outputs


@every_call
def test_jax_without_64_bits(call: Any) -> None:
    function, arrays, options = call
    with jax_without_64_bits():
        narrow = [a.astype(np.int32) if a.dtype == np.int64 else a for a in arrays]
        for run in (function, jax.jit(lambda *arrays: function(*arrays, **options))):
            chosen = options if run is function else {}
            got = run(*map(jnp.asarray, narrow), **chosen)
            for one, wanted in zip(
                outputs(got), outputs(function(*arrays, **options)), strict=True
            ):
                assert one.dtype.itemsize <= 4
                np.testing.assert_allclose(np.asarray(one), wanted, rtol=1e-5, atol=1e-5)


def test_positions_that_the_index_dtype_cannot_hold_are_refused() -> None:
    # A view of one element: nothing of this size is ever allocated.
    plane = np.broadcast_to(np.float32(1), (2**16, 2**16))
    x = strict.asarray(plane, device=strict.Device("no_x64"), copy=False)
    with pytest.raises(ValueError, match=r"plane of shape \(65536, 65536\) has positions that"):
        ux.max_pool(x, (2**15, 2**15))


def test_half_precision_is_summed_in_single() -> None:
    import array_api_compat.torch as xp

    assert computing_dtype(xp, xp.float16) == xp.float32
    assert computing_dtype(xp, xp.bfloat16) == xp.float32
    assert computing_dtype(xp, xp.float64) == xp.float64
    assert computing_dtype(xp, xp.int8) == xp.int8


@pytest.mark.parametrize("operation", ["avg_pool", "linear_unpool", "conv_transpose"])
def test_half_precision_is_rounded_once(operation: str) -> None:
    x = np.random.default_rng(0).standard_normal((1, 4, 8, 8)).astype(np.float16)
    weight = np.random.default_rng(1).standard_normal((4, 2, 3, 3)).astype(np.float16)
    calls: dict[str, Any] = {
        "avg_pool": lambda dtype: ux.avg_pool(x.astype(dtype), 3, stride=1),
        "linear_unpool": lambda dtype: ux.linear_unpool(x.astype(dtype), 1.7),
        "conv_transpose": lambda dtype: ux.conv_transpose(x.astype(dtype), weight.astype(dtype)),
    }
    got, wanted = calls[operation](np.float16), calls[operation](np.float64)
    assert got.dtype == np.float16
    # Half a unit in the last place of the result, and what float32 loses before that.
    unit = np.spacing(np.abs(wanted).astype(np.float16)).astype(np.float64)
    assert np.all(np.abs(got.astype(np.float64) - wanted) <= 0.5 * unit + 1e-5)
