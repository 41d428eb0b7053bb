"""What rows are called."""

from __future__ import annotations

import re

import pytest

from tests.support.rows import make_row
from unpool_xp.bench.cases.case import Case
from unpool_xp.bench.catalog import SINGLE_OPERATIONS
from unpool_xp.bench.catalog.presets import PRESETS, preset
from unpool_xp.bench.rows.names import (
    contender_text,
    name_of_case,
    operation_text,
    settings_text,
)


def test_settings_name_what_is_there():
    row = make_row(padding=[1, 0], scale=[1.5, 2], out_channels=4)
    expected = "kernel 2x2, stride 2x2, padding 1x0, scale 1.5x2, out channels 4, float32"
    assert settings_text(row) == expected


def test_a_decoder_goes_by_its_name_and_never_by_its_layers():
    up = {"operation": "nearest_unpool", "scale": 2}
    first, second = (
        make_row(**Case("decoder", (1, 2, 3, 3), name="fpn", layers=layers).to_json())
        for layers in (
            (up, {"operation": "avg_pool", "kernel": 2}) * 20,
            ({"operation": "avg_pool", "kernel": 1},) * 40,
        )
    )
    assert operation_text(first) == "decoder fpn"
    assert re.fullmatch(r"40layers~[0-9a-f]{8}, float32", settings_text(first))
    assert settings_text(first) != settings_text(second)
    assert len(name_of_case(first)) < 60


@pytest.mark.parametrize("layers", [5, "x", None, [1, 2], [[{"a": 1}]], {"a": [1]}])
def test_what_no_decoder_has_is_named_too(layers):
    strange = {"operation": "decoder", "parameters": {"name": "\x1b[2J", "layers": layers}}
    for text in (operation_text, settings_text, name_of_case):
        assert text(make_row(**strange)).isprintable()


def test_a_row_of_no_known_case_has_a_name_too():
    assert name_of_case(make_row()) == "max_pool-1x8x32x32-k2x2-s2x2-float32"
    strange = {"operation": "roll", "shape": [3], "kernel": None, "stride": None}
    assert name_of_case(make_row(**strange)) == "roll 3, float32"


def test_the_name_of_a_row_is_that_of_its_case():
    cases = [case for name in PRESETS for case in preset(name).cases]
    assert {name_of_case(make_row(**case.to_json())) for case in cases} == {c.name for c in cases}


def test_sizes_that_take_long_to_plan_have_a_name_at_once():
    sizes = {"shape": [1, 1, 2**30, 2**30], "kernel": [2**31, 3], "stride": [2**40, 1]}
    name = name_of_case(make_row(operation="conv_transpose", out_channels=4, **sizes))
    assert name.startswith("conv_transpose-1x1x1073741824x1073741824-k2147483648x3-s")


def test_a_candidate_is_named_by_library_mode_and_own_function():
    assert contender_text(make_row()) == "numpy"
    assert contender_text(make_row(mode="compiled", threads_asked=2)) == "numpy compiled 2 threads"
    names = {
        function: contender_text(
            make_row(backend="a:cpu", implementation="native", function=function)
        )
        for function in (
            "torch.nn.functional.fractional_max_pool2d",
            "jax.lax.reduce_window of pairs",
            "jax.Array.at[].set, flat",
            "dask.array.map_blocks(numpy.matmul)",
            "numpy, strided slices",
        )
    }
    assert [name.removeprefix("a:cpu own ") for name in names.values()] == [
        "fractional_max_pool2d",
        "reduce_window of pairs",
        "at[].set, flat",
        "map_blocks(numpy.matmul)",
        "strided slices",
    ]


def test_no_two_natives_of_a_library_have_the_same_name():
    for operation in SINGLE_OPERATIONS.values():
        names = [
            contender_text(make_row(backend=n.library, implementation="native", function=n.title))
            for n in operation.natives
        ]
        assert len(set(names)) == len(names)
