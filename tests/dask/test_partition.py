"""The plan of a part has what the whole has for the same cells, and not a cell more."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unpool_xp._dask.partition import (
    ConvTransposePartition,
    ResizePartition,
    UnpoolPartition,
    chunk_bounds,
)
from unpool_xp._plan.resize import ResizeAxis, ResizeSpan, plan_interpolated_axis
from unpool_xp._plan.sampling import Kernel
from unpool_xp._plan.transposed import ConvTransposeAxis


@given(
    axis=st.builds(
        ConvTransposeAxis,
        st.just(-1),
        st.integers(3, 9),
        st.integers(1, 4),
        st.integers(1, 4),
        st.integers(1, 3),
        st.integers(0, 2),
        st.integers(6, 12),
    ),
    data=st.data(),
)
def test_spreading(axis: ConvTransposeAxis, data: st.DataObject) -> None:
    bounds = [0, *sorted(data.draw(st.sets(st.integers(1, axis.size - 1)))), axis.size]
    if axis.before > (axis.kernel_size - 1) * axis.dilation:
        return  # no such padding

    def landings(spread: ConvTransposeAxis, first: int, origin: int) -> set[tuple[int, int, int]]:
        found = set()
        for tap, (kept, cells) in enumerate(spread.scatter_slices):
            elements = range(kept.start, kept.stop)
            places = range(cells.start, cells.stop, cells.step)
            pairs = zip(elements, places, strict=True)
            found |= {(tap, first + element, origin + place) for element, place in pairs}
        return found

    whole = landings(axis, 0, 0)
    chunks = chunk_bounds(ConvTransposePartition(axis), bounds)
    assert (chunks[0], chunks[-1]) == (0, axis.output)
    for low, high in itertools.pairwise(chunks):
        start, stop, part = ConvTransposePartition(axis).part(low, high)
        assert 0 <= start < stop <= axis.size
        assert landings(part, start, low) == {one for one in whole if low <= one[2] < high}
        begin, end, reach = UnpoolPartition(axis).part(low, high)
        assert begin == start
        assert end == (axis.size if high == axis.output else stop)
        assert (reach.origin, reach.size, reach.count) == (low, high - low, end - begin)
        assert reach.first == start * axis.stride - axis.before


@pytest.mark.parametrize("kernel", [Kernel(), Kernel("half_pixel"), Kernel("half_pixel", -0.75)])
@pytest.mark.parametrize(("size", "output"), [(6, 12), (6, 18), (7, 5), (5, 9), (4, 4)])
def test_interpolation(kernel: Kernel, size: int, output: int) -> None:
    axis = ResizeAxis(-1, size, output, None)
    parts = ResizePartition(axis, kernel)
    chunks = chunk_bounds(parts, [0, 1, 3, size])
    matrix = plan_interpolated_axis(ResizeSpan.of_whole(axis, kernel)).matrix()
    for low, high in itertools.pairwise(chunks):
        start, stop, span = parts.part(low, high)
        rows = np.flatnonzero(matrix[:, low:high].any(axis=1))
        assert start <= rows.min() <= rows.max() < stop
        assert stop - start <= len(rows) + 2  # no more than the taps reach
        made = plan_interpolated_axis(span)
        assert (made.size, made.output) == (stop - start, high - low)
    assert ResizePartition(axis, kernel, is_kept=True).part(1, 3) == (1, 3, None)
