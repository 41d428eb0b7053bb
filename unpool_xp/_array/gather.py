"""Elements at places that are known on the host."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from unpool_xp._array.compat import Array
from unpool_xp._array.namespace import InputInfo
from unpool_xp._array.views import axis_slice, cached_array

if TYPE_CHECKING:
    from unpool_xp._plan.resize import InterpolatedAxis

# Places; beyond this those of an axis are found for each call, piece by piece.
_MAX_CACHED_PLACES = 2**18
_MIN_GATHERED = 2**14  # elements


def take_static(
    info: InputInfo,
    x: Array,
    places: Callable[[int, int], Any],
    output: int,
    axis: int,
    arrays: dict[Any, Any],
) -> Array:
    """Return the elements at places along a negative axis that are known on the host.

    `places` gives those of the output cells [first, last). `arrays`, of the plan that they belong
    to, keeps them on the device, but for those of a long axis.
    """
    if output <= _MAX_CACHED_PLACES or not (
        info.traits.is_eager_cpu and info.traits.supports_setitem
    ):
        key = "places", lambda: info.as_index(places(0, output)), info.index_dtype
        index = cached_array(info, arrays, *key)
        return take(info, x, index, axis)
    shape = list(x.shape)
    shape[axis] = output
    result = info.xp.empty(tuple(shape), dtype=x.dtype, device=info.device)
    for first in range(0, output, _MAX_CACHED_PLACES):
        last = min(first + _MAX_CACHED_PLACES, output)
        taken = take(info, x, info.as_index(places(first, last)), axis)
        result[axis_slice(axis, slice(first, last))] = taken
    return result


def take(info: InputInfo, x: Array, index: Array, axis: int) -> Array:
    """Return the elements at places of the device along a negative axis.

    On the host PyTorch's own take (``index_select``) is 7 to 9 times slower than these two ways
    (one core of an Intel Xeon, from (2, 64, 128, 128) to 228 places).
    """
    xp, n_lead, is_torch = info.xp, x.ndim + axis, info.traits.library == "torch"
    # Unsigned elements PyTorch gathers for 8 bits alone; small arrays cost their calls alone.
    is_slow = is_torch and info.traits.is_eager_cpu and x.dtype.is_signed
    if not is_slow or math.prod(x.shape) < _MIN_GATHERED:
        return xp.take(x, index, axis=axis)
    if axis == -1:
        return sys.modules["torch"].gather(x, -1, index.expand(*x.shape[:-1], -1))
    planes, size = math.prod(x.shape[:n_lead]), x.shape[axis]
    first = xp.arange(0, planes * size, size, dtype=index.dtype, device=info.device)
    lines = xp.reshape(x, (planes * size, math.prod(x.shape[n_lead + 1 :])))
    taken = xp.take(lines, xp.reshape(first[:, None] + index, (-1,)), axis=0)
    return xp.reshape(taken, (*x.shape[:n_lead], index.shape[0], *x.shape[n_lead + 1 :]))


def broadcastable_index(info: InputInfo, index: Any, rank: int, axis: int) -> Array:
    """Line numbers of the host, (out,) or (*leading, out), up with an axis of planes."""
    ones = (None,) * (rank + axis), (None,) * (-1 - axis)
    index = index[(..., *ones[0], slice(None), *ones[1])]
    return info.xp.asarray(index, dtype=info.index_dtype, device=info.device)


def take_per_plane(info: InputInfo, x: Array, indices: Any, rank: int, axis: int) -> Array:
    """Return the elements at places of the host, the same in all planes or each plane's own."""
    if indices.ndim == 1:
        return info.xp.take(x, info.as_index(indices), axis=axis)
    if info.takes_host_index:
        return _take_nearby(info, x, indices, rank, axis)
    index = broadcastable_index(info, indices, rank, axis)
    shape = list(x.shape)
    shape[axis] = index.shape[axis]
    return take_along_axis(info, x, info.xp.broadcast_to(index, tuple(shape)), axis)


def _take_nearby(info: InputInfo, x: Array, indices: Any, rank: int, axis: int) -> Array:
    """Return the elements at places of the host that differ little from plane to plane.

    Those of regions differ by 1 at most.
    """
    xp, last = info.xp, x.shape[axis] - 1
    first = indices.reshape(-1, indices.shape[-1]).min(axis=0, initial=last)
    shifts = indices - first
    shift_of_plane = broadcastable_index(info, shifts, rank, axis)
    taken = xp.take(x, first, axis=axis)
    for shift in range(1, shifts.max(initial=0) + 1):
        places = (first + shift).clip(max=last)
        taken = xp.where(shift_of_plane == shift, xp.take(x, places, axis=axis), taken)
    return taken


def take_along_axis(info: InputInfo, x: Array, index: Array, axis: int) -> Array:
    """Return the elements at places that are given for each line along an axis."""
    if info.traits.library == "torch":  # whose own one broadcasts, which asks for plain sizes
        return sys.modules["torch"].gather(x, axis, index)
    return info.xp.take_along_axis(x, index, axis=axis)


# --- weighted sums of them ------------------------------------------------------------------------

# Taps of all cells; beyond this they are made for each call, piece by piece.
MAX_CACHED_TAPS = 2**18
# Taps; beyond this they are one operation for a compiler, not one each.
_MAX_SEPARATE_TAPS = 8


def sum_taps(
    info: InputInfo, x: Array, axis: InterpolatedAxis, first: int, last: int, origin: int = 0
) -> Array:
    """Return the weighted sums of the cells [first, last), of the elements from `origin` on."""
    xp, n_taps = info.xp, axis.n_taps
    sources, weights = _taps(info, x, axis, first, last)
    if origin:
        sources = sources - origin
    if n_taps > _MAX_SEPARATE_TAPS and not info.traits.supports_setitem:
        elements = xp.take(x, xp.reshape(sources, (-1,)), axis=axis.axis)
        n_lead = x.ndim + axis.axis
        shape = (*x.shape[:n_lead], n_taps, last - first, *x.shape[n_lead + 1 :])
        return xp.sum(xp.reshape(elements, shape) * weights, axis=n_lead)
    total = None
    for tap in range(n_taps):
        share = take(info, x, sources[tap, ...], axis.axis)
        if not info.traits.supports_setitem:
            share = share * weights[tap, ...]
            total = share if total is None else total + share
            continue
        share *= weights[tap, ...]
        if total is None:
            total = share
        else:
            total += share
    return total


def _taps(
    info: InputInfo, x: Array, axis: InterpolatedAxis, first: int, last: int
) -> tuple[Array, Array]:
    """Return the sources (taps, cells) and the weights, (taps, cells, 1, ...), of some cells."""
    xp, index_dtype = info.xp, info.index_dtype

    def make(start: int, stop: int) -> tuple[Array, Array]:
        sources, weights = axis.weighted_taps(start, stop)
        # torch.compile may take the shape of an array for symbols: that of the batch, if equal.
        weights = weights.reshape(axis.n_taps, stop - start, *(1,) * (-1 - axis.axis))
        return (
            info.as_index(sources),
            xp.asarray(weights, dtype=x.dtype, device=info.device),
        )

    start, stop, shift = 0, axis.output, 0
    is_long = info.traits.is_eager_cpu and axis.output * axis.n_taps > MAX_CACHED_TAPS
    if is_long:
        start, shift = axis.repeated_cells(first, last)
        stop = start + last - first
        if not shift:
            return make(first, last)
    names = [f"{name} {start} {stop}" for name in ("sources", "weights")]
    sources = cached_array(info, axis.arrays, names[0], lambda: make(start, stop)[0], index_dtype)
    weights = cached_array(info, axis.arrays, names[1], lambda: make(start, stop)[1], x.dtype)
    if is_long:
        return sources + shift, weights
    if (first, last) == (start, stop):
        return sources, weights
    return sources[:, first:last], weights[:, first:last, ...]
