"""Max pooling with indices."""

from __future__ import annotations

import functools
import math
import operator
from typing import Any, NamedTuple

from unpool_xp._array.blocks import in_blocks
from unpool_xp._array.compat import Array, Namespace, cast, device, index_dtype
from unpool_xp._array.constants import constant
from unpool_xp._array.traits import number, plain, smooth
from unpool_xp._array.views import along
from unpool_xp._array.windows import stacked_taps, window_views
from unpool_xp._impl.fold_max import AxisTaps, first_maxima
from unpool_xp._plan.arguments import Shape
from unpool_xp._plan.windows import AxisWindows, Windows

_MOST_TAPS = 16  # above this, folding reads less memory than stacking
_MOST_STACKED = 2**22  # elements per plane, all in memory at once
_KEPT_STARTS = 2**17  # of a plane: 1 MiB


def window_maxima(xp: Namespace, plan: Windows, x: Array) -> list[Array]:
    """Return the maximum of each window, and its position in the plane."""
    # Stack if reading the result is free: NaN can then be handled after the fact.
    if plain(x) and 0 not in x.shape and _stackable(plan):
        kinds: _Kinds | None = plan.arrays.get(x.dtype)
        if kinds is None:
            kinds = plan.arrays[x.dtype] = _kinds(xp, plan, x)
        make, rank = _stacked, len(plan.axes)
        share = plan.taps * math.prod(plan.output) / math.prod(x.shape[x.ndim - rank :])
    else:
        kinds, make, rank, share = _kinds(xp, plan, x), _folded, len(plan.axes), 1.0
    starts = _starts(xp, plan, kinds.default, device(x))

    def pooled(x: Array) -> tuple[Array, Array]:
        return make(xp, plan, x, kinds, starts)

    return in_blocks(xp, pooled, x, rank, share)


def _stackable(plan: Windows) -> bool:
    grown = plan.taps * math.prod(plan.output)
    return plan.taps <= _MOST_TAPS and grown <= _MOST_STACKED and plan.reach < 2**15 - 1


def positions(xp: Namespace, x: Array, operation: str, plane: Shape, reach: int) -> tuple[Any, Any]:
    """Return the library's dtype for positions in a plane, and the narrowest for offsets."""
    most = math.prod(plane) - 1
    default = index_dtype(xp, device(x))
    if most > xp.iinfo(default).max:
        raise ValueError(
            f"{operation}: a plane of shape {plane} has positions that {default} cannot hold"
        )
    # Narrow offsets move less memory. A compiler that fuses the loops moves none, and vectorises
    # better if offsets and values have the same width.
    if reach < 2**15 and not smooth(x):
        return default, xp.int16
    return default, xp.int32 if reach < 2**31 else default


class _Kinds(NamedTuple):
    """The dtypes and limits that follow from the input's dtype."""

    default: Any  # the dtype of positions
    counting: Any  # the dtype of offsets
    floating: bool
    lowest: float  # padding value: never the maximum unless it is the only value


def _kinds(xp: Namespace, plan: Windows, x: Array) -> _Kinds:
    default, counting = positions(xp, x, "max_pool", plan.plane, plan.reach)
    floating = xp.isdtype(x.dtype, "real floating")
    lowest = -math.inf if floating else xp.iinfo(x.dtype).min
    return _Kinds(default, counting, floating, lowest)


# --- all taps side by side -----------------------------------------------------------------------


def _stacked(
    xp: Namespace, plan: Windows, x: Array, kinds: _Kinds, starts: Array
) -> tuple[Array, Array]:
    """Return the maxima and positions by reducing all taps at once; fold if any is NaN.

    Earlier taps have a higher priority, so the highest priority among the taps that equal the
    maximum gives its first position.
    """
    taps = stacked_taps(xp, x, plan.axes, kinds.lowest)
    values = xp.max(taps, axis=0)
    if kinds.floating and math.isnan(number(xp.max(values))):
        return _folded(xp, plan, x, kinds, starts)
    place, rank = device(x), x.ndim

    def make() -> Array:
        return _weights(xp, plan, rank, place)

    weights = constant(plan.arrays, "weights", make, xp.__name__, place, rank)
    ends = starts + (plan.reach + 1)  # position = end - priority
    return values, ends - xp.max((taps == values) * weights, axis=0)


def _weights(xp: Namespace, plan: Windows, ndim: int, place: Any) -> Array:
    """Return the priority of each tap: the flat distance to the window's end, 0 in the padding.

    Shape (taps, 1, ..., *windows), or with ones for the windows where there is no padding.
    """
    rank = len(plan.axes)
    shape, reach = [1] * (ndim - rank), xp.asarray(plan.reach + 1, dtype=xp.int16, device=place)
    real: Array = reach
    for i, windows in enumerate(plan.axes):
        # One array axis per spatial axis for the taps, then one each for the windows.
        taps = [1] * i + [-1] + [1] * (2 * rank - 1 - i)
        shifts = xp.asarray(windows.shifts, dtype=xp.int16, device=place)
        reach = reach - xp.reshape(shifts, tuple(taps))
        inside = xp.asarray(windows.inside, dtype=xp.int16, device=place)
        both = [1] * (2 * rank)
        both[i], both[rank + i] = inside.shape
        real = xp.reshape(inside, tuple(both)) if i == 0 else real * xp.reshape(inside, tuple(both))
    weights = reach * real
    taps_in_all = math.prod([windows.taps for windows in plan.axes])
    return xp.reshape(weights, (taps_in_all, *shape, *weights.shape[rank:]))


# --- tap by tap ----------------------------------------------------------------------------------


def _folded(
    xp: Namespace, plan: Windows, x: Array, kinds: _Kinds, starts: Array
) -> tuple[Array, Array]:
    axes = [_axis_taps(xp, windows, kinds, device(x)) for windows in reversed(plan.axes)]
    values, offsets = first_maxima(xp, x, axes, kinds.counting, floating=kinds.floating)
    return values, cast(xp, starts + offsets, kinds.default)


def _axis_taps(xp: Namespace, windows: AxisWindows, kinds: _Kinds, place: Any) -> AxisTaps:
    def values(array: Array) -> list[Array]:
        return window_views(xp, array, windows, pad=kinds.lowest)

    def offsets(array: Array) -> list[Array]:
        return window_views(xp, array, windows)

    def first() -> Array:
        shifts = xp.asarray(windows.first_shifts, dtype=kinds.counting, device=place)
        return along(xp, shifts, windows.axis)

    outside = None
    if windows.before:
        outside = constant(windows.arrays, "first", first, xp.__name__, kinds.counting, place)
    return AxisTaps(values, offsets, windows.shifts, outside)


# --- where windows start -------------------------------------------------------------------------


def _starts(xp: Namespace, plan: Windows, dtype: Any, place: Any) -> Array:
    """Return the positions at which the windows of a plane start."""

    def starts_of(windows: AxisWindows) -> Array:
        cells = xp.arange(windows.count, dtype=dtype, device=place)
        first = (windows.offset - windows.padding[0]) * windows.step
        return along(xp, cells * (windows.stride * windows.step) + first, windows.axis)

    def starts() -> Array:
        return functools.reduce(operator.add, [starts_of(w) for w in plan.axes])

    if plan.part or math.prod(plan.output) > _KEPT_STARTS:
        return starts()
    return constant(plan.arrays, "starts", starts, xp.__name__, dtype, place)
