"""Chunks stay regular where axes are merged and split."""

from __future__ import annotations

import itertools
import math
from typing import Any, NamedTuple

import numpy as np
import pytest

from unpool_xp._array.adapted.functions import in_whole_rows


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


@pytest.mark.parametrize(("old", "new"), SHAPES)
def test_every_chunk_is_a_run_of_the_new_axes(old: tuple[int, ...], new: tuple[int, ...]) -> None:
    for chunks in itertools.product(*(range(1, n + 1) for n in old)):
        cut = in_whole_rows(Chunked(old, chunks), new)
        assert all(1 <= wide <= n for wide, n in zip(cut.chunksize, old, strict=True))
        numbers = np.arange(math.prod(old)).reshape(old)
        starts = [range(0, n, wide) for n, wide in zip(old, cut.chunksize, strict=True)]
        boxes = set()
        for corner in itertools.product(*starts):
            part = tuple(slice(i, i + w) for i, w in zip(corner, cut.chunksize, strict=True))
            places = np.asarray(np.unravel_index(numbers[part].ravel(), new))
            sides = places.max(axis=1) - places.min(axis=1) + 1
            assert math.prod(sides) == numbers[part].size  # a box of the new shape
            boxes.add((tuple(places.min(axis=1)), tuple(sides)))
        # The boxes of each axis are as long as the first, but for the last.
        for axis, n in enumerate(new):
            sides_by_start = {start[axis]: side[axis] for start, side in boxes}
            first = sides_by_start[0]
            assert sides_by_start == {k: min(first, n - k) for k in range(0, n, first)}


def test_axes_that_stay_keep_their_chunks_and_others_have_none() -> None:
    x = Chunked((4, 6, 5), (2, 3, 2))
    assert in_whole_rows(x, (4, 30)).chunksize == (2, 3, 5)
    assert in_whole_rows(x, (4, 2, 3, 5)) is x
    plain = np.ones((2, 3))
    assert in_whole_rows(plain, (6,)) is plain
