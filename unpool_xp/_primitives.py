"""What the standard lacks: window views, setting by index, a look at values where there are any.

The one file with a branch on a library.
"""

from __future__ import annotations

import math
import sys
from typing import Any

from unpool_xp._compat import Array, Namespace, is_lazy_array, library
from unpool_xp._geometry import AxisWindows, Shape


def at(axis: int, chosen: slice) -> tuple[Any, ...]:
    """Return the index that takes `chosen` along a negative axis and all of the others."""
    return (..., chosen) + (slice(None),) * (-1 - axis)


def along(xp: Namespace, vector: Array, axis: int) -> Array:
    """Return a vector as an array that broadcasts along a negative axis."""
    return xp.reshape(vector, (-1,) + (1,) * (-1 - axis))


def window_views(xp: Namespace, x: Array, windows: AxisWindows) -> list[Array]:
    """Return for each tap the elements that it meets in all the windows along one axis."""
    axis = windows.axis
    if windows.before or windows.after:
        lead = [x[at(axis, slice(p, p + 1))] for p in windows.before]
        trail = [x[at(axis, slice(p, p + 1))] for p in windows.after]
        x = xp.concat([*lead, x, *trail], axis=axis)
    span = (windows.count - 1) * windows.stride + 1
    starts = (tap * windows.dilation for tap in range(windows.taps))
    return [x[at(axis, slice(start, start + span, windows.stride))] for start in starts]


def readable(x: Array) -> bool:
    """Return whether the values of an array can be looked at: not while tracing, not if lazy."""
    kind = library(x)
    if kind == "torch":
        return x.device.type != "meta" and not sys.modules["torch"].compiler.is_compiling()
    if kind == "jax":
        return not isinstance(x, sys.modules["jax"].core.Tracer)
    return not is_lazy_array(x)


def scatter(
    xp: Namespace, values: Array, positions: Array, size: int, *, add: bool, inside: bool
) -> Array:
    """Put values (..., m) at positions (..., m) of zeros (..., size).

    With `add`, values that meet at a position are added; without, one of them stays. A position
    that is not in [0, size) is dropped; `inside` promises that there is none.
    """
    if library(values) == "dask":
        return _scatter_dask(values, positions, size, add=add)
    if not inside:
        # One cell more at the end takes what is dropped.
        lost = (positions < 0) | (positions >= size)
        positions = xp.where(lost, xp.asarray(size, dtype=positions.dtype), positions)
        wider = _scatter_inside(xp, values, positions, size + 1, add=add)
        return wider[..., :size]
    return _scatter_inside(xp, values, positions, size, add=add)


def _scatter_inside(
    xp: Namespace, values: Array, positions: Array, size: int, *, add: bool
) -> Array:
    kind, lead = library(values), values.shape[:-1]
    if kind == "torch":
        plane = xp.zeros((*lead, size), dtype=values.dtype, device=values.device)
        put = plane.scatter_add if add else plane.scatter
        return put(-1, xp.astype(positions, xp.int64, copy=False), values)
    rows, m = math.prod(lead), values.shape[-1]
    values = xp.reshape(values, (rows, m))
    positions = xp.reshape(positions, (rows, m))
    if kind == "jax":
        target = xp.zeros((rows, size), dtype=values.dtype).at[xp.arange(rows)[:, None], positions]
        plane = target.add(values) if add else target.set(values)
    elif kind in ("numpy", "cupy"):
        first = xp.arange(rows, dtype=xp.int64, device=values.device) * size
        flat = xp.reshape(positions + first[:, None], (-1,))
        plane = xp.zeros(rows * size, dtype=values.dtype, device=values.device)
        if add:
            xp.add.at(plane, flat, xp.reshape(values, (-1,)))
        else:
            plane[flat] = xp.reshape(values, (-1,))
    else:
        plane = _scatter_by_sorting(xp, values, positions, size, add=add)
    return xp.reshape(plane, (*lead, size))


def _scatter_dask(values: Array, positions: Array, size: int, *, add: bool) -> Array:
    dask_array = sys.modules["dask.array"]
    values = values.rechunk({-1: -1})
    positions = positions.rechunk(values.chunks)

    def block(values: Array, positions: Array) -> Array:
        xp = values.__array_namespace__()
        return scatter(xp, values, positions, size, add=add, inside=False)

    return dask_array.map_blocks(
        block,
        values,
        positions,
        dtype=values.dtype,
        chunks=(*values.chunks[:-1], (size,)),
        meta=values._meta,
    )


def _scatter_by_sorting(
    xp: Namespace, values: Array, positions: Array, size: int, *, add: bool
) -> Array:
    """Scatter with the standard alone: every cell of the output looks up its value."""
    rows, m = values.shape
    if rows * m == 0:
        return xp.zeros((rows, size), dtype=values.dtype, device=values.device)
    first = xp.arange(rows, dtype=xp.int64, device=values.device) * size
    flat = xp.reshape(xp.astype(positions, xp.int64) + first[:, None], (-1,))
    order = xp.argsort(flat, stable=True)
    flat = xp.take(flat, order)
    values = xp.take(xp.reshape(values, (-1,)), order)
    if add:
        # A segmented scan: after log2 steps the last of equal positions holds their sum.
        step = 1
        while step < flat.shape[0]:
            same = flat[step:] == flat[:-step]
            moved = xp.where(same, values[:-step], xp.zeros_like(values[:-step]))
            values = xp.concat([values[:step], values[step:] + moved])
            step *= 2
    cells = xp.arange(rows * size, dtype=xp.int64, device=values.device)
    last = xp.searchsorted(flat, cells, side="right") - 1
    last = xp.where(last < 0, xp.zeros_like(last), last)
    found = xp.take(values, last)
    return xp.where(xp.take(flat, last) == cells, found, xp.zeros_like(found))


def plane_size(shape: Shape) -> int:
    """Return the number of elements of a plane."""
    return math.prod(shape)
