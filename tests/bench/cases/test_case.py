"""Cases, presets, the photograph, and the check against the oracle."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from tests.support.cases import SMALL
from unpool_xp.bench.cases.case import Case
from unpool_xp.bench.cases.expected import ExpectedOutputs, MismatchError, check
from unpool_xp.bench.cases.inputs import feature_map, numpy_dtype
from unpool_xp.bench.catalog import OPERATIONS
from unpool_xp.bench.catalog.presets import PRESETS, preset

ids = [case.name for case in SMALL]


def result(case: Case) -> list[np.ndarray]:
    """Return the right outputs, freshly allocated."""
    made = OPERATIONS[case.operation].function(*case.arrays().values(), **case.options())
    return [a.copy() for a in made] if isinstance(made, tuple) else [made.copy()]


# --- cases ---------------------------------------------------------------------------------------


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


def test_json_of_something_else_is_refused() -> None:
    with pytest.raises(ValueError, match=r"unknown fields \['evil'\]"):
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
        ({"scale": 2}, "scale=(2, 2) is not for max_pool"),
        ({"out_channels": 2}, "out_channels=2 is not for max_pool"),
        ({"dtype": "complex64"}, "dtype='complex64'"),
        ({"dtype": "float12"}, "dtype='float12'"),
        (
            {"operation": "avg_pool", "dtype": "int32"},
            "dtype='int32' is not one that avg_pool takes",
        ),
        ({"operation": "fractional_max_pool"}, "scale=None; fractional_max_pool needs it"),
        ({"operation": "fractional_max_pool", "scale": 1.5}, "output_ratio=(1.5, 1.5)"),
        (
            {"operation": "fractional_max_pool", "scale": 0.5, "stride": 2},
            "stride=(2, 2) is not for",
        ),
        ({"operation": "linear_unpool"}, "kernel=(2, 2) is not for linear_unpool"),
        ({"operation": "linear_unpool", "kernel": None, "scale": "2"}, "scale='2'"),
        ({"operation": "linear_unpool", "kernel": None, "scale": 0.0}, "scale_factor=(0.0, 0.0)"),
        ({"operation": "fractional_max_unpool", "kernel": None, "scale": 1.1}, "scale=(1.1, 1.1)"),
        ({"operation": "conv_transpose"}, "out_channels=None; conv_transpose needs it"),
        ({"operation": "conv_transpose", "out_channels": 0}, "out_channels=0 must be an int >= 1"),
        ({"operation": "conv_transpose", "out_channels": True}, "out_channels=True must be an int"),
        ({"operation": "conv_transpose", "out_channels": 2.0}, "out_channels=2.0 must be an int"),
        ({"operation": "conv_transpose", "out_channels": 2, "scale": 2}, "scale=(2, 2) is not for"),
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


def test_bytes_and_flops_by_hand() -> None:
    pool = Case("max_pool", (2, 3, 8, 8), kernel=2)
    assert pool.bytes_moved == 384 * 4 + 96 * (4 + 8)
    assert pool.flops == 96 * 3
    unpool = Case("max_unpool", (2, 3, 4, 4), kernel=2, dtype="float64")
    assert unpool.bytes_moved == 96 * (8 + 8) + 384 * 8
    nearest = Case("nearest_unpool", (2, 3, 4, 4), scale=2, dtype="uint8")
    assert (nearest.bytes_moved, nearest.flops) == (96 + 384, 0)
    average = Case("avg_pool", (2, 3, 8, 8), kernel=2)
    assert (average.bytes_moved, average.flops) == (384 * 4 + 96 * 4, 96 * 4)
    fraction = Case("fractional_max_pool", (2, 3, 8, 8), kernel=2, scale=0.5)
    assert (fraction.bytes_moved, fraction.flops) == (384 * 4 + 96 * (4 + 8), 96 * 3)
    linear = Case("linear_unpool", (1, 1, 2, 2), scale=2)
    assert (linear.bytes_moved, linear.flops) == ((4 + 16) * 4, 3 * 8 + 3 * 16)
    convolution = Case("conv_transpose", (2, 3, 4, 4), kernel=2, out_channels=5)
    assert convolution.bytes_moved == (96 + 60 + 2 * 5 * 64) * 4
    assert convolution.flops == 2 * 2 * 3 * 5 * 4 * 16
    # The share of each element in each tap and channel.
    assert convolution.needed_bytes > 4 * 2 * 5 * 4 * 16


@pytest.mark.parametrize("case", SMALL, ids=ids)
def test_sizes_are_those_of_the_arrays(case: Case) -> None:
    arrays, outputs = list(case.arrays().values()), result(case)
    assert case.bytes_moved == sum(a.nbytes for a in arrays + outputs)
    assert case.needed_bytes >= 2 * case.bytes_moved - outputs[0].nbytes
    assert case.output_shape == outputs[0].shape
    assert arrays[0].shape == case.shape
    assert arrays[0].dtype.name == case.dtype


def test_the_indices_of_an_unpooling_are_where_the_photo_has_its_maxima() -> None:
    case = Case("max_unpool", (2, 3, 4, 4), kernel=2)
    values, indices = case.arrays().values()
    photo = feature_map(case.output_shape).reshape(2, 3, -1)
    np.testing.assert_array_equal(
        np.take_along_axis(photo, indices.reshape(2, 3, -1), -1), values.reshape(2, 3, -1)
    )
    assert indices.dtype == np.int64


def test_the_indices_of_a_fractional_unpooling_are_where_the_photo_has_its_maxima() -> None:
    case = Case("fractional_max_unpool", (2, 3, 4, 4), scale=1.5)
    values, indices = case.arrays().values()
    assert case.output_shape == (2, 3, 6, 6)
    photo = feature_map(case.output_shape).reshape(2, 3, -1)
    np.testing.assert_array_equal(
        np.take_along_axis(photo, indices.reshape(2, 3, -1), -1), values.reshape(2, 3, -1)
    )


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


def test_weights_are_as_wide_as_those_of_a_fresh_layer() -> None:
    case = Case("conv_transpose", (1, 64, 2, 2), kernel=2, out_channels=32)
    weight = case.arrays()["weight"]
    assert weight.shape == (64, 32, 2, 2)
    bound = 1 / np.sqrt(32 * 4)
    assert 0.95 * bound < np.abs(weight).max() <= bound
    assert abs(weight.mean()) < bound / 20
    np.testing.assert_array_equal(case.arrays()["weight"], weight)


# --- the photograph ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "shape", [(17,), (2, 3, 40), (2, 3, 8, 9), (1, 2, 3, 8, 9), (1, 1, 600, 2)]
)
def test_a_feature_map_has_ties_both_signs_and_no_two_items_alike(shape: tuple[int, ...]) -> None:
    made = feature_map(shape)
    assert made.shape == shape
    assert made.dtype == np.float32
    assert made.min() < 0 < made.max()
    assert (made == made.min()).sum() > 1 or made.size < 20
    planes = made.reshape(-1, shape[-1])
    assert len(np.unique(planes, axis=0)) > len(planes) / 2


def test_a_feature_map_is_deterministic_read_only_and_kept() -> None:
    made = feature_map((1, 2, 5, 5), seed=3)
    assert feature_map((1, 2, 5, 5), seed=3) is made
    assert not made.flags.writeable
    assert not np.array_equal(made, feature_map((1, 2, 5, 5), seed=4))


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int64", "float16", "bfloat16", "float64"])
def test_a_feature_map_in_any_real_dtype(dtype: str) -> None:
    made = feature_map((1, 4, 16, 16), dtype)
    assert made.dtype == numpy_dtype(dtype)
    assert len(np.unique(made.astype(np.float64))) > 20


def test_a_bad_feature_map_is_named() -> None:
    with pytest.raises(ValueError, match=r"shape=\(2, 0\)"):
        feature_map((2, 0))
    with pytest.raises(ValueError, match="rank=3"):
        feature_map((2, 2), rank=3)
    with pytest.raises(ValueError, match="dtype='complex64'"):
        feature_map((2, 2), "complex64")


# --- the check -----------------------------------------------------------------------------------


@pytest.mark.parametrize("case", SMALL, ids=ids)
def test_what_is_right_passes_whole(case: Case) -> None:
    assert check(case, case.arrays(), result(case)) == "all"


@pytest.mark.parametrize("case", SMALL, ids=ids)
@pytest.mark.parametrize("place", [0, -1])
def test_one_wrong_element_is_found_and_named(case: Case, place: int) -> None:
    for number, name in enumerate(case.outputs):
        outputs = result(case)
        outputs[number].reshape(-1)[place] += 1
        last = [n - 1 if place else 0 for n in outputs[number].shape]
        with pytest.raises(MismatchError, match=re.escape(f"{name}{last} is ")):
            check(case, case.arrays(), outputs)


def test_a_wrong_dtype_shape_or_number_is_found() -> None:
    case = SMALL[0]
    values, indices = result(case)
    for outputs, message in [
        ([values.astype(np.float64), indices], "values has dtype float64, should be float32"),
        ([values, indices.astype(np.float64)], "indices has dtype float64, should be int64"),
        ([values[:1], indices], r"values has shape \(1, 3, 4, 5\), should be \(2, 3, 4, 5\)"),
        ([values], "1 outputs, should be 2"),
    ]:
        with pytest.raises(MismatchError, match=message):
            check(case, case.arrays(), outputs)
    assert check(case, case.arrays(), [values, indices.astype(np.int32)]) == "all"
    assert check(case, case.arrays(), [values], values_only=True) == "all"


def test_what_is_computed_may_be_rounded_and_no_more() -> None:
    for case in SMALL:
        if OPERATIONS[case.operation].exact or case.dtype != "float32":
            continue
        (good,) = result(case)
        largest = max(np.abs(good).max(), 1)
        assert check(case, case.arrays(), [good + np.float32(0.9e-5 * largest)]) == "all"
        with pytest.raises(MismatchError, match="elements looked at differ, by up to"):
            check(case, case.arrays(), [good + np.float32(2e-5 * largest)])


def test_nan_is_not_a_number_that_passes() -> None:
    case = SMALL[0]
    outputs = result(case)
    outputs[0][0, 0, 0, 0] = np.nan
    with pytest.raises(MismatchError, match="is nan"):
        check(case, case.arrays(), outputs)


def test_a_large_output_is_held_at_planes_the_first_and_the_last_among_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("unpool_xp.bench.cases.expected.CHECK_SECONDS", 5e-3)
    case = Case("max_pool", (4, 8, 32, 32), kernel=2)
    oracle = ExpectedOutputs(case, case.arrays())
    assert oracle.check(result(case)) == "planes"
    assert {0, 31} <= set(oracle.planes)
    assert len(oracle.planes) < 32
    for plane in (0, 31):
        outputs = result(case)
        outputs[1].reshape(32, -1)[plane, 7] += 1
        with pytest.raises(MismatchError, match=re.escape(f"indices[{plane // 8}, {plane % 8},")):
            oracle.check(outputs)


def test_a_huge_plane_is_held_at_its_first_and_last_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unpool_xp.bench.cases.expected.CHECK_SECONDS", 1e-3)
    for case in (
        Case("max_pool", (2, 3, 31, 32), kernel=3, stride=2, padding=1),
        Case("max_unpool", (2, 3, 31, 32), kernel=3, stride=2, padding=1),
        Case("nearest_unpool", (2, 3, 31, 32), scale=3),
        Case("nearest_unpool", (2, 3, 31, 32), scale=2.3),
        Case("max_unpool", (2, 3, 2000), kernel=2),
        Case("avg_pool", (2, 3, 31, 32), kernel=3, stride=2, padding=1),
        Case("fractional_max_pool", (2, 3, 31, 32), kernel=2, scale=0.7),
        Case("linear_unpool", (2, 3, 31, 32), scale=2.3),
        Case("linear_unpool", (2, 3, 2000), scale=2),
        Case("fractional_max_unpool", (2, 3, 31, 32), scale=1.3),
        Case("conv_transpose", (2, 3, 31, 32), kernel=3, stride=2, padding=1, out_channels=2),
    ):
        oracle = ExpectedOutputs(case, case.arrays())
        assert oracle.check(result(case)) == "reduced"
        rows = case.output_shape[-case.rank]
        assert oracle.row_ranges[0][0] == 0
        assert oracle.row_ranges[1][1] == rows
        assert oracle.row_ranges[0][1] < oracle.row_ranges[1][0]
        for place in (0, -1):
            outputs = result(case)
            outputs[-1].reshape(-1)[place] += 1
            with pytest.raises(MismatchError):
                oracle.check(outputs)


@pytest.mark.parametrize("case", SMALL, ids=ids)
def test_any_rows_of_the_oracle_are_those_of_the_whole(case: Case) -> None:
    oracle, arrays = OPERATIONS[case.operation].expected, case.arrays()
    rows = case.output_shape[-case.rank]
    whole = oracle(case, arrays, [0, 1], (0, rows))
    tolerance = 0 if OPERATIONS[case.operation].exact else 1e-14
    for low in range(rows):
        for high in range(low + 1, rows + 1):
            for got, want in zip(oracle(case, arrays, [0, 1], (low, high)), whole, strict=True):
                # What is computed in another order may differ in the last digit of float64.
                np.testing.assert_allclose(got, want[:, low:high], rtol=0, atol=tolerance)


# --- presets -------------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", OPERATIONS)
def test_quick_covers_every_operation_at_three_sizes_and_strides_2_to_4(operation: str) -> None:
    cases = [case for case in preset("quick").cases if case.operation == operation]
    assert len({case.shape for case in cases}) >= 3
    assert len(cases) <= 4
    if "fractional" not in operation:
        assert {2, 3, 4} <= {(case.stride or case.scale or (0,))[0] for case in cases}


def test_segnet_has_the_poolings_of_vgg16_and_their_ways_back() -> None:
    cases = preset("segnet").cases
    pools = [case for case in cases if case.operation == "max_pool"]
    assert [case.shape[1:3] for case in pools] == [
        (64, 224),
        (128, 112),
        (256, 56),
        (512, 28),
        (512, 14),
    ]
    for case in cases:
        if case.operation != "max_pool":
            assert case.output_shape in {pool.shape for pool in pools}


def test_unet_doubles_the_size_and_halves_the_channels() -> None:
    cases = preset("unet").cases
    assert [case.shape for case in cases] == [
        (1, 1024, 14, 14),
        (1, 512, 28, 28),
        (1, 256, 56, 56),
        (1, 128, 112, 112),
    ]
    for case, following in pairwise(cases):
        # The encoder's map comes beside it; the convolutions then halve the channels.
        assert following.shape == case.output_shape
    assert cases[-1].output_shape == (1, 64, 224, 224)


def test_dcgan_goes_from_numbers_to_pictures() -> None:
    cases = preset("dcgan").cases
    assert cases[0].shape == (16, 100, 1, 1)
    for case, following in pairwise(cases):
        assert case.output_shape == following.shape
    assert cases[-1].output_shape == (16, 3, 64, 64)


def test_vae_ends_at_the_size_of_the_picture() -> None:
    cases = preset("vae").cases
    assert {case.operation for case in cases} == {"nearest_unpool"}
    assert [case.output_shape[1:] for case in cases] == [
        (512, 128, 128),
        (512, 256, 256),
        (256, 512, 512),
    ]


def test_full_has_every_operation_and_all_of_the_decoders() -> None:
    cases = set(preset("full").cases)
    assert {case.operation for case in cases} == set(OPERATIONS)
    for decoder in ("segnet", "unet", "dcgan", "vae"):
        assert set(preset(decoder).cases) <= cases
    for operation, spec in OPERATIONS.items():
        of = [case for case in cases if case.operation == operation]
        assert {case.rank for case in of} == {1, 2, 3}
        assert {case.dtype for case in of} >= {"float64", "float32", "float16", "bfloat16"}
        assert ("uint8" in {case.dtype for case in of}) <= ("u" in spec.dtype_kinds)


@pytest.mark.parametrize("name", PRESETS)
def test_a_fractional_pooling_is_undone_at_its_own_size(name: str) -> None:
    pools = {
        case.output_shape: case.shape
        for case in preset(name).cases
        if case.operation == "fractional_max_pool"
    }
    for case in preset(name).cases:
        if case.operation == "fractional_max_unpool":
            assert case.output_shape == pools[case.shape]


def test_presets_hold_each_case_once_and_say_where_to_compile() -> None:
    for made in PRESETS.values():
        assert len(set(made.cases)) == len(made.cases)
    assert preset("quick").modes("jax:cpu") == ("eager", "compiled")
    assert preset("quick").modes("torch:cpu") == ("eager",)
    assert preset("full").modes("torch:cpu") == ("eager", "compiled")


def test_an_unknown_preset_lists_the_known_ones() -> None:
    with pytest.raises(
        ValueError, match="unknown preset 'huge'; known: quick, segnet, unet, dcgan, vae, full"
    ):
        preset("huge")
