"""The maxima of regions whose starts were drawn."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable

from unpool_xp._array.blocks import by_window_blocks
from unpool_xp._array.compat import Array, cast
from unpool_xp._array.gather import broadcastable_index, take_per_plane
from unpool_xp._array.namespace import InputInfo
from unpool_xp._impl.fold_max import FoldAxis, first_maxima
from unpool_xp._impl.max_pool import index_and_offset_dtypes
from unpool_xp._plan.fractional import FractionalPoolPlan, RegionAxis


def prepare_region_maxima(
    info: InputInfo, plan: FractionalPoolPlan, x: Array
) -> Callable[[Array], tuple[Array, ...]]:
    """Return what computes the maximum of each region, and its position in the plane."""
    index_dtype, offset_dtype = index_and_offset_dtypes(
        info, "fractional_max_pool", plan.plane, plan.flat_extent
    )
    rank, floating = len(plan.axes), info.xp.isdtype(x.dtype, "real floating")
    dtype = x.dtype

    def fold_axis(regions: RegionAxis) -> FoldAxis:
        taps = range(regions.kernel_size)

        def views(array: Array) -> list[Array]:
            starts, axis = regions.starts, regions.axis
            return [take_per_plane(info, array, starts + tap, rank, axis) for tap in taps]

        return FoldAxis(views, views, [tap * regions.flat_stride for tap in taps], None)

    def first_position(regions: RegionAxis) -> Array:
        cells = regions.starts + regions.origin
        return broadcastable_index(info, cells, rank, regions.axis) * regions.flat_stride

    def prepare(axes: tuple[RegionAxis, ...]) -> Callable[[Array], tuple[Array, Array]]:
        folds = [fold_axis(regions) for regions in reversed(axes)]

        def pool(x: Array) -> tuple[Array, Array]:
            values, offsets = first_maxima(info, x, folds, offset_dtype, floating=floating)
            first = functools.reduce(operator.add, [first_position(regions) for regions in axes])
            return cast(info.xp, values, dtype), cast(info.xp, first + offsets, index_dtype)

        return pool

    is_same = all(regions.starts.ndim == 1 for regions in plan.axes)
    return by_window_blocks(info, prepare, plan.axes, x, 1.0, same_in_planes=is_same)
