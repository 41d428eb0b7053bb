"""Maxima and means of windows, and interpolation, where elementwise functions are fused.

A kernel reads all elements that a cell is made of, or where there are many those along one axis
after another. What it computes is what the modules of the operations compute array by array, with
the same bits but for the ends of interpolated axes.
"""

from __future__ import annotations

import functools
import itertools
import math
import operator
import typing
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from unpool_xp._array.compat import Array, cast, compute_dtype
from unpool_xp._array.elementwise import elementwise, is_fused, max_views
from unpool_xp._array.namespace import InputInfo
from unpool_xp._array.numeric import lowest_value
from unpool_xp._array.views import axis_slice, cached_array, pad
from unpool_xp._array.windows import padded_axis, tap_views
from unpool_xp._impl.fold_max import first_maximum
from unpool_xp._plan.windows import AnyWindows, MaxPoolPlan, PoolAxis, pad_widths

if TYPE_CHECKING:
    from unpool_xp._plan.resize import InterpolatedAxis, InterpolationPlan

_MAX_TAPS = 16  # of a kernel; more of them read what their neighbours read again and again


def can_fuse_windows(info: InputInfo, axes: Sequence[AnyWindows], x: Array) -> bool:
    """Return whether the windows of x have few enough taps along each axis."""
    if not is_fused(info, x) or 0 in x.shape:
        return False
    sizes = [windows.kernel_size for windows in axes]
    return (
        math.prod(sizes) > 1
        and max(sizes) <= _max_taps(x.ndim)
        and all(isinstance(windows, PoolAxis) and not windows.in_pairs for windows in axes)
    )


def _max_taps(ndim: int) -> int:
    # At most three views for each, and two outputs.
    return min(_MAX_TAPS, (max_views(ndim) - 2) // 3)


def _groups(axes: Sequence[AnyWindows], ndim: int) -> Iterator[list[PoolAxis]]:
    """Split axes into runs with few enough taps for a kernel."""
    group: list[PoolAxis] = []
    for windows in typing.cast("Sequence[PoolAxis]", axes):
        taps = math.prod([w.kernel_size for w in (*group, windows)])
        if group and taps > _max_taps(ndim):
            yield group
            group = []
        group.append(windows)
    yield group


def _all_taps(info: InputInfo, x: Array, group: Sequence[PoolAxis]) -> list[Array]:
    """Return a view for each tap of windows along some axes, which are padded, in row-major order.

    `group` is in the order of the axes.
    """
    views = [x]
    for windows in group:
        taps = tap_views(info, windows)
        views = [tap for view in views for tap in taps(view)]
    return views


def _sizes(group: Sequence[PoolAxis]) -> tuple[int, ...]:
    return tuple([windows.kernel_size for windows in group])


# --- maxima --------------------------------------------------------------------------------------


def fused_maxima(
    info: InputInfo, plan: MaxPoolPlan, x: Array, index_dtype: Any
) -> tuple[Array, Array]:
    """Return the maximum of each window, and its position in the plane."""
    xp, values, positions = info.xp, x, None
    exact = xp.isdtype(x.dtype, "real floating")
    lowest = lowest_value(info, x.dtype)
    narrow = xp.int32 if math.prod(plan.plane) < 2**31 else index_dtype
    groups = [*_groups(plan.axes[::-1], x.ndim)]
    for number, group in enumerate(groups):
        ordered = group[::-1]
        for windows in ordered:
            values = padded_axis(info, values, windows, pad_value=lowest)
        taps = _all_taps(info, values, ordered)
        if positions is not None:
            for windows in ordered:
                positions = padded_axis(info, positions, windows)
            taps += _all_taps(info, positions, ordered)
        for windows in ordered:
            table = _tap_positions(info, windows, narrow)
            taps += [table[tap, ...] for tap in range(windows.kernel_size)]
        values, positions = _first_maxima(
            info,
            *taps,
            sizes=_sizes(ordered),
            has_positions=number > 0,
            exact=exact,
            dtype=index_dtype if number == len(groups) - 1 else narrow,
        )
    return values, positions


@elementwise
def _first_maxima(
    info: InputInfo,
    *views: Array,
    sizes: tuple[int, ...],
    has_positions: bool,
    exact: bool,
    dtype: Any,
) -> tuple[Array, Array]:
    """Return the first of the largest taps, and the sum of its positions along each axis.

    The views are the taps, the positions so far of each where there are any, and those of the taps
    of each axis.
    """
    rest = iter(views)
    taps = [*itertools.islice(rest, math.prod(sizes))]
    so_far = [*itertools.islice(rest, math.prod(sizes))] if has_positions else None
    axes = [[*itertools.islice(rest, size)] for size in sizes]
    positions = [functools.reduce(operator.add, place) for place in itertools.product(*axes)]
    if so_far is not None:
        positions = [*map(operator.add, so_far, positions)]
    combine = functools.partial(first_maximum, info, exact=exact)
    values, position = functools.reduce(combine, zip(taps, positions, strict=True))
    return values, cast(info.xp, position, dtype)


def _tap_positions(info: InputInfo, windows: PoolAxis, dtype: Any) -> Array:
    """Return what each tap adds to the position, (taps, windows, 1, ...).

    For a tap in the padding before the input it is that of the first tap inside: so a window whose
    elements are all the lowest number has the position of its first element.
    """

    def make() -> Array:
        starts = np.arange(windows.count) * windows.stride - windows.padding[0]
        cells = starts + np.arange(windows.kernel_size)[:, None] * windows.dilation
        cells = np.where(cells < 0, starts % windows.dilation, cells)
        cells = np.minimum(cells, windows.size - 1)
        table = (cells + windows.origin) * windows.flat_stride
        table = table.reshape(*table.shape, *(1,) * (-1 - windows.axis))
        return info.xp.asarray(table, dtype=dtype, device=info.device)

    return cached_array(info, windows.arrays, "positions", make, dtype)


# --- means ---------------------------------------------------------------------------------------


def fused_means(
    info: InputInfo, axes: tuple[AnyWindows, ...], x: Array, divisors: Sequence[Array | float]
) -> Array:
    """Return the sums of windows, divided by each of the divisors in turn."""
    wide, mean = compute_dtype(info.xp, x.dtype), pad(info, x, *pad_widths(axes), 0)
    groups = [*_groups(axes, x.ndim)]
    for number, group in enumerate(groups):
        is_last = number == len(groups) - 1
        mean = _mean(
            info,
            *_all_taps(info, mean, group),
            *([_as_view(info, group[-1], n, wide) for n in divisors] if is_last else []),
            sizes=_sizes(group),
            wide=wide,
            dtype=x.dtype if is_last else wide,
        )
    return mean


@elementwise
def _mean(info: InputInfo, *views: Array, sizes: tuple[int, ...], wide: Any, dtype: Any) -> Array:
    """Return the sum of the taps, divided by the views after them.

    It is that of the first axis for each tap of the others, then of the next one.
    """
    n_taps = math.prod(sizes)
    taps = [cast(info.xp, view, wide) for view in views[:n_taps]]
    for size in sizes:
        step = len(taps) // size
        taps = [functools.reduce(operator.add, taps[first::step]) for first in range(step)]
    (total,) = taps
    for divisor in views[n_taps:]:
        total = total / divisor
    return cast(info.xp, total, dtype)


def _as_view(info: InputInfo, windows: PoolAxis, divisor: Array | float, dtype: Any) -> Array:
    """Return a divisor as an array; a number becomes one that is kept with the plan."""
    if not isinstance(divisor, int | float):
        return divisor

    def make() -> Array:
        return info.xp.full((1,), divisor, dtype=dtype, device=info.device)

    return cached_array(info, windows.arrays, "divisor", make, dtype, divisor)


# --- interpolation -------------------------------------------------------------------------------


def can_fuse_phases(info: InputInfo, plan: InterpolationPlan, x: Array) -> bool:
    """Return whether a few phases along each axis are all that there is to interpolate."""
    if not is_fused(info, x) or 0 in x.shape:
        return False
    return all(
        axis.phases is not None and _views_of_phases([axis]) <= max_views(x.ndim)
        for axis in plan.axes
    )


def _views_of_phases(axes: Sequence[InterpolatedAxis]) -> int:
    """Return how many arrays a kernel takes: neighbours, outputs, and weights for each phase."""
    phases = [len(axis.phases or ()) for axis in axes]
    neighbours = [len(_neighbours(axis)) for axis in axes]
    return math.prod(neighbours) + math.prod(phases) + 2 * sum(phases)


def _neighbours(axis: InterpolatedAxis) -> range:
    """Return where the elements lie that the cells of all phases are made of."""
    phases = axis.phases or ()
    last = max([phase.shift + (phase.fraction > 0) for phase in phases])
    return range(min([phase.shift for phase in phases]), last + 1)


def fused_interpolation(info: InputInfo, plan: InterpolationPlan, x: Array, wide: Any) -> Array:
    """Return the interpolation of x along the axes of a plan, each of which has phases."""
    groups = [[axis] for axis in reversed(plan.axes)]
    if _views_of_phases(plan.axes) <= max_views(x.ndim):
        groups = [[*plan.axes]]
    result = x
    for number, group in enumerate(groups):
        dtype = x.dtype if number == len(groups) - 1 else wide
        result = _interpolate_axes(info, group, result, wide, dtype)
    return result


def _interpolate_axes(
    info: InputInfo, axes: Sequence[InterpolatedAxis], x: Array, wide: Any, dtype: Any
) -> Array:
    shape, views = list(x.shape), [x]
    for axis in axes:
        shape[axis.axis] = axis.output
        views = [part for view in views for part in _shifted(info, view, axis)]
    output = info.xp.empty(tuple(shape), dtype=dtype, device=info.device)
    outputs = [output]
    for axis in axes:
        factor = len(axis.phases or ())
        cells = [axis_slice(axis.axis, slice(phase, None, factor)) for phase in range(factor)]
        outputs = [part[chosen] for part in outputs for chosen in cells]
        weights = _phase_weights(info, axis, wide)
        views += [weights[n : n + 1] for n in range(2 * factor)]
    _blend_phases(
        info,
        *views,
        outputs=outputs,
        phases=tuple([_numbered(axis) for axis in axes]),
        wide=wide,
        dtype=dtype,
    )
    return output


def _shifted(info: InputInfo, x: Array, axis: InterpolatedAxis) -> list[Array]:
    """Return the neighbours of each cell of a phase; beyond its ends an axis goes on as it ends."""
    neighbours, count = _neighbours(axis), axis.output // len(axis.phases or ())
    before, after = max(-neighbours[0], 0), max(neighbours[-1] + count - axis.size, 0)
    if before or after:
        ends = [x[axis_slice(axis.axis, slice(1))]], [x[axis_slice(axis.axis, slice(-1, None))]]
        x = info.xp.concat([*before * ends[0], x, *after * ends[1]], axis=axis.axis)
    starts = [before + shift for shift in neighbours]
    return [x[axis_slice(axis.axis, slice(start, start + count))] for start in starts]


def _numbered(axis: InterpolatedAxis) -> tuple[tuple[int, bool], ...]:
    """Return for each phase the number of its lower neighbour, and whether it has an upper one."""
    first = _neighbours(axis)[0]
    return tuple([(phase.shift - first, phase.fraction > 0) for phase in axis.phases or ()])


def _phase_weights(info: InputInfo, axis: InterpolatedAxis, dtype: Any) -> Array:
    """Return the weights of the lower and of the upper neighbour for each phase."""

    def make() -> Array:
        pairs = [(1 - phase.fraction, phase.fraction) for phase in axis.phases or ()]
        weights = [weight for pair in pairs for weight in pair]
        return info.xp.asarray(weights, dtype=dtype, device=info.device)

    return cached_array(info, axis.arrays, "phase weights", make, dtype)


@elementwise
def _blend_phases(
    info: InputInfo,
    *views: Array,
    phases: tuple[tuple[tuple[int, bool], ...], ...],
    wide: Any,
    dtype: Any,
) -> tuple[Array, ...]:
    """Return the blend of neighbours for each phase of each axis, in row-major order.

    The views are the neighbours, then the weights of the phases of each axis. The last axis is
    blended first.
    """
    n_neighbours = [max([low + upper for low, upper in axis]) + 1 for axis in phases]
    rest = iter(views)
    parts = [cast(info.xp, view, wide) for view in itertools.islice(rest, math.prod(n_neighbours))]
    weights = [[*itertools.islice(rest, 2 * len(axis))] for axis in phases]
    done = 1  # phases of the axes behind this one
    for axis, n, pairs in zip(phases[::-1], n_neighbours[::-1], weights[::-1], strict=True):
        blended = []
        for block in range(0, len(parts), n * done):
            for number, (low, has_upper) in enumerate(axis):
                for cell in range(block, block + done):
                    part = parts[cell + low * done]
                    if has_upper:
                        upper = parts[cell + (low + 1) * done]
                        part = part * pairs[2 * number] + upper * pairs[2 * number + 1]
                    blended.append(part)
        parts, done = blended, done * len(axis)
    return tuple([cast(info.xp, part, dtype) for part in parts])
