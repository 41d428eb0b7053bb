"""Arrays that are not quite an array of numbers: right, or refused by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dask.array as da
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
import torch

import unpool_xp as ux
from tests.conftest import Target
from tests.support.calls import CALLS, chunked, every_call, outputs

# One call of each operation, with what it computes on first.
FIRST = {
    function.__name__: (function, arrays, options) for function, arrays, options in CALLS[::-1]
}
every_operation = pytest.mark.parametrize("name", sorted(FIRST))


def masked(array: np.ndarray) -> np.ndarray:
    return np.ma.array(array, mask=array > 0)


def structured(array: np.ndarray) -> np.ndarray:
    return np.zeros(array.shape, dtype=[("a", np.float32), ("b", np.int32)])


def as_torch(convert: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[np.ndarray], Any]:
    return lambda array: convert(torch.from_numpy(array))


REFUSED: dict[str, Callable[[np.ndarray], Any]] = {
    "a masked array": masked,
    "chunks of masked arrays": lambda array: da.from_array(masked(array)),
    "a matrix": lambda array: np.asmatrix(array.reshape(-1, array.shape[-1])),
    "a structured dtype": structured,
    "objects": lambda array: array.astype(object),
    "text": lambda array: array.astype("U4"),
    "dates": lambda array: array.astype("i8").astype("M8[s]"),
    "bfloat16 in NumPy": lambda array: array.astype(ml_dtypes.bfloat16),
    "float8 in NumPy": lambda array: array.astype(ml_dtypes.float8_e5m2),
    "chunks of bfloat16": lambda array: da.from_array(array.astype(ml_dtypes.bfloat16)),
    "a sparse tensor": as_torch(lambda x: x.to_sparse()),
    "float8 on torch": as_torch(lambda x: x.to(torch.float8_e4m3fn)),
    "powers of two on torch": as_torch(lambda x: x.to(torch.float8_e8m0fnu)),
    "numbers without zero on JAX": lambda array: jnp.asarray(array).astype(jnp.float8_e8m0fnu),
}


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
@every_operation
@pytest.mark.parametrize("kind", sorted(REFUSED))
def test_what_is_no_array_of_numbers_is_refused_by_name(name: str, kind: str) -> None:
    function, arrays, options = FIRST[name]
    odd = REFUSED[kind](arrays[0])
    rest = arrays[1:]
    if isinstance(odd, torch.Tensor):
        rest = tuple(map(torch.from_numpy, rest))
    elif kind.startswith("chunks"):
        rest = tuple(map(da.from_array, rest))
    elif kind.endswith("JAX"):
        rest = tuple(map(jnp.asarray, rest))
    first = "indices" if name == "convert_indices" else "values" if "max_unpool" in name else "x"
    with pytest.raises(TypeError, match=f"{name}: {first} must "):
        function(odd, *rest, **options)


def test_any_argument_is_looked_at() -> None:
    x, weight, indices = np.ones((1, 1, 4)), np.ones((1, 1, 2)), np.arange(4).reshape(1, 1, 4)
    with pytest.raises(TypeError, match="weight must be a plain array"):
        ux.conv_transpose(x, masked(weight))
    with pytest.raises(TypeError, match="indices must be a plain array"):
        ux.max_unpool(x, masked(indices), output_size=4)
    with pytest.raises(TypeError, match="weight must be a dense tensor"):
        ux.conv_transpose(torch.from_numpy(x), torch.from_numpy(weight).to_sparse())


@every_call
def test_a_file_in_memory_is_an_array(call: Any, tmp_path: Any) -> None:
    function, arrays, options = call
    mapped = []
    for number, array in enumerate(arrays):
        path = tmp_path / str(number)
        array.tofile(path)
        mapped.append(np.memmap(path, dtype=array.dtype, mode="r", shape=array.shape))
    wanted = outputs(function(*arrays, **options))
    for got, right in zip(outputs(function(*mapped, **options)), wanted, strict=True):
        np.testing.assert_allclose(got, right, rtol=1e-5, atol=1e-6)


# --- layouts --------------------------------------------------------------------------------------

LAYOUTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "channels last": lambda x: (
        np.moveaxis(np.moveaxis(x, 1, -1).copy(), -1, 1) if x.ndim > 2 else x
    ),
    "first axis fastest": np.asfortranarray,
    "every other element": lambda x: np.repeat(x, 2, axis=-1)[..., ::2],
    "backwards": lambda x: np.flip(np.flip(x).copy()),
}


@every_call
@pytest.mark.parametrize("layout", LAYOUTS)
def test_elements_may_lie_anywhere_in_memory(call: Any, layout: str) -> None:
    function, arrays, options = call
    inputs = [LAYOUTS[layout](array) for array in arrays]
    wanted = outputs(function(*arrays, **options))
    results = [outputs(function(*inputs, **options))]
    if layout != "backwards":  # PyTorch has no steps below zero
        results.append(outputs(function(*map(torch.from_numpy, inputs), **options)))
    for got in results:
        for one, right in zip(got, wanted, strict=True):
            np.testing.assert_allclose(np.asarray(one), right, rtol=1e-5, atol=1e-6)


# --- byte order -----------------------------------------------------------------------------------


@every_call
@pytest.mark.parametrize("lazy", [False, True])
def test_results_have_the_byte_order_of_the_input(call: Any, lazy: bool) -> None:
    function, arrays, options = call
    swapped = [array.astype(array.dtype.newbyteorder(">")) for array in arrays]
    inputs = chunked(swapped, (1, 4, 3, 4)) if lazy else swapped
    wanted = outputs(function(*arrays, **options))
    for number, (got, right) in enumerate(
        zip(outputs(function(*inputs, **options)), wanted, strict=True)
    ):
        computed = np.asarray(got)
        # Indices are made here, in the default dtype.
        made = number == 1 or function is ux.convert_indices
        dtype = np.dtype(np.int64) if made else right.dtype.newbyteorder(">")
        assert got.dtype == computed.dtype == dtype
        np.testing.assert_allclose(computed, right, rtol=1e-5, atol=1e-6)


def test_no_planes_have_the_byte_order_of_the_input() -> None:
    values = np.ones((0, 3, 2), dtype=">f8")
    indices = np.zeros(values.shape, dtype=np.int64)
    assert ux.fractional_max_unpool(values, indices, output_size=5).dtype == values.dtype


@pytest.mark.parametrize("orders", ["><", "<>", ">>"])
def test_byte_orders_are_one_dtype(orders: str) -> None:
    x = np.arange(8.0).reshape(1, 2, 4).astype(orders[0] + "f4")
    weight = np.ones((2, 1, 2), dtype=orders[1] + "f4")
    got = ux.conv_transpose(x, weight, np.ones(1, dtype="<f4"))
    assert got.dtype == x.dtype
    assert got.tolist() == [[[5, 11, 15, 19, 11]]]


# --- floats of 8 bits, zeros, and what NumPy warns of ---------------------------------------------


@pytest.mark.parametrize("name", ["float8_e4m3fn", "float8_e5m2"])
def test_the_padding_is_no_maximum_without_an_infinity(name: str) -> None:
    lowest = float(jnp.finfo(getattr(jnp, name)).min)
    x = jnp.asarray([[[lowest, 2.0, -3.0]]]).astype(getattr(jnp, name))
    for options in ({"padding": 1}, {"ceil_mode": True, "padding": (0,)}):
        pooled = ux.max_pool(x, (2,), **options)
        padded = bool(options["padding"] == 1)
        wanted = [lowest, 2.0] if padded else [2.0, -3.0]
        assert pooled.values.astype(float).tolist() == [[wanted]]
        assert pooled.indices.tolist() == [[[0, 1] if padded else [1, 2]]]


ZEROS = np.random.default_rng(0).choice([-0.0, 0.0, -1.0], (2, 3, 8, 9), p=[0.4, 0.4, 0.2])


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("kernel", [(1, 2), (3, 3), (5, 4)])
def test_a_maximum_is_the_element_that_its_index_names(
    target: Target, dtype: str, kernel: tuple[int, int]
) -> None:
    if dtype == "float16" and target.backend.library == "array_api_strict":
        pytest.skip("has no half precision")
    if target.compiles and (dtype, kernel) != ("float32", (3, 3)):
        pytest.skip("compiled once")
    x = ZEROS.astype(dtype)
    pooled = target(
        ux.max_pool, x, kernel_size=kernel, stride=1, padding=(kernel[0] // 2, kernel[1] // 2)
    )
    drawn = target(ux.fractional_max_pool, x, kernel_size=2, output_size=4, samples=(0.3, 0.6))
    for values, indices in (pooled, drawn):
        places = indices.reshape(2, 3, -1)
        named = np.take_along_axis(x.reshape(2, 3, -1), places, axis=2).reshape(values.shape)
        np.testing.assert_array_equal(values.view(f"i{x.itemsize}"), named.view(f"i{x.itemsize}"))


def test_maxima_in_chunks_have_the_bits_of_those_in_memory() -> None:
    lazy = da.from_array(ZEROS, chunks=(1, 2, 3, 4))
    for function, options in (
        (ux.max_pool, {"kernel_size": 3, "stride": 2, "padding": 1}),
        (ux.fractional_max_pool, {"kernel_size": 3, "output_size": 4, "samples": (0.3, 0.6)}),
    ):
        wanted = function(ZEROS, **options)
        got = function(lazy, **options)
        np.testing.assert_array_equal(got.indices, wanted.indices)
        np.testing.assert_array_equal(np.asarray(got.values).view("i8"), wanted.values.view("i8"))


@every_call
def test_an_infinity_is_no_error_where_numpy_is_told_to_raise(call: Any) -> None:
    function, arrays, options = call
    x = arrays[0].copy()
    if x.dtype.kind == "f":
        top = np.finfo(x.dtype).max
        x[0] = top
        x[1].flat[:8] = [np.inf, -np.inf, np.nan, top, -top, -0.0, 1e-42, 0.0]
    with np.errstate(all="raise"):
        outputs(function(x, *arrays[1:], **options))


# --- subclasses of tensors ------------------------------------------------------------------------


class Named(torch.Tensor):
    """A subclass that computes as any tensor does."""


@every_call
def test_a_subclass_of_tensors_stays_one(call: Any) -> None:
    function, arrays, options = call
    if function is ux.convert_indices:
        pytest.skip("indices are made here")
    plain = [torch.from_numpy(array) for array in arrays]
    wanted = outputs(function(*plain, **options))
    got = outputs(function(plain[0].as_subclass(Named), *plain[1:], **options))
    assert type(got[0]) is Named
    for one, right in zip(got, wanted, strict=True):
        torch.testing.assert_close(one.as_subclass(torch.Tensor), right)
