"""A cache of plans, which depend on shapes and options only.

Imports no array library.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, Protocol, TypeVar

_P = ParamSpec("_P")
_T = TypeVar("_T")
_MAX_CACHED_PLANS = 4096
_cached_plans: dict[str, Any] = {}


class PlanFactory(Protocol):
    """A way to get a plan: `cached` or `uncached`."""

    def __call__(self, make_plan: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Return the plan of these arguments."""


def cached(make_plan: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """Return the cached plan of these arguments; make it on first use.

    The key is the repr of the arguments: it distinguishes 2, 2.0 and True, which hash alike,
    and works for unhashable arguments.
    """
    key = f"{make_plan.__name__}{args!r}{kwargs!r}"
    plan: _T | None = _cached_plans.get(key)
    if plan is None:
        plan = make_plan(*args, **kwargs)
        if len(_cached_plans) >= _MAX_CACHED_PLANS:
            _cached_plans.clear()
        _cached_plans[key] = plan
    return plan


def uncached(make_plan: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """Return a new plan, without the cache.

    For torch.compile: the cache would be a side effect to guard, and tracing runs only once.
    """
    return make_plan(*args, **kwargs)
