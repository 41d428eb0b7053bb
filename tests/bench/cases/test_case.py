"""Cases: checked, named, sized."""

from __future__ import annotations

import copy
import json
import pickle
import re
from typing import Any

import numpy as np
import pytest

from tests.support.cases import SMALL, result
from unpool_xp.bench.cases.case import BackendMode, Case
from unpool_xp.bench.cases.inputs import feature_map

ids = [case.name for case in SMALL]


def test_the_name_is_stable() -> None:
    assert SMALL[0].name == "max_pool-2x3x7x8-k3x2-s2x2-p1x1-float32"
    assert SMALL[6].name == "nearest_unpool-1x2x5x4-f1.5x1.5-float64"


def test_an_int_is_one_entry_an_axis_and_the_stride_is_the_kernel() -> None:
    case = Case("max_pool", (2, 3, 8, 8), kernel=2, padding=0)
    assert case == Case("max_pool", (2, 3, 8, 8), kernel=(2, 2), stride=(2, 2))
    assert case.padding is None
    assert Case("nearest_unpool", (2, 3, 8), scale=2).scale == (2,)


@pytest.mark.parametrize("case", SMALL, ids=ids)
def test_json_and_back(case: Case) -> None:
    assert Case.from_json(json.loads(json.dumps(case.to_json()))) == case
    assert pickle.loads(pickle.dumps(case)) == copy.deepcopy(case) == case


def test_json_of_something_else_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown field `evil`"):
        Case.from_json({"operation": "max_pool", "shape": [1], "evil": 1})
    with pytest.raises(ValueError, match="shape"):
        Case.from_json({"operation": "max_pool"})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"operation": "min_pool"}, "unknown operation 'min_pool'; known: max_pool, "),
        ({"shape": (2, 0, 8, 8)}, "shape=(2, 0, 8, 8)"),
        ({"shape": (2, 3.0, 8, 8)}, "shape=(2, 3.0, 8, 8)"),
        ({"kernel": None}, "kernel=None; max_pool needs it"),
        ({"kernel": (2, 2.5)}, "kernel=(2, 2.5)"),
        ({"kernel": 9}, "kernel_size=(9, 9)"),
        ({"padding": 2}, "padding=(2, 2)"),
        ({"scale": 2}, "scale=2 is not for max_pool"),
        ({"out_channels": 2}, "out_channels=2 is not for max_pool"),
        ({"dtype": "complex64"}, "dtype='complex64'"),
        ({"dtype": "float12"}, "dtype='float12'"),
        ({"operation": "avg_pool", "dtype": "int32"}, "dtype='int32' is not one that avg_pool"),
        ({"operation": "fractional_max_pool"}, "scale=None; fractional_max_pool needs it"),
        ({"operation": "fractional_max_pool", "scale": 1.5}, "output_ratio=(1.5, 1.5)"),
        ({"operation": "fractional_max_pool", "scale": 0.5, "stride": 2}, "stride=2 is not"),
        ({"operation": "linear_unpool"}, "kernel=2 is not for linear_unpool"),
        ({"operation": "linear_unpool", "kernel": None, "scale": "2"}, "scale='2'"),
        ({"operation": "linear_unpool", "kernel": None, "scale": 0.0}, "scale_factor=(0.0, 0.0)"),
        ({"operation": "fractional_max_unpool", "kernel": None, "scale": 1.1}, "scale=(1.1, 1.1)"),
        ({"operation": "conv_transpose"}, "out_channels=None; conv_transpose needs it"),
        ({"operation": "conv_transpose", "out_channels": 0}, "out_channels=0 must be an int >= 1"),
        ({"operation": "conv_transpose", "out_channels": True}, "out_channels=True must be an int"),
        ({"operation": "conv_transpose", "out_channels": 2.0}, "out_channels=2.0 must be an int"),
        ({"operation": "conv_transpose", "out_channels": 2, "scale": 2}, "scale=2 is not for"),
        (
            {"operation": "conv_transpose", "out_channels": 2, "shape": (8, 8), "kernel": (2, 2)},
            "x of shape (8, 8) has no channels",
        ),
    ],
)
def test_a_bad_case_is_named(arguments: dict[str, Any], message: str) -> None:
    given = {"operation": "max_pool", "shape": (2, 3, 8, 8), "kernel": 2, **arguments}
    with pytest.raises(ValueError, match=re.escape(message)):
        Case(**given)


@pytest.mark.parametrize(
    ("case", "flops"),
    [
        (Case("max_pool", (2, 3, 8, 8), kernel=2), 96 * 3),
        (Case("avg_pool", (2, 3, 8, 8), kernel=2), 96 * 4),
        (Case("fractional_max_pool", (2, 3, 8, 8), kernel=2, scale=0.5), 96 * 3),
        (Case("nearest_unpool", (2, 3, 4, 4), scale=2), 0),
        (Case("linear_unpool", (1, 1, 2, 2), scale=2), 3 * 8 + 3 * 16),
        (Case("conv_transpose", (2, 3, 4, 4), kernel=2, out_channels=5), 2 * 2 * 3 * 5 * 4 * 16),
    ],
)
def test_flops_by_hand(case: Case, flops: int) -> None:
    assert case.flops == flops


def test_a_convolution_needs_the_share_of_each_element_in_each_tap_and_channel() -> None:
    case = Case("conv_transpose", (2, 3, 4, 4), kernel=2, out_channels=5)
    assert case.needed_bytes > 4 * 2 * 5 * 4 * 16


@pytest.mark.parametrize("case", SMALL, ids=ids)
def test_sizes_are_those_of_the_arrays(case: Case) -> None:
    arrays, outputs = list(case.arrays().values()), result(case)
    assert case.bytes_moved == sum(a.nbytes for a in arrays + outputs)
    assert case.needed_bytes >= 2 * case.bytes_moved - outputs[0].nbytes
    assert case.output_shape == outputs[0].shape
    assert arrays[0].shape == case.shape
    assert arrays[0].dtype.name == case.dtype


@pytest.mark.parametrize(
    "case",
    [
        Case("max_unpool", (2, 3, 4, 4), kernel=2),
        Case("fractional_max_unpool", (2, 3, 4, 4), scale=1.5),
    ],
)
def test_the_indices_of_an_unpooling_are_where_the_photo_has_its_maxima(case: Case) -> None:
    values, indices = (array.reshape(2, 3, -1) for array in case.arrays().values())
    photo = feature_map(case.output_shape).reshape(2, 3, -1)
    np.testing.assert_array_equal(np.take_along_axis(photo, indices, -1), values)
    assert indices.dtype == np.int64


def test_the_regions_are_the_same_each_time_and_in_single_precision() -> None:
    case = Case("fractional_max_pool", (4, 256, 1000), kernel=2, scale=0.7)
    samples = case.options()["samples"]
    assert samples.shape == (4, 256, 1)
    np.testing.assert_array_equal(case.options()["samples"], samples)

    def starts(u: np.ndarray) -> np.ndarray:
        step = u.dtype.type(1000 - 2) / u.dtype.type(700 - 1)
        shifted = (np.arange(699, dtype=u.dtype) + u) * step
        return shifted.astype(int) - (u * step).astype(int)

    single = samples.astype(np.float32)
    np.testing.assert_array_equal(single, samples)
    np.testing.assert_array_equal(starts(single), starts(samples))
    # As it comes by itself it would not: this size is a test of the above.
    drawn = np.random.default_rng(0).random(1024, dtype=np.float32)[:, None]
    assert not np.array_equal(starts(drawn), starts(drawn.astype(np.float64)))


@pytest.mark.parametrize(("kernel", "stride"), [(2, 2), (4, 2), (3, 1), (1, 2)])
def test_weights_keep_the_size_of_the_values(kernel: int, stride: int) -> None:
    case = Case("conv_transpose", (1, 64, 9, 9), kernel=kernel, stride=stride, out_channels=32)
    x, weight = case.arrays().values()
    assert weight.shape == (64, 32, kernel, kernel)
    y = result(case)[0]
    met = y[y != 0].reshape(-1) if kernel < stride else y
    assert 0.3 < met.std() / x.std() < 1.5
    assert abs(weight.mean()) < np.abs(weight).max() / 20
    np.testing.assert_array_equal(case.arrays()["weight"], weight)


def test_a_backend_says_its_mode_and_its_threads_where_they_were_chosen() -> None:
    assert str(BackendMode("numpy")) == "numpy"
    assert str(BackendMode("numpy", threads=1)) == "numpy 1 thread"
    assert str(BackendMode("jax:cpu", "compiled", 2)) == "jax:cpu compiled 2 threads"
