"""Each value repeated over the cells that it stands for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from unpool_xp._array.compat import Array, Namespace
from unpool_xp._array.gather import take_known
from unpool_xp._array.repeat import repeated
from unpool_xp._plan import resize


def _repeated(
    xp: Namespace, x: Array, axes: Sequence[Any], sources_of: Callable[[Any], resize.Sources]
) -> Array:
    repeats = [axis.repeats for axis in axes if axis.repeats is not None]
    if len(repeats) == len(axes):
        return repeated(xp, x, repeats)
    for axis in reversed(axes):
        if axis.repeats is not None:
            x = xp.repeat(x, axis.repeats, axis=axis.axis)
        else:
            sources = sources_of(axis)
            x = take_known(xp, x, sources.places, axis.axis, sources.arrays)
    return x
