"""Which functions of the standard each operation calls, traced over array-api-strict.

``python -m tests.support.standard_functions`` prints the table of
`unpool_xp.bench.check.standard`, which a test compares.
"""

from __future__ import annotations

import contextlib
import functools
import pprint
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from unittest import mock

import array_api_strict as strict

from unpool_xp import backends
from unpool_xp._array.adapted.adapt import adapt, forget
from unpool_xp._plan import cache
from unpool_xp.bench.check.run import check_operation
from unpool_xp.capabilities import OPERATIONS

_ARRAY = type(strict.zeros(1))
# One dtype of each kind, and one as narrow as an index may not be.
_TRACED = ("bool", "int64", "uint8", "float32", "complex64")
_METHODS = [
    name
    for name, value in vars(_ARRAY).items()
    if name.startswith("__") and callable(value) and name not in dir(object)
    # To make an array and to ask for its namespace is not a function of it.
    if name not in ("__new__", "__array_namespace__", "__array__", "__buffer__")
] + ["__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__"]
# `x += y` is `x = x + y` where an array has no more.
_IN_PLACE = [name for name in _METHODS if name[:3] == "__i" and f"__{name[3:]}" in _METHODS]
_FUNCTIONS = [name for name in strict.__all__ if type(getattr(strict, name)).__name__ == "function"]


@contextlib.contextmanager
def recorded() -> Iterator[set[str]]:
    """Yield the names of the functions of the standard that are called, the outermost alone."""
    names, inside = set[str](), False

    def recording(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(call)
        def wrapped(*args: Any, **options: Any) -> Any:
            nonlocal inside
            if inside:
                return call(*args, **options)
            names.add(name.replace("__i", "__", 1) if name in _IN_PLACE else name)
            inside = True
            try:
                return call(*args, **options)
            finally:
                inside = False

        return wrapped

    functions = {name: recording(name, getattr(strict, name)) for name in _FUNCTIONS}
    methods = {name: recording(name, getattr(_ARRAY, name)) for name in dict.fromkeys(_METHODS)}
    with mock.patch.multiple(strict, **functions), mock.patch.multiple(_ARRAY, **methods):
        yield names


def trace(operation: str) -> tuple[set[str], set[str]]:
    """Return what an operation needs of the standard, and what it uses only where it is there.

    Without what it needs, a trial of `check` fails.
    """
    forget()
    adapt("", strict, strict.zeros(1).device, {})  # which tries operators that are not needed
    with recorded() as names:
        assert _runs(operation, _TRACED)
    forget()
    with_another_way = set()
    for name in names.intersection(_FUNCTIONS):
        function = getattr(strict, name)
        delattr(strict, name)
        try:
            if _runs(operation, _TRACED):
                with_another_way.add(name)
        finally:
            setattr(strict, name, function)
            forget()
    return names - with_another_way, with_another_way


def _runs(operation: str, dtypes: Iterable[str]) -> bool:
    cache.clear()  # a plan keeps arrays that it has made
    backend = backends.load("array_api_strict")
    checked = (one for dtype in dtypes for one in check_operation(backend, operation, dtype))
    return all(result.outcome != "failed" for result in checked)


if __name__ == "__main__":
    pprint.pp({name: tuple(sorted(trace(name)[0])) for name in OPERATIONS}, width=100, compact=True)
