"""Plans depend on shapes and options alone, so each is made once and kept.

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
    """How a plan is come by: `kept` or `made_anew`."""

    def __call__(self, plan: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Return the plan of these arguments."""


def kept(plan: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """Return a plan, kept by the text of its arguments.

    The text tells 2 from 2.0 and True, which hash alike, and needs no hashable argument.
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
    """Return a plan made for this call.

    While torch.compile traces, a kept plan would be a side effect to guard, and what is traced
    runs only once anyway.
    """
    return plan(*args, **kwargs)
