"""The plan of a part has what the whole has for the same cells, and not a cell more."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.strategies import PoolingArguments, poolings
from unpool_xp._dask.partition import (
    ConvTransposePartition,
    ResizePartition,
    UnpoolPartition,
    WindowPartition,
    chunk_bounds,
)
from unpool_xp._plan import windows
from unpool_xp._plan.resize import ResizeAxis, ResizeSpan, plan_interpolated_axis
from unpool_xp._plan.sampling import Kernel
from unpool_xp._plan.transposed import ConvTransposeAxis
from unpool_xp._plan.windows import PoolAxis


def cells_read(axis: PoolAxis) -> list[list[int]]:
    """Return the real cells of each window, places in the whole axis."""
    taps = range(0, axis.kernel_size * axis.dilation, axis.dilation)
    places = [[start + tap for tap in taps] for start in axis.starts]
    return [[axis.origin + p for p in window if 0 <= p < axis.size] for window in places]


def stood_in(axis: PoolAxis) -> list[list[int]]:
    """Return the cells that the taps of each window meet, with those that stand in for others."""
    line = [*axis.source_before, *range(axis.size), *axis.source_after]
    found = [[axis.origin + place for place in line[cells]] for cells in axis.tap_slices]
    return [list(window) for window in zip(*found, strict=True)]


@given(pooling=poolings(max_rank=1), data=st.data())
def test_windows(pooling: PoolingArguments, data: st.DataObject) -> None:
    (axis,) = windows.plan_max_pool("max_pool", pooling.shape, *pooling.options.values()).axes
    first = data.draw(st.integers(0, axis.count - 1))
    last = data.draw(st.integers(first + 1, axis.count))
    start, stop, part = WindowPartition(axis).part(first, last)
    assert (part.origin, part.size, part.count) == (start, stop - start, last - first)
    assert (part.flat_offsets, part.flat_stride) == (axis.flat_offsets, axis.flat_stride)
    read = cells_read(part)
    assert read == cells_read(axis)[first:last]
    assert stood_in(part) == stood_in(axis)[first:last]
    assert [part.origin + begin for begin in part.starts] == list(axis.starts)[first:last]
    reach = part.origin - part.padding[0], part.origin + part.size + part.padding[1]
    assert reach[1] == axis.size + axis.padding[1]
    assert reach[0] == min(start, first * axis.stride - axis.padding[0])
    ends = [place for window in read for place in window]
    if axis.dilation == 1:
        assert (start, stop) == (min(ends), max(ends) + 1)


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
