"""An array library nobody has heard of: the standard's functions, immutable arrays, no more.

Arrays cannot be set by index, have no methods of NumPy's, and index by ints, slices and ellipsis
alone. What is not listed here, the package may not use.
"""

from __future__ import annotations

import builtins  # whose bool the library's own dtype hides
import operator
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import array_api_compat.numpy as standard  # has them all with NumPy 1, too
import numpy as np

FUNCTIONS = (
    "any arange argsort asarray astype broadcast_to concat full full_like isdtype matmul "
    "matrix_transpose max maximum min moveaxis permute_dims repeat reshape searchsorted stack "
    "sum take where zeros zeros_like argmax finfo iinfo"
).split()
DTYPES = (
    "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float32 float64 complex64 complex128"
).split()


class Array:
    """An immutable array."""

    def __init__(self, data: Any) -> None:
        self._data = np.array(data)
        self._data.flags.writeable = False

    def __array_namespace__(self, api_version: str | None = None) -> Any:
        return sys.modules[__name__]

    shape = property(lambda self: self._data.shape)
    dtype = property(lambda self: self._data.dtype)
    ndim = property(lambda self: self._data.ndim)
    size = property(lambda self: self._data.size)
    device = property(lambda self: "the only one")

    def __getitem__(self, key: Any) -> Array:
        for part in key if isinstance(key, tuple) else (key,):
            assert part is None or part is Ellipsis or isinstance(part, int | slice), part
        return type(self)(self._data[key])

    def __bool__(self) -> builtins.bool:
        return builtins.bool(self._data)

    def __int__(self) -> int:
        return int(self._data)


def _operator(function: Callable[[Any, Any], Any]) -> Callable[[Array, Any], Array]:
    return lambda self, other: type(self)(function(self._data, _bare(other)))


for _name in "add sub mul truediv floordiv mod".split():
    _function = getattr(operator, _name)
    setattr(Array, f"__{_name}__", _operator(_function))
    setattr(Array, f"__r{_name}__", _operator(lambda a, b, swapped=_function: swapped(b, a)))
for _name in "lt le gt ge eq ne and_ or_".split():
    setattr(Array, f"__{_name.strip('_')}__", _operator(getattr(operator, _name)))


def _bare(value: Any) -> Any:
    if isinstance(value, Array):
        return value._data
    if isinstance(value, list | tuple):
        return type(value)(_bare(entry) for entry in value)
    return value


def _wrapped(function: Callable[..., Any], kind: type[Array]) -> Callable[..., Any]:
    def call(*args: Any, device: Any = None, **kwargs: Any) -> Any:
        result = function(*_bare(args), **{k: _bare(v) for k, v in kwargs.items()})
        return kind(result) if isinstance(result, np.ndarray | np.generic) else result

    return call


def _info() -> Any:
    types = {"real floating": "float64", "complex floating": "complex128"}
    types |= {"integral": "int64", "indexing": "int64"}
    return SimpleNamespace(
        default_dtypes=lambda device=None: {kind: np.dtype(name) for kind, name in types.items()}
    )


def names_of(kind: type[Array]) -> dict[str, Any]:
    """Return what a namespace of such arrays has in it."""
    functions = {name: _wrapped(getattr(standard, name), kind) for name in FUNCTIONS}
    dtypes = {name: np.dtype(name) for name in DTYPES}
    return {**functions, **dtypes, "__array_namespace_info__": _info}


globals().update(names_of(Array))
