"""An array library nobody has heard of: the standard's functions, immutable arrays, no more.

Arrays cannot be set by index, have no methods of NumPy's, and index by ints, slices and ellipsis
alone. What is not listed here, the package may not use. A place that is not there is an error, as
some libraries read and write wherever they are told to. `lacking` makes a library with less.
"""

from __future__ import annotations

import builtins  # some of whose names are functions of the library here
import operator
import sys
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import array_api_compat.numpy as standard  # has them all with NumPy 1, too
import numpy as np

FUNCTIONS = (
    "any arange argsort asarray astype broadcast_to concat full full_like isdtype matmul "
    "matrix_transpose max maximum min moveaxis permute_dims repeat reshape searchsorted stack "
    "sum take take_along_axis where zeros zeros_like argmax finfo iinfo"
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


_ARITHMETIC = "add sub mul truediv floordiv mod".split()
_COMPARISONS = "lt le gt ge eq ne and_ or_".split()
for _name in _ARITHMETIC:
    _function = getattr(operator, _name)
    setattr(Array, f"__{_name}__", _operator(_function))
    setattr(Array, f"__r{_name}__", _operator(lambda a, b, swapped=_function: swapped(b, a)))
for _name in _COMPARISONS:
    setattr(Array, f"__{_name.strip('_')}__", _operator(getattr(operator, _name)))


def _bare(value: Any) -> Any:
    if isinstance(value, Array):
        return value._data
    if isinstance(value, list | tuple):
        return type(value)(_bare(entry) for entry in value)
    return value


def _wrapped(function: Callable[..., Any], kind: type[Array]) -> Callable[..., Any]:
    def call(*args: Any, device: Any = None, **kwargs: Any) -> Any:
        args, kwargs = _bare(args), {k: _bare(v) for k, v in kwargs.items()}
        if function.__name__.startswith("take"):
            x, index = args
            assert index.size == 0 or 0 <= index.min() <= index.max() < x.shape[kwargs["axis"]]
        result = function(*args, **kwargs)
        return kind(result) if isinstance(result, np.ndarray | np.generic) else result

    return call


def _info(integer: str = "int64") -> Any:
    types = {"real floating": "float64", "complex floating": "complex128"}
    types |= {"integral": integer, "indexing": integer}
    return SimpleNamespace(
        default_dtypes=lambda device=None: {kind: np.dtype(name) for kind, name in types.items()}
    )


def names_of(kind: type[Array]) -> dict[str, Any]:
    """Return what a namespace of such arrays has in it."""
    functions = {name: _wrapped(getattr(standard, name), kind) for name in FUNCTIONS}
    dtypes = {name: np.dtype(name) for name in DTYPES}
    return {**functions, **dtypes, "__array_namespace_info__": _info}


globals().update(names_of(Array))


def lacking(*gaps: str) -> type[Array]:
    """Return the arrays of a library that lacks more, by names in `GAPS`."""
    xp, kind = ModuleType("lacking"), type("Array", (Array,), {})
    kind.__array_namespace__ = lambda self, api_version=None: xp  # type: ignore[method-assign]
    vars(xp).update(names_of(kind))
    for gap in gaps:
        GAPS[gap](kind, vars(xp))
    return kind


Gap = Callable[[type[Array], dict[str, Any]], None]


def _refuse(names: str, is_refused: Callable[[dict[str, Any]], builtins.bool]) -> Gap:
    """Return the gap of functions that refuse some keywords."""

    def remove(kind: type[Array], xp: dict[str, Any]) -> None:
        def refusing(function: Callable[..., Any]) -> Callable[..., Any]:
            def call(*args: Any, **kwargs: Any) -> Any:
                if is_refused(kwargs):
                    raise TypeError(f"incompatible arguments: {kwargs}")
                return function(*args, **kwargs)

            return call

        xp.update({name: refusing(xp[name]) for name in names.split() if name in xp})

    return remove


def _missing(name: str) -> Gap:
    return lambda kind, xp: xp.pop(name, None) and None


def _unsigned(kind: type[Array], xp: dict[str, Any]) -> None:
    def counting(function: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *args, **kwargs: kind(function(*args, **kwargs)._data.astype("uint32"))

    names = {"argmax", "argsort", "searchsorted"} & xp.keys()
    xp.update({name: counting(xp[name]) for name in names})


def _squeezed_places(kind: type[Array], xp: dict[str, Any]) -> None:
    """Lose the other axes of length 1 where places of maxima are found, as Sparse does."""
    argmax = xp["argmax"]
    xp["argmax"] = lambda *args, **kwargs: kind(argmax(*args, **kwargs)._data.squeeze())


def _no_device(kind: type[Array], xp: dict[str, Any]) -> None:
    def device(self: Array) -> Any:
        raise AttributeError("device")

    kind.device = property(device)


def _no_int64(kind: type[Array], xp: dict[str, Any]) -> None:
    def narrow(self: Array, data: Any) -> None:
        data = np.asarray(data)
        narrower = {"int64": "int32", "uint64": "uint32"}.get(str(data.dtype), data.dtype)
        Array.__init__(self, data.astype(narrower))

    kind.__init__ = narrow  # type: ignore[method-assign]
    for name in ("int64", "uint64"):
        del xp[name]
    if "__array_namespace_info__" in xp:
        xp["__array_namespace_info__"] = lambda: _info("int32")


def _small_indices(kind: type[Array], xp: dict[str, Any]) -> None:
    xp["__array_namespace_info__"] = lambda: _info("int16")


def _no_numbers(kind: type[Array], xp: dict[str, Any]) -> None:
    def refusing(method: Callable[..., Any]) -> Callable[..., Any]:
        def call(self: Array, other: Any) -> Any:
            if not isinstance(other, Array):
                raise TypeError(f"an array and the number {other!r}")
            return method(self, other)

        return call

    for name in [*_ARITHMETIC, *[f"r{name}" for name in _ARITHMETIC], *_COMPARISONS]:
        method = f"__{name.strip('_')}__"
        setattr(kind, method, refusing(getattr(kind, method)))


def _no_looks(kind: type[Array], xp: dict[str, Any]) -> None:
    def look(self: Array) -> Any:
        raise RuntimeError("this array has not been computed")

    kind.__bool__ = kind.__int__ = look  # type: ignore[method-assign]


def _no_integer_products(kind: type[Array], xp: dict[str, Any]) -> None:
    matmul = xp["matmul"]

    def inexact(a: Any, b: Any) -> Any:
        if a.dtype.kind in "iu":
            raise ValueError("only inexact types are supported")
        return matmul(a, b)

    xp["matmul"] = inexact


def _no_empty_arrays(kind: type[Array], xp: dict[str, Any]) -> None:
    def refusing(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arrays: Array, **options: Any) -> Any:
            if builtins.any(0 in x.shape for x in arrays):
                raise ValueError("cannot compute with an empty array")
            return function(*arrays, **options)

        return call

    xp.update({name: refusing(xp[name]) for name in ("argmax", "matmul", "max", "min", "sum")})


def _no_bits(kind: type[Array], xp: dict[str, Any]) -> None:
    def without_bits(info: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def limits(dtype: Any) -> Any:
            facts = info(dtype)
            return SimpleNamespace(min=facts.min, max=facts.max, eps=getattr(facts, "eps", None))

        return limits

    xp.update({name: without_bits(xp[name]) for name in ("iinfo", "finfo")})


def _no_changes(kind: type[Array], xp: dict[str, Any]) -> None:
    def refuse(self: Array, other: Any) -> Any:
        raise TypeError("this array cannot be changed")

    kind.__iadd__ = refuse  # type: ignore[attr-defined]


_MAKING = "arange asarray empty full full_like zeros zeros_like"
_WITH_AXIS = "concat stack expand_dims take take_along_axis repeat sum max min argmax any"
GAPS: dict[str, Gap] = {
    "device": _no_device,
    "device=": _refuse(_MAKING, lambda options: "device" in options),
    "stable=": _refuse("argsort", lambda options: "stable" in options),
    "copy=": _refuse("astype asarray", lambda options: "copy" in options),
    "negative axes": _refuse(_WITH_AXIS, lambda options: (options.get("axis") or 0) < 0),
    "signed counts": _unsigned,
    "axes of places": _squeezed_places,
    "int64": _no_int64,
    "int16": _small_indices,  # is all that an index is
    "numbers": _no_numbers,
    "changes": _no_changes,
    "looks": _no_looks,
    "integer products": _no_integer_products,
    "bits": _no_bits,
    "empty arrays": _no_empty_arrays,
    **{
        name: _missing(name)
        for name in "arange argsort concat repeat searchsorted stack take take_along_axis "
        "__array_namespace_info__".split()
    },
}
