"""Chunks stay regular where axes are merged and split."""

from __future__ import annotations

import itertools
import math
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest

from unpool_xp._array.adapted.functions import in_whole_planes, reshape_chunked


class Chunked(NamedTuple):
    """As much of an array in chunks as decides how it is cut."""

    shape: tuple[int, ...]
    chunksize: tuple[int, ...]

    def rechunk(self, chunks: Any) -> Chunked:
        return Chunked(self.shape, chunks)


SHAPES = [
    ((2, 3, 4), (6, 4)),
    ((2, 3, 4), (2, 12)),
    ((6, 4), (2, 3, 4)),
    ((2, 3, 4), (4, 6)),
    ((2, 1, 3), (2, 3)),
    ((2, 3), (1, 2, 1, 3, 1)),
    ((2, 3, 7, 2, 6), (2, 3, 14, 6)),
    ((1, 1), (1,)),
]


def reshaped(x: Chunked, shape: tuple[int, ...]) -> list[tuple[Chunked, tuple[int, ...]]]:
    """Return the arrays that a library is given to reshape, and the shapes."""
    calls = []

    def reshape(x: Chunked, shape: tuple[int, ...]) -> Chunked:
        calls.append((x, shape))
        return Chunked(shape, shape)

    assert reshape_chunked(SimpleNamespace(reshape=reshape), x, shape).shape == shape
    return calls


@pytest.mark.parametrize(("old", "new"), SHAPES)
def test_every_chunk_is_a_regular_one_of_the_new_shape(
    old: tuple[int, ...], new: tuple[int, ...]
) -> None:
    every = itertools.product(*(range(1, n + 1) for n in old))
    for x, shape in itertools.chain.from_iterable(reshaped(Chunked(old, c), new) for c in every):
        assert all(1 <= wide <= n for wide, n in zip(x.chunksize, x.shape, strict=True))
        numbers = np.arange(math.prod(x.shape)).reshape(x.shape)
        starts = [range(0, n, wide) for n, wide in zip(x.shape, x.chunksize, strict=True)]
        boxes = set()
        for corner in itertools.product(*starts):
            part = tuple(slice(i, i + w) for i, w in zip(corner, x.chunksize, strict=True))
            places = np.asarray(np.unravel_index(numbers[part].ravel(), shape))
            sides = places.max(axis=1) - places.min(axis=1) + 1
            assert math.prod(sides) == numbers[part].size  # a box of the new shape
            boxes.add((tuple(places.min(axis=1)), tuple(sides)))
        # The boxes of each axis are as long as the first, but for the last.
        for axis, n in enumerate(shape):
            sides_by_start = {start[axis]: side[axis] for start, side in boxes}
            first = sides_by_start[0]
            assert sides_by_start == {k: min(first, n - k) for k in range(0, n, first)}


def test_axes_that_stay_keep_their_chunks_and_planes_are_whole() -> None:
    x = Chunked((4, 6, 5), (2, 3, 2))
    ((cut, _),) = reshaped(x, (4, 30))
    assert cut.chunksize == (2, 3, 5)
    ((cut, _),) = reshaped(x, (4, 2, 3, 5))
    assert cut is x
    assert in_whole_planes(x, 2).chunksize == (2, 6, 5)
    assert in_whole_planes(x, 0) is x
    plain = np.ones((2, 3))
    assert in_whole_planes(plain, 2) is plain
