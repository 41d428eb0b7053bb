"""A cache of plans, which depend on shapes and options only.

Imports no array library.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, Protocol, TypeVar

_P = ParamSpec("_P")
_T = TypeVar("_T")
_KEPT_PLANS = 4096
_plans: dict[str, Any] = {}


class Planner(Protocol):
    """A way to get a plan: `cached` or `uncached`."""

    def __call__(self, plan: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Return the plan of these arguments."""


def kept(plan: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """Return the cached plan of these arguments; make it on first use.

    The key is the repr of the arguments: it distinguishes 2, 2.0 and True, which hash alike,
    and works for unhashable arguments.
    """
    key = f"{plan.__name__}{args!r}{kwargs!r}"
    found: _T | None = _plans.get(key)
    if found is None:
        found = plan(*args, **kwargs)
        if len(_plans) >= _KEPT_PLANS:
            _plans.clear()
        _plans[key] = found
    return found


def made_anew(plan: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """Return a new plan, without the cache.

    For torch.compile: the cache would be a side effect to guard, and tracing runs only once.
    """
    return plan(*args, **kwargs)
