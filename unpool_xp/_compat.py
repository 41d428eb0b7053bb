"""The one file that imports array_api_compat or array_api_extra."""

from __future__ import annotations

import sys
from typing import Any, TypeAlias

import array_api_compat
import array_api_extra
from array_api_compat import is_lazy_array

__all__ = ["Array", "Namespace", "arguments", "index_dtype", "is_lazy_array", "library"]

# The standard defines arrays by what they do, not by a class.
Array: TypeAlias = Any
Namespace: TypeAlias = Any


def library(x: Array) -> str:
    """Return "torch", "jax", "dask", "numpy" or "cupy", and "" for any other library."""
    # array_api_compat's predicates are behind functools.lru_cache, which torch.compile warns
    # about; a tensor is told without them.
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(x, torch.Tensor):
        return "torch"
    for name, is_array in _PREDICATES.items():
        if is_array(x):
            return name
    return ""


_PREDICATES = {
    "numpy": array_api_compat.is_numpy_array,
    "jax": array_api_compat.is_jax_array,
    "cupy": array_api_compat.is_cupy_array,
    "dask": array_api_compat.is_dask_array,
}


def arguments(operation: str, **arrays: Array) -> tuple[Namespace, Any]:
    """Return the one namespace and the one device of the named arguments."""
    if all(library(array) == "torch" for array in arrays.values()):
        import array_api_compat.torch as xp

        devices = [array.device for array in arrays.values()]
    else:
        for name, array in arrays.items():
            if not array_api_compat.is_array_api_obj(array):
                raise TypeError(
                    f"{operation}: {name} must be an array of an array API library, "
                    f"got {type(array).__name__}: {_short(array)}"
                )
        try:
            xp = array_api_compat.array_namespace(*arrays.values())
        except TypeError as error:
            kinds = ", ".join(f"{n}: {_kind(a)}" for n, a in arrays.items())
            raise TypeError(
                f"{operation}: all arrays must be of one library, got {kinds}"
            ) from error
        devices = [array_api_compat.device(array) for array in arrays.values()]
    if any(device != devices[0] for device in devices[1:]):
        where = ", ".join(f"{n}: {d}" for n, d in zip(arrays, devices, strict=True))
        raise ValueError(f"{operation}: all arrays must be on one device, got {where}")
    return xp, devices[0]


def index_dtype(xp: Namespace, device: Any) -> Any:
    """Return the dtype that the library itself gives to indices."""
    return array_api_extra.default_dtype(xp, "indexing", device=device)


def _kind(array: Array) -> str:
    return f"{type(array).__module__.partition('.')[0]}.{type(array).__name__}"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
