"""Plans depend on shapes and options alone, so each is made once and kept.

Imports no array library.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

_P = ParamSpec("_P")
_T = TypeVar("_T")
_KEPT_PLANS = 2048


def kept(plan: Callable[_P, _T]) -> Callable[_P, _T]:
    """Keep the plans already made, by the text of their arguments.

    The text tells 2 from 2.0 and True, which hash alike, and needs no hashable argument. While
    torch.compile traces, the plan is made anew: a cache would be a side effect to guard.
    """
    plans: dict[str, _T] = {}

    @wraps(plan)
    def look_up(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        torch = sys.modules.get("torch")
        if torch is not None and torch.compiler.is_compiling():
            return plan(*args, **kwargs)
        key = repr(args) + repr(kwargs) if kwargs else repr(args)
        found = plans.get(key)
        if found is None:
            found = plan(*args, **kwargs)
            if len(plans) >= _KEPT_PLANS:
                plans.clear()
            plans[key] = found
        return found

    return look_up
