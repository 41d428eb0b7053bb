"""Arrays whose library computes with arrays alone: numbers become arrays on the way to it."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from unpool_xp._array.compat import Array, Namespace


class NumberTaker:
    """An array that also takes Python numbers, as the standard has it."""

    def __init__(self, library: NumberTakers, array: Array) -> None:
        self.library, self.array = library, array
        self.shape, self.dtype, self.ndim = array.shape, array.dtype, array.ndim

    def __getitem__(self, key: Any) -> NumberTaker:
        return NumberTaker(self.library, self.array[key])

    def __bool__(self) -> bool:
        return bool(self.array)

    def __int__(self) -> int:
        return int(self.array)


def _define(name: str) -> None:
    function = getattr(operator, name)

    def other_side(self: NumberTaker, other: Any) -> Array:
        if isinstance(other, NumberTaker):
            return other.array
        return self.library.make(other, dtype=self.dtype, device=self.library.device)

    def compute(self: NumberTaker, other: Any) -> NumberTaker:
        return NumberTaker(self.library, function(self.array, other_side(self, other)))

    def compute_swapped(self: NumberTaker, other: Any) -> NumberTaker:
        return NumberTaker(self.library, function(other_side(self, other), self.array))

    setattr(NumberTaker, f"__{name.strip('_')}__", compute)
    setattr(NumberTaker, f"__r{name.strip('_')}__", compute_swapped)


_OPERATORS = ["add", "sub", "mul", "floordiv", "mod", "lt", "le", "gt", "ge", "eq", "ne"]
for _name in [*_OPERATORS, "truediv", "and_", "or_"]:
    _define(_name)


class NumberTakers:
    """A library of such arrays; `make` makes one of the library's own of a number."""

    def __init__(self, xp: Namespace, device: Any, make: Callable[..., Array]) -> None:
        self.xp, self.device, self.make = xp, device, make
        self.__name__ = getattr(xp, "__name__", "")

    def __getattr__(self, name: str) -> Any:
        value = getattr(self.xp, name)
        if isinstance(value, type) or not callable(value):  # a dtype
            return value

        def call(*arguments: Any, **options: Any) -> Any:
            result = value(*bare(arguments), **options)
            is_array = hasattr(result, "__array_namespace__")
            return NumberTaker(self, result) if is_array else result

        return call


def bare(value: Any) -> Any:
    """Return what the library itself takes, of an array or a sequence of them."""
    if isinstance(value, NumberTaker):
        return value.array
    return type(value)(map(bare, value)) if type(value) in (list, tuple) else value


def refuses_numbers(integer: Array, real: Array) -> bool:
    """Return whether arrays of one number cannot be computed with Python numbers.

    In place as well: an array that cannot be changed may refuse that.
    """
    try:
        for name in _OPERATORS:
            getattr(operator, name)(integer, 2)
        _ = (2 * integer, 2 - integer, real * 0.5, 0.5 * real, real / 2)
        total = integer + integer
        total += integer
    except Exception:
        return True
    return False
