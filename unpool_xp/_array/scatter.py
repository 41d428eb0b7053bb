"""Setting by index, which the standard lacks."""

from __future__ import annotations

import math
import sys

from unpool_xp._array.blocks import planes_in_cache
from unpool_xp._array.compat import Array, Namespace, cast, device, index_dtype, library
from unpool_xp._array.traits import at_hand, smooth
from unpool_xp._array.views import padded


def scatter(
    xp: Namespace,
    target: Array,
    values: Array,
    positions: Array,
    *,
    add: bool,
    inside: bool,
    spare: int = 0,
) -> Array:
    """Return target (..., size) with values (..., m) at positions (..., m).

    With `add`, values are added to the target; otherwise they replace it, and one of several
    values for a position is kept. Positions outside [0, size) are dropped; `inside` promises that
    there are none. The target may be overwritten. The last `spare` of its cells (0 or 1) take
    what is dropped and are not returned.
    """
    if library(values) == "jax":
        return _scatter_jax(xp, target, values, positions, add=add, inside=inside)
    if inside:
        return _scatter_inside(xp, target, values, positions, add=add)
    # One cell more at the end takes what is dropped.
    size = target.shape[-1] - spare
    wider = target if spare else padded(xp, target, -1, 0, 1)
    positions = _dropped(xp, positions, size)
    return _scatter_inside(xp, wider, values, positions, add=add)[..., :size]


def cells_to_spare(values: Array) -> int:
    """Return how many sentinel slots the target needs if positions may be dropped."""
    return 0 if library(values) == "jax" else 1  # whose own scatter drops


def _dropped(xp: Namespace, positions: Array, size: int) -> Array:
    """Replace positions outside [0, size) with `size`."""
    kind = library(positions)
    if kind in ("torch", "numpy", "cupy"):
        # Without the bit of the sign what lies below zero lies beyond the end: one pass less.
        most = xp.iinfo(positions.dtype).max
        if kind == "torch":
            return sys.modules["torch"].clamp(positions & most, max=size)
        return xp.minimum(positions & most, positions.dtype.type(size))
    lost = (positions < 0) | (positions >= size)
    return xp.where(lost, xp.full_like(positions, size), positions)


def scatter_refuses(values: Array, *, add: bool) -> bool:
    """Return whether `scatter` itself raises, an IndexError or a RuntimeError, for what it drops.

    A look at the positions before would then be one pass too many.
    """
    return not add and library(values) == "torch" and at_hand(values) and values.numel() > 0


def any_outside(xp: Namespace, positions: Array, size: int) -> Array:
    """Return whether a position is not in [0, size), as one scalar on the device."""
    kind = library(positions)
    if kind in ("numpy", "cupy"):  # below zero is far beyond the end, once it has no sign
        return xp.max(positions.view(positions.dtype.str.replace("i", "u"))) >= size
    if kind == "torch":  # in one pass
        low, high = sys.modules["torch"].aminmax(positions)
        return (low < 0) | (high >= size)
    return (xp.min(positions) < 0) | (xp.max(positions) >= size)


def _scatter_inside(
    xp: Namespace, target: Array, values: Array, positions: Array, *, add: bool
) -> Array:
    kind = library(values)
    if kind == "torch":
        positions = cast(xp, positions, xp.int64)
        if smooth(values):  # under vmap the target cannot take what is batched
            return (target.scatter_add if add else target.scatter)(-1, positions, values)
        return (target.scatter_add_ if add else target.scatter_)(-1, positions, values)
    (*lead, size), m = target.shape, values.shape[-1]
    rows = math.prod(lead)
    values = xp.reshape(values, (rows, m))
    positions = xp.reshape(positions, (rows, m))
    if kind in ("numpy", "cupy"):
        counting = index_dtype(xp, device(values))
        # In one index for all, which is made for as many planes at a time as stay in the cache.
        step = planes_in_cache(values, m * xp.iinfo(counting).bits // 8)
        first = xp.arange(min(step, rows), dtype=counting, device=device(values))[:, None] * size
        planes = xp.reshape(target, (-1,))
        for row in range(0, rows, max(step, 1)):
            part = planes[row * size : (row + step) * size]
            flat = positions[row : row + step] + first[: rows - row]
            if add:
                xp.add.at(part, flat, values[row : row + step])
            else:
                part[flat] = values[row : row + step]
        return xp.reshape(planes, target.shape)
    counting = index_dtype(xp, device(values))
    first = xp.arange(rows, dtype=counting, device=device(values)) * size
    flat = xp.reshape(xp.astype(positions, counting) + first[:, None], (-1,))
    plane, values = xp.reshape(target, (-1,)), xp.reshape(values, (-1,))
    return xp.reshape(_scatter_by_sorting(xp, plane, values, flat, add=add), target.shape)


def _scatter_jax(
    xp: Namespace, target: Array, values: Array, positions: Array, *, add: bool, inside: bool
) -> Array:
    (*lead, size), m = target.shape, values.shape[-1]
    rows = math.prod(lead)
    counting = index_dtype(xp, None)
    positions = xp.astype(xp.reshape(positions, (rows, m)), counting)
    flat = rows * size < xp.iinfo(counting).max  # one index is a third faster than two
    place = positions + (xp.arange(rows, dtype=counting) * size)[:, None] if flat else positions
    if not inside:
        # Below zero is far beyond the end, once it has no sign.
        unsigned = xp.uint32 if xp.iinfo(counting).bits == 32 else xp.uint64
        lost = xp.astype(positions, unsigned) >= size
        place = xp.where(lost, rows * size if flat else size, place)
    if flat:
        cells = xp.reshape(target, (-1,)).at[place]
    else:
        cells = xp.reshape(target, (rows, size)).at[xp.arange(rows)[:, None], place]
    put = cells.add if add else cells.set
    mode = "promise_in_bounds" if inside else "drop"
    return xp.reshape(put(xp.reshape(values, (rows, m)), mode=mode), target.shape)


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
