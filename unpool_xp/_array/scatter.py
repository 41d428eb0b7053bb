"""Setting by index, which the standard lacks."""

from __future__ import annotations

import functools
import math
import sys
from collections.abc import Callable
from typing import Any, Literal, TypeAlias

from unpool_xp._array.blocks import may_block, per_block, run_blocks, sharing
from unpool_xp._array.compat import Array, cast
from unpool_xp._array.namespace import InputInfo
from unpool_xp._array.views import pad_axis
from unpool_xp._plan.arguments import Shape

# That no position lies outside is promised, or one that does is an error, or its value is dropped.
Outside: TypeAlias = Literal["never", "raise", "drop"]

_INDEX_BYTES = 8  # an entry of NumPy's and CuPy's
_LONG_ROW = 2**11  # values of a row, for which a call costs less than to add where the row starts


def scatter(
    info: InputInfo, target: Array, values: Array, positions: Array, *, add: bool, inside: bool
) -> Array:
    """Return target (..., size) with values (..., m) at positions (..., m).

    As `prepare_row_scatter` does. Positions outside [0, size) are dropped; `inside` promises that
    there are none.
    """
    outside: Outside = "never" if inside else "drop"
    shape, count = tuple(target.shape), values.shape[-1]
    put = prepare_row_scatter(info, shape, count, add=add, outside=outside)
    n_sentinel = sentinel_slots(info, add=add, outside=outside)
    return put(pad_axis(info, target, -1, 0, n_sentinel), values, positions)


def prepare_row_scatter(
    info: InputInfo, shape: Shape, count: int, *, add: bool, outside: Outside
) -> Callable[[Array, Array, Array], Array]:
    """Return what puts `count` values at as many positions of each row of a target (..., size).

    With `add`, values are added to the target; otherwise they replace it, and one of several
    values for a position is kept. Positions outside [0, size) are dropped; or raise an IndexError
    or a RuntimeError, which only those do that `scatter_checks_bounds` knows of. The target may be
    overwritten. Its rows have as many cells more as `sentinel_slots` says, which take what is
    dropped and are not returned. Values and positions may have any shape.
    """
    xp, kind, (*lead, size) = info.xp, info.traits.library, shape
    if kind in ("numpy", "cupy"):
        return _prepare_flat_scatter(info, shape, count, add=add, outside=outside)
    inside, n_sentinel = outside != "drop", sentinel_slots(info, add=add, outside=outside)
    flat, has_marks = (*lead, count), not add and _may_differentiate(info)

    def put(target: Array, values: Array, positions: Array) -> Array:
        values, positions = xp.reshape(values, flat), xp.reshape(positions, flat)
        if kind == "jax":
            return _scatter_jax(info, target, values, positions, add=add, inside=inside)
        if not inside:
            positions = _mark_dropped(info, positions, size)
        if has_marks:
            mark = _mark_torch_duplicates if kind == "torch" else _mark_duplicates
            positions = mark(info, positions, size, inside=inside)
        scattered = _scatter_inside(info, target, values, positions, add=add)
        return scattered[..., :size] if n_sentinel else scattered

    return put


def sentinel_slots(info: InputInfo, *, add: bool, outside: Outside) -> int:
    """Return how many sentinel slots each row of the target needs for what is dropped."""
    if info.traits.library == "jax":  # whose own scatter drops
        return 0
    return int(outside == "drop" or (not add and _may_differentiate(info)))


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
    """Return whether an unknown library does so in a new array, as MLX does."""
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
    """Return whether a scatter itself finds positions outside, as an IndexError or a RuntimeError.

    A look at them before would then be one pass too many.
    """
    traits = info.traits
    checks = traits.library in ("numpy", "cupy") or (
        traits.library == "torch" and traits.is_eager_cpu and not add
    )
    return checks and 0 not in values.shape


def any_outside(info: InputInfo, positions: Array, size: int) -> Array:
    """Return whether a position is not in [0, size), as one scalar on the device."""
    xp, kind = info.xp, info.traits.library
    if kind in ("numpy", "cupy"):  # below zero is far beyond the end, once it has no sign
        return xp.max(positions.view(_unsigned(positions.dtype))) >= size
    if kind == "torch":  # in one pass
        low, high = sys.modules["torch"].aminmax(positions)
        return (low < 0) | (high >= size)
    return (xp.min(positions) < 0) | (xp.max(positions) >= size)


# --- NumPy and CuPy: by one flat index ------------------------------------------------------------


def _prepare_flat_scatter(
    info: InputInfo, shape: Shape, count: int, *, add: bool, outside: Outside
) -> Callable[[Array, Array, Array], Array]:
    """Do as `prepare_row_scatter` says, with an index for as many rows as stay in the cache."""
    xp, (*lead, size) = info.xp, shape
    rows, width = math.prod(lead), size + (outside == "drop")
    row_bytes = count * _INDEX_BYTES
    by_row = info.traits.on_host and count >= _LONG_ROW

    def put_block(cells: Array, values: Array, positions: Array) -> None:
        """Put values (rows, m) into the cells of these rows."""
        if outside == "raise" and any_outside(info, positions, size):
            raise IndexError("a position lies outside")
        if outside == "drop":
            positions = _mark_dropped(info, positions, size)
        n = len(positions)
        if n > 1 and not by_row:  # one index for all
            starts = xp.arange(0, n * width, width, dtype=info.index_dtype, device=info.device)
            positions = xp.reshape(positions + starts[:, None], (-1,))
            put_row(cells, xp.reshape(values, (-1,)), positions)
            return
        for row in range(n):
            put_row(cells[row * width : (row + 1) * width], values[row], positions[row])

    def put_row(cells: Array, values: Array, positions: Array) -> None:
        if add:
            xp.add.at(cells, positions, values)
        else:
            cells[positions] = values

    def put_blocks(cells: Array, values: Array, positions: Array) -> None:
        scope = sharing(info, rows * row_bytes)
        step = per_block(info, rows, row_bytes, scope)
        piece = per_block(info, count, min(step, rows) * _INDEX_BYTES)

        def put_rows(row: int, stop: int) -> None:
            part = cells[row * width : stop * width]
            for first in range(0, count, piece):
                chosen = slice(row, stop), slice(first, first + piece)
                put_block(part, values[chosen], positions[chosen])

        run_blocks(put_rows, rows, step, scope)

    put_all = put_blocks if may_block(info, rows * row_bytes) else put_block

    def put(target: Array, values: Array, positions: Array) -> Array:
        cells = xp.reshape(target, (-1,))
        put_all(cells, xp.reshape(values, (rows, count)), xp.reshape(positions, (rows, count)))
        result = xp.reshape(cells, (*lead, width))
        return result if width == size else result[..., :size]

    return put


# --- elsewhere ------------------------------------------------------------------------------------


def _scatter_inside(
    info: InputInfo, target: Array, values: Array, positions: Array, *, add: bool
) -> Array:
    xp = info.xp
    if info.traits.library == "torch":
        positions = cast(xp, positions, xp.int64)
        if info.traits.needs_grad:  # under vmap the target cannot take what is batched
            return (target.scatter_add if add else target.scatter)(-1, positions, values)
        return (target.scatter_add_ if add else target.scatter_)(-1, positions, values)
    (*lead, size), m = target.shape, values.shape[-1]
    rows = math.prod(lead)
    values = xp.reshape(values, (rows, m))
    positions = xp.reshape(positions, (rows, m))
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
