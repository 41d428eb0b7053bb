"""The one file that imports array_api_compat or array_api_extra."""

from __future__ import annotations

import functools
import sys
import types
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import array_api_compat
import array_api_compat.numpy
import array_api_extra
import numpy as np
from array_api_compat import array_namespace as namespace

from unpool_xp._plan.cache import Planner, kept, made_anew

__all__ = [
    "Array",
    "Namespace",
    "arguments",
    "cast",
    "computing_dtype",
    "device",
    "index_dtype",
    "library",
    "namespace",
    "require_dtype",
]

# The standard defines arrays by what they do, not by a class.
Array: TypeAlias = Any
Namespace: TypeAlias = Any


def library(x: Array) -> str:
    """Return "torch", "jax", "dask", "numpy" or "cupy", and "" for any other library."""
    # array_api_compat's predicates are behind functools.lru_cache, which torch.compile warns
    # about; a tensor is told without them, and a plain ndarray because it is the commonest.
    kind = type(x)
    if kind is np.ndarray:
        return "numpy"
    module = kind.__module__
    if module == "torch" or module.startswith("torch."):
        return "torch"
    for name, is_array in _PREDICATES.items():
        if is_array(x):
            return name
    return ""


_PREDICATES: dict[str, Callable[[object], bool]] = {
    "numpy": array_api_compat.is_numpy_array,
    "jax": array_api_compat.is_jax_array,
    "cupy": array_api_compat.is_cupy_array,
    "dask": array_api_compat.is_dask_array,
    "torch": array_api_compat.is_torch_array,
}


def device(x: Array) -> Any:
    """Return the device of an array."""
    kind = library(x)
    if kind == "numpy":
        return "cpu"
    return x.device if kind == "torch" else array_api_compat.device(x)


class Call(NamedTuple):
    """What the arrays of a call have in common, and how its plans are come by."""

    xp: Namespace
    device: Any
    plan: Planner


def arguments(operation: str, **arrays: Array) -> Call:
    """Return the one namespace and the one device of the named arguments."""
    kinds = {library(array) for array in arrays.values()}
    kind = kinds.pop() if len(kinds) == 1 else ""
    if kind == "numpy":
        return Call(_lean_numpy(), "cpu", kept)
    plan: Planner = kept
    if kind == "torch":
        if sys.modules["torch"].compiler.is_compiling():
            import array_api_compat.torch as xp

            plan = made_anew
        else:
            xp = _lean_torch()
        first, *others = [array.device for array in arrays.values()]
        if all(place == first for place in others):
            return Call(xp, first, plan)
    else:
        for name, array in arrays.items():
            if not array_api_compat.is_array_api_obj(array):
                raise TypeError(
                    f"{operation}: {name} must be an array of an array API library, "
                    f"got {type(array).__name__}: {_short(array)}"
                )
        try:
            xp = namespace(*arrays.values())
        except TypeError as error:
            said = ", ".join(f"{n}: {_kind(a)}" for n, a in arrays.items())
            raise TypeError(
                f"{operation}: all arrays must be of one library, got {said}"
            ) from error
        for name, array in arrays.items():
            if any(n is None or n != n for n in array.shape):
                raise ValueError(
                    f"{operation}: {name} has axes of unknown size (shape {array.shape}); find "
                    "them first, on Dask with compute_chunk_sizes()"
                )
    devices = {name: device(array) for name, array in arrays.items()}
    # What JAX traces has no device of its own, and goes where the others are.
    known = [place for place in devices.values() if place is not None]
    if any(place != known[0] for place in known[1:]):
        where = ", ".join(f"{name}: {place}" for name, place in devices.items())
        raise ValueError(f"{operation}: all arrays must be on one device, got {where}")
    return Call(xp, known[0] if known else None, plan)


# PyTorch's own functions: a wrapper that brings dtypes together, which here agree, takes as long as
# a small call.
_OWN_OF_TORCH = ("matmul", "maximum", "min", "minimum", "reshape", "where", "zeros")
# NumPy's functions are methods behind a dispatch that takes as long as a small call, too.
_METHODS_OF_NUMPY = ("max", "min", "repeat", "reshape", "sum")
# The same for equal arguments, so asked for once.
_ASKED_OFTEN = ("finfo", "iinfo", "isdtype")


@functools.cache
def _lean_numpy() -> Namespace:
    return _lean(array_api_compat.numpy, **{name: _method(name) for name in _METHODS_OF_NUMPY})


def _method(name: str) -> Callable[..., Any]:
    def call(x: Array, *arguments: Any, **options: Any) -> Any:
        return getattr(x, name)(*arguments, **options)

    return call


@functools.cache
def _lean_torch() -> Namespace:
    import array_api_compat.torch
    import torch

    def largest(x: Array, axis: int | None = None) -> Array:
        return torch.max(x) if axis is None else torch.amax(x, axis)

    own = {name: getattr(torch, name) for name in _OWN_OF_TORCH}
    return _lean(array_api_compat.torch, matrix_transpose=lambda x: x.mT, max=largest, **own)


def _lean(xp: Namespace, **own: Any) -> Namespace:
    """Return a namespace whose small calls take less."""
    lean = types.ModuleType(xp.__name__)
    vars(lean).update(vars(xp))
    vars(lean).update({name: functools.cache(getattr(xp, name)) for name in _ASKED_OFTEN})
    vars(lean).update(own, indexing_dtype=array_api_extra.default_dtype(xp, "indexing"))
    return lean


def index_dtype(xp: Namespace, place: Any) -> Any:
    """Return the dtype that the library itself gives to indices."""
    known = getattr(xp, "indexing_dtype", None)  # of a lean namespace
    return known or array_api_extra.default_dtype(xp, "indexing", device=place)


def cast(xp: Namespace, x: Array, dtype: Any) -> Array:
    """Return an array in a dtype; itself where it has it."""
    return x if x.dtype == dtype else xp.astype(x, dtype)


def computing_dtype(xp: Namespace, dtype: Any) -> Any:
    """Return the dtype to sum in: float32 for half precision, the dtype itself for the others."""
    if xp.isdtype(dtype, "real floating") and xp.finfo(dtype).bits < 32:
        return xp.float32
    return dtype


def require_dtype(
    operation: str, xp: Namespace, kinds: tuple[str, ...], said: str, **arrays: Array
) -> None:
    """Raise a TypeError that names the argument whose dtype is of none of the kinds."""
    for name, array in arrays.items():
        if not xp.isdtype(array.dtype, kinds):
            raise TypeError(f"{operation}: {name} must have {said} dtype, got {array.dtype}")


def _kind(array: Array) -> str:
    return f"{type(array).__module__.partition('.')[0]}.{type(array).__name__}"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
