"""Whole decoders as one operation: checked layer by layer, refused by the layer that is wrong."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import unpool_xp
from unpool_xp import backends
from unpool_xp.bench.cases.case import Case
from unpool_xp.bench.cases.expected import MismatchError
from unpool_xp.bench.cases.loading import operations
from unpool_xp.bench.cases.native import output_names
from unpool_xp.bench.catalog.decoder import scaled
from unpool_xp.bench.measure.session import DeviceInputs, HostInputs, Session

POOL = {"operation": "max_pool", "kernel": 2, "name": "pool"}
UNPOOL = {"operation": "max_unpool", "indices": "pool"}
UP = {"operation": "nearest_unpool", "scale": 2}
CONV = {"operation": "conv_transpose", "kernel": 2, "out_channels": 3}


def decoder(*layers: Any, shape: tuple[int, ...] = (2, 4, 9, 8), **fields: Any) -> Case:
    return Case("decoder", shape, name="small", layers=layers, **fields)


REGIONS = {"operation": "fractional_max_pool", "kernel": 2, "scale": 0.5, "name": "pool"}
UNPOOLED = decoder(POOL, UP, {**POOL, "name": "inner"}, UNPOOL, CONV)
SMOOTH = decoder(CONV, {"operation": "linear_unpool", "scale": 1.5}, CONV, dtype="float16")
OVERLAPPING = decoder(POOL | {"kernel": 3, "stride": 2, "padding": 1}, UNPOOL)
# A sum that is rounded would decide where the maxima of ties are.
HALF = decoder(
    CONV, POOL | {"kernel": 1}, {**POOL, "name": "b"}, UNPOOL | {"indices": "b"}, dtype="float16"
)
INTEGERS = decoder(POOL, UNPOOL, POOL | {"name": "last"}, dtype="uint8")
FRACTIONAL = decoder(
    REGIONS,
    {"operation": "fractional_max_unpool", "scale": (2.3, 2), "indices": "pool"},
)


def test_layers_follow_from_each_other_and_an_unpooling_undoes_its_pooling() -> None:
    parts = UNPOOLED.parts
    assert [part.output_shape for part in parts] == [
        (2, 4, 4, 4),
        (2, 4, 8, 8),
        (2, 4, 4, 4),
        (2, 4, 9, 8),
        (2, 3, 18, 16),
    ]
    assert parts[3] == Case("max_unpool", (2, 4, 4, 4), kernel=2, output_size=(9, 8))
    assert parts[4] == Case("conv_transpose", (2, 4, 9, 8), kernel=2, out_channels=3)
    assert UNPOOLED.flops == sum(part.flops for part in parts)
    assert UNPOOLED.needed_bytes > max(part.needed_bytes for part in parts)
    assert list(UNPOOLED.inputs) == ["x", "weight_5"]
    assert list(INTEGERS.outputs) == ["values", "indices"]


def test_a_decoder_has_one_name_and_comes_back_from_json() -> None:
    assert re.fullmatch(r"decoder-2x4x9x8-small-5layers~[0-9a-f]{8}-float32", UNPOOLED.name)
    assert UNPOOLED.short_name == "decoder 2x4x9x8 small"
    assert UNPOOLED.name != decoder(*UNPOOLED.layers, CONV).name
    again = Case.from_json(json.loads(json.dumps(UNPOOLED.to_json())))
    assert (again, again.name) == (UNPOOLED, UNPOOLED.name)
    assert decoder(POOL | {"stride": (2, 2), "padding": 0}) == decoder(POOL)
    assert decoder(UP | {"scale": [2.0, 2]}).name == decoder(UP).name


@pytest.mark.parametrize(
    "case", [UNPOOLED, SMOOTH, INTEGERS, FRACTIONAL, OVERLAPPING, HALF], ids=lambda c: c.name
)
def test_a_decoder_is_right_on_every_library(case: Case) -> None:
    inputs = HostInputs(case)
    for label in ("numpy", "torch:cpu", "jax:cpu"):
        backend = backends.load(label)
        device = DeviceInputs(backend, case, inputs)
        session = Session(
            backend, case, "compiled" if label == "jax:cpu" else "eager", inputs=device
        )
        assert session.prepare(), session.measured.error
        assert len(session.sample(1)) == 1


@pytest.mark.parametrize(
    ("case", "numbers"),
    [
        (UNPOOLED, {"numpy": 4, "torch": 1, "jax": 4, "cupy": 1, "dask": 0}),
        (decoder(UP, {**UP, "name": "again"}, CONV), {"numpy": 4, "torch": 1, "jax": 2}),
        (decoder(POOL, UP), {"dask": 1, "jax": 4}),  # nobody takes the indices
        (decoder(POOL), {"dask": 0, "jax": 2}),
        (decoder(REGIONS, {**REGIONS, "name": "b"}, UP), {"torch": 1, "numpy": 0}),
        (FRACTIONAL, {"torch": 0}),
    ],
    ids=lambda given: given.name if isinstance(given, Case) else "",
)
def test_the_functions_of_a_library_make_chains(case: Case, numbers: dict[str, int]) -> None:
    inputs = HostInputs(case)
    for library, number in numbers.items():
        natives = case.natives(library)
        names = [native.name(case) for native in natives]
        assert (len(natives), len(set(names))) == (number, number), names
        if library == "cupy":
            continue
        if library == "jax":  # which compiles each call anew
            natives, names = natives[-1:], names[-1:]
        backend = backends.load({"torch": "torch:cpu", "jax": "jax:cpu"}.get(library, library))
        device = DeviceInputs(backend, case, inputs)
        for native, name in zip(natives, names, strict=True):
            session = Session(backend, case, "eager", "native", name, inputs=device)
            assert session.prepare(), (name, session.measured.error)
            if not native.drawn(case, backend):
                given = dict(zip(case.inputs, device.device, strict=True))
                exec("\n".join(native.code(case)), given)
                outputs = [backend.to_numpy(given[made]) for made in output_names(case)]
                assert inputs.expected.check(outputs) == "all"


def test_equal_layers_are_one_function_and_prepared_values_are_of_their_layer() -> None:
    (native,) = decoder(UP, UP).natives("torch")
    assert native.code(decoder(UP, UP)) == [
        "import torch",
        "def layer_1(x):",
        "    y = torch.nn.functional.interpolate(x, scale_factor=(2, 2), mode='nearest')",
        "    return y",
        "y = layer_1(x)",
        "y = layer_1(y)",
    ]
    assert "np.ones(" in str(decoder(UP, UP).natives("numpy")[1].code(decoder(UP, UP)))


def test_the_result_of_a_decoder_is_that_of_the_calls_by_hand() -> None:
    x, weight = UNPOOLED.arrays().values()
    pooled = unpool_xp.max_pool(x, 2)
    inner, _ = unpool_xp.max_pool(unpool_xp.nearest_unpool(pooled.values, 2), 2)
    unpooled = unpool_xp.max_unpool(inner, pooled.indices, 2, output_size=(9, 8))
    y = unpool_xp.conv_transpose(unpooled, weight, stride=2)
    function = UNPOOLED.definition.function
    np.testing.assert_array_equal(function(x, weight, **UNPOOLED.options()), y)
    expected = HostInputs(UNPOOLED).expected
    assert expected.check([y]) == "all"
    with pytest.raises(MismatchError, match="convolved"):
        expected.check([np.roll(y, 1, axis=-1)])


def test_a_layer_that_is_wrong_is_found_by_its_own_reference(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    conv = operations()["conv_transpose"]
    off = replace(conv, function=lambda *arrays, **options: conv.function(*arrays, **options) + 1)
    monkeypatch.setitem(operations(), "conv_transpose", off)
    with pytest.raises(MismatchError, match="convolved"):
        _ = HostInputs(decoder(UP, CONV, CONV)).expected  # layers that no other test keeps


def test_a_library_that_lacks_a_dtype_of_a_layer_says_so() -> None:
    assert decoder(POOL, dtype="uint16").why_not("torch") == (
        "torch compares no unsigned integers but uint8"
    )
    assert UNPOOLED.why_not("torch") is None


@pytest.mark.parametrize(
    ("layers", "reason"),
    [
        ([], "layers must be a list of one layer or more"),
        ("pool", "layers must be a list"),
        ([POOL, 3], "layer 2: 3 must be a table"),
        ([POOL, {"kernel": 2}], "layer 2: operation=None must be printable text"),
        ([POOL, {"operation": 2}], "layer 2: operation=2 must be printable text"),
        ([{**POOL, "operation": "pool"}], "layer 1 (pool pool): unknown operation 'pool'; known: "),
        ([{"operation": "decoder"}], "layer 1 (decoder): unknown operation 'decoder'"),
        ([UP | {"name": 1}], "layer 1 (nearest_unpool): name=1 must be printable text"),
        ([UP | {"name": ""}], "name='' must be printable text"),
        ([UP | {"kernel": 2}], "kernel=2 is not for nearest_unpool, which takes scale"),
        ([UP | {"scale": "2"}], "scale='2' must be numbers"),
        ([UP | {"scale": float("inf")}], "layer 1 (nearest_unpool): "),
        ([UP | {"indices": "pool"}], "indices='pool' is not for nearest_unpool"),
        ([POOL | {"kernel": 10}], "layer 1 (max_pool pool): max_pool: kernel_size=(10, 10)"),
        ([POOL, UP, POOL], "layer 3 (max_pool pool): name='pool' is also the name of layer 1"),
        ([POOL, {"operation": "max_unpool"}], "indices is missing"),
        ([POOL, UNPOOL | {"indices": 1}], "indices=1 must be printable text"),
        ([POOL, UNPOOL | {"indices": "top"}], "indices='top' does not name a layer"),
        ([UNPOOL, POOL], "layer 1 (max_unpool): indices='pool' is layer 2, which comes later"),
        ([POOL, UNPOOL | {"name": "x", "indices": "x"}], "indices='x' is this very layer"),
        ([UP | {"name": "pool"}, UNPOOL], "indices='pool' is a nearest_unpool, not a max_pool"),
        ([POOL, UNPOOL | {"kernel": 2}], "kernel=2 is set by the pooling that indices names"),
        (
            [POOL | {"kernel": 3, "stride": 2}, UP | {"scale": 1}, UNPOOL],
            "layer 3 (max_unpool): the windows of 'pool' may overlap",
        ),
        ([POOL, UP, UNPOOL], "values of shape (2, 4, 8, 8) do not fit the indices of 'pool'"),
        (
            [FRACTIONAL.layers[0], {**FRACTIONAL.layers[1], "scale": 2}],
            "its output of shape (2, 4, 8, 8) is not what 'pool' pooled, of shape (2, 4, 9, 8)",
        ),
        ([UP] * 1001, "layer 1001 (nearest_unpool): 1001 layers are too many, 1000 at most"),
        ([UP] * 100, "is too large: no row can hold its bytes"),
    ],
)
def test_what_does_not_follow_is_named_by_its_layer(layers: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=re.escape(reason)):
        decoder(*layers) if isinstance(layers, list) else Case(
            "decoder", (1, 1, 4, 4), name="x", layers=layers
        )


def test_a_dtype_that_a_layer_does_not_take_is_named_by_the_layer() -> None:
    with pytest.raises(ValueError, match=re.escape("layer 2 (conv_transpose): dtype='int32'")):
        decoder(POOL, CONV, dtype="int32")


def test_a_decoder_is_scaled_in_its_batch_dtype_and_channels() -> None:
    other = scaled(UNPOOLED, batch=5, dtype="float64", channels=1.5)
    assert [part.output_shape[:2] for part in other.parts] == [(5, 6)] * 4 + [(5, 4)]
    assert {part.dtype for part in other.parts} == {"float64"}
    assert scaled(other, batch=2, dtype="float32", channels=1e-9).parts[-1].out_channels == 1
    assert scaled(UNPOOLED) == UNPOOLED
    for channels in (0.0, -1.0, float("inf"), float("nan")):
        with pytest.raises(ValueError, match=f"channels={channels}"):
            scaled(UNPOOLED, channels=channels)
    with pytest.raises(ValueError, match="shape="):
        scaled(UNPOOLED, batch=0)
