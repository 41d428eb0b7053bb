"""The maxima of regions whose starts were drawn."""

from __future__ import annotations

import functools
import operator

from unpool_xp._array.compat import Array, cast
from unpool_xp._array.gather import broadcastable_index, take_per_plane
from unpool_xp._array.namespace import InputInfo
from unpool_xp._impl.fold_max import FoldAxis, first_maxima
from unpool_xp._impl.max_pool import index_and_offset_dtypes
from unpool_xp._plan.fractional import FractionalPoolPlan


def region_maxima(info: InputInfo, plan: FractionalPoolPlan, x: Array) -> tuple[Array, Array]:
    """Return the maximum of each region, and its position in the plane."""
    rank, starts, flat_strides = len(plan.plane), plan.starts, plan.flat_strides
    index_dtype, offset_dtype = index_and_offset_dtypes(
        info, "fractional_max_pool", plan.plane, plan.flat_extent
    )

    def _fold_axis(i: int) -> FoldAxis:
        taps = range(plan.kernel_size[i])

        def _views(array: Array) -> list[Array]:
            return [take_per_plane(info, array, starts[i] + tap, rank, i - rank) for tap in taps]

        return FoldAxis(_views, _views, [tap * flat_strides[i] for tap in taps], None)

    def _region_starts(i: int) -> Array:
        flat = flat_strides[i] * (starts[i] + plan.origins[i])
        return broadcastable_index(info, flat, rank, i - rank)

    floating = info.xp.isdtype(x.dtype, "real floating")
    axes = [_fold_axis(i) for i in reversed(range(rank))]
    values, offsets = first_maxima(info, x, axes, offset_dtype, floating=floating)
    region_starts = functools.reduce(operator.add, [_region_starts(i) for i in range(rank)])
    return cast(info.xp, values, x.dtype), cast(info.xp, region_starts + offsets, index_dtype)
