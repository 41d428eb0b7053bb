"""Functions of the standard, by a few others of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from unpool_xp._array.compat import Array, Namespace


def argsort(xp: Namespace, keys: Array, dtype: Any, device: Any) -> Array:
    """Return the order that sorts a vector, equal keys as they come, by a bitonic network.

    Batcher (1968), Sorting networks and their applications: log2(n) * (log2(n) + 1) / 2 steps, each
    of which compares the elements in pairs.
    """
    n = keys.shape[0]
    if n < 2:
        return xp.zeros((n,), dtype=dtype, device=device)
    size = 2 ** (n - 1).bit_length()
    places = xp.arange(size, dtype=dtype, device=device)
    if size > n:  # what is added comes last: no key is larger, and no place smaller
        largest = xp.iinfo(keys.dtype).max
        keys = xp.concat([keys, xp.full((size - n,), largest, dtype=keys.dtype, device=device)])
    for power in range(1, size.bit_length()):
        for distance in (2**k for k in reversed(range(power))):
            pairs = (size // (2 * distance), 2, distance)
            keys, places = xp.reshape(keys, pairs), xp.reshape(places, pairs)
            first, second = keys[:, 0, :], keys[:, 1, :]
            place, other = places[:, 0, :], places[:, 1, :]
            # Every second run of this length is sorted the other way round.
            numbers = xp.arange(pairs[0], dtype=dtype, device=device) * (2 * distance)
            is_falling = xp.reshape(numbers // 2**power % 2 == 1, (-1, 1))
            swap = ((first > second) | ((first == second) & (place > other))) != is_falling
            keys = xp.stack([xp.where(swap, second, first), xp.where(swap, first, second)], axis=1)
            places = xp.stack([xp.where(swap, other, place), xp.where(swap, place, other)], axis=1)
    return xp.reshape(places, (-1,))[:n]


def searchsorted(xp: Namespace, keys: Array, wanted: Array, dtype: Any, device: Any) -> Array:
    """Return how many keys of a sorted vector are at most as large as each one wanted."""
    n = keys.shape[0]
    found = xp.zeros(wanted.shape, dtype=dtype, device=device)
    for step in (2**k for k in reversed(range(n.bit_length()))):
        last = found + (step - 1)  # of the keys that would be counted
        beyond = last >= n
        last = xp.where(beyond, xp.zeros_like(last), last)
        counts = xp.where(beyond, xp.zeros_like(beyond), xp.take(keys, last, axis=0) <= wanted)
        found = xp.where(counts, found + step, found)
    return found


def take_along_axis(
    xp: Namespace, x: Array, index: Array, axis: int, dtype: Any, device: Any
) -> Array:
    """Return the elements at places given for each line along a (non-negative) axis.

    One take from the array made flat, of as many lines at a time as the dtype can count.
    """
    outer, n, inner = math.prod(x.shape[:axis]), x.shape[axis], math.prod(x.shape[axis + 1 :])
    limit = int(xp.iinfo(dtype).max) // max(n, 1)  # lines
    columns = max(min(inner, limit), 1)
    rows = max(limit // columns, 1)
    x = xp.reshape(x, (outer, n, inner))
    places = xp.reshape(index, (outer, index.shape[axis], inner))
    along_rows = []
    for start in range(0, max(outer, 1), rows):
        along_columns = []
        for first in range(0, max(inner, 1), columns):
            lines = (
                slice(start, min(start + rows, outer)),
                slice(None),
                slice(first, min(first + columns, inner)),
            )
            part = places[lines]
            n_rows, _, n_columns = part.shape
            row_starts = xp.arange(n_rows, dtype=dtype, device=device) * (n * n_columns)
            column_starts = xp.arange(n_columns, dtype=dtype, device=device)
            cells = xp.reshape(row_starts, (-1, 1, 1)) + part * n_columns + column_starts
            flat, cells = xp.reshape(x[lines], (-1,)), xp.reshape(cells, (-1,))
            along_columns.append(xp.reshape(xp.take(flat, cells, axis=0), part.shape))
        along_rows.append(xp.concat(along_columns, axis=2))
    return xp.reshape(xp.concat(along_rows, axis=0), index.shape)


def take_by_comparing(xp: Namespace, x: Array, index: Array, axis: int, device: Any) -> Array:
    """Return the elements at places along a (non-negative) axis, by a look at each of the axis.

    The index broadcasts with the array but for this axis. Each element is the largest of itself and
    of what nothing is below, so that it stays as it is: the sign of a zero, and NaN.
    """
    if xp.isdtype(x.dtype, "bool"):
        taken = take_by_comparing(xp, xp.astype(x, xp.uint8), index, axis, device)
        return xp.astype(taken, x.dtype)
    n, before, after = x.shape[axis], index.shape[: axis + 1], index.shape[axis + 1 :]
    places = xp.arange(n, dtype=index.dtype, device=device)
    places = xp.reshape(places, (n, *(1,) * len(after)))
    chosen = xp.reshape(index, (*before, 1, *after)) == places
    wide = xp.reshape(x, (*x.shape[:axis], 1, *x.shape[axis:]))
    is_complex = xp.isdtype(x.dtype, "complex floating")
    lowest = 0 if is_complex else -math.inf
    if xp.isdtype(x.dtype, "integral"):
        lowest = xp.iinfo(x.dtype).min
    none = xp.full((1,) * wide.ndim, lowest, dtype=x.dtype, device=device)
    reduce = xp.sum if is_complex else xp.max
    return reduce(xp.where(chosen, wide, none), axis=axis + 1)


def concat(xp: Namespace, arrays: Sequence[Array], axis: int, dtype: Any, device: Any) -> Array:
    """Return arrays one after the other along a (non-negative) axis, by a choice for each place."""
    sizes = [array.shape[axis] for array in arrays]
    places = xp.arange(sum(sizes), dtype=dtype, device=device)
    result, start = None, 0
    for array, size in zip(arrays, sizes, strict=True):
        if not size:
            continue
        own = places - start
        own = xp.where(own < 0, xp.zeros_like(own), own)
        own = xp.where(own >= size, xp.full_like(own, size - 1), own)
        taken = xp.take(array, own, axis=axis)
        is_here = xp.reshape(places >= start, (-1, *(1,) * (array.ndim - axis - 1)))
        result = taken if result is None else xp.where(is_here, taken, result)
        start += size
    return arrays[0] if result is None else result


def repeat(xp: Namespace, x: Array, repeats: int, axis: int) -> Array:
    """Return each element so many times along a (non-negative) axis."""
    before, after = x.shape[: axis + 1], x.shape[axis + 1 :]
    wide = xp.broadcast_to(xp.reshape(x, (*before, 1, *after)), (*before, repeats, *after))
    return xp.reshape(wide, (*before[:-1], before[-1] * repeats, *after))


def matmul_by_sums(a: Array, b: Array) -> Array:
    """Return the matrix product of a (..., m, k) and b (..., k, n), k at least 1, by k products."""
    total = a[..., :, :1] * b[..., :1, :]
    for k in range(1, a.shape[-1]):
        total += a[..., :, k : k + 1] * b[..., k : k + 1, :]
    return total
