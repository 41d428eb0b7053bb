"""Results never share memory with an input, and inputs never change."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
import torch

import unpool_xp as ux
from tests.conftest import Target
from tests.support.calls import every_call, outputs

X = np.arange(1.0, 17.0).reshape(1, 1, 4, 4)
BACKWARDS = np.arange(16)[::-1].reshape(X.shape).copy()

# Calls that have nothing to compute: their answer is the input, or a part of it.
TRIVIAL: list[tuple[Any, tuple[np.ndarray, ...], dict[str, Any]]] = [
    (ux.max_pool, (X.astype(np.float32),), {"kernel_size": 1}),
    (ux.max_pool, (X.astype(np.float32),), {"kernel_size": 1, "stride": 2}),
    (ux.max_pool, (X.astype(np.float32),), {"kernel_size": (1, 2)}),
    (ux.max_pool, (X.astype(np.float32),), {"kernel_size": (2, 1)}),
    (ux.avg_pool, (X,), {"kernel_size": 1}),
    (ux.fractional_max_pool, (X,), {"kernel_size": 1, "output_size": 4, "seed": 0}),
    (ux.nearest_unpool, (X,), {"scale_factor": 1}),
    (ux.nearest_unpool, (X,), {"output_size": 4, "coordinates": "half_pixel"}),
    (ux.linear_unpool, (X,), {"scale_factor": 1.0}),
    (ux.linear_unpool, (X,), {"scale_factor": (1, 2)}),
    (ux.linear_unpool, (X,), {"output_size": 4, "coordinates": "align_corners"}),
    (ux.fractional_max_unpool, (X,), {"output_size": 4}),
    (ux.fractional_max_unpool, (X, BACKWARDS), {"scale_factor": (1.0, 1.0)}),
    (ux.max_unpool, (X, BACKWARDS), {"kernel_size": 1}),
    (ux.conv_transpose, (X, np.ones((1, 1, 1, 1))), {}),
    (ux.convert_indices, (BACKWARDS,), {"source": "torch", "target": "torch"}),
]
TRIVIAL[-1][2]["input_shape"] = X.shape

every_trivial_call = pytest.mark.parametrize(
    "call", TRIVIAL, ids=[f"{f.__name__}-{i}" for i, (f, _, _) in enumerate(TRIVIAL)]
)


@every_trivial_call
def test_setting_a_result_leaves_the_input_as_it_was(eager: Target, call: Any) -> None:
    if eager.backend.library == "jax":
        pytest.skip("arrays of JAX cannot be set")
    function, arrays, options = call
    inputs = [eager.asarray(array.copy()) for array in arrays]
    results = outputs(function(*inputs, **options))
    if eager.label == "dask":
        results = tuple(result.compute(scheduler="synchronous") for result in results)
    for result in results:
        result[...] = 0
    for array, kept in zip(inputs, arrays, strict=True):
        np.testing.assert_array_equal(eager.backend.to_numpy(array), kept)


@every_trivial_call
def test_a_result_with_a_gradient_can_be_set_in_place(call: Any) -> None:
    function, arrays, options = call
    inputs = [torch.tensor(array, requires_grad=array.dtype.kind == "f") for array in arrays]
    result = outputs(function(*inputs, **options))[0]
    result += 1
    if result.requires_grad:
        result.sum().backward()
        assert inputs[0].grad is not None


@every_call
def test_inputs_may_be_read_only(call: Any) -> None:
    function, arrays, options = call
    inputs = [array.copy() for array in arrays]
    for array in inputs:
        array.flags.writeable = False
    wanted = outputs(function(*arrays, **options))
    for got, right in zip(outputs(function(*inputs, **options)), wanted, strict=True):
        np.testing.assert_array_equal(got, right)
        assert got.flags.writeable


def test_maxima_at_the_size_of_the_plane_stand_at_their_indices(eager: Target) -> None:
    got = eager(ux.fractional_max_unpool, X, BACKWARDS, output_size=(4, 4))
    np.testing.assert_array_equal(got, X.reshape(-1)[::-1].reshape(X.shape))


LONG = np.random.default_rng(0).random((1, 1, 4_000_000), dtype=np.float32)
HALVES = ux.max_pool(LONG, 2)
LONG_CALLS: list[tuple[Any, tuple[np.ndarray, ...], dict[str, Any]]] = [
    (ux.max_pool, (LONG,), {"kernel_size": 3, "stride": 1, "padding": 1}),
    (ux.max_pool, (LONG,), {"kernel_size": 64, "stride": 1}),
    (ux.avg_pool, (LONG,), {"kernel_size": 3, "padding": 1, "count_include_pad": False}),
    (ux.adaptive_max_pool, (LONG,), {"output_size": 3_999_999}),
    (ux.adaptive_avg_pool, (LONG,), {"output_size": 1_999_999}),
    (ux.fractional_max_pool, (LONG,), {"kernel_size": 2, "output_size": 2_000_000, "seed": 0}),
    (ux.nearest_unpool, (LONG,), {"scale_factor": 2}),
    (ux.nearest_unpool, (LONG,), {"scale_factor": 1.5}),
    (ux.linear_unpool, (LONG,), {"scale_factor": 1.5, "coordinates": "half_pixel"}),
    (ux.cubic_unpool, (LONG,), {"scale_factor": 1.5}),
    (ux.max_unpool, HALVES, {"kernel_size": 2}),
    (ux.max_unpool, HALVES, {"kernel_size": 2, "check_indices": False}),
    (ux.fractional_max_unpool, HALVES, {"output_size": 4_000_000}),
    (ux.conv_transpose, (LONG, np.ones((1, 1, 2), np.float32)), {"stride": 2}),
    (ux.conv_transpose, (LONG, np.ones((1, 1, 3), np.float32)), {}),
]


@pytest.mark.parametrize(
    "call", LONG_CALLS, ids=[f"{f.__name__}-{i}" for i, (f, _, _) in enumerate(LONG_CALLS)]
)
def test_a_long_axis_costs_half_of_its_output_more_at_most(call: Any) -> None:
    function, arrays, options = call
    tracemalloc.start()
    try:
        results = outputs(function(*arrays, **options))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    n_bytes = sum(result.nbytes for result in results)
    assert peak <= 1.5 * n_bytes + 8 * 2**20  # some pieces of 2 MiB
