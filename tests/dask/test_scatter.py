"""A chunk of an unpooled plane takes what lies in it."""

from __future__ import annotations

import numpy as np

from unpool_xp._array.namespace import inspect_inputs
from unpool_xp._dask.partition import UnpoolAxis
from unpool_xp._dask.scatter import scatter_from_windows


def test_windows_of_more_cells_than_32_bits_count_are_told_apart() -> None:
    width = 2**31
    rows = UnpoolAxis(2, origin=0, size=1, count=1, first=0, stride=2, extent=2)
    columns = UnpoolAxis(width, origin=0, size=4, count=2, first=0, stride=2, extent=2)
    values, indices = np.asarray([[1.0, 2.0]]), np.asarray([[1, width + 2]])
    info = inspect_inputs("max_unpool", values=values)
    first = scatter_from_windows(info, ([rows, columns], False), values, indices)
    assert first.tolist() == [[0, 1, 0, 0]]  # 2 is in the row below, which is another chunk's
