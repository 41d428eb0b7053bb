"""Means of windows, axis by axis."""

from __future__ import annotations

from typing import Any

from unpool_xp._array.blocks import in_blocks
from unpool_xp._array.compat import Array, Namespace, cast, computing_dtype, device
from unpool_xp._array.constants import constant
from unpool_xp._array.views import along, surrounded
from unpool_xp._array.windows import tap_views
from unpool_xp._plan.arguments import Shape
from unpool_xp._plan.windows import AxisWindows, Means


def _averaged(xp: Namespace, plan: Means, x: Array) -> list[Array]:
    place = device(x)

    before = [len(windows.before) for windows in plan.axes]
    after = [len(windows.after) for windows in plan.axes]

    def averaged(x: Array) -> tuple[Array]:
        # Axis by axis. Rows first: they lie together, and fewer are left to add up in steps.
        mean = cast(xp, x, computing_dtype(xp, x.dtype))
        mean = surrounded(xp, mean, before, after, 0)
        for windows in plan.axes:
            mean, *others = tap_views(mean, windows)
            if others:
                mean = mean + others[0]  # an array of its own, to which the rest is added
            for tap in others[1:]:
                mean += tap
        if plan.divisor is not None:
            mean = mean / plan.divisor
        else:
            for windows, count in zip(plan.axes, plan.counts, strict=True):
                mean = mean / _divisors(xp, windows, count, mean.dtype, place)
        return (cast(xp, mean, x.dtype),)

    return in_blocks(xp, averaged, x, len(plan.axes), 1.0)


def _divisors(xp: Namespace, windows: AxisWindows, count: Shape, dtype: Any, place: Any) -> Array:
    def divisors() -> Array:
        return along(xp, xp.asarray(count, dtype=dtype, device=place), windows.axis)

    return constant(windows.arrays, "divisors", divisors, xp.__name__, dtype, place)
