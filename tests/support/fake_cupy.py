"""CuPy without a GPU: NumPy computes, and `fuse` refuses what CuPy's own refuses.

As in CuPy 13.3 to 14.2 (``cupy/_core/fusion.pyx``): a fused function is called with placeholders
that have a dtype and a number of axes, and no values, shapes or parts. Of numbers beside arrays
13.3 and 13.4.0 make another dtype, or an error; so they are refused as well.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import array_api_compat.numpy
import numpy as np
import pytest

from unpool_xp._array import elementwise, namespace
from unpool_xp._array.namespace import InputInfo
from unpool_xp._array.traits import ArrayTraits
from unpool_xp._plan.cache import cached

# CuPy's dtypes in a fused function, and its ufuncs that we have a use for.
_DTYPES = "?bhilqBHILQefdFD"
_UFUNCS = {
    *("add", "subtract", "multiply", "divide", "floor_divide", "negative", "maximum", "minimum"),
    *("less", "less_equal", "equal", "not_equal", "greater", "greater_equal", "isnan"),
    *("bitwise_and", "bitwise_or", "bitwise_xor", "invert", "absolute", "sqrt"),
}
# What Python itself asks of an object.
_KNOWN = {"dtype", "ndim", "astype"}


class Placeholder(np.ndarray):
    """An argument of a fused function."""

    def __getattribute__(self, name: str) -> Any:
        if name in _KNOWN or name.startswith("__"):
            return super().__getattribute__(name)
        raise AttributeError(f"a fused function cannot ask for {name}")

    def __bool__(self) -> bool:
        raise TypeError("Can't cast to bool")

    __len__ = __iter__ = __int__ = __float__ = __index__ = __bool__  # type: ignore[assignment]

    def __getitem__(self, chosen: Any) -> Any:
        raise TypeError(f"a fused function has no parts of arrays, such as [{chosen!r}]")

    def __setitem__(self, chosen: Any, value: Any) -> None:
        if chosen is not Ellipsis and chosen != slice(None):
            raise ValueError("The fusion supports `[...]` or `[:]`.")
        _values(self)[...] = _values(value)

    def astype(self, dtype: Any, copy: bool = True) -> Any:  # type: ignore[override]
        _check_dtype(np.dtype(dtype))
        return _placeholder(_values(self).astype(dtype))

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        if method != "__call__" or ufunc.__name__ not in _UFUNCS or options:
            raise TypeError(f"no elementwise function: {ufunc.__name__}.{method}, {options}")
        result = ufunc(*map(_values, inputs))
        _check_dtype(result.dtype)
        return _placeholder(result)

    def __array_function__(self, function: Any, types: Any, args: Any, options: Any) -> Any:
        if function is not np.where or len(args) != 3 or options:
            raise TypeError(f"no elementwise function: {function.__name__}")
        return _placeholder(np.where(*map(_values, args)))


def _placeholder(array: Any) -> Placeholder:
    return np.asarray(array).view(Placeholder)


def _values(placeholder: Any) -> np.ndarray:
    if not isinstance(placeholder, Placeholder):
        raise TypeError(f"not an argument of the fused function: {placeholder!r}")
    return np.ndarray.view(placeholder, np.ndarray)


def _check_dtype(dtype: np.dtype[Any]) -> None:
    if dtype.char not in _DTYPES:
        raise TypeError(f"a fused function has no {dtype}")


class FakeCuPy:
    """The module: `fuse`, and the kernels that were launched, by name and number of arguments."""

    def __init__(self) -> None:
        self.made: list[str] = []
        self.launched: list[tuple[str, int]] = []

    def fuse(self, *, kernel_name: str) -> Callable[..., Any]:
        """Return the decorator, as ``cupy.fuse`` does where it is given a name."""
        if not kernel_name.isidentifier():
            raise ValueError(f'Invalid kernel name: "{kernel_name}"')
        self.made.append(kernel_name)

        def fuse(function: Callable[..., Any]) -> Callable[..., Any]:
            return functools.partial(self._launch, kernel_name, function)

        return fuse

    def _launch(self, name: str, function: Callable[..., Any], *arrays: np.ndarray) -> Any:
        for array in arrays:
            if type(array) is not np.ndarray:
                raise TypeError(f"Invalid argument type for '{name}': {type(array)}")
            _check_dtype(array.dtype)
        shape = np.broadcast_shapes(*[array.shape for array in arrays])
        results = function(*map(_placeholder, arrays))
        many = () if results is None else results if isinstance(results, tuple) else (results,)
        n_arrays = len(arrays) + len(many)
        if 16 + 16 * len(shape) > 4096 // (n_arrays + 1):  # each, and the indexer
            raise RuntimeError(f"Formal parameter space overflowed: {n_arrays} arrays")
        self.launched.append((name, n_arrays))
        outputs = tuple([np.broadcast_to(_values(result), shape).copy() for result in many])
        return outputs if isinstance(results, tuple) else next(iter(outputs), None)


def cupy_info() -> InputInfo:
    """Return what `inspect_inputs` makes of CuPy's arrays, for NumPy's."""
    return InputInfo(array_api_compat.numpy, "cpu", ArrayTraits("cupy"), cached)


@pytest.fixture
def fake_cupy(monkeypatch: pytest.MonkeyPatch) -> FakeCuPy:
    """Take NumPy's arrays for CuPy's, as far as operations can tell."""
    fake, info = FakeCuPy(), cupy_info()
    module = SimpleNamespace(fuse=fake.fuse, ndarray=type("ndarray", (), {}))
    monkeypatch.setitem(sys.modules, "cupy", module)  # type: ignore[arg-type]
    monkeypatch.setattr(namespace, "_numpy_info", lambda: info)
    monkeypatch.setattr(namespace, "find_kinds", lambda arrays: None)  # nothing is kept for NumPy's
    monkeypatch.setattr(elementwise, "_kernels", {})
    return fake
