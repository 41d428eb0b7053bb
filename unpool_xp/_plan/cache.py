"""A cache of plans, which depend on shapes and options only: by value, and bounded in bytes.

Beside a plan are the functions made ready for it: with all decided that follows from the kinds of
the arrays, too.

Imports no array library but NumPy, for its scalars.
"""

from __future__ import annotations

import dataclasses
import inspect
import itertools
import math
import operator
import sys
import threading
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, Protocol, TypeVar, TypeVarTuple, Unpack

from unpool_xp._plan.arguments import is_real, is_scalar

_Ts = TypeVarTuple("_Ts")
_T = TypeVar("_T")


class PlanFactory(Protocol):
    """A way to get a plan: `cached` or `uncached`."""

    def __call__(self, make_plan: Callable[[Unpack[_Ts]], _T], /, *args: *_Ts) -> _T:
        """Return the plan of these arguments."""


class PlanKey:
    """Base of frozen dataclasses that hold plain values, and so may be arguments of a plan."""


def cached(make_plan: Callable[[Unpack[_Ts]], _T], /, *args: *_Ts) -> _T:
    """Return the cached plan of these arguments; make it on first use.

    The arguments become plain numbers, strings and tuples before they are looked up. A plan of
    anything else, such as a size without a value, is made but not kept.
    """
    try:
        key = _key(make_plan, args)
    except TypeError:
        try:
            plain = [_plain(value) for value in args]
        except Exception:  # of JAX's own, too, for a size that is a symbol
            return make_plan(*args)
        return cached(make_plan, *plain)
    entry = _plans.entries.get(key)
    if entry is None:
        entry = _plans.add(key, checked(make_plan, *args))
    entry.last_use = next(_clock)
    return entry.plan  # type: ignore[no-any-return]


def cached_function(
    kinds: Hashable,
    prepare: Callable[..., tuple[Any, Callable[..., _T]]],
    arrays: Sequence[Any],
    options: Sequence[Any],
) -> Callable[..., _T]:
    """Return the cached function that `prepare` makes, beside its plan, of arrays and options.

    Of the arrays nothing but their `kinds` may decide.
    """
    try:
        key = (kinds, *_key(prepare, options))
    except TypeError:
        try:
            key = (kinds, *_key(prepare, [_plain(value) for value in options]))
        except Exception:  # as in `cached`
            return prepare(*arrays, *options)[1]
    found = _plans.functions.get(key)
    if found is None:
        plan, function = prepare(*arrays, *options)
        _plans.add_function(key, plan, function)
        return function
    function, entry = found
    entry.last_use = next(_clock)
    return function


def uncached(make_plan: Callable[[Unpack[_Ts]], _T], /, *args: *_Ts) -> _T:
    """Return a new plan, without the cache.

    For torch.compile: the cache would be a side effect to guard, and tracing runs only once.
    """
    return make_plan(*args)


def keep(arrays: dict[Any, Any], key: Any, value: Any) -> None:
    """Put an array, or what else follows from a plan, into its `arrays`, and count the bytes."""
    arrays[key] = value
    _plans.grow(arrays, _n_bytes(value, []))


def clear() -> None:
    """Forget all plans."""
    _plans.clear()


# --- sizes that no array has ---------------------------------------------------------------------

_MAX_CELLS = 2**59  # of 16 bytes: the address space
_WIDENING = ("scale_factor", "output_size", "kernel_size", "stride", "dilation")
_NO_SIZES = ("divisor", "coefficient")


def checked(make_plan: Callable[[Unpack[_Ts]], _T], /, *args: *_Ts) -> _T:
    """Make a plan; a ValueError by name for a size, or an output plane, that no array has.

    Here and not where sizes are checked, because a size may be a symbol there, and a comparison
    would bound it. JAX's traces take it without the cache: they must leave no array in a plan.
    """
    values: tuple[Any, ...] = args
    names = list(inspect.signature(make_plan).parameters)
    huge = [
        name not in _NO_SIZES and _largest(value) >= _MAX_CELLS
        for name, value in zip(names, values, strict=False)  # some have defaults
    ]
    if "output_size" in names:  # whose plan may be as long as the output
        position = names.index("output_size")
        huge[position] = huge[position] or _cells(values[position]) >= _MAX_CELLS
    shape: Any = next((value for value in values if isinstance(value, tuple)), ())
    if not any(huge):
        plan = make_plan(*args)
        output = getattr(plan, "output", None)  # of an axis a number
        plane: Any = output if isinstance(output, tuple) else getattr(plan, "plane", ())
        lead = shape[: max(len(shape) - len(plane), 0)]
        if _cells(plane) * _cells(lead) < _MAX_CELLS:
            return plan
    given = zip(names, values, huge, strict=False)
    wrong = ", ".join(
        f"{name}={value!r}"
        for name, value, is_huge in given
        if is_huge or (not any(huge) and name in _WIDENING and value not in (None, 1))
    )
    raise ValueError(
        f"{values[0]}: {wrong} needs more than the 2**59 cells that an array can have "
        f"(array of shape {shape})"
    )


def _cells(plane: Any) -> int:
    sizes = plane if isinstance(plane, tuple) else (plane,)
    return math.prod([size for size in sizes if isinstance(size, int)])


def _largest(value: Any) -> int:
    if isinstance(value, tuple):
        return max(map(_largest, value), default=0)
    return abs(value) if isinstance(value, int) else 0


# --- the key -------------------------------------------------------------------------------------

_INT = frozenset([int])


def _key(make_plan: Any, args: Iterable[Any]) -> tuple[Any, ...]:
    """Return what distinguishes plain arguments; a TypeError if one of them is not plain.

    2, 2.0 and True hash alike, so a float and a bool carry their type.
    """
    key = [make_plan]
    for value in args:
        kind = type(value)
        if kind is int or kind is str or value is None:
            key.append(value)
        elif kind is tuple:
            ints = _INT.issuperset(map(type, value))
            key.append(value if ints else _key(None, value))
        elif kind is float or kind is bool or isinstance(value, PlanKey):
            key.append((kind, value))
        else:
            raise TypeError
    return tuple(key)


def _plain(value: Any) -> Any:
    """Return an argument as plain numbers and tuples; a TypeError if it is nothing of the kind."""
    if value is None or isinstance(value, bool | PlanKey):
        return value
    if isinstance(value, str):
        return str.__str__(value)  # of a subclass, too
    if isinstance(value, tuple | list):
        return tuple([_plain(entry) for entry in value])
    if not is_scalar(value):
        raise TypeError
    if hasattr(value, "__index__"):
        return operator.index(value)
    if is_real(value):
        return float(value)
    raise TypeError


# --- what is kept --------------------------------------------------------------------------------

_MAX_BYTES = 2**26
_FUNCTION_BYTES = 2**11  # of a function made ready, about: it holds little but its plan
_clock = itertools.count()


class _Entry:
    __slots__ = ("arrays", "functions", "last_use", "n_bytes", "plan")

    def __init__(self, plan: Any) -> None:
        self.plan = plan
        self.functions: list[Any] = []  # the keys of those made ready for it
        self.arrays: list[dict[Any, Any]] = []  # of the plan and its axes
        self.n_bytes = _n_bytes(plan, self.arrays)
        self.last_use = next(_clock)


class _Plans:
    """Plans with their bytes. Those used least recently go first.

    Looking up needs no lock; `last_use` is enough to tell which plans go.
    """

    def __init__(self) -> None:
        self.entries: dict[Any, _Entry] = {}
        self.functions: dict[Any, tuple[Callable[..., Any], _Entry]] = {}
        self.owners: dict[int, Any] = {}  # the id of a plan, or of its `arrays` -> the plan's key
        self.n_bytes = 0
        self.lock = threading.Lock()

    def add(self, key: Any, plan: Any) -> _Entry:
        """Keep a plan, unless another thread was faster; return the one that is kept."""
        entry = _Entry(plan)
        entry.n_bytes += _n_bytes(key, [])
        with self.lock:
            if key in self.entries:
                return self.entries[key]
            self.entries[key] = entry
            self.owners |= {id(owned): key for owned in (plan, *entry.arrays)}
            self._count(key, entry.n_bytes)
        return entry

    def add_function(self, key: Any, plan: Any, function: Callable[..., Any]) -> None:
        """Keep a function beside its plan, as long as that is kept."""
        n_bytes = _n_bytes(key, []) + _FUNCTION_BYTES
        with self.lock:
            plan_key = self.owners.get(id(plan))
            if plan_key is None or key in self.functions:
                return
            entry = self.entries[plan_key]
            self.functions[key] = function, entry
            entry.functions.append(key)
            entry.n_bytes += n_bytes
            self._count(plan_key, n_bytes)

    def grow(self, arrays: dict[Any, Any], n_bytes: int) -> None:
        """Count bytes that were added to the `arrays` of a plan, if it is kept."""
        with self.lock:
            key = self.owners.get(id(arrays))
            if key is not None:
                self.entries[key].n_bytes += n_bytes
                self._count(key, n_bytes)

    def clear(self) -> None:
        with self.lock:
            for key in list(self.entries):
                self._drop(key)

    def _count(self, newest: Any, n_bytes: int) -> None:
        """Count bytes; beyond the limit drop plans, and a quarter more, so that it is rare."""
        self.n_bytes += n_bytes
        if self.n_bytes <= _MAX_BYTES:
            return
        if self.entries[newest].n_bytes > _MAX_BYTES:
            self._drop(newest)
            return
        for key, _ in sorted(self.entries.items(), key=lambda item: item[1].last_use):
            if self.n_bytes <= 0.75 * _MAX_BYTES:
                break
            if key != newest:
                self._drop(key)

    def _drop(self, key: Any) -> None:
        entry = self.entries.pop(key)
        self.n_bytes -= entry.n_bytes
        for owned in (entry.plan, *entry.arrays):
            self.owners.pop(id(owned), None)
        for function in entry.functions:
            del self.functions[function]


_plans = _Plans()
_NUMBERS = frozenset([int, float, bool, type(None)])


def _n_bytes(value: Any, arrays: list[dict[Any, Any]]) -> int:
    """Return about how many bytes a plan takes; add the dicts of arrays that it has."""
    n_bytes = sys.getsizeof(value, 64)
    if isinstance(value, dict):
        arrays.append(value)
        return n_bytes
    if isinstance(value, tuple | list):
        if _NUMBERS.issuperset(map(type, value)):  # many, perhaps
            return n_bytes + 32 * len(value)
        return n_bytes + sum([_n_bytes(part, arrays) for part in value])
    if dataclasses.is_dataclass(value):
        return n_bytes + sum([_n_bytes(part, arrays) for part in vars(value).values()])
    if isinstance(value, slice):
        return n_bytes + 3 * 32
    return max(n_bytes, int(getattr(value, "nbytes", 0)))
