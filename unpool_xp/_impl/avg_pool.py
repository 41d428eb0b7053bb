"""Means of windows, axis by axis."""

from __future__ import annotations

from typing import Any

from unpool_xp._array.blocks import map_plane_blocks
from unpool_xp._array.compat import Array, cast, compute_dtype
from unpool_xp._array.constants import cached_array
from unpool_xp._array.namespace import InputInfo
from unpool_xp._array.views import expand_to_axis, pad, zeros
from unpool_xp._array.windows import tap_views, window_starts
from unpool_xp._plan.adaptive import AdaptiveAxis
from unpool_xp._plan.arguments import Shape
from unpool_xp._plan.windows import AnyWindows, AvgPoolPlan, PoolAxis


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
                include_pad = plan.include_pad
                mean = mean / _divisors(info, windows, count, mean.dtype, include_pad=include_pad)
        return (cast(xp, mean, x.dtype),)

    return map_plane_blocks(info, average_block, x, len(plan.axes), 1.0)[0]


def _longest(info: InputInfo, windows: AdaptiveAxis) -> Array:
    """Return which windows do not meet their first element a second time."""

    def make_mask() -> Array:
        longest = windows.first_valid_offsets == 0
        return expand_to_axis(info.xp, info.xp.asarray(longest, device=info.device), windows.axis)

    return cached_array(info, windows.arrays, "longest", make_mask)


def _divisors(
    info: InputInfo, windows: AnyWindows, counts: Shape, dtype: Any, *, include_pad: bool
) -> Array:
    def make_divisors() -> Array:
        if not counts and isinstance(windows, PoolAxis):
            vector = cast(info.xp, _element_counts(info, windows, include_pad=include_pad), dtype)
        else:
            vector = info.xp.asarray(counts, dtype=dtype, device=info.device)
        return expand_to_axis(info.xp, vector, windows.axis)

    return cached_array(info, windows.arrays, "divisors", make_divisors, dtype)


def _element_counts(info: InputInfo, windows: PoolAxis, *, include_pad: bool) -> Array:
    """Return how many taps each window averages over, where the size of the axis is a symbol."""
    (before, after), dilation = windows.padding if include_pad else (0, 0), windows.dilation
    starts = window_starts(info, windows, info.index_dtype)
    first = -((starts + before) // dilation)
    last = -((starts - windows.size - after) // dilation)
    first = info.xp.where(first > 0, first, info.xp.zeros_like(first))
    longest = info.xp.full_like(last, windows.kernel_size)
    return info.xp.where(last < longest, last, longest) - first
