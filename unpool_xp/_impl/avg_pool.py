"""Means of windows, axis by axis."""

from __future__ import annotations

import typing
from collections.abc import Callable, Sequence
from typing import Any

from unpool_xp._array.blocks import by_window_blocks
from unpool_xp._array.compat import Array, cast, compute_dtype
from unpool_xp._array.namespace import InputInfo
from unpool_xp._array.numeric import without_float_errors
from unpool_xp._array.views import (
    cached_array,
    expand_to_axis,
    pad,
    prepare_cached_array,
    zeros,
)
from unpool_xp._array.windows import gathered_growth, gathered_taps, tap_views, window_starts
from unpool_xp._impl.fused import can_fuse_windows, fused_means
from unpool_xp._impl.long_windows import State, reduce_pairs, reduce_windows
from unpool_xp._plan.adaptive import AdaptiveAxis
from unpool_xp._plan.windows import AnyWindows, AvgPoolPlan, PoolAxis, pad_widths


def prepare_means(info: InputInfo, plan: AvgPoolPlan, x: Array) -> Callable[[Array], Array]:
    """Return what computes the mean of each window."""
    xp, dtype, wide = info.xp, x.dtype, compute_dtype(info.xp, x.dtype)

    def find_divisors(axes: Sequence[AnyWindows]) -> Sequence[Callable[[], Array | float]]:
        if (divisor := plan.divisor) is not None:
            return [lambda: divisor]
        return [_divisors(info, w, wide, include_pad=plan.include_pad) for w in axes]

    if can_fuse_windows(info, plan.axes, x):
        found = find_divisors(plan.axes)
        return lambda x: fused_means(info, plan.axes, x, [divisor() for divisor in found])

    def prepare(axes: tuple[AnyWindows, ...]) -> Callable[[Array], tuple[Array]]:
        widths, sums = pad_widths(axes), [_sums(info, windows) for windows in axes]
        is_padded, divisors = any(map(any, widths)), find_divisors(axes)

        def average(x: Array) -> tuple[Array]:
            # Axis by axis. Rows first: they lie together, and fewer are left to add up in steps.
            mean = cast(xp, x, wide)
            if is_padded:
                mean = pad(info, mean, *widths, 0)
            for add_up in sums:
                mean = add_up(mean)
            for divisor in divisors:
                mean = mean / divisor()
            return (cast(xp, mean, dtype),)

        return average

    average = by_window_blocks(info, prepare, plan.axes, x, gathered_growth(plan.axes))
    average = without_float_errors(info, average)
    return lambda x: average(x)[0]


def _sums(info: InputInfo, windows: AnyWindows) -> Callable[[Array], Array]:
    """Return what computes the sums along one axis, which is padded."""
    if isinstance(windows, AdaptiveAxis) and windows.repeats_first:
        return lambda x: _sums_of_repeated(info, x, windows)
    if windows.in_pairs:
        return lambda x: reduce_windows(info, (x,), _add, windows)[0]
    views = tap_views(info, typing.cast("PoolAxis", windows))

    def add_taps(x: Array) -> Array:
        total, *others = views(x)
        if others:
            total = total + others[0]  # an array of its own, to which the rest is added
        for tap in others[1:]:
            total += tap
        return total

    return add_taps


def _sums_of_repeated(info: InputInfo, x: Array, windows: AdaptiveAxis) -> Array:
    taps = gathered_taps(info, x, windows)
    (total,) = reduce_pairs((taps[1:, ...],), _add)
    first = taps[0, ...]
    return total + info.xp.where(_is_longest(info, windows), first, zeros(info, (1,), first))


def _add(first: State, second: State) -> State:
    return (first[0] + second[0],)


def _is_longest(info: InputInfo, windows: AdaptiveAxis) -> Array:
    def make_mask() -> Array:
        mask = info.xp.asarray(windows.is_longest, device=info.device)
        return expand_to_axis(info.xp, mask, windows.axis)

    return cached_array(info, windows.arrays, "longest", make_mask)


def _divisors(
    info: InputInfo, windows: AnyWindows, dtype: Any, *, include_pad: bool
) -> Callable[[], Array | int]:
    """Return how many elements the windows along an axis have; a number if all have as many."""
    if windows.is_full(include_pad=include_pad):
        return lambda: windows.kernel_size

    def make_divisors() -> Array:
        if isinstance(windows, AdaptiveAxis):
            counts = info.xp.asarray(windows.lengths, dtype=dtype, device=info.device)
        else:
            counts = cast(info.xp, _element_counts(info, windows, include_pad=include_pad), dtype)
        return expand_to_axis(info.xp, counts, windows.axis)

    return prepare_cached_array(info, windows.arrays, "divisors", make_divisors, dtype, include_pad)


def _element_counts(info: InputInfo, windows: PoolAxis, *, include_pad: bool) -> Array:
    """Return how many taps of each window are not beyond the padding, or not in it either."""
    (before, after), dilation = windows.padding if include_pad else (0, 0), windows.dilation
    starts = window_starts(info, windows, info.index_dtype)
    # How many taps come before the cells that count, and how many before their end: rounded up.
    first = (dilation - 1 - before - starts) // dilation
    last = (windows.size + after + dilation - 1 - starts) // dilation
    first = info.xp.where(first > 0, first, info.xp.zeros_like(first))
    longest = info.xp.full_like(last, windows.kernel_size)
    return info.xp.where(last < longest, last, longest) - first
