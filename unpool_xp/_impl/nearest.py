"""Each value repeated over the cells that it stands for."""

from __future__ import annotations

from unpool_xp._array.compat import Array
from unpool_xp._array.gather import take_static
from unpool_xp._array.namespace import InputInfo
from unpool_xp._array.repeat import repeat
from unpool_xp._plan.resize import NearestPlan


def repeat_nearest(info: InputInfo, plan: NearestPlan, x: Array) -> Array:
    """Return the source element of each output cell."""
    repeats = [axis.repeats for axis in plan.axes if axis.repeats is not None]
    if len(repeats) == len(plan.axes):
        return repeat(info, x, repeats)
    for axis in reversed(plan.axes):
        if axis.repeats is None:
            x = take_static(info, x, axis.sources, axis.output, axis.axis, axis.arrays)
        elif axis.repeats != 1:
            x = info.xp.repeat(x, axis.repeats, axis=axis.axis)
    return x
