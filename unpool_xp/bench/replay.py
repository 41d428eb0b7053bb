"""The array calls that a function makes, taken down and made again without it.

What the function takes beyond them is its own: checking arguments, finding the plan, telling the
libraries apart. For NumPy and PyTorch, which can be watched from outside.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

Recorded = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]
# NumPy's functions that make arrays of none, which its protocols do not show.
_MAKERS = ("arange", "asarray", "empty", "full", "ones", "zeros")
# Methods of arrays that its protocols do not show either.
_METHODS = (
    *("__getitem__", "__setitem__", "astype", "copy", "ravel", "repeat", "reshape", "sum", "take"),
    *("transpose", "view", "argmax", "max", "any", "all", "fill", "put", "swapaxes"),
)


def recorded(function: Callable[..., Any], *arrays: Any) -> list[Recorded]:
    """Call a function and return the calls of its library that it makes.

    Parameters
    ----------
    function : callable
        Of the arrays.
    *arrays : array
        Of NumPy or PyTorch.

    Returns
    -------
    list
        Each call's function, arguments and options; it can be made again on its own.

    Raises
    ------
    ValueError
        If the arrays are of another library.
    """
    library = type(arrays[0]).__module__.partition(".")[0]
    if library not in ("numpy", "torch"):
        raise ValueError(f"recorded: arrays={library} cannot be watched; numpy and torch can")
    return (_of_numpy if library == "numpy" else _of_torch)(function, *arrays)


def replay_of(calls: list[Recorded]) -> Callable[[], None]:
    """Return a function that makes the calls one after the other, each as if written there."""
    names: dict[str, Any] = {}
    lines = ["def replay():", "    pass"]
    for number, (function, arguments, options) in enumerate(calls):
        given = [f"a{number}_{place}" for place in range(len(arguments))]
        named = {key: f"o{number}_{key}" for key in options}
        names |= dict(zip(given, arguments, strict=True))
        names |= {named[key]: value for key, value in options.items()} | {f"f{number}": function}
        name = getattr(function, "__name__", "")
        if name == "__getitem__":
            lines.append(f"    {given[0]}[{given[1]}]")
        elif name == "__setitem__":
            lines.append(f"    {given[0]}[{given[1]}] = {given[2]}")
        else:
            said = ", ".join([*given, *(f"{key}={value}" for key, value in named.items())])
            lines.append(f"    f{number}({said})")
    exec("\n".join(lines), names)
    replay: Callable[[], None] = names["replay"]
    return replay


# --- torch ----------------------------------------------------------------------------------------


def _of_torch(function: Callable[..., Any], *arrays: Any) -> list[Recorded]:
    overrides = importlib.import_module("torch.overrides")
    calls: list[Recorded] = []

    class Watch(overrides.TorchFunctionMode):  # type: ignore[misc, name-defined]
        def __torch_function__(
            self, call: Any, types: Any, arguments: Any = (), options: Any = None
        ) -> Any:
            # To read a shape, a dtype or a device is no work on an array.
            if getattr(call, "__name__", "") != "__get__":
                calls.append((call, tuple(arguments), dict(options or {})))
            return call(*arguments, **(options or {}))

    with Watch():
        function(*arrays)
    return calls


# --- numpy ----------------------------------------------------------------------------------------


class _Watched(np.ndarray[Any, Any]):
    """An array that takes down what is done with it, outermost calls alone."""

    calls: list[Recorded] | None = None  # while watching

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        if "out" in options:
            options["out"] = _plain(options["out"])
        return _noted(getattr(ufunc, method), *_plain(inputs), **options)

    def __array_function__(self, call: Any, types: Any, arguments: Any, options: Any) -> Any:
        return _noted(call, *_plain(arguments), **_plain(options))


def _plain(value: Any) -> Any:
    if isinstance(value, _Watched):
        return np.ndarray.view(value, np.ndarray)
    if isinstance(value, tuple | list):
        return type(value)(_plain(item) for item in value)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value


def _watched(value: Any) -> Any:
    if isinstance(value, np.ndarray) and type(value) is np.ndarray:
        return value.view(_Watched)
    return value


def _noted(call: Any, *arguments: Any, **options: Any) -> Any:
    calls, _Watched.calls = _Watched.calls, None  # what it calls itself is part of it
    try:
        result = call(*arguments, **options)
    finally:
        _Watched.calls = calls
    if calls is None:
        return result
    calls.append((call, arguments, options))
    if isinstance(result, tuple | list):
        return type(result)(_watched(item) for item in result)
    return _watched(result)


def _method(name: str) -> Callable[..., Any]:
    original = getattr(np.ndarray, name)

    def method(self: Any, *arguments: Any, **options: Any) -> Any:
        return _noted(original, _plain(self), *_plain(arguments), **_plain(options))

    return method


for _name in _METHODS:
    setattr(_Watched, _name, _method(_name))


@contextlib.contextmanager
def _makers_watched() -> Iterator[None]:
    originals = {name: getattr(np, name) for name in _MAKERS}

    def watched(original: Any) -> Any:
        def make(*arguments: Any, **options: Any) -> Any:
            if _Watched.calls is None:
                return original(*arguments, **options)
            return _noted(original, *_plain(arguments), **_plain(options))

        return make

    try:
        for name, original in originals.items():
            setattr(np, name, watched(original))
        yield
    finally:
        for name, original in originals.items():
            setattr(np, name, original)


def _of_numpy(function: Callable[..., Any], *arrays: Any) -> list[Recorded]:
    calls: list[Recorded] = []
    given = [array.view(_Watched) for array in arrays]
    with _makers_watched():
        _Watched.calls = calls
        try:
            function(*given)
        finally:
            _Watched.calls = None
    return calls
