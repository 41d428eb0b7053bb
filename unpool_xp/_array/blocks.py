"""Process arrays in blocks that fit the cache."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from unpool_xp._array.compat import Array, Namespace, device, library
from unpool_xp._array.traits import at_hand, plain
from unpool_xp._plan.arguments import Shape


def blocks_pay(x: Array, share: float) -> bool:
    """Return whether processing x in cache-sized blocks is faster.

    `share` is the size of the largest array in between, or output, over that of x.
    """
    return plain(x) and bool(x.nbytes * max(share, 1.0) >= 3 * _BLOCK)


def planes_in_cache(x: Array, size: int) -> int:
    """Return how many planes of so many bytes to work on at a time: all, where that is no gain."""
    return max(_BLOCK // max(size, 1), 1) if library(x) == "numpy" else max(x.shape[0], 1)


def planes_at_once(x: Array, cells: int) -> int:
    """Return how many planes of x to work on at a time, where each has so many cells in between."""
    size = int(cells * x.dtype.itemsize)
    return max(_block(x, x.shape[0] * cells) // max(size, 1), 1)


def in_blocks(
    xp: Namespace, compute: Callable[[Array], Sequence[Array]], x: Array, rank: int, share: float
) -> list[Array]:
    """Return what is computed of each plane of the last `rank` axes, some planes at a time.

    `share` is the size of the largest array in between, or output, over that of x.
    """
    if not blocks_pay(x, share):
        return list(compute(x))
    keep = x.ndim - rank
    lead, plane = x.shape[:keep], x.shape[keep:]
    planes, cells = math.prod(lead), math.prod(plane) * max(share, 1.0)
    count = max(int(_block(x, planes * cells) // max(cells * x.dtype.itemsize, 1)), 1)
    if planes < 4 * count:
        return list(compute(x))
    x = xp.reshape(x, (planes, *plane))
    outputs: list[Array] = []
    for start in range(0, planes, count):
        parts = compute(x[start : start + count, ...])
        if not outputs:
            place = device(x)
            outputs = [
                xp.empty((planes, *part.shape[1:]), dtype=part.dtype, device=place)
                for part in parts
            ]
        for output, part in zip(outputs, parts, strict=True):
            output[start : start + count, ...] = part
    return [xp.reshape(output, (*lead, *output.shape[1:])) for output in outputs]


def in_parts(
    xp: Namespace,
    compute: Callable[[slice, slice], Array],
    shape: Shape,
    x: Array,
    cells: int,
) -> Array:
    """Return an array (planes, channels, ...) computed some planes and some channels at a time.

    `cells` is how many elements lie between for each plane and channel.
    """
    planes, channels = shape[:2]
    # A matrix product wants more in one piece than passes over elements do.
    size = int(planes * channels * cells * x.dtype.itemsize)
    whole = library(x) != "numpy" and size < _KEPT
    most = max((size if whole else _SHARED_BLOCK) // max(cells * x.dtype.itemsize, 1), 1)
    if most >= planes * channels:
        return compute(slice(0, planes), slice(0, channels))
    step, few = max(most // channels, 1), min(most, channels)
    output = xp.empty(shape, dtype=x.dtype, device=device(x))
    for plane in range(0, planes, step):
        for channel in range(0, channels, few):
            block = slice(plane, plane + step), slice(channel, min(channel + few, channels))
            output[block] = compute(*block)
    return output


_BLOCK = 2**21  # bytes; about the cache per core, smaller blocks cost more in calls than they save
# PyTorch's threads need more to share; below what the allocator keeps for the next call, it is as
# fast in one piece.
_SHARED_BLOCK, _KEPT = 2**23, 2**25


def _block(x: Array, cells: float) -> int:
    if library(x) == "numpy":
        return _BLOCK
    if not at_hand(x):  # a GPU, whose calls should be few and large
        return max(int(cells * x.dtype.itemsize), 1)
    size = int(cells * x.dtype.itemsize)
    return _SHARED_BLOCK if size >= _KEPT else size
