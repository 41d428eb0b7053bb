"""Operations on the arrays of a library without a name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from unpool_xp._array.compat import Array


def prepare_call(
    prepare: Callable[..., Callable[..., Any]], info: Any, plan: Any, *arrays: Any, **options: Any
) -> Callable[..., Any]:
    """Return what `prepare` makes of arrays; for a library without a name, again in each call."""
    if info.traits.library:
        return prepare(info, plan, *arrays, **options)

    def call(*arrays: Array | None) -> Any:
        return _call_adapted(prepare, info, plan, *arrays, **options)

    return call


def _call_adapted(
    prepare: Callable[..., Callable[..., Any]],
    info: Any,
    plan: Any,
    *arrays: Array | None,
    **options: Any,
) -> Any:
    """Return what is computed of arrays, which may refuse Python numbers.

    What the library cannot do is a NotImplementedError that names the operation and what it lacks.
    """
    xp = info.xp
    rank = max(len(getattr(plan, name, ())) for name in ("plane", "axes"))
    try:
        inputs = [x if x is None else xp.as_input(x, rank) for x in arrays]
        return xp.as_output(prepare(info, plan, *inputs, **options)(*inputs))
    except Exception as error:
        # Our own begin with the operation.
        if isinstance(error, MemoryError) or str(error).startswith(f"{info.operation}: "):
            raise
        reason = _describe(xp.__name__, error)
        raise NotImplementedError(f"{info.operation}: {reason}") from error


def _describe(library: str, error: Exception) -> str:
    """Return what a library lacks, or how it fails in its own words."""
    if isinstance(error, AttributeError) and error.name:
        is_array = not hasattr(error.obj, "__name__")
        return f"{library} has {'arrays without' if is_array else 'no'} {error.name}"
    words = " ".join(str(error).split())
    return f"{library} fails: {type(error).__name__}: {words}".removesuffix(": ")
