"""The reference against plain definitions and, in a few ways, PyTorch.

`tests/operations/test_against_torch.py` compares it with PyTorch over generated arguments. With
onnxruntime it agrees by way of our operations, which are compared with both.
"""

from __future__ import annotations

import functools
import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from tests.support.closeness import assert_close
from unpool_xp import reference
from unpool_xp.reference.indices import CONVENTIONS

CLOSE = {"rtol": 1e-12, "atol": 1e-12}
RANKS = (1, 2, 3)


# --- pooling -------------------------------------------------------------------------------------


def draw_pooling(
    generator: np.random.Generator, rank: int
) -> tuple[tuple[int, ...], dict[str, Any]]:
    """Return a shape and options that PyTorch takes: one padding for both sides, at most half."""
    kernel = tuple(int(k) for k in generator.integers(1, 5, rank))
    dilation = tuple(int(d) for d in generator.integers(1, 4, rank))
    extents = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    padding = tuple(int(generator.integers(0, k // 2 + 1)) for k in kernel)
    plane = tuple(
        int(generator.integers(max(extent - 2 * p, d), max(extent, d) + 8))
        for extent, p, d in zip(extents, padding, dilation, strict=True)
    )
    options = {
        "kernel": kernel,
        "stride": tuple(int(s) for s in generator.integers(1, 5, rank)),
        "padding": padding,
        "dilation": dilation,
        "ceil_mode": bool(generator.integers(2)),
    }
    lead = (int(generator.integers(1, 3)), int(generator.integers(1, 4)))
    return (*lead, *plane), options


def test_a_last_window_must_start_before_the_padding_at_the_end() -> None:
    x = np.arange(5.0)
    # Windows may start at -1, 2 and 5; 5 is the first cell of the padding at the end.
    options = {"kernel": (3,), "stride": (3,), "dilation": (1,), "ceil_mode": True}
    for after in (0, 1, 2):
        values, indices = reference.max_pool(x, padding=((1, after),), **options)
        assert values.tolist() == [1, 4]
        assert indices.tolist() == [1, 4]
    # From 0 and 3: the second reaches one cell beyond the plane.
    assert reference.max_pool(x, padding=((0, 0),), **options)[0].tolist() == [2, 4]
    assert reference.max_pool(x, padding=((0, 0),), **(options | {"ceil_mode": False}))[
        0
    ].tolist() == [2]


@pytest.mark.parametrize("dtype", ["int8", "int64", "uint8", "float16", "bool"])
def test_max_pool_keeps_the_dtype_and_its_lowest_value(dtype: str) -> None:
    low = -np.inf if dtype == "float16" else 0 if dtype == "bool" else np.iinfo(dtype).min
    x = np.full((2, 3, 4, 4), low, dtype)
    x[0, 0, 1, 1] = 1
    values, indices = reference.max_pool(x, (3, 3), (2, 2), ((1, 1), (1, 1)), (1, 1), False)
    assert values.dtype == dtype
    assert indices.dtype == np.int64
    assert values[0, 0].tolist() == [[1, 1], [1, 1]]
    assert indices[0, 0].tolist() == [[5, 5], [5, 5]]
    assert (values[1] == low).all()
    assert indices[1, 2].tolist() == [[0, 1], [4, 5]]


def test_a_window_without_an_element_has_no_maximum() -> None:
    with pytest.raises(ValueError, match="no real element"):
        reference.max_pool(np.zeros(1), (2,), (1,), ((1, 1),), (2,), False)


def test_avg_pool_divides_by_the_padding_but_not_by_what_lies_beyond() -> None:
    x = np.asarray([0.5, 1.0, 3.0])
    options = {"kernel": (3,), "stride": (2,), "dilation": (1,), "ceil_mode": True}
    # The windows hold the cells -1, 0, 1 and 1, 2, 3.
    for after, include, wanted in (
        (0, True, [1.5 / 3, 4 / 2]),
        (0, False, [1.5 / 2, 4 / 2]),
        (1, True, [1.5 / 3, 4 / 3]),
        (1, False, [1.5 / 2, 4 / 2]),
    ):
        padding = ((1, after),)
        got = reference.avg_pool(x, padding=padding, **options, count_include_pad=include)
        assert got.tolist() == wanted


# --- unpooling -----------------------------------------------------------------------------------


def test_nearest_unpool_is_exact_where_floats_are_not() -> None:
    # Cell i*out/n of the output stands exactly on cell i; in floats some land just below.
    for n, out in itertools.product(range(1, 36), repeat=2):
        [got] = reference.nearest_unpool(np.arange(n)[None], output_size=(out,))
        assert got.tolist() == [o * n // out for o in range(out)]
        [got] = reference.nearest_unpool(
            np.arange(n)[None], output_size=(out,), coordinates="half_pixel"
        )
        assert got.tolist() == [(2 * o + 1) * n // (2 * out) for o in range(out)]


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int64", "float16", "complex64"])
def test_nearest_unpool_moves_any_dtype(dtype: str) -> None:
    x = np.asarray([[1, 0], [1, 1]]).astype(dtype) * np.asarray(1, dtype)
    got = reference.nearest_unpool(x, scale_factor=(2, 3))
    np.testing.assert_array_equal(got, np.kron(x, np.ones((2, 3), dtype)), strict=True)


def test_linear_unpool_by_hand() -> None:
    x = np.asarray([0.0, 4.0])
    for coordinates, wanted in (
        ("asymmetric", [0, 2, 4, 4]),
        ("half_pixel", [0, 1, 3, 4]),
        ("align_corners", [0, 4 / 3, 8 / 3, 4]),
    ):
        got = reference.linear_unpool(x, scale_factor=(2,), coordinates=coordinates)
        np.testing.assert_allclose(got, wanted, **CLOSE)


@pytest.mark.parametrize("rank", RANKS)
@pytest.mark.parametrize("seed", range(10))
def test_max_unpool_that_sums_is_the_gradient_of_max_pool(rank: int, seed: int) -> None:
    generator = np.random.default_rng((seed, rank))
    shape, options = draw_pooling(generator, rank)
    x = torch.tensor(generator.standard_normal(shape), requires_grad=True)
    options["kernel_size"] = options.pop("kernel")
    values, indices = getattr(F, f"max_pool{rank}d")(x, **options, return_indices=True)
    arriving = generator.standard_normal(values.shape)
    values.backward(torch.tensor(arriving))
    got = reference.max_unpool(arriving, indices.numpy(), shape[2:], "sum")
    assert x.grad is not None
    assert_close(got, x.grad.numpy())


def test_of_several_values_any_keeps_one_and_what_lies_outside_is_dropped() -> None:
    values = np.asarray([1.0, 2, 4, 8, np.nan, np.nan], np.float32)
    indices = np.asarray([1, 1, 6, -1, 3, 3])
    got = reference.max_unpool(values, indices, (5,), "any")
    assert got.dtype == np.float32
    assert reference.is_candidate(got, values, indices, 1).all()
    for allowed in ([0, 1, 0, np.nan, 0], [0, 2, 0, np.nan, 0]):
        assert reference.is_candidate(np.asarray(allowed), values, indices, 1).all()
    wrong = np.asarray([4.0, 3, 8, 1, -0.0])  # a value at no place, a sum, an entry from outside
    told = reference.is_candidate(wrong, values, indices, 1)
    assert told.tolist() == [False, False, False, False, True]
    total = reference.max_unpool(values, indices, (5,), "sum")
    np.testing.assert_array_equal(total, np.asarray([0, 3, 0, np.nan, 0], np.float32), strict=True)


def test_max_unpool_takes_any_dtype_and_rank() -> None:
    values, indices = np.asarray([[[-7, 9]]], np.int8), np.asarray([[[5, 2]]], np.uint8)
    got = reference.max_unpool(values, indices, (2, 3), "sum")
    np.testing.assert_array_equal(got, np.asarray([[[0, 0, 9], [0, 0, -7]]], np.int8), strict=True)
    # Added in float64: in float16 the ones would be lost one after another.
    ones = np.asarray([2048, 1, 1], np.float16)
    total = reference.max_unpool(ones, np.zeros(3, np.int64), (1,), "sum")
    np.testing.assert_array_equal(total, np.asarray([2050], np.float16), strict=True)
    signed = reference.max_unpool(np.asarray([-0.0]), np.asarray([1]), (2,), "any")
    assert np.signbit(signed).tolist() == [False, True]


def test_fractional_max_unpool_by_hand() -> None:
    values = np.asarray([[0.0, 4.0], [8.0, 2.0]])
    # The rows stand at 0, 2/3 and 4/3 of the input's, the last of them beyond its last.
    plain = [[0, 2, 4, 4], [16 / 3, 4, 8 / 3, 8 / 3], [8, 5, 2, 2]]
    got = reference.fractional_max_unpool(values, output_size=(3, 4))
    np.testing.assert_allclose(got, plain, **CLOSE)
    indices = np.asarray([[1, 1], [11, 12]])  # the larger one at 1; 12 is outside
    got = reference.fractional_max_unpool(values, indices, output_size=(3, 4))
    plain[0][1], plain[2][3] = 4, 8
    np.testing.assert_allclose(got, plain, **CLOSE)


def test_fractional_max_unpool_lets_nan_win_and_the_map_underneath_never() -> None:
    values = np.asarray([5.0, np.nan, -3.0, -4.0])
    indices = np.asarray([0, 0, 4, 4])
    got = reference.fractional_max_unpool(values, indices, scale_factor=(1.5,))
    assert np.isnan(got[0])
    assert got[4] == -3
    indices = np.asarray([4, 5, 0, 2])
    got = reference.fractional_max_unpool(values, indices, scale_factor=(1.5,))
    assert got[[0, 2, 4]].tolist() == [-3, -4, 5]
    assert np.isnan(got[5])


# --- transposed convolution ----------------------------------------------------------------------


def test_conv_transpose_by_hand() -> None:
    x, weight = np.asarray([[[1.0, 2.0]]]), np.asarray([[[10.0, 20.0, 40.0]]])
    options = {"stride": (2,), "groups": 1, "dilation": (1,)}
    for padding, extra, wanted in (
        ((0, 0), 0, [10, 20, 60, 40, 80]),
        ((1, 0), 0, [20, 60, 40, 80]),
        ((0, 2), 0, [10, 20, 60]),
        ((0, 0), 1, [10, 20, 60, 40, 80, 0]),
        ((0, 1), 1, [10, 20, 60, 40, 80]),
    ):
        got = reference.conv_transpose(
            x, weight, padding=(padding,), output_padding=(extra,), **options
        )
        assert got.tolist() == [[wanted]]


# --- indices -------------------------------------------------------------------------------------


def numbered(shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Return for each convention an (N, C, *spatial) array: each element holds its own number."""
    n, c, *plane = shape
    cells = math.prod(plane)
    spatial_last = (0, len(plane) + 1, *range(1, len(plane) + 1))

    def count(*shape: int, order: Any = "C") -> np.ndarray:
        return np.arange(math.prod(shape)).reshape(shape, order=order)

    columns = count(*plane, order="F")
    without_batch = np.broadcast_to(count(*plane, c), (n, *plane, c))
    return {
        "torch": np.broadcast_to(count(*plane), shape),
        "onnx": count(*shape),
        "onnx_column_major": count(n, c).reshape(n, c, *(1 for _ in plane)) * cells + columns,
        "tensorflow": without_batch.transpose(spatial_last),
        "tensorflow_batch": count(n, *plane, c).transpose(spatial_last),
        "matlab": np.broadcast_to(columns + 1, shape),
    }


@functools.cache
def all_indices(seed: int, rank: int) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return the indices of a pooling in each convention, none got from another, and its sizes."""
    generator = np.random.default_rng((seed, rank))
    shape, options = draw_pooling(generator, rank)
    del options["ceil_mode"]
    x = generator.standard_normal((*shape[:2], *(n + 6 for n in shape[2:])))
    sides = [generator.integers(k, size=2) for k in options["kernel"]]
    options["padding"] = tuple((int(before), int(after)) for before, after in sides)
    _, places = reference.max_pool(x, **options, ceil_mode=False)
    flat = places.reshape(*x.shape[:2], -1)
    known = {
        name: np.take_along_axis(numbers.reshape((*flat.shape[:2], -1)), flat, 2).reshape(
            places.shape
        )
        for name, numbers in numbered(x.shape).items()
    }
    # Chainer takes the argmax of each window, cut out of the padded array.
    kernel, stride, dilation = (options[name] for name in ("kernel", "stride", "dilation"))
    padded = np.pad(x, ((0, 0), (0, 0), *options["padding"]), constant_values=-np.inf)
    extents = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    windows = np.lib.stride_tricks.sliding_window_view(padded, extents, tuple(range(2, x.ndim)))
    windows = windows[(..., *(slice(None, None, step) for step in (*stride, *dilation)))]
    known["chainer"] = windows.reshape(*places.shape, -1).argmax(-1)
    for name in ("tensorflow", "tensorflow_batch"):
        known[name] = np.moveaxis(known[name], 1, -1)
    return known, {"input_shape": x.shape, **options}


@pytest.mark.parametrize("source", CONVENTIONS)
@pytest.mark.parametrize("target", CONVENTIONS)
@pytest.mark.parametrize("rank", RANKS)
def test_convert_indices(source: str, target: str, rank: int) -> None:
    for seed in range(4):
        known, options = all_indices(seed, rank)
        got = reference.convert_indices(known[source], source, target, **options)
        np.testing.assert_array_equal(got, known[target], strict=True)


# --- the oracle itself ---------------------------------------------------------------------------


@pytest.mark.parametrize("lead", [(), (0,), (2, 0), (2, 3, 2)])
def test_whatever_leads_leads(lead: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).standard_normal((*lead, 4, 6))
    window = ((2, 2), (2, 2), ((0, 0), (1, 1)), (1, 1), True)
    fraction = {"kernel": (2, 2), "output": (3, 4), "samples": np.asarray([0.3, 0.8])}
    double = {"scale_factor": (2, 2)}

    def run(x: np.ndarray) -> list[np.ndarray]:
        values, indices = reference.max_pool(x, *window)
        return [
            values,
            indices,
            reference.avg_pool(x, *window, count_include_pad=False),
            *reference.fractional_max_pool(x, **fraction),
            reference.nearest_unpool(x, **double),
            reference.linear_unpool(x, **double),
            reference.max_unpool(values, indices, (4, 6), "sum"),
            reference.is_candidate(np.zeros_like(x), values, indices, 2),
            reference.fractional_max_unpool(values, indices, output_size=(4, 6)),
        ]

    kept = x.copy()
    whole = run(x)
    np.testing.assert_array_equal(x, kept)
    for array in whole:
        assert array.shape[: len(lead)] == lead
        assert array.ndim == len(lead) + 2
    for i in np.ndindex(lead):
        for array, one in zip(whole, run(x[i]), strict=True):
            np.testing.assert_array_equal(array[i], one)


def test_infinities_that_meet_are_no_warning() -> None:
    x = np.asarray([[[np.inf, -np.inf]]])
    assert np.isnan(reference.avg_pool(x, (2,), (2,), ((0, 0),), (1,), False, True)).all()
    assert np.isnan(reference.linear_unpool(x, scale_factor=(2,))[0, 0, 1])
    assert np.isnan(reference.max_unpool(x, np.zeros((1, 1, 2), int), (1,), "sum")).all()
