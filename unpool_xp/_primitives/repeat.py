"""Elements over and over."""

from __future__ import annotations

import math
from collections.abc import Sequence

from unpool_xp._compat import Array, Namespace, library
from unpool_xp._primitives.blocks import blocks_pay, planes_in_cache


def repeated(xp: Namespace, x: Array, repeats: Sequence[int]) -> Array:
    """Return x with each element as often as is said for each of the last axes."""
    rank = len(repeats)
    if library(x) == "numpy" and repeats[-1] > 1 and blocks_pay(x, math.prod(repeats)):
        return _repeated_in_blocks(xp, x, repeats)
    # The last axis first: the widest copies are then whole rows.
    for i in reversed(range(rank)):
        if repeats[i] != 1:
            x = xp.repeat(x, repeats[i], axis=i - rank)
    return x


def _repeated_in_blocks(xp: Namespace, x: Array, repeats: Sequence[int]) -> Array:
    """Write the rows while they are in the cache; memory is met once, by the output."""
    rank = len(repeats)
    lead, plane = x.shape[:-rank], x.shape[-rank:]
    *above, last = repeats
    x = xp.reshape(x, (-1, *plane))
    # (planes, n, times, n, times, ..., columns): an axis of its own for the copies of each row.
    rows = [size for n, times in zip(plane, above, strict=False) for size in (n, times)]
    output = xp.empty((len(x), *rows, plane[-1] * last), dtype=x.dtype)
    step = planes_in_cache(x, math.prod(plane) * last * x.dtype.itemsize)
    for start in range(0, len(x), step):
        part = x[start : start + step]
        wide = xp.empty((*part.shape, last), dtype=x.dtype)
        for number in range(last):
            wide[..., number] = part
        shape = [size for n in plane[:-1] for size in (n, 1)]
        output[start : start + step] = wide.reshape(len(part), *shape, plane[-1] * last)
    outputs = [n * times for n, times in zip(plane, repeats, strict=True)]
    return xp.reshape(output, (*lead, *outputs))
