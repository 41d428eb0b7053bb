"""Bad input: a named error, the same on every backend, before any array work."""

from __future__ import annotations

import re
from typing import Any

import array_api_strict as strict
import ml_dtypes
import numpy as np
import pytest
import torch

import unpool_xp as ux
from tests.conftest import Target

X = np.arange(32, dtype=np.float32).reshape(1, 2, 4, 4)
I2 = np.zeros((1, 2, 4, 4), dtype=np.int64)
W = np.ones((2, 3, 3, 3), dtype=np.float32)

# Of the sizes one for each operation: tests/plan has the others, which no library takes part in.
CASES: list[Any] = []


def bad(function: Any, error: str, *arrays: np.ndarray, **options: Any) -> None:
    """Add a case: the operation, its error with what the message must say, and its arguments."""
    name = f"{function.__name__}-{error}"
    CASES.append(pytest.param(function, error.split(": ", 1), arrays, options, id=name))


bad(ux.max_pool, "ValueError: kernel_size=0 must be >= 1", X, kernel_size=0)
bad(ux.max_pool, "TypeError: x must have a real dtype", X > 3, kernel_size=2)
bad(ux.max_pool, "TypeError: x must have a real dtype", X.astype(np.complex64), kernel_size=2)

bad(ux.avg_pool, "ValueError: kernel_size=0 must be >= 1", X, kernel_size=0)
bad(ux.avg_pool, "TypeError: x must have a real floating dtype", I2, kernel_size=2)

VALID = "ValueError: padding='valid' is not one of same, same_lower"
bad(ux.max_pool, VALID, X, kernel_size=2, padding="valid")

bad(ux.avg_pool, "ValueError: divisor=0 must not be 0", X, kernel_size=2, divisor=0)
bad(ux.avg_pool, "TypeError: divisor must be an int", X, kernel_size=2, divisor=2.0)

bad(ux.adaptive_max_pool, "ValueError: output_size=(2, 0) must be >= 1", X, output_size=(2, 0))
bad(ux.adaptive_max_pool, "TypeError: x must have a real dtype", X > 3, output_size=2)
bad(ux.adaptive_avg_pool, "TypeError: output_size must be an int or a tuple", X, output_size=0.5)
bad(ux.adaptive_avg_pool, "TypeError: x must have a real floating dtype", I2, output_size=2)

bad(ux.fractional_max_pool, "ValueError: give either output_size or", X, kernel_size=2)
bad(ux.fractional_max_pool, "TypeError: x must have a real", X > 3, kernel_size=2, output_size=2)
REGIONS = {"kernel_size": 2, "output_size": 2}
bad(ux.fractional_max_pool, "ValueError: seed=-1 must be >= 0 (array of", X, seed=-1, **REGIONS)
bad(ux.fractional_max_pool, "TypeError: seed must be an int", X, seed=1.5, **REGIONS)
bad(ux.fractional_max_pool, "TypeError: seed must be an int", X, seed=True, **REGIONS)

NEAREST = "ValueError: coordinates='nearest' is not one of asymmetric, half_pixel, align_corners"
bad(ux.nearest_unpool, "ValueError: give either scale_factor or output_size", X)
bad(ux.nearest_unpool, NEAREST, X, scale_factor=2, coordinates="nearest")
bad(
    ux.nearest_unpool,
    "ValueError: rounding='up' is not one of floor, ceil",
    X,
    scale_factor=2,
    rounding="up",
)

bad(ux.linear_unpool, "ValueError: give either scale_factor or output_size", X)
bad(ux.linear_unpool, NEAREST, X, scale_factor=2, coordinates="nearest")
bad(ux.linear_unpool, "TypeError: antialias must be a bool", X, scale_factor=2, antialias=2)
bad(ux.linear_unpool, "TypeError: x must have a real floating dtype", I2, scale_factor=2)

bad(ux.cubic_unpool, "TypeError: x must have a real floating dtype", I2, scale_factor=2)
bad(ux.cubic_unpool, "TypeError: coefficient must be a number", X, scale_factor=2, coefficient="a")
bad(
    ux.cubic_unpool,
    "ValueError: coefficient=nan must be finite",
    X,
    scale_factor=2,
    coefficient=np.nan,
)
bad(
    ux.cubic_unpool,
    "TypeError: exclude_outside must be a bool",
    X,
    scale_factor=2,
    exclude_outside=1,
)

SUMS = "TypeError: values must have a numeric dtype"
MEAN = "ValueError: duplicates='mean' is not one of any, sum"
bad(ux.max_unpool, "ValueError: kernel_size or output_size must be given", X, I2)
bad(ux.max_unpool, "ValueError: must have the same shape", X, I2[:, :1], kernel_size=2)
bad(ux.max_unpool, "TypeError: indices must have an integer dtype", X, X, kernel_size=2)
bad(ux.max_unpool, SUMS, X > 3, I2, kernel_size=2, duplicates="sum")
bad(ux.max_unpool, MEAN, X, I2, kernel_size=2, duplicates="mean")

CHECK = "TypeError: check_indices must be a bool, got 'no'"
bad(ux.max_unpool, CHECK, X, I2, kernel_size=2, check_indices="no")

FRACTIONAL = ux.fractional_max_unpool
bad(FRACTIONAL, "ValueError: give either scale_factor or output_size", X)
bad(FRACTIONAL, "ValueError: must have the same shape", X, I2[:, :1], scale_factor=2)
bad(FRACTIONAL, "TypeError: indices must have an integer dtype", X, X, scale_factor=2)
bad(FRACTIONAL, "TypeError: values must have a real floating dtype", I2, scale_factor=2)

bad(ux.conv_transpose, "ValueError: stride=0 must be >= 1", X, W, stride=0)
bad(ux.conv_transpose, "TypeError: all arrays must have one dtype", X, W.astype("f8"))
bad(ux.conv_transpose, "TypeError: x must have a numeric dtype", X > 3, W > 3)

CONVERT = {"source": "torch", "target": "onnx", "input_shape": (1, 2, 8, 8)}
for message, change in {
    "source='caffe' is not one of torch, onnx, onnx_column_major, tensorflow": {"source": "caffe"},
    "target='caffe' is not one of": {"target": "caffe"},
    "input_shape=(8, 8) must be (N, C, *spatial)": {"input_shape": (8, 8)},
    "must agree in N and C": {"input_shape": (3, 2, 8, 8)},
    "kernel_size must be given for the convention chainer": {"target": "chainer"},
    "give a map of (3, 3), but indices have (4, 4)": {"source": "chainer", "kernel_size": 3},
}.items():
    bad(ux.convert_indices, f"ValueError: {message}", I2, **(CONVERT | change))
for shape in ((1, 2, -8, 8), (1, 2, 0, 8)):
    said = f"ValueError: input_shape={shape!r} has no negative entries and no empty spatial axis"
    bad(ux.convert_indices, said, I2, **(CONVERT | {"input_shape": shape}))
bad(
    ux.convert_indices,
    "TypeError: input_shape must be a tuple of ints, got 4",
    I2,
    **(CONVERT | {"input_shape": 4}),
)
REAL_SIZE = CONVERT | {"input_shape": (1, 2, 8.0, 8)}
bad(ux.convert_indices, "TypeError: input_shape must be an int", I2, **REAL_SIZE)
bad(ux.convert_indices, "TypeError: indices must have an integer dtype", X, **CONVERT)


@pytest.mark.parametrize(("function", "error", "arrays", "options"), CASES)
def test_bad_input_is_named(
    eager: Target, function: Any, error: Any, arrays: Any, options: Any
) -> None:
    name, message = error
    with pytest.raises((TypeError, ValueError), match=re.escape(message)) as caught:
        eager.call(function, *map(eager.asarray, arrays), **options)
    assert caught.type.__name__ == name
    assert str(caught.value).startswith(f"{function.__name__}: ")


@pytest.mark.parametrize("function", [ux.max_pool, ux.nearest_unpool])
@pytest.mark.parametrize("value", [[[1.0, 2.0]], 3.0, None, "x"])
def test_what_is_no_array_is_named(function: Any, value: Any) -> None:
    message = f"{function.__name__}: x must be an array of an array API library, got"
    with pytest.raises(TypeError, match=message):
        function(value, 2)


def test_arrays_of_two_libraries_are_refused(eager: Target) -> None:
    other = torch.asarray(I2) if eager.label == "numpy" else I2
    with pytest.raises(TypeError, match=r"max_unpool: all arrays must be of one library, got"):
        ux.max_unpool(eager.asarray(X), other, 2)


def test_arrays_on_two_devices_are_refused() -> None:
    a, b = strict.asarray(X), strict.asarray(I2, device=strict.Device("device1"))
    with pytest.raises(ValueError, match="max_unpool: all arrays must be on one device, got"):
        ux.max_unpool(a, b, 2)
    with pytest.raises(ValueError, match=r"values: cpu, indices: meta"):
        ux.max_unpool(torch.asarray(X), torch.asarray(I2).to("meta"), 2)


@pytest.mark.parametrize("indices", [[16, 0, -1, 3], [3, 2, 1, 2**40], [-5, -5, -5, -5]])
def test_an_index_outside_the_plane_is_counted_and_the_first_is_named(
    eager: Target, indices: list[int]
) -> None:
    if eager.label == "dask":  # lazy: nothing can be looked at, so it is dropped (test_unpooling)
        return
    where = np.asarray(indices, dtype=np.int64).reshape(1, 1, 2, 2)
    outside = [(place, i) for place, i in enumerate(indices) if not 0 <= i < 16]
    message = (
        rf"max_unpool: {len(outside)} of 4 indices lie outside the output plane \(4, 4\).*"
        rf"the first is {outside[0][1]}, element {outside[0][0]} "
    )
    with pytest.raises(IndexError, match=message):
        ux.max_unpool(eager.asarray(X[:, :1, :2, :2]), eager.asarray(where), 2)


@pytest.mark.parametrize("function", [ux.max_pool, ux.avg_pool])
def test_a_dtype_that_is_not_the_library_s_own_is_named(function: Any) -> None:
    with pytest.raises(TypeError, match=f"{function.__name__}: x must have a real.*bfloat16"):
        function(np.ones((1, 1, 4), ml_dtypes.bfloat16), 2)


def test_a_plan_is_not_taken_for_an_equal_looking_one() -> None:
    # 2, 2.0 and True hash alike: a cache that mixed them up would let the wrong ones through.
    ux.max_pool(X, 2)
    for wrong in (2.0, (2.0, 2), np.float32(2)):
        with pytest.raises(TypeError, match="kernel_size"):
            ux.max_pool(X, wrong)  # type: ignore[arg-type]
    ux.max_pool(X, 1)
    with pytest.raises(TypeError, match=r"kernel_size must be an int.*got True"):
        ux.max_pool(X, True)
    assert ux.max_pool(X, np.int64(2)).values.shape == (1, 2, 2, 2)
    assert ux.max_pool(X, [2, 2]).values.shape == (1, 2, 2, 2)
