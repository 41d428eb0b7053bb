"""Presets: real decoders, and a grid that covers every operation."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest

from tests.support.command import python
from unpool_xp.bench.cases.case import Case
from unpool_xp.bench.catalog import SINGLE_OPERATIONS
from unpool_xp.bench.catalog.presets import DECODERS, PRESETS, preset


@pytest.mark.parametrize("operation", SINGLE_OPERATIONS)
def test_quick_has_every_operation_at_five_sizes_of_one_setting(operation: str) -> None:
    cases = [case for case in preset("quick").cases if case.operation == operation]
    series = [case for case in cases if _setting(case) == _setting(cases[0])]
    assert len(series) == 5
    assert len(cases) <= 6
    sizes = [case.bytes_moved for case in series]
    assert all(small < large < 20 * small for small, large in pairwise(sizes))
    assert sizes[0] < 2**16
    assert sizes[-1] > 2**20


def _setting(case: Case) -> Case:
    return case.replace(shape=(1, 32, 64, 64))


def test_quick_has_other_strides_than_that_of_its_series() -> None:
    quick = preset("quick").cases
    windows = {case.kernel[0] - case.stride[0] for case in quick if "stride" in case.parameters}
    assert max(windows) > 0  # overlapping
    assert {(case.parameters.get("stride") or case.scale)[0] for case in quick} >= {2, 3, 4}


def test_segnet_has_the_poolings_of_vgg16_and_their_ways_back() -> None:
    parts = DECODERS["segnet"]().parts
    pools = [case for case in parts if case.operation == "max_pool"]
    stages = [(64, 224), (128, 112), (256, 56), (512, 28), (512, 14)]
    assert [case.shape[1:3] for case in pools] == stages
    back = [case for case in parts if case.operation == "max_unpool"]
    assert [case.output_shape for case in back] == [case.shape for case in reversed(pools)]
    others = [case for case in parts if case not in (*pools, *back)]
    assert {case.kernel for case in others} == {(1, 1)}  # where the channels change


@pytest.mark.parametrize(
    ("name", "first", "last", "operations"),
    [
        ("segnet", (1, 64, 224, 224), (1, 64, 224, 224), 5 * ["max_pool", "max_unpool"]),
        ("unet", (1, 1024, 14, 14), (1, 64, 224, 224), 4 * ["conv_transpose"]),
        ("dcgan", (16, 100, 1, 1), (16, 3, 64, 64), 5 * ["conv_transpose"]),
        ("vae", (1, 512, 64, 64), (1, 256, 512, 512), 3 * ["nearest_unpool"]),
    ],
)
def test_a_preset_of_a_decoder_is_the_whole_and_its_layers(
    name: str, first: tuple[int, ...], last: tuple[int, ...], operations: list[str]
) -> None:
    whole, *parts = preset(name).cases
    assert (whole.operation, whole.shape, whole.output_shape) == ("decoder", first, last)
    assert set(parts) == set(whole.parts)
    others = [case.operation for case in whole.parts if case.operation != "conv_transpose"]
    assert sorted(others or [case.operation for case in whole.parts]) == sorted(operations)


def test_full_has_every_operation_and_all_of_the_decoders() -> None:
    cases = set(preset("full").cases)
    assert {case.operation for case in cases} == {*SINGLE_OPERATIONS, "decoder"}
    for decoder in ("segnet", "unet", "dcgan", "vae"):
        assert set(preset(decoder).cases) <= cases
    for operation, spec in SINGLE_OPERATIONS.items():
        of = [case for case in cases if case.operation == operation]
        assert {case.rank for case in of} == {1, 2, 3}
        assert {case.dtype for case in of} >= {"float64", "float32", "float16", "bfloat16"}
        assert ("uint8" in {case.dtype for case in of}) <= ("u" in spec.dtype_kinds)


def test_gpu_has_what_is_measured_on_a_cpu_as_it_is() -> None:
    cases = preset("gpu").cases
    for name in ("quick", "segnet", "unet"):
        assert set(preset(name).cases) <= set(cases)
    assert math.prod(cases[0].shape) == 2**28  # says most about a GPU


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
    for name in PRESETS:
        assert len(set(preset(name).cases)) == len(preset(name).cases)
    assert preset("quick").modes("jax:cpu") == ("eager", "compiled")
    assert preset("quick").modes("torch:cpu") == ("eager",)
    assert preset("full").modes("torch:cpu") == ("eager", "compiled")


def test_in_a_race_libraries_are_measured_as_they_are_fastest() -> None:
    quick = preset("quick")
    assert not quick.wants("jax:cpu", "eager", "portable")
    assert quick.wants("jax:cpu", "compiled", "portable")
    assert quick.wants("jax:cpu", "compiled", "native")
    assert quick.wants("numpy", "eager", "native")
    assert not quick.wants("dask", "eager", "native")
    assert preset("full").wants("jax:cpu", "eager", "native")


def test_a_preset_is_made_when_it_is_asked_for() -> None:
    code = (
        "from unpool_xp.bench.catalog import decoder_layers, presets; "
        "made = decoder_layers.layers_of; "
        "print(made.cache_info().misses); presets.preset('unet'); print(made.cache_info().misses)"
    )
    assert python("-c", code).stdout.split() == ["0", "1"]


def test_an_unknown_preset_lists_the_known_ones() -> None:
    with pytest.raises(
        ValueError, match="unknown preset 'huge'; known: quick, segnet, unet, dcgan, vae, full"
    ):
        preset("huge")
