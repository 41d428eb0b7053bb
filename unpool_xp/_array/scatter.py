"""Setting by index, which the standard lacks."""

from __future__ import annotations

import functools
import math
import sys
from typing import Any

from unpool_xp._array.blocks import planes_per_cache_block, run_blocks, sharing
from unpool_xp._array.compat import Array, cast
from unpool_xp._array.namespace import InputInfo
from unpool_xp._array.views import pad_axis

_INDEX_BYTES = 8  # an entry of NumPy's and CuPy's


def scatter(
    info: InputInfo,
    target: Array,
    values: Array,
    positions: Array,
    *,
    add: bool,
    inside: bool,
    n_sentinel: int | None = None,
) -> Array:
    """Return target (..., size) with values (..., m) at positions (..., m).

    With `add`, values are added to the target; otherwise they replace it, and one of several
    values for a position is kept. Positions outside [0, size) are dropped; `inside` promises that
    there are none. The target may be overwritten. The last `n_sentinel` of its cells take what is
    dropped and are not returned; as many as `sentinel_slots` says, which are made where they are
    not given.
    """
    if info.traits.library == "jax":
        return _scatter_jax(info, target, values, positions, add=add, inside=inside)
    if n_sentinel is None:
        n_sentinel = sentinel_slots(info, add=add, inside=inside)
        target = pad_axis(info, target, -1, 0, n_sentinel)
    if not n_sentinel:
        return _scatter_inside(info, target, values, positions, add=add)
    size = target.shape[-1] - n_sentinel
    if not inside and info.traits.library not in ("numpy", "cupy"):  # there piece by piece
        positions = _mark_dropped(info, positions, size)
    if not add and _may_differentiate(info):
        mark = _mark_torch_duplicates if info.traits.library == "torch" else _mark_duplicates
        positions = mark(info, positions, size, inside=inside)
    drop_from = None if inside else size
    return _scatter_inside(info, target, values, positions, add=add, drop_from=drop_from)[
        ..., :size
    ]


def sentinel_slots(info: InputInfo, *, add: bool, inside: bool) -> int:
    """Return how many sentinel slots the target needs for what is dropped."""
    if info.traits.library == "jax":  # whose own scatter drops
        return 0
    return int(not inside or (not add and _may_differentiate(info)))


def _may_differentiate(info: InputInfo) -> bool:
    """Return whether the library may ask for the gradient of its own scatter.

    That of PyTorch, and of a library that puts along an axis, gives all values for a position the
    gradient of the one that is kept, unless the others are dropped before.
    """
    traits = info.traits
    if _puts_along_axis(info):  # which does not say whether it differentiates
        return True
    if traits.library != "torch" or traits.requires_grad or traits.is_concrete:
        return traits.requires_grad  # which concrete tensors say themselves
    return bool(sys.modules["torch"]._C._are_functorch_transforms_active())


def _puts_along_axis(info: InputInfo) -> bool:
    """Return whether an unknown library does so in an array made anew, as MLX does."""
    return getattr(info.xp, "puts_along_axis", False)


def _mark_duplicates(info: InputInfo, positions: Array, size: int, *, inside: bool) -> Array:
    """Replace all but one of equal positions with `size`, where a library puts along an axis."""
    if 0 in positions.shape:
        return positions
    xp, dtype, device, axis = info.xp, info.index_dtype, info.device, positions.ndim - 1
    positions = xp.astype(positions, dtype)
    entries = xp.arange(positions.shape[-1], dtype=dtype, device=device)
    entries = xp.broadcast_to(entries, positions.shape)
    cells = xp.zeros((*positions.shape[:-1], size + (not inside)), dtype=dtype, device=device)
    cells = xp.put_along_axis(cells, positions, entries, axis=axis)
    is_kept = xp.take_along_axis(cells, positions, axis=axis) == entries
    return xp.where(is_kept, positions, xp.full_like(positions, size))


def _mark_torch_duplicates(info: InputInfo, positions: Array, size: int, *, inside: bool) -> Array:
    """Do the same on PyTorch."""
    torch = sys.modules["torch"]
    positions = positions.to(torch.int64)
    entries = torch.arange(positions.shape[-1], device=positions.device)
    # Where all are promised to lie inside, one that does not raises here.
    cells = positions.new_empty((*positions.shape[:-1], size + (not inside)))
    kept = cells.scatter(-1, positions, entries.expand(positions.shape)).gather(-1, positions)
    return torch.where(kept == entries, positions, size)


def _mark_dropped(info: InputInfo, positions: Array, size: int) -> Array:
    """Replace positions outside [0, size) with `size`."""
    xp, kind = info.xp, info.traits.library
    if kind in ("numpy", "cupy"):  # without a sign what lies below zero lies beyond the end
        unsigned = positions.view(_unsigned(positions.dtype))
        return xp.minimum(unsigned, unsigned.dtype.type(size)).view(positions.dtype)
    if kind == "torch":
        # -1 without the bit of its sign is the largest integer; the lowest would become 0.
        clamp, largest = sys.modules["torch"].clamp, xp.iinfo(positions.dtype).max
        return clamp(clamp(positions, min=-1) & largest, max=size)
    outside = (positions < 0) | (positions >= size)
    return xp.where(outside, xp.full_like(positions, size), positions)


@functools.cache
def _unsigned(dtype: Any) -> str:
    """Return the name of NumPy's integers of the same size and byte order without a sign."""
    return str(dtype.str.replace("i", "u"))


def scatter_checks_bounds(info: InputInfo, values: Array, *, add: bool) -> bool:
    """Return whether `scatter` itself raises, an IndexError or a RuntimeError, for what it drops.

    A look at the positions before would then be one pass too many.
    """
    traits = info.traits
    eager = traits.library == "torch" and traits.is_eager_cpu
    return eager and not add and values.numel() > 0


def any_outside(info: InputInfo, positions: Array, size: int) -> Array:
    """Return whether a position is not in [0, size), as one scalar on the device."""
    xp, kind = info.xp, info.traits.library
    if kind in ("numpy", "cupy"):  # below zero is far beyond the end, once it has no sign
        return xp.max(positions.view(_unsigned(positions.dtype))) >= size
    if kind == "torch":  # in one pass
        low, high = sys.modules["torch"].aminmax(positions)
        return (low < 0) | (high >= size)
    return (xp.min(positions) < 0) | (xp.max(positions) >= size)


def _scatter_inside(
    info: InputInfo,
    target: Array,
    values: Array,
    positions: Array,
    *,
    add: bool,
    drop_from: int | None = None,
) -> Array:
    xp, kind, device = info.xp, info.traits.library, info.device
    if kind == "torch":
        positions = cast(xp, positions, xp.int64)
        if info.traits.needs_grad:  # under vmap the target cannot take what is batched
            return (target.scatter_add if add else target.scatter)(-1, positions, values)
        return (target.scatter_add_ if add else target.scatter_)(-1, positions, values)
    (*lead, size), m = target.shape, values.shape[-1]
    rows = math.prod(lead)
    values = xp.reshape(values, (rows, m))
    positions = xp.reshape(positions, (rows, m))
    if kind in ("numpy", "cupy"):
        # In one index for all, which is made for as many planes at a time as stay in the cache.
        scope = sharing(info, rows * m * _INDEX_BYTES)
        step = planes_per_cache_block(info, rows, m * _INDEX_BYTES, scope)
        width = planes_per_cache_block(info, m, step * _INDEX_BYTES)
        row_starts = (
            xp.arange(min(step, rows), dtype=info.index_dtype, device=device)[:, None] * size
        )
        planes = xp.reshape(target, (-1,))

        def scatter_planes(row: int, stop: int) -> None:
            part = planes[row * size : stop * size]
            for first in range(0, m, width):
                piece = (slice(row, stop), slice(first, first + width))
                flat = positions[piece]
                if drop_from is not None:
                    flat = _mark_dropped(info, flat, drop_from)
                flat = flat + row_starts[: stop - row]
                if add:
                    xp.add.at(part, flat, values[piece])
                else:
                    part[flat] = values[piece]

        run_blocks(scatter_planes, rows, step, scope)
        return xp.reshape(planes, target.shape)
    if not add and _puts_along_axis(info):
        target = xp.reshape(target, (rows, size))
        if 0 not in positions.shape:
            target = xp.put_along_axis(target, positions, values, axis=1)
        return xp.reshape(target, (*lead, size))
    # As many planes at a time as an index can count.
    step = max(int(xp.iinfo(info.index_dtype).max) // max(size, m, 1), 1)
    arrays = xp.reshape(target, (rows, size)), values, positions
    parts = [
        _scatter_by_sorting(info, *[x[row : min(row + step, rows), :] for x in arrays], add=add)
        for row in range(0, max(rows, 1), step)
    ]
    whole = parts[0] if len(parts) == 1 else xp.concat(parts, axis=0)
    return xp.reshape(whole, target.shape)


def _scatter_jax(
    info: InputInfo, target: Array, values: Array, positions: Array, *, add: bool, inside: bool
) -> Array:
    (*lead, size), m = target.shape, values.shape[-1]
    rows = math.prod(lead)
    xp, dtype = info.xp, info.index_dtype
    positions = xp.astype(xp.reshape(positions, (rows, m)), dtype)
    # One index is a third faster than two, but it must not wrap around.
    flat = not info.traits.symbolic_axes and rows * size < xp.iinfo(dtype).max
    index = positions + (xp.arange(rows, dtype=dtype) * size)[:, None] if flat else positions
    if not inside:
        # Below zero is far beyond the end, once it has no sign.
        unsigned = xp.uint32 if xp.iinfo(dtype).bits == 32 else xp.uint64
        outside = xp.astype(positions, unsigned) >= size
        index = xp.where(outside, rows * size if flat else size, index)
    if flat:
        cells = xp.reshape(target, (-1,)).at[index]
    else:
        cells = xp.reshape(target, (rows, size)).at[xp.arange(rows)[:, None], index]
    update = cells.add if add else cells.set
    mode = "promise_in_bounds" if inside else "drop"
    return xp.reshape(update(xp.reshape(values, (rows, m)), mode=mode), target.shape)


def _scatter_by_sorting(
    info: InputInfo, target: Array, values: Array, positions: Array, *, add: bool
) -> Array:
    """Scatter rows with the standard alone: every cell of the target looks up its value."""
    if 0 in positions.shape:
        return target
    xp, dtype, device = info.xp, info.index_dtype, info.device
    rows, size = target.shape
    row_starts = xp.reshape(xp.arange(rows, dtype=dtype, device=device) * size, (rows, 1))
    positions = xp.reshape(xp.astype(positions, dtype) + row_starts, (-1,))
    target, values = xp.reshape(target, (-1,)), xp.reshape(values, (-1,))
    order = xp.argsort(positions)
    positions, values = xp.take(positions, order, axis=0), xp.take(values, order, axis=0)
    if add:
        # A segmented scan: after log2 steps the last of equal positions holds their sum.
        step = 1
        while step < positions.shape[0]:
            same = positions[step:] == positions[:-step]
            moved = xp.where(same, values[:-step], xp.zeros_like(values[:-step]))
            values = xp.concat([values[:step], values[step:] + moved])
            step *= 2
    cells = xp.arange(rows * size, dtype=dtype, device=device)
    last = xp.searchsorted(positions, cells, side="right") - 1
    last = xp.where(last < 0, xp.zeros_like(last), last)
    found = xp.take(values, last, axis=0)
    hit = xp.take(positions, last, axis=0) == cells
    placed = xp.where(hit, target + found if add else found, target)
    return xp.reshape(placed, (rows, size))
