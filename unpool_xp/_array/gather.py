"""Elements at places that are known on the host."""

from __future__ import annotations

import math
from typing import Any

from unpool_xp._array.compat import Array, Namespace, get_device, index_dtype
from unpool_xp._array.constants import cached_array


def take_static(
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
    device = get_device(x)
    dtype = index_dtype(xp, device)

    def make_index() -> Array:
        return xp.asarray(index, dtype=dtype, device=device)

    device_index = cached_array(
        {} if arrays is None else arrays, name, make_index, xp.__name__, device
    )
    return xp.take(x, device_index, axis=axis)


def broadcastable_index(
    xp: Namespace, index: Any, rank: int, axis: int, *, dtype: Any, device: Any
) -> Array:
    """Line numbers of the host, (out,) or (*leading, out), up with an axis of planes."""
    shape = (*index.shape[:-1], *(1,) * (rank + axis), index.shape[-1], *(1,) * (-1 - axis))
    return xp.asarray(index.reshape(shape), dtype=dtype, device=device)


def take_per_plane(xp: Namespace, x: Array, indices: Any, rank: int, axis: int) -> Array:
    """Return the elements at places of the host, the same in all planes or each plane's own."""
    if indices.ndim == 1:
        return take_static(xp, x, indices, axis)
    dtype = index_dtype(xp, get_device(x))
    index = broadcastable_index(xp, indices, rank, axis, dtype=dtype, device=get_device(x))
    shape = list(x.shape)
    shape[axis] = index.shape[axis]
    index = xp.broadcast_to(index, tuple(shape))
    return _take_along_axis(xp, x, index, axis)


def _take_along_axis(xp: Namespace, x: Array, index: Array, axis: int) -> Array:
    if hasattr(xp, "take_along_axis"):
        return xp.take_along_axis(x, index, axis=axis)
    # The standard before 2024.12: one take from the array made flat.
    step = math.prod(x.shape[axis:][1:])
    outer = math.prod(x.shape[:axis])
    block = x.shape[axis] * step
    first = xp.reshape(xp.arange(outer, device=get_device(x)) * block, (outer, 1, 1))
    inner = xp.reshape(xp.arange(step, device=get_device(x)), (1, 1, step))
    flat = xp.reshape(xp.astype(index, first.dtype), (outer, index.shape[axis], step))
    cells = xp.reshape(first + flat * step + inner, (-1,))
    return xp.reshape(xp.take(xp.reshape(x, (-1,)), cells), index.shape)
