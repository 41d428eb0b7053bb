"""Each value repeated over the cells that it stands for."""

from __future__ import annotations

from collections.abc import Callable

from unpool_xp._array.compat import Array
from unpool_xp._array.gather import take_static
from unpool_xp._array.namespace import InputInfo
from unpool_xp._array.repeat import prepare_repeat
from unpool_xp._plan.resize import NearestPlan


def prepare_nearest(info: InputInfo, plan: NearestPlan, x: Array) -> Callable[[Array], Array]:
    """Return what takes the source element of each output cell."""
    repeats = [axis.repeats for axis in plan.axes if axis.repeats is not None]
    if len(repeats) == len(plan.axes):
        return prepare_repeat(info, x, repeats)

    def take_sources(x: Array) -> Array:
        for axis in reversed(plan.axes):
            if axis.repeats is None:
                x = take_static(info, x, axis.sources, axis.output, axis.axis, axis.arrays)
            elif axis.repeats != 1:
                x = info.xp.repeat(x, axis.repeats, axis=axis.axis)
        return x

    return take_sources
