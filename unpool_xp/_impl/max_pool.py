"""Max pooling with indices."""

from __future__ import annotations

import functools
import math
import operator
import typing
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

from unpool_xp._array.blocks import by_window_blocks
from unpool_xp._array.compat import Array, cast
from unpool_xp._array.namespace import InputInfo
from unpool_xp._array.numeric import are_first_maxima, largest_weight, lowest_value, weight_dtype
from unpool_xp._array.views import cached_array, expand_to_axis, prepare_cached_array
from unpool_xp._array.windows import (
    gathered_growth,
    padded_axis,
    stacked_taps,
    window_starts,
    window_views,
)
from unpool_xp._impl.fold_max import FoldAxis, PairedAxis, first_maxima
from unpool_xp._impl.fused import can_fuse_windows, fused_maxima
from unpool_xp._impl.long_windows import Combine, ReduceTaps, State, reduce_windows
from unpool_xp._plan.adaptive import AdaptiveAxis
from unpool_xp._plan.arguments import Shape
from unpool_xp._plan.windows import AnyWindows, MaxPoolPlan, PoolAxis

_MAX_WINDOW_SIZE = 16  # above this, folding reads less memory than stacking
_MAX_STACKED_SIZE = 2**22  # elements per plane, all in memory at once
_MAX_CACHED_STARTS = 2**17  # of a plane: 1 MiB


Maxima: TypeAlias = tuple[Array, Array]  # with their positions


def prepare_maxima(info: InputInfo, plan: MaxPoolPlan, x: Array) -> Callable[[Array], Maxima]:
    """Return what computes the maximum of each window, and its position in the plane."""
    if _has_many_windows(info, plan):  # where they start is made in each call
        return lambda x: _prepare_maxima(info, plan, x)(x)
    return _prepare_maxima(info, plan, x)


def _has_many_windows(info: InputInfo, plan: MaxPoolPlan) -> bool:
    return not info.traits.is_traced and math.prod(plan.output) > _MAX_CACHED_STARTS


def _prepare_maxima(info: InputInfo, plan: MaxPoolPlan, x: Array) -> Callable[[Array], Maxima]:
    rank, dtype = len(plan.axes), x.dtype
    dtype_info = _dtype_info(info, plan, x)
    if can_fuse_windows(info, plan.axes, x):
        return lambda x: fused_maxima(info, plan, x, dtype_info.index_dtype)
    can_stack = dtype_info.can_stack and 0 not in x.shape
    shift, growth = 0, gathered_growth(plan.axes)
    if can_stack:
        shift = plan.flat_extent + 1
        growth = plan.window_size * math.prod(plan.output) / math.prod(x.shape[x.ndim - rank :])

    def prepare(axes: tuple[AnyWindows, ...]) -> Callable[[Array], Maxima]:
        part = plan if axes is plan.axes else plan.part(axes)
        starts = _window_starts(info, part, dtype_info.index_dtype, shift)
        return (_stacked if can_stack else _folded)(info, part, dtype_info, starts)

    pool = by_window_blocks(info, prepare, plan.axes, x, growth)

    def pool_and_cast(x: Array) -> Maxima:
        values, indices = pool(x)
        return cast(info.xp, values, dtype), indices

    return pool_and_cast


def index_and_offset_dtypes(
    info: InputInfo, operation: str, plane: Shape, flat_extent: int
) -> tuple[Any, Any]:
    """Return the library's dtype for positions in a plane, and the narrowest for offsets."""
    xp, default = info.xp, info.index_dtype
    if info.traits.library == "torch" and any(info.traits.symbolic_axes[-len(plane) :]):
        return default, default  # of 64 bits: no comparison decides on a size that is a symbol
    if math.prod(plane) - 1 > xp.iinfo(default).max:
        raise ValueError(
            f"{operation}: a plane of shape {plane} has positions that {default} cannot hold"
        )
    # Narrow offsets move less memory. A compiler that fuses the loops moves none, and vectorises
    # better if offsets and values have the same width.
    if flat_extent < 2**15 and not info.traits.needs_grad:
        return default, xp.int16
    return default, xp.int32 if flat_extent < 2**31 else default


class _DtypeInfo(NamedTuple):
    """What follows from the plan and the input's dtype and axes."""

    index_dtype: Any  # the dtype of positions
    offset_dtype: Any  # the dtype of offsets
    floating: bool
    priority_dtype: Any  # the dtype of the taps' priorities
    lowest: float  # padding value: never the maximum unless it is the only value
    can_stack: bool
    ndims: set[int]  # of the array, and of blocks of its planes


def _dtype_info(info: InputInfo, plan: MaxPoolPlan, x: Array) -> _DtypeInfo:
    xp, sizes = info.xp, (plan.plane, plan.flat_extent)
    index_dtype, offset_dtype = index_and_offset_dtypes(info, plan.operation, *sizes)
    floating = xp.isdtype(x.dtype, "real floating")
    lowest = lowest_value(info, x.dtype)
    # Stack if reading the result is free: NaN can then be handled after the fact.
    can_stack = info.traits.fast_path and _can_stack(plan)
    dtypes = index_dtype, offset_dtype, floating, weight_dtype(info, x.dtype)
    return _DtypeInfo(*dtypes, lowest, can_stack, {x.ndim, 1 + len(plan.axes)})


def _can_stack(plan: MaxPoolPlan) -> bool:
    stacked_size = plan.window_size * math.prod(plan.output)
    return (
        plan.is_strided
        and not any(windows.in_pairs for windows in _strided_axes(plan))
        and plan.window_size <= _MAX_WINDOW_SIZE
        and stacked_size <= _MAX_STACKED_SIZE
        and plan.flat_extent < 2**15 - 1
    )


# --- all taps side by side -----------------------------------------------------------------------


def _stacked(
    info: InputInfo, plan: MaxPoolPlan, dtype_info: _DtypeInfo, ends: Callable[[], Array]
) -> Callable[[Array], Maxima]:
    """Return what reduces all taps at once, and folds what comparisons miss.

    `ends` are the positions just behind the windows.

    On one core of an Intel Xeon 1.7x (NumPy) and 1.9x (PyTorch) as fast as the fold for 3x3 windows
    with a stride of 2 of (1, 16, 16, 16), 1.2x for (4, 64, 112, 112).

    Earlier taps have a higher priority, so the highest priority among the taps that equal the
    maximum gives its first position.
    """
    xp = info.xp
    stack = stacked_taps(info, _strided_axes(plan), plan.padding, dtype_info.lowest)
    dtype = dtype_info.priority_dtype
    priorities = {n: _tap_priorities(info, plan, n, dtype) for n in dtype_info.ndims}

    def pool(x: Array) -> Maxima:
        taps = stack(x)
        values = xp.max(taps, axis=0)
        if dtype_info.floating and not are_first_maxima(info, x, values):
            return _folded(info, plan, dtype_info, lambda: ends() - (plan.flat_extent + 1))(x)
        # Of each window the position is its end less the priority.
        return values, ends() - largest_weight(info, taps, values, priorities[x.ndim]())

    return pool


def _strided_axes(plan: MaxPoolPlan) -> tuple[PoolAxis, ...]:
    return typing.cast("tuple[PoolAxis, ...]", plan.axes)  # as plan.is_strided promises


def _tap_priorities(
    info: InputInfo, plan: MaxPoolPlan, ndim: int, dtype: Any
) -> Callable[[], Array]:
    """Return what gives the priority of each tap: the flat distance to the window's end.

    It is 0 in the padding.

    Shape (taps, 1, ..., *windows), or with ones for the windows where there is no padding.
    """
    xp, device, rank = info.xp, info.device, len(plan.axes)

    def make() -> Array:
        priority = xp.asarray(plan.flat_extent + 1, dtype=xp.int16, device=device)
        valid_priority: Array = 1
        for i, windows in enumerate(_strided_axes(plan)):
            # One array axis per spatial axis for the taps, then one each for the windows.
            taps = [1] * i + [-1] + [1] * (2 * rank - 1 - i)
            offsets = xp.asarray(windows.flat_offsets, dtype=xp.int16, device=device)
            priority = priority - xp.reshape(offsets, tuple(taps))
            valid = xp.asarray(windows.valid_taps, dtype=xp.int16, device=device)
            axis_shape = [1] * (2 * rank)
            axis_shape[i], axis_shape[rank + i] = valid.shape
            valid_priority = xp.reshape(valid, tuple(axis_shape)) * valid_priority
        priorities = priority * valid_priority
        shape = (plan.window_size, *[1] * (ndim - rank), *priorities.shape[rank:])
        return cast(xp, xp.reshape(priorities, shape), dtype)

    return prepare_cached_array(info, plan.arrays, "weights", make, ndim, dtype)


# --- tap by tap ----------------------------------------------------------------------------------


def _folded(
    info: InputInfo, plan: MaxPoolPlan, dtype_info: _DtypeInfo, starts: Callable[[], Array]
) -> Callable[[Array], Maxima]:
    def pool(x: Array) -> Maxima:
        axes = [_fold_axis(info, windows, dtype_info) for windows in reversed(plan.axes)]
        values, offsets = first_maxima(
            info, x, axes, dtype_info.offset_dtype, floating=dtype_info.floating
        )
        return values, cast(info.xp, starts() + offsets, dtype_info.index_dtype)

    return pool


def _fold_axis(
    info: InputInfo, windows: AnyWindows, dtype_info: _DtypeInfo
) -> FoldAxis | PairedAxis:
    if isinstance(windows, AdaptiveAxis) or windows.in_pairs:
        return _paired_axis(info, windows, dtype_info)

    def value_views(array: Array) -> list[Array]:
        return window_views(info, array, windows, pad_value=dtype_info.lowest)

    def offset_views(array: Array) -> list[Array]:
        return window_views(info, array, windows)

    def make_offsets() -> Array:
        offsets = _first_valid_offsets(info, windows, dtype_info.index_dtype)
        offsets = cast(info.xp, offsets, dtype_info.offset_dtype)
        return expand_to_axis(info.xp, offsets, windows.axis)

    first_valid_offsets = None
    if windows.source_before:
        first_valid_offsets = cached_array(
            info, windows.arrays, "first", make_offsets, dtype_info.offset_dtype
        )
    return FoldAxis(value_views, offset_views, windows.flat_offsets, first_valid_offsets)


def _first_valid_offsets(info: InputInfo, windows: PoolAxis, dtype: Any) -> Array:
    """Return for each window the row-major offset of its first tap inside the input."""
    starts = window_starts(info, windows, dtype)
    taps = info.xp.where(starts < 0, starts // windows.dilation, info.xp.zeros_like(starts))
    return taps * -(windows.dilation * windows.flat_stride)


def _paired_axis(info: InputInfo, windows: AnyWindows, dtype_info: _DtypeInfo) -> PairedAxis:
    def enter(values: Array, offsets: Array | None) -> tuple[Array, Array]:
        first, step = windows.origin * windows.flat_stride, windows.flat_stride
        stop, dtype = first + windows.size * step, dtype_info.offset_dtype
        cells = info.xp.arange(first, stop, step, dtype=dtype, device=info.device)
        positions = expand_to_axis(info.xp, cells, windows.axis)
        lead = (1,) * (values.ndim - positions.ndim)
        positions = info.xp.reshape(positions, (*lead, *positions.shape))
        if offsets is not None:
            positions = offsets + positions
        values = padded_axis(info, values, windows, pad_value=dtype_info.lowest)
        return values, padded_axis(info, positions, windows)

    def reduce(state: State, combine: Combine, reduce_taps: ReduceTaps) -> State:
        return reduce_windows(info, state, combine, windows, reduce_taps)

    return PairedAxis(enter, reduce)


# --- where windows start -------------------------------------------------------------------------


def _window_starts(
    info: InputInfo, plan: MaxPoolPlan, dtype: Any, shift: int
) -> Callable[[], Array]:
    """Return what gives the positions at which the windows of a plane start.

    Along axes in pairs that is 0. A `shift` is added to them.
    """

    def axis_starts(windows: PoolAxis) -> Array:
        starts = window_starts(info, windows, dtype) + windows.origin
        return expand_to_axis(info.xp, starts * windows.flat_stride, windows.axis)

    def make_starts() -> Array:
        axes = [w for w in plan.axes if isinstance(w, PoolAxis) and not w.in_pairs]
        none = info.xp.full((1,) * len(plan.axes), shift, dtype=dtype, device=info.device)
        return functools.reduce(operator.add, [axis_starts(windows) for windows in axes], none)

    if plan.is_partial or _has_many_windows(info, plan):
        return functools.cache(make_starts)  # once for all planes
    return prepare_cached_array(info, plan.arrays, "starts", make_starts, dtype, shift)
