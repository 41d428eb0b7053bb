"""Means of windows, axis by axis."""

from __future__ import annotations

from typing import Any

from unpool_xp._array.blocks import map_plane_blocks
from unpool_xp._array.compat import Array, cast, compute_dtype
from unpool_xp._array.constants import cached_array
from unpool_xp._array.namespace import InputInfo
from unpool_xp._array.views import expand_to_axis, pad, zeros
from unpool_xp._array.windows import tap_views
from unpool_xp._plan.adaptive import AdaptiveAxis
from unpool_xp._plan.arguments import Shape
from unpool_xp._plan.windows import AnyWindows, AvgPoolPlan


def window_means(info: InputInfo, plan: AvgPoolPlan, x: Array) -> Array:
    """Return the mean of each window."""
    xp = info.xp
    before = [len(windows.source_before) for windows in plan.axes]
    after = [len(windows.source_after) for windows in plan.axes]

    def average_block(x: Array) -> tuple[Array]:
        # Axis by axis. Rows first: they lie together, and fewer are left to add up in steps.
        mean = cast(xp, x, compute_dtype(xp, x.dtype))
        mean = pad(info, mean, before, after, 0)
        for windows in plan.axes:
            mean, *others = tap_views(info, mean, windows)
            if isinstance(windows, AdaptiveAxis) and windows.repeats_first:
                mean = xp.where(_longest(info, windows), mean, zeros(info, (1,), mean))
            if others:
                mean = mean + others[0]  # an array of its own, to which the rest is added
            for tap in others[1:]:
                mean += tap
        if plan.divisor is not None:
            mean = mean / plan.divisor
        else:
            for windows, count in zip(plan.axes, plan.counts, strict=True):
                mean = mean / _divisors(info, windows, count, mean.dtype)
        return (cast(xp, mean, x.dtype),)

    return map_plane_blocks(info, average_block, x, len(plan.axes), 1.0)[0]


def _longest(info: InputInfo, windows: AdaptiveAxis) -> Array:
    """Return which windows do not meet their first element a second time."""

    def make_mask() -> Array:
        longest = windows.first_valid_offsets == 0
        return expand_to_axis(info.xp, info.xp.asarray(longest, device=info.device), windows.axis)

    return cached_array(info, windows.arrays, "longest", make_mask)


def _divisors(info: InputInfo, windows: AnyWindows, counts: Shape, dtype: Any) -> Array:
    def make_divisors() -> Array:
        vector = info.xp.asarray(counts, dtype=dtype, device=info.device)
        return expand_to_axis(info.xp, vector, windows.axis)

    return cached_array(info, windows.arrays, "divisors", make_divisors, dtype)
