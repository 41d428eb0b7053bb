"""The maxima of regions whose starts were drawn."""

from __future__ import annotations

import functools
import operator

from unpool_xp._array.compat import Array, Namespace, cast, device
from unpool_xp._array.gather import lined_up, take_places
from unpool_xp._impl.fold_max import AxisTaps, first_maxima
from unpool_xp._impl.max_pool import positions
from unpool_xp._plan.fractional import Regions


def _regions_pooled(xp: Namespace, plan: Regions, x: Array) -> tuple[Array, Array]:
    place, rank, starts, steps = device(x), len(plan.plane), plan.starts, plan.steps
    default, counting = positions(xp, x, "fractional_max_pool", plan.plane, plan.reach)

    def _taps(i: int) -> AxisTaps:
        taps = range(plan.kernels[i])

        def _views(array: Array) -> list[Array]:
            return [take_places(xp, array, starts[i] + tap, rank, i - rank) for tap in taps]

        return AxisTaps(_views, _views, [tap * steps[i] for tap in taps], None)

    floating = xp.isdtype(x.dtype, "real floating")
    values, offsets = first_maxima(
        xp, x, [_taps(i) for i in reversed(range(rank))], counting, floating=floating
    )
    first = functools.reduce(
        operator.add,
        [
            lined_up(
                xp,
                steps[i] * (starts[i] + plan.offsets[i]),
                rank,
                i - rank,
                dtype=default,
                device=place,
            )
            for i in range(rank)
        ],
    )
    return values, cast(xp, first + offsets, default)
