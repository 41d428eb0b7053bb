"""The array calls that a function makes, recorded, and replayed without the function.

What the function takes beyond them is its own: checking arguments, finding the plan, telling the
libraries apart. For NumPy and PyTorch, which can be watched from outside.
"""

from __future__ import annotations

import contextlib
import types
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import numpy as np

from unpool_xp._array.namespace import inspect_inputs

RecordedCall = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]
# NumPy's functions that make arrays of none, and methods of arrays: its protocols show neither.
_CREATION_FUNCTIONS = ("arange", "asarray", "empty", "full", "ones", "zeros")
_METHODS = (
    *("__getitem__", "__setitem__", "astype", "copy", "ravel", "repeat", "reshape", "sum", "take"),
    *("transpose", "view", "argmax", "max", "any", "all", "fill", "put", "swapaxes"),
)


def record_calls(function: Callable[..., Any], *arrays: Any) -> list[RecordedCall]:
    """Call a function of NumPy or PyTorch arrays; return the library calls that it makes.

    Each has its function, arguments and options, and can be made again on its own. Arrays of
    another library are a ValueError.
    """
    library = type(arrays[0]).__module__.partition(".")[0]
    if library == "torch":
        return _record_torch(function, *arrays)
    if library == "numpy":
        return _record_numpy(function, *arrays)
    raise ValueError(f"record_calls: {library} cannot be watched; numpy and torch can")


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
            keywords = [f"{key}={value}" for key, value in named.items()]
            lines.append(f"    f{number}({', '.join([*given, *keywords])})")
    exec("\n".join(lines), names)
    replay: Callable[[], None] = names["replay"]
    return replay


def _record_torch(function: Callable[..., Any], *arrays: Any) -> list[RecordedCall]:
    from torch.overrides import TorchFunctionMode

    calls: list[RecordedCall] = []

    class Recorder(TorchFunctionMode):  # type: ignore[misc]
        def __torch_function__(
            self, call: Any, types: Any, arguments: Any = (), options: Any = None
        ) -> Any:
            # To read a shape, a dtype or a device is no work on an array.
            if getattr(call, "__name__", "") != "__get__":
                calls.append((call, tuple(arguments), dict(options or {})))
            return call(*arguments, **(options or {}))

    with Recorder():
        function(*arrays)
    return calls


# --- numpy ----------------------------------------------------------------------------------------


class RecordingArray(np.ndarray[Any, Any]):
    """An array that records what is done with it, the outermost calls alone."""

    calls: list[RecordedCall] | None = None  # while recording

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        return _record(getattr(ufunc, method), *inputs, **options)

    def __array_function__(self, call: Any, types: Any, arguments: Any, options: Any) -> Any:
        return _record(call, *arguments, **options)


def _unwrap(value: Any) -> Any:
    if isinstance(value, RecordingArray):
        return np.ndarray.view(value, np.ndarray)
    if isinstance(value, tuple | list):
        return type(value)(_unwrap(item) for item in value)
    if isinstance(value, dict):
        return {key: _unwrap(item) for key, item in value.items()}
    return value


def _as_recording(value: Any) -> Any:
    return value.view(RecordingArray) if type(value) is np.ndarray else value


def _record(call: Any, *arguments: Any, **options: Any) -> Any:
    arguments, options = _unwrap(arguments), _unwrap(options)
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


def _recording(original: Callable[..., Any]) -> Callable[..., Any]:
    def recorded(*arguments: Any, **options: Any) -> Any:
        return _record(original, *arguments, **options)

    return recorded


for _name in _METHODS:
    setattr(RecordingArray, _name, _recording(getattr(np.ndarray, _name)))


@contextlib.contextmanager
def _recording_functions() -> Iterator[None]:
    """Record the functions that no protocol shows, of NumPy and of the package's copy of it."""
    xp = inspect_inputs("record_calls", x=np.empty(0)).xp
    methods = [n for n, call in vars(xp).items() if isinstance(call, types.MethodDescriptorType)]
    with contextlib.ExitStack() as stack:
        for namespace, names in ((np, _CREATION_FUNCTIONS), (xp, (*_CREATION_FUNCTIONS, *methods))):
            for name in names:
                recording = _recording(getattr(namespace, name))
                stack.enter_context(mock.patch.object(namespace, name, recording))
        yield


def _record_numpy(function: Callable[..., Any], *arrays: Any) -> list[RecordedCall]:
    calls: list[RecordedCall] = []
    given = [array.view(RecordingArray) for array in arrays]
    with _recording_functions():
        RecordingArray.calls = calls
        try:
            function(*given)
        finally:
            RecordingArray.calls = None
    return calls
