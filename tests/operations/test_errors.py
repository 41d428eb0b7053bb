"""Bad input: a named error, the same on every backend, before any array work."""

from __future__ import annotations

import re
from fractions import Fraction
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

BITS = "ValueError: divisor=9223372036854775808 must have at most 64 bits (array of"
bad(ux.avg_pool, BITS, X, kernel_size=2, divisor=2**63)
SPAN = "ValueError: kernel_size=2 spans 10 cells with dilation=9, more than the 4 of axis -2"
bad(ux.max_pool, SPAN, X, kernel_size=2, dilation=9)

HUGE = "ValueError: output_size=2147483648 needs more than the 2**59 cells"
bad(ux.adaptive_max_pool, HUGE, X, output_size=2**31)
bad(ux.adaptive_avg_pool, HUGE, X, output_size=2**31)
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

for samples in (
    [False, False],
    ["0.3", "0.5"],
    [0.3, None],
    np.asarray([0.3, 0.5j]),
    np.ma.masked_equal([0.3, 0.5], 0.5),
):
    said = "TypeError: samples must be "
    bad(ux.fractional_max_pool, said, X, samples=samples, **REGIONS)

for lead in (1, 2**6):  # of the planes, too
    size = 2 ** (30 - lead // 2**5)
    said = f"ValueError: output_size=({size}, {size}) needs more than the 2**59 cells"
    bad(ux.linear_unpool, said, np.zeros((lead, 1, 1, 1), "f4"), output_size=(size, size))

WORDS = np.asarray(["asymmetric", "half_pixel"])
bad(ux.nearest_unpool, "ValueError: coordinates=array([", X, scale_factor=2, coordinates=WORDS)
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
bad(ux.cubic_unpool, "TypeError: coefficient must be a number", X, scale_factor=2, coefficient=None)
bad(
    ux.cubic_unpool,
    "ValueError: coefficient=nan must be finite",
    X,
    scale_factor=2,
    coefficient=np.nan,
)
bad(
    ux.cubic_unpool,
    "ValueError: coefficient=Fraction(1000",
    X,
    scale_factor=2,
    coefficient=Fraction(10**400),
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
bad(ux.max_unpool, "ValueError: kernel_size=2147483648 needs more", X, I2, kernel_size=2**31)
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


@pytest.mark.parametrize("dtype", [torch.uint16, torch.uint32, torch.uint64])
@pytest.mark.parametrize(
    "call",
    [
        lambda x: ux.max_pool(x, 2),
        lambda x: ux.adaptive_max_pool(x, 3),
        lambda x: ux.fractional_max_pool(x, 2, output_size=2),
        lambda x: ux.max_unpool(x, torch.as_tensor(I2), output_size=4),
        lambda x: ux.conv_transpose(x, x.reshape(2, 1, 4, 4)),
    ],
)
def test_a_dtype_that_pytorch_only_copies_is_named(call: Any, dtype: torch.dtype) -> None:
    with pytest.raises(
        TypeError, match=r"must have a .* that its library computes with, got torch"
    ):
        call(torch.zeros(X.shape, dtype=dtype))


@pytest.mark.filterwarnings("ignore:.*prototype")
def test_tensors_with_gaps_are_refused() -> None:
    x = torch.as_tensor(X)
    ux.max_pool(x, 2)  # what is known of plain tensors is no answer for these
    with pytest.raises(TypeError, match="max_pool: x must be a dense tensor, got a nested one"):
        ux.max_pool(torch.nested.nested_tensor([x[0], x[0]]), 2)
    with pytest.raises(TypeError, match="max_pool: x must be a plain tensor, got a MaskedTensor"):
        ux.max_pool(torch.masked.masked_tensor(x, x > 3), 2)


def test_numbers_that_are_no_sizes_may_be_large(eager: Target) -> None:
    sums, huge = (eager(ux.avg_pool, X, kernel_size=2, divisor=n) for n in (1, -(2**60)))
    np.testing.assert_array_equal(huge, sums / np.float32(-(2.0**60)))
    cubic = [eager(ux.cubic_unpool, X, scale_factor=2, coefficient=a) for a in (2**60, 2.0**60)]
    np.testing.assert_array_equal(*cubic)


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
