"""What array_api_compat is used for: the library, device and namespace of an array."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeAlias, TypeVar

import array_api_compat
import numpy as np
from array_api_compat import array_namespace as namespace

__all__ = [
    "Array",
    "ArrayObject",
    "ArrayT",
    "Namespace",
    "cast",
    "compute_dtype",
    "copied",
    "default_index_dtype",
    "find_compute_dtype",
    "get_device",
    "library",
    "namespace",
    "native",
]

# The standard defines arrays by what they do, not by a class.
Array: TypeAlias = Any
Namespace: TypeAlias = Any


class ArrayObject(Protocol):
    """An array of any library; those without types count as one, too."""

    # The types of these differ from library to library: torch.Size, tuple[int | float, ...], ...
    @property
    def shape(self) -> Any: ...

    @property
    def dtype(self) -> Any: ...

    @property
    def ndim(self) -> Any: ...


ArrayT = TypeVar("ArrayT", bound=ArrayObject)


def library(x: Array) -> str:
    """Return "torch", "jax", "dask", "numpy" or "cupy", and "" for any other library.

    Masked arrays and matrices, which compute by rules of their own, are "numpy.ma".
    """
    # array_api_compat's predicates use functools.lru_cache, which torch.compile warns about, so
    # tensors are recognised without them. NumPy arrays take the same shortcut for speed.
    cls = type(x)
    if cls is np.ndarray:
        return "numpy"
    module = cls.__module__
    if module == "torch" or module.startswith("torch."):
        return "torch"
    for name, is_array in _PREDICATES.items():
        if is_array(x):
            return "numpy.ma" if isinstance(x, np.ma.MaskedArray | np.matrix) else name
    return ""


_PREDICATES: dict[str, Callable[[object], bool]] = {
    "numpy": array_api_compat.is_numpy_array,
    "jax": array_api_compat.is_jax_array,
    "cupy": array_api_compat.is_cupy_array,
    "dask": array_api_compat.is_dask_array,
    "torch": array_api_compat.is_torch_array,
}


def get_device(x: Array) -> Any:
    """Return the device of an array, None where its library knows of none."""
    kind = library(x)
    if kind == "numpy":
        return "cpu"
    if kind == "torch":
        return x.device
    if kind:
        return array_api_compat.device(x)
    try:
        return array_api_compat.device(x)
    except Exception:
        return None


def default_index_dtype(xp: Namespace, device: Any = None) -> Any:
    """Return the dtype that a library has for positions where nothing else is said."""
    return xp.__array_namespace_info__().default_dtypes(device=device)["indexing"]


def cast(xp: Namespace, x: Array, dtype: Any) -> Array:
    """Return the array cast to a dtype, or the array itself if it already has it."""
    return x if x.dtype == dtype else xp.astype(x, dtype)


def copied(xp: Namespace, x: Array) -> Array:
    """Return the array in memory of its own."""
    return xp.astype(x, x.dtype, copy=True)


def compute_dtype(xp: Namespace, dtype: Any) -> Any:
    """Return the dtype to accumulate in: float32 for half precision, else the dtype itself."""
    known = getattr(xp, "compute_dtype", None)  # set by _fast_namespace
    return known(dtype) if known else find_compute_dtype(xp, dtype)


def find_compute_dtype(xp: Namespace, dtype: Any) -> Any:
    """Return what `compute_dtype` does, of a namespace that does not keep it."""
    if xp.isdtype(dtype, "real floating") and xp.finfo(dtype).bits < 32:
        return xp.float32
    return native(dtype)


def native(dtype: Any) -> Any:
    """Return the dtype in the byte order of the machine; only NumPy knows another one."""
    return dtype if getattr(dtype, "isnative", True) else dtype.newbyteorder("=")
