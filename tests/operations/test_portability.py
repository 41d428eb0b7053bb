"""What stands in for libraries and devices that this machine does not have."""

from __future__ import annotations

import ast
import functools
import importlib
import itertools
from pathlib import Path
from typing import Any

import array_api_strict as strict
import numpy as np
import pytest
import torch

import unpool_xp as ux
from tests.support import minimal_library
from tests.support.calls import CALLS, X, every_call, outputs
from tests.support.closeness import assert_close
from tests.support.strategies import real_values
from unpool_xp.capabilities import OPERATIONS

PACKAGE = Path(ux.__file__).parent


def test_every_operation_is_called() -> None:
    assert {function.__name__ for function, _, _ in CALLS} == set(OPERATIONS)


INTEGERS = tuple(
    np.arange(n).reshape(shape) % 7 - 3 for n, shape in [(24, (1, 4, 6)), (12, (4, 1, 3))]
)
MORE_CALLS = [
    *CALLS,
    (ux.conv_transpose, INTEGERS, {"stride": 2}),
    (ux.conv_transpose, (INTEGERS[0][:0], *INTEGERS[1:]), {"stride": 2}),
    (ux.max_pool, (X.reshape(2, 2, -1),), {"kernel_size": 50, "stride": 50}),
    (ux.adaptive_max_pool, (X.reshape(2, 2, -1) // 1 * np.nan,), {"output_size": 1}),
    (ux.adaptive_max_pool, (X.reshape(2, 1, -1),), {"output_size": 1}),
    (ux.adaptive_max_pool, (np.zeros((0, 2, 100), np.uint8),), {"output_size": 1}),
    (
        ux.max_unpool,
        (np.asarray([[[True, False]]]), np.asarray([[[5, 3]]], np.uint8)),
        {"output_size": 7},
    ),
]
GAPS = [gap for gap in minimal_library.GAPS if gap != "int16"]


@functools.cache
def wanted_of(number: int) -> tuple[np.ndarray, ...]:
    function, arrays, options = MORE_CALLS[number]
    return outputs(function(*arrays, **options))


@pytest.mark.parametrize(
    "gaps", [(), *itertools.combinations(GAPS, 1), *itertools.combinations(GAPS, 2)], ids="+".join
)
def test_a_library_nobody_has_heard_of_may_lack_two_things(gaps: tuple[str, ...]) -> None:
    kind = minimal_library.lacking(*gaps)
    for number, (function, arrays, options) in enumerate(MORE_CALLS):
        got = outputs(function(*(kind(array) for array in arrays), **options))
        for one, wanted in zip(got, wanted_of(number), strict=True):
            assert type(one) is kind
            assert_close(one._data, kind(wanted)._data)  # as wide as it has them


@pytest.mark.parametrize("gap", ["int16", "take_along_axis"])
@pytest.mark.parametrize("duplicates", ["any", "sum"])
def test_an_index_need_not_count_all_planes(gap: str, duplicates: Any) -> None:
    kind = minimal_library.lacking("int16", gap)
    x = real_values((60, 700), 3, "float32")  # more elements than an int16 counts
    indices = np.argsort(x, axis=1)
    got = ux.max_unpool(kind(x), kind(indices), output_size=(700,), duplicates=duplicates)
    np.testing.assert_array_equal(got._data, ux.max_unpool(x, indices, output_size=(700,)))
    got = ux.max_pool(kind(x), (100,), stride=(100,))
    np.testing.assert_array_equal(got.indices._data, ux.max_pool(x, (100,), stride=(100,)).indices)


def test_the_unknown_library_checks_indices_too() -> None:
    array = minimal_library.Array
    with pytest.raises(IndexError, match="1 of 2 indices"):
        ux.max_unpool(array([[[1.0, 2.0]]]), array([[[0, 9]]]), output_size=4)


@pytest.mark.parametrize("name", ["device1", "device2", "no_float64", "no_x64"])
@every_call
def test_nothing_leaves_its_device(call: Any, name: str) -> None:
    function, arrays, options = call
    device = strict.Device(name)
    if name == "no_x64":  # as JAX is by default: no 64-bit numbers of any kind
        arrays = tuple(a.astype(np.int32) if a.dtype == np.int64 else a for a in arrays)
        if function in (ux.max_unpool, ux.fractional_max_unpool) and len(arrays) == 2:
            with pytest.raises(
                ValueError, match="does not support dtype"
            ):  # its own sort is broken
                strict.argsort(strict.asarray([1, 0], dtype=strict.int32, device=device))
            return
    got = function(*(strict.asarray(array, device=device) for array in arrays), **options)
    for one, wanted in zip(outputs(got), outputs(function(*arrays, **options)), strict=True):
        assert one.device == device
        host = np.asarray(one._array)  # its to_device needs NumPy 2
        np.testing.assert_allclose(host, wanted, rtol=1e-5, atol=1e-5)


@every_call
def test_no_hidden_look_at_the_values(call: Any) -> None:
    # torch's meta device has shapes without data: whoever reads a value back fails.
    function, arrays, options = call
    got = function(*(torch.asarray(array).to("meta") for array in arrays), **options)
    for one, wanted in zip(outputs(got), outputs(function(*arrays, **options)), strict=True):
        assert one.device.type == "meta"
        assert tuple(one.shape) == wanted.shape


@every_call
def test_inputs_that_cannot_be_written_serve(call: Any) -> None:
    function, arrays, options = call
    frozen = [array.copy() for array in arrays]
    for array in frozen:
        array.flags.writeable = False
    function(*frozen, **options)


def names_taken_from_xp() -> set[str]:
    """Return every attribute of `xp` and `info.xp` in the package."""
    found = set()
    for file in (*PACKAGE.glob("*.py"), *PACKAGE.glob("_*/*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) in ("xp", "info.xp"):
                found.add(node.attr)
    return found


# Taken only where the library is known to have them.
ONLY_SOME = {
    "add": ("numpy", "cupy"),
    "put_along_axis": ("numpy", "cupy"),
    "take_along_axis": ("numpy", "cupy", "torch"),
}


@pytest.mark.parametrize("library", ["cupy", "numpy", "torch", "dask.array"])
def test_every_name_taken_from_the_namespace_is_there(library: str) -> None:
    namespace = importlib.import_module(f"array_api_compat.{library}")
    names = names_taken_from_xp()
    assert {"reshape", "concat", "where", "take", "repeat", "matmul"} <= names
    missing = {name for name in names if not hasattr(namespace, name)}
    allowed = {name for name, has in ONLY_SOME.items() if library not in has}
    assert missing <= allowed


def test_the_names_belong_to_the_standard() -> None:
    missing = {name for name in names_taken_from_xp() if not hasattr(strict, name)}
    assert missing == {"add", "put_along_axis"} - set(dir(strict))


def test_dask_pads_on_one_side_whatever_the_size() -> None:
    import dask.array as da

    x = np.ones((2, 32, 96, 96), dtype=np.float32)
    lazy = da.from_array(x, chunks=(1, 32, 96, 96))
    got = ux.avg_pool(lazy, 3, stride=2, padding=1)
    np.testing.assert_allclose(got.compute(), ux.avg_pool(x, 3, stride=2, padding=1), rtol=1e-6)
