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

RecordedCall = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]
# NumPy's functions that make arrays of none, which its protocols do not show.
_CREATION_FUNCTIONS = ("arange", "asarray", "empty", "full", "ones", "zeros")
# Methods of arrays that its protocols do not show either.
_METHODS = (
    *("__getitem__", "__setitem__", "astype", "copy", "ravel", "repeat", "reshape", "sum", "take"),
    *("transpose", "view", "argmax", "max", "any", "all", "fill", "put", "swapaxes"),
)


def record_calls(function: Callable[..., Any], *arrays: Any) -> list[RecordedCall]:
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
    return (_record_numpy if library == "numpy" else _record_torch)(function, *arrays)


def build_replay(calls: list[RecordedCall]) -> Callable[[], None]:
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
            call_arguments = ", ".join(
                [*given, *(f"{key}={value}" for key, value in named.items())]
            )
            lines.append(f"    f{number}({call_arguments})")
    exec("\n".join(lines), names)
    replay: Callable[[], None] = names["replay"]
    return replay


# --- torch ----------------------------------------------------------------------------------------


def _record_torch(function: Callable[..., Any], *arrays: Any) -> list[RecordedCall]:
    overrides = importlib.import_module("torch.overrides")
    calls: list[RecordedCall] = []

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


class RecordingArray(np.ndarray[Any, Any]):
    """An array that takes down what is done with it, outermost calls alone."""

    calls: list[RecordedCall] | None = None  # while watching

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        if "out" in options:
            options["out"] = _unwrap(options["out"])
        return _record(getattr(ufunc, method), *_unwrap(inputs), **options)

    def __array_function__(self, call: Any, types: Any, arguments: Any, options: Any) -> Any:
        return _record(call, *_unwrap(arguments), **_unwrap(options))


def _unwrap(value: Any) -> Any:
    if isinstance(value, RecordingArray):
        return np.ndarray.view(value, np.ndarray)
    if isinstance(value, tuple | list):
        return type(value)(_unwrap(item) for item in value)
    if isinstance(value, dict):
        return {key: _unwrap(item) for key, item in value.items()}
    return value


def _as_recording(value: Any) -> Any:
    if isinstance(value, np.ndarray) and type(value) is np.ndarray:
        return value.view(RecordingArray)
    return value


def _record(call: Any, *arguments: Any, **options: Any) -> Any:
    calls, RecordingArray.calls = RecordingArray.calls, None  # what it calls itself is part of it
    try:
        result = call(*arguments, **options)
    finally:
        RecordingArray.calls = calls
    if calls is None:
        return result
    calls.append((call, arguments, options))
    if isinstance(result, tuple | list):
        return type(result)(_as_recording(item) for item in result)
    return _as_recording(result)


def _method(name: str) -> Callable[..., Any]:
    original = getattr(np.ndarray, name)

    def method(self: Any, *arguments: Any, **options: Any) -> Any:
        return _record(original, _unwrap(self), *_unwrap(arguments), **_unwrap(options))

    return method


for _name in _METHODS:
    setattr(RecordingArray, _name, _method(_name))


@contextlib.contextmanager
def _recording_creation() -> Iterator[None]:
    originals = {name: getattr(np, name) for name in _CREATION_FUNCTIONS}

    def watched(original: Any) -> Any:
        def make(*arguments: Any, **options: Any) -> Any:
            if RecordingArray.calls is None:
                return original(*arguments, **options)
            return _record(original, *_unwrap(arguments), **_unwrap(options))

        return make

    try:
        for name, original in originals.items():
            setattr(np, name, watched(original))
        yield
    finally:
        for name, original in originals.items():
            setattr(np, name, original)


def _record_numpy(function: Callable[..., Any], *arrays: Any) -> list[RecordedCall]:
    calls: list[RecordedCall] = []
    given = [array.view(RecordingArray) for array in arrays]
    with _recording_creation():
        RecordingArray.calls = calls
        try:
            function(*given)
        finally:
            RecordingArray.calls = None
    return calls
