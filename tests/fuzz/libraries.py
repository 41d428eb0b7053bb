"""Make a call on a library, eager, compiled or lazy, and bring what comes of it to the host."""

from __future__ import annotations

import functools
import hashlib
import warnings
from collections.abc import Callable
from random import Random
from typing import Any, NamedTuple

import dask
import dask.array as da
import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import torch

from tests.conftest import MLX, forbid_compute
from tests.fuzz.pieces import Call
from unpool_xp import backends
from unpool_xp.capabilities import why_not


class Outcome(NamedTuple):
    """The outputs on the host, or the exception."""

    outputs: tuple[np.ndarray, ...] = ()
    error: Exception | None = None


def outcome(
    function: Callable[[], Any], to_host: Callable[[Any], np.ndarray] = np.asarray
) -> Outcome:
    """Return what comes of a function of no arguments."""
    try:
        result = function()
        many = result if isinstance(result, tuple) else (result,)
        return Outcome(tuple(to_host(one) for one in many))
    except Exception as error:
        return Outcome(error=error)


# --- to a library and back -----------------------------------------------------------------------


def to_torch(array: np.ndarray) -> torch.Tensor:
    """Return a tensor with the same strides, where tensors can have them."""
    if array.dtype == ml_dtypes.bfloat16:
        return torch.from_numpy(np.array(array, np.float32)).bfloat16()
    if any(stride < 0 for stride in array.strides) or not array.flags.writeable:
        array = array.copy()
    return torch.from_numpy(array)


def from_torch(tensor: torch.Tensor) -> np.ndarray:
    if tensor.dtype == torch.bfloat16:
        return tensor.float().numpy().astype(ml_dtypes.bfloat16)
    return tensor.numpy()


@functools.cache
def _backend(label: str) -> Any:
    return backends.load(label)


def _chunked(array: np.ndarray, rng: Random) -> Any:
    chunks = []
    for n in array.shape:
        first = rng.choice((n, n, (n + 1) // 2, 1, 2, 3))
        chunks.append(max(min(first, n), 1) if n else n)
    return da.from_array(array, chunks=tuple(chunks))


# --- the ways to make a call ---------------------------------------------------------------------


def _numpy(call: Call) -> Outcome:
    if call.dtype == "bfloat16":  # which NumPy lacks: float32, rounded at the end
        wide = [a.astype(np.float32) if a.dtype == ml_dtypes.bfloat16 else a for a in call.data]
        got = outcome(lambda: call.function(*wide, **call.options))
        rounded = [o.astype(ml_dtypes.bfloat16) if o.dtype.kind == "f" else o for o in got.outputs]
        return Outcome(tuple(rounded), got.error)
    return outcome(lambda: call.function(*call.data, **call.options))


def _strict(call: Call) -> Outcome:
    backend = _backend("array_api_strict")
    return outcome(
        lambda: call.function(*map(backend.asarray, call.data), **call.options), backend.to_numpy
    )


def _torch(call: Call) -> Outcome:
    return outcome(lambda: call.function(*map(to_torch, call.data), **call.options), from_torch)


def _plain(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return type(value)(map(_plain, value))
    return value.item() if isinstance(value, np.generic) else value


def _torch_compiled(call: Call) -> Outcome:
    torch._dynamo.reset()
    # It traces NumPy's numbers as arrays.
    options = {name: _plain(value) for name, value in call.options.items()}
    function = functools.partial(call.function, **options)
    compiled = torch.compile(lambda *arrays: function(*arrays), fullgraph=True, backend="eager")
    return outcome(lambda: compiled(*map(to_torch, call.data)), from_torch)


def _jax(call: Call) -> Outcome:
    return outcome(lambda: call.function(*map(jnp.asarray, call.data), **call.options))


def _jax_jit(call: Call) -> Outcome:
    compiled = jax.jit(functools.partial(call.function, **call.options))
    return outcome(lambda: compiled(*map(jnp.asarray, call.data)))


def _mlx(call: Call) -> Outcome:
    backend = _backend("mlx:cpu")
    mx = backend.xp

    def to_host(array: Any) -> np.ndarray:
        host = backend.to_numpy(array)
        return host.astype(ml_dtypes.bfloat16) if array.dtype == mx.bfloat16 else host

    def compute() -> Any:
        result = call.function(*map(backend.asarray, call.data), **call.options)
        many = result if isinstance(result, tuple) else (result,)
        first = 0 if call.operation == "convert_indices" else 1
        assert all(index.dtype == mx.int32 for index in many[first:]), "its index dtype"
        return *many[:first], *(index.astype(mx.int64) for index in many[first:])

    return outcome(compute, to_host)


def _dask(call: Call) -> Outcome:
    # The chunks follow from the call, so that a printed line makes the same ones again.
    told = repr((call.operation, call.options)).encode()
    rng = Random(hashlib.sha1(told + b"".join(array.tobytes() for array in call.data)).digest())
    arrays = [_chunked(array, rng) for array in call.data]
    if call.operation != "conv_transpose" and rng.random() < 0.8:
        arrays = [array.rechunk(arrays[0].chunks) for array in arrays]

    def build() -> Any:
        with forbid_compute():
            result = call.function(*arrays, **call.options)
        many = result if isinstance(result, tuple) else (result,)
        assert all(isinstance(one, da.Array) for one in many)
        computed = dask.compute(*many, scheduler="synchronous")
        for lazy, one in zip(many, computed, strict=True):
            assert (lazy.shape, lazy.dtype) == (one.shape, one.dtype), "what Dask was promised"
        return computed

    return outcome(build)


TARGETS: dict[str, Callable[[Call], Outcome]] = {
    "numpy": _numpy,
    "strict": _strict,
    "torch": _torch,
    "torch compiled": _torch_compiled,
    "jax": _jax,
    "jax.jit": _jax_jit,
    **({"mlx": _mlx} if MLX else {}),
    "dask": _dask,
}
_LIBRARY = {"strict": "array_api_strict", "torch compiled": "torch", "jax.jit": "jax"}
OTHERS: dict[str, backends.Backend] = {}  # by their labels: the targets of `tests.fuzz.others`
LAZY = ("torch compiled", "jax.jit", "dask", "cubed")  # values cannot be looked at


def can_take(target: str, call: Call) -> bool:
    """Tell whether the library has the dtypes, by the capability table."""
    library = _LIBRARY.get(target, target)
    if why_not(call.operation, library, call.dtype):
        return False
    others = [array.dtype for array in call.data]
    if library in OTHERS and any(OTHERS[library].why_no_dtype(dtype.name) for dtype in others):
        return False
    if library == "torch" and any(d in ("uint16", "uint32", "uint64") for d in others):
        return False
    swapped = any(not d.isnative for d in others)
    return not swapped or library in ("numpy", "dask")


def run(target: str, call: Call) -> Outcome:
    """Make the call; the inputs must stay as they were."""
    before = [array.copy() for array in call.data]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        got = TARGETS[target](call)
    for kept, array in zip(before, call.data, strict=True):
        if kept.tobytes() != np.ascontiguousarray(array).tobytes():
            return Outcome(error=AssertionError(f"{target} changed an input"))
    return got
