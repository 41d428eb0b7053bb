"""Repeat elements along several axes."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from typing import Any

from unpool_xp._array.blocks import (
    largest_bytes,
    may_block,
    per_block,
    run_blocks,
    sharing,
    should_block,
)
from unpool_xp._array.compat import Array, copied
from unpool_xp._array.namespace import InputInfo
from unpool_xp._plan.arguments import Shape
from unpool_xp.workers import Scope


def prepare_repeat(info: InputInfo, x: Array, repeats: Sequence[int]) -> Callable[[Array], Array]:
    """Return what repeats each element along the last axes; one repeat count per axis."""
    xp, rank, traits = info.xp, len(repeats), info.traits
    if traits.library != "numpy" and traits.supports_setitem and not traits.is_eager_cpu:
        return lambda x: _repeat_in_one_pass(info, x, repeats)
    if max(repeats) == 1:
        return lambda x: copied(xp, x)
    # The last axis first: the widest copies are then whole rows.
    steps = [(repeats[i], i - rank) for i in reversed(range(rank)) if repeats[i] != 1]

    def repeat(x: Array) -> Array:
        for times, axis in steps:
            x = xp.repeat(x, times, axis=axis)
        return x

    n_bytes = largest_bytes(info, x, math.prod(repeats))
    if traits.library != "numpy" or repeats[-1] == 1 or not may_block(info, n_bytes):
        return repeat

    def repeat_in_blocks(x: Array) -> Array:
        scope = sharing(info, n_bytes)
        if should_block(n_bytes, scope):
            return _repeat_in_blocks(info, x, repeats, scope)
        return repeat(x)

    return repeat_in_blocks


def _repeat_in_blocks(info: InputInfo, x: Array, repeats: Sequence[int], scope: Scope) -> Array:
    """Repeat some rows at a time along the last axis, and copy each while it is in the cache.

    By 2 a pair of cells is one integer, which is written to each copy of a row at once.
    """
    xp, dtype, rank = info.xp, x.dtype, len(repeats)
    lead, plane = x.shape[:-rank], x.shape[-rank:]
    shape = (*lead, *_output_plane(plane, repeats))
    *above, last = repeats
    if not above:  # each element is a row
        plane, above = (*plane, 1), [1]
    # What lies along the first axis is as good as planes.
    planes, inner = math.prod((*lead, plane[0])), plane[1:-1]
    x = xp.reshape(x, (planes, 1, *[size for n in inner for size in (n, 1)], plane[-1]))
    rows = [size for n, times in zip(inner, above[1:], strict=True) for size in (n, times)]
    output = xp.empty((planes, above[0], *rows, plane[-1], last), dtype=dtype)
    pair = _pair_dtypes(info, dtype, last)

    def repeat_rows(start: int, stop: int) -> None:
        part, copies = x[start:stop], output[start:stop]
        if (pair and last == 2) or max(above) == 1:
            _repeat_last(info, part, copies, pair)
            return
        wide = xp.empty((*part.shape, last), dtype=dtype)
        _repeat_last(info, part, wide, pair)
        copies[...] = wide

    row_bytes = math.prod((*plane[1:], *repeats)) * dtype.itemsize
    run_blocks(repeat_rows, planes, per_block(info, planes, row_bytes, scope), scope)
    return xp.reshape(output, shape)


def _repeat_last(info: InputInfo, x: Array, cells: Array, pair: tuple[Any, Any] | None) -> None:
    """Set cells (..., times) of NumPy to the elements of x (...), pairs of them by one integer."""
    if pair is None:
        for number in range(cells.shape[-1]):
            cells[..., number] = x
        return
    x, pairs = x.view(pair[0]), cells.view(pair[1])
    for number in range(pairs.shape[-1]):
        info.xp.multiply(x, _pair_factor(pairs), out=pairs[..., number])


def _pair_factor(pairs: Array) -> Array:
    """Return the factor that sets the bits of an integer beside themselves."""
    return pairs.dtype.type((1 << 4 * pairs.dtype.itemsize) + 1)


def _repeat_in_one_pass(info: InputInfo, x: Array, repeats: Sequence[int]) -> Array:
    """Write every cell in one pass, as a GPU wants it: for pairs of cells in half the threads."""
    xp, kind, rank, dtype = info.xp, info.traits.library, len(repeats), x.dtype
    lead, plane = x.shape[:-rank], x.shape[-rank:]
    *above, last = repeats
    pair = _pair_dtypes(info, dtype, last)
    wide = dtype
    if pair is not None:
        x, wide, last = x.view(pair[0]), pair[1], last // 2
    cells = [size for n, times in zip(plane, (*above, last), strict=True) for size in (n, times)]
    output = xp.empty((math.prod(lead), *cells), dtype=wide, device=info.device)
    x = xp.reshape(x, (math.prod(lead), *[size for n in plane for size in (n, 1)]))
    if pair is None:
        output[...] = x
    elif kind == "torch":
        x = x.expand(output.shape)
        sys.modules["torch"].complex(x, x, out=output)
    else:
        xp.multiply(x, _pair_factor(output), out=output)
    return xp.reshape(output.view(dtype), (*lead, *_output_plane(plane, repeats)))


def _pair_dtypes(info: InputInfo, dtype: Any, times: int) -> tuple[Any, Any] | None:
    """Return what an element's bits are seen as, and what holds two of it.

    None where there are none, or an element is not repeated an even number of times.
    """
    names = _PAIRS.get(info.traits.library, {}).get(dtype.itemsize) if times % 2 == 0 else None
    return names and (getattr(info.xp, names[0]), getattr(info.xp, names[1]))


# By the bytes of an element.
_UNSIGNED = {1: ("uint8", "uint16"), 2: ("uint16", "uint32"), 4: ("uint32", "uint64")}
_PAIRS = {
    "torch": {4: ("float32", "complex64"), 8: ("float64", "complex128")},
    "numpy": _UNSIGNED,
    "cupy": _UNSIGNED,
}


def _output_plane(plane: Shape, repeats: Sequence[int]) -> Shape:
    return tuple(n * times for n, times in zip(plane, repeats, strict=True))
