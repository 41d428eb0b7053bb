"""The namespace and the device that the arrays of a call share, and the checks of their dtypes."""

from __future__ import annotations

import functools
import sys
import types
from collections.abc import Callable
from typing import Any, NamedTuple

import array_api_compat
import array_api_compat.numpy
import array_api_extra
from array_api_compat import array_namespace as namespace

from unpool_xp._array.compat import Array, Namespace, device, library
from unpool_xp._plan.cache import Planner, kept, made_anew


class Call(NamedTuple):
    """The namespace and device shared by the inputs, and how to make a plan for them."""

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
    # A JAX tracer has no device; it follows the other arrays.
    known = [place for place in devices.values() if place is not None]
    if any(place != known[0] for place in known[1:]):
        where = ", ".join(f"{name}: {place}" for name, place in devices.items())
        raise ValueError(f"{operation}: all arrays must be on one device, got {where}")
    return Call(xp, known[0] if known else None, plan)


# Call these PyTorch functions directly: the wrapper promotes dtypes, which already agree here, and
# costs as much as a small operation.
_OWN_OF_TORCH = ("matmul", "maximum", "min", "minimum", "reshape", "where", "zeros")

# Call these NumPy methods directly: the dispatch of the functions costs as much as a small call.
_METHODS_OF_NUMPY = ("max", "min", "repeat", "reshape", "sum")

# Pure functions of dtypes, cached.
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
    """Return a copy of the namespace with less overhead per call."""
    lean = types.ModuleType(xp.__name__)
    vars(lean).update(vars(xp))
    vars(lean).update({name: functools.cache(getattr(xp, name)) for name in _ASKED_OFTEN})
    vars(lean).update(own, indexing_dtype=array_api_extra.default_dtype(xp, "indexing"))
    return lean


def require_dtype(
    operation: str, xp: Namespace, kinds: tuple[str, ...], said: str, **arrays: Array
) -> None:
    """Raise a TypeError that names the first argument whose dtype is not of these kinds."""
    for name, array in arrays.items():
        if not xp.isdtype(array.dtype, kinds):
            raise TypeError(f"{operation}: {name} must have {said} dtype, got {array.dtype}")


def _kind(array: Array) -> str:
    return f"{type(array).__module__.partition('.')[0]}.{type(array).__name__}"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
