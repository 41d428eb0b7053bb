"""Each value repeated over the cells that it stands for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from unpool_xp._array.compat import Array, Namespace
from unpool_xp._array.gather import take_static
from unpool_xp._array.repeat import repeat
from unpool_xp._plan import resize


def _nearest(
    xp: Namespace, x: Array, axes: Sequence[Any], make_sources: Callable[[Any], resize.NearestAxis]
) -> Array:
    repeats = [axis.repeats for axis in axes if axis.repeats is not None]
    if len(repeats) == len(axes):
        return repeat(xp, x, repeats)
    for axis in reversed(axes):
        if axis.repeats is not None:
            x = xp.repeat(x, axis.repeats, axis=axis.axis)
        else:
            sources = make_sources(axis)
            x = take_static(xp, x, sources.indices, axis.axis, sources.arrays)
    return x
