"""What the standard lacks: window views, setting by index, a look at values where there are any.

The one file with a branch on a library.
"""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np

from unpool_xp._compat import (
    Array,
    Namespace,
    device,
    index_dtype,
    is_lazy_array,
    library,
    namespace,
)
from unpool_xp._geometry import AxisSpread, AxisWindows
from unpool_xp._sizes import Shape


def at(axis: int, chosen: slice) -> tuple[Any, ...]:
    """Return the index that takes `chosen` along a negative axis and all of the others."""
    return (..., chosen) + (slice(None),) * (-1 - axis)


def along(xp: Namespace, vector: Array, axis: int) -> Array:
    """Return a vector as an array that broadcasts along a negative axis."""
    return xp.reshape(vector, (-1,) + (1,) * (-1 - axis))


def window_views(
    xp: Namespace, x: Array, windows: AxisWindows, *, zeros: bool = False
) -> list[Array]:
    """Return for each tap the elements that it meets in all the windows along one axis.

    A cell of the padding holds what stands in for it, or zero.
    """
    axis = windows.axis
    if zeros:
        x = zero_pad(xp, x, axis, len(windows.before), len(windows.after))
    elif windows.before or windows.after:
        lead = [x[at(axis, slice(p, p + 1))] for p in windows.before]
        trail = [x[at(axis, slice(p, p + 1))] for p in windows.after]
        x = xp.concat([*lead, x, *trail], axis=axis)
    span = (windows.count - 1) * windows.stride + 1
    starts = (tap * windows.dilation for tap in range(windows.taps))
    return [x[at(axis, slice(start, start + span, windows.stride))] for start in starts]


def zero_pad(xp: Namespace, x: Array, axis: int, before: int, after: int) -> Array:
    """Return x with cells of zero before and after along a negative axis."""

    def cells(count: int) -> list[Array]:
        if not count:  # nothing, which not every library can put beside something
            return []
        shape = list(x.shape)
        shape[axis] = count
        return [zeros(xp, tuple(shape), x)]

    parts = [*cells(before), x, *cells(after)]
    return xp.concat(parts, axis=axis) if len(parts) > 1 else x


def zeros(xp: Namespace, shape: Shape, like: Array) -> Array:
    """Return zeros of the dtype and on the device of another array."""
    return xp.zeros(shape, dtype=like.dtype, device=device(like))


def reshape_tail(xp: Namespace, x: Array, keep: int, tail: Shape) -> Array:
    """Return x with the axes after the first `keep` in another shape."""
    if library(x) != "dask":
        return xp.reshape(x, (*x.shape[:keep], *tail))
    # Dask's own reshape keeps chunks it need not keep, and refuses axes of length 0 and 1.
    x = x.rechunk(dict.fromkeys(range(keep, x.ndim), -1))

    def block(x: Array) -> Array:
        return x.reshape(*x.shape[:keep], *tail)

    chunks = (*x.chunks[:keep], *((n,) for n in tail))
    return sys.modules["dask.array"].map_blocks(
        block,
        x,
        dtype=x.dtype,
        chunks=chunks,
        drop_axis=list(range(keep, x.ndim)),
        new_axis=list(range(keep, keep + len(tail))),
        meta=x._meta,
    )


def take_known(xp: Namespace, x: Array, index: Any, axis: int) -> Array:
    """Return the elements at places along a negative axis that are known on the host."""
    if library(x) == "dask":  # which finds the chunks from numbers, but not from another graph
        return xp.take(x, np.asarray(index), axis=axis)
    place = device(x)
    index = xp.asarray(index, dtype=index_dtype(xp, place), device=place)
    return xp.take(x, index, axis=axis)


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
    if library(x) == "dask":
        return _take_along_dask(x, index, axis)
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


def _take_along_dask(x: Array, index: Array, axis: int) -> Array:
    x = x.rechunk({axis: -1})
    chunks = list(x.chunks)
    chunks[axis] = (index.shape[axis],)

    def block(x: Array, index: Array) -> Array:
        return _take_along(namespace(x), x, index, axis)

    return sys.modules["dask.array"].map_blocks(
        block, x, index.rechunk(tuple(chunks)), dtype=x.dtype, chunks=tuple(chunks), meta=x._meta
    )


def readable(x: Array) -> bool:
    """Return whether the values of an array can be looked at: not while tracing, not if lazy."""
    kind = library(x)
    if kind == "torch":
        import torch

        return x.device.type != "meta" and not torch.compiler.is_compiling()
    if kind == "jax":
        return not isinstance(x, sys.modules["jax"].core.Tracer)
    return not is_lazy_array(x)


def scatter(
    xp: Namespace, target: Array, values: Array, positions: Array, *, add: bool, inside: bool
) -> Array:
    """Return target (..., size) with values (..., m) at positions (..., m).

    With `add`, values are added to what stands there; without, they take its place, and of
    several for one position one stays. A position that is not in [0, size) is dropped; `inside`
    promises that there is none. The target itself may be used up.
    """
    if library(values) == "dask":
        return _scatter_dask(target, values, positions, add=add)
    if inside:
        return _scatter_inside(xp, target, values, positions, add=add)
    # One cell more at the end takes what is dropped.
    size = target.shape[-1]
    lost = (positions < 0) | (positions >= size)
    positions = xp.where(lost, xp.full_like(positions, size), positions)
    wider = zero_pad(xp, target, -1, 0, 1)
    return _scatter_inside(xp, wider, values, positions, add=add)[..., :size]


def _scatter_inside(
    xp: Namespace, target: Array, values: Array, positions: Array, *, add: bool
) -> Array:
    kind = library(values)
    if kind == "torch":
        put = target.scatter_add if add else target.scatter
        return put(-1, xp.astype(positions, xp.int64, copy=False), values)
    (*lead, size), m = target.shape, values.shape[-1]
    rows = math.prod(lead)
    values = xp.reshape(values, (rows, m))
    positions = xp.reshape(positions, (rows, m))
    if kind == "jax":
        cells = xp.reshape(target, (rows, size)).at[xp.arange(rows)[:, None], positions]
        return xp.reshape(cells.add(values) if add else cells.set(values), target.shape)
    counting = index_dtype(xp, device(values))
    first = xp.arange(rows, dtype=counting, device=device(values)) * size
    flat = xp.reshape(xp.astype(positions, counting) + first[:, None], (-1,))
    plane, values = xp.reshape(target, (-1,)), xp.reshape(values, (-1,))
    if kind in ("numpy", "cupy"):
        if add:
            xp.add.at(plane, flat, values)
        else:
            plane[flat] = values
    else:
        plane = _scatter_by_sorting(xp, plane, values, flat, add=add)
    return xp.reshape(plane, target.shape)


def _scatter_dask(target: Array, values: Array, positions: Array, *, add: bool) -> Array:
    dask_array = sys.modules["dask.array"]
    values = values.rechunk({-1: -1})
    positions = positions.rechunk(values.chunks)
    target = target.rechunk((*values.chunks[:-1], (target.shape[-1],)))

    def block(target: Array, values: Array, positions: Array) -> Array:
        xp = namespace(values)
        # A chunk may be shared with others, so the result gets memory of its own.
        target = xp.asarray(target, copy=True)
        return scatter(xp, target, values, positions, add=add, inside=False)

    return dask_array.map_blocks(
        block, target, values, positions, dtype=values.dtype, meta=values._meta
    )


def _scatter_by_sorting(
    xp: Namespace, target: Array, values: Array, positions: Array, *, add: bool
) -> Array:
    """Scatter vectors with the standard alone: every cell of the target looks up its value."""
    if positions.shape[0] == 0:
        return target
    order = xp.argsort(positions, stable=True)
    positions, values = xp.take(positions, order), xp.take(values, order)
    if add:
        # A segmented scan: after log2 steps the last of equal positions holds their sum.
        step = 1
        while step < positions.shape[0]:
            same = positions[step:] == positions[:-step]
            moved = xp.where(same, values[:-step], xp.zeros_like(values[:-step]))
            values = xp.concat([values[:step], values[step:] + moved])
            step *= 2
    cells = xp.arange(target.shape[0], dtype=positions.dtype, device=device(values))
    last = xp.searchsorted(positions, cells, side="right") - 1
    last = xp.where(last < 0, xp.zeros_like(last), last)
    found = xp.take(values, last)
    hit = xp.take(positions, last) == cells
    return xp.where(hit, target + found if add else found, target)


def overlap_add(xp: Namespace, parts: list[Array], axis: AxisSpread) -> Array:
    """Add up along one axis the parts that the taps of a kernel spread `stride` cells apart.

    Part t, of `size` cells, lands on the cells ``i * stride + t * dilation - before``.
    """
    stride, full = axis.stride, axis.before + axis.output
    length = -(-full // stride)  # cells of each phase, in which a shift is a whole number of cells
    phases = []
    for phase in range(stride):
        total = None
        for tap, part in enumerate(parts):
            shift, rest = divmod(tap * axis.dilation, stride)
            if rest != phase or shift >= length:
                continue
            kept = part[at(axis.axis, slice(0, min(length - shift, axis.size)))]
            missing = length - shift - kept.shape[axis.axis]
            placed = zero_pad(xp, kept, axis.axis, shift, missing)
            total = placed if total is None else total + placed
        if total is None:
            shape = list(parts[0].shape)
            shape[axis.axis] = length
            total = zeros(xp, tuple(shape), parts[0])
        phases.append(total)
    if stride == 1:
        woven = phases[0]
    else:
        stacked = xp.stack(phases, axis=axis.axis)  # (..., length, stride, ...)
        keep = stacked.ndim - 1 + axis.axis
        woven = reshape_tail(xp, stacked, keep, (length * stride, *stacked.shape[keep + 2 :]))
    return woven[at(axis.axis, slice(axis.before, full))]
