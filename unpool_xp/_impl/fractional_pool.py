"""The maxima of regions whose starts were drawn."""

from __future__ import annotations

import functools
import operator

from unpool_xp._array.compat import Array, Namespace, cast, get_device
from unpool_xp._array.gather import broadcastable_index, take_per_plane
from unpool_xp._impl.fold_max import FoldAxis, first_maxima
from unpool_xp._impl.max_pool import index_and_offset_dtypes
from unpool_xp._plan.fractional import FractionalPoolPlan


def _fractional_max_pool(xp: Namespace, plan: FractionalPoolPlan, x: Array) -> tuple[Array, Array]:
    device, rank, starts, flat_strides = (
        get_device(x),
        len(plan.plane),
        plan.starts,
        plan.flat_strides,
    )
    index_dtype, offset_dtype = index_and_offset_dtypes(
        xp, x, "fractional_max_pool", plan.plane, plan.flat_extent
    )

    def _fold_axis(i: int) -> FoldAxis:
        taps = range(plan.kernel_size[i])

        def _views(array: Array) -> list[Array]:
            return [take_per_plane(xp, array, starts[i] + tap, rank, i - rank) for tap in taps]

        return FoldAxis(_views, _views, [tap * flat_strides[i] for tap in taps], None)

    floating = xp.isdtype(x.dtype, "real floating")
    values, offsets = first_maxima(
        xp, x, [_fold_axis(i) for i in reversed(range(rank))], offset_dtype, floating=floating
    )
    region_starts = functools.reduce(
        operator.add,
        [
            broadcastable_index(
                xp,
                flat_strides[i] * (starts[i] + plan.origins[i]),
                rank,
                i - rank,
                dtype=index_dtype,
                device=device,
            )
            for i in range(rank)
        ],
    )
    return values, cast(xp, region_starts + offsets, index_dtype)
