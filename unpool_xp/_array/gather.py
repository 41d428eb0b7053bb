"""Elements at places that are known on the host."""

from __future__ import annotations

import math
from typing import Any

from unpool_xp._array.compat import Array, Namespace, device, index_dtype
from unpool_xp._array.constants import constant


def take_known(
    xp: Namespace,
    x: Array,
    index: Any,
    axis: int,
    arrays: dict[Any, Any] | None = None,
    name: str = "places",
) -> Array:
    """Return the elements at places along a negative axis that are known on the host.

    `arrays`, of the plan that the places belong to, keeps them on the device under a name.
    """
    place = device(x)
    counting = index_dtype(xp, place)

    def places() -> Array:
        return xp.asarray(index, dtype=counting, device=place)

    kept = constant({} if arrays is None else arrays, name, places, xp.__name__, place)
    return xp.take(x, kept, axis=axis)


def lined_up(xp: Namespace, places: Any, rank: int, axis: int, *, dtype: Any, device: Any) -> Array:
    """Line numbers of the host, (out,) or (*leading, out), up with an axis of planes."""
    shape = (*places.shape[:-1], *(1,) * (rank + axis), places.shape[-1], *(1,) * (-1 - axis))
    return xp.asarray(places.reshape(shape), dtype=dtype, device=device)


def take_places(xp: Namespace, x: Array, places: Any, rank: int, axis: int) -> Array:
    """Return the elements at places of the host, the same in all planes or each plane's own."""
    if places.ndim == 1:
        return take_known(xp, x, places, axis)
    counting = index_dtype(xp, device(x))
    index = lined_up(xp, places, rank, axis, dtype=counting, device=device(x))
    shape = list(x.shape)
    shape[axis] = index.shape[axis]
    index = xp.broadcast_to(index, tuple(shape))
    return _take_along(xp, x, index, axis)


def _take_along(xp: Namespace, x: Array, index: Array, axis: int) -> Array:
    if hasattr(xp, "take_along_axis"):
        return xp.take_along_axis(x, index, axis=axis)
    # The standard before 2024.12: one take from the array made flat.
    step = math.prod(x.shape[axis:][1:])
    outer = math.prod(x.shape[:axis])
    block = x.shape[axis] * step
    first = xp.reshape(xp.arange(outer, device=device(x)) * block, (outer, 1, 1))
    inner = xp.reshape(xp.arange(step, device=device(x)), (1, 1, step))
    flat = xp.reshape(xp.astype(index, first.dtype), (outer, index.shape[axis], step))
    cells = xp.reshape(first + flat * step + inner, (-1,))
    return xp.reshape(xp.take(xp.reshape(x, (-1,)), cells), index.shape)
