"""The maximum of each window and its position, by folding over the taps, axis by axis.

A position is the start of the window plus an offset. Offsets are small, so they fit a narrow
dtype, and they are the same in every window.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

from unpool_xp._array.compat import Array, copied
from unpool_xp._array.gather import take_along_axis
from unpool_xp._array.namespace import InputInfo
from unpool_xp._array.numeric import are_first_maxima, scale_mask, where_greater
from unpool_xp._impl.long_windows import Combine, ReduceTaps, State


class PairedAxis(NamedTuple):
    """The windows along one axis whose elements are combined in pairs, with positions.

    Positions along the whole axis take the place of offsets from where the window starts.
    """

    enter: Callable[[Array, Array | None], State]  # values, offsets so far -> values, positions
    reduce: Callable[[State, Combine, ReduceTaps], State]


class FoldAxis(NamedTuple):
    """The taps of all the windows along one axis."""

    value_views: Callable[[Array], list[Array]]  # array -> one view per tap
    offset_views: Callable[[Array], list[Array]]  # for the offsets of the axes folded before
    flat_offsets: Sequence[int]  # what each tap adds to the offset
    first_valid_offsets: Array | None  # with padding: of each window's first tap inside the input


AnyAxis: TypeAlias = FoldAxis | PairedAxis


def first_maxima(
    info: InputInfo,
    x: Array,
    axes: Sequence[AnyAxis],
    offset_dtype: Any,
    *,
    floating: bool,
) -> tuple[Array, Array]:
    """Return the maximum of each window, and its offset from where the window starts.

    Axes are folded in the given order. With the last axis first, a tie yields the first position
    in row-major order, and several NaNs the last one.
    """
    can_check = floating and info.traits.is_eager_cpu and 0 not in x.shape
    values, offsets = _fold(info, x, axes, offset_dtype, exact=floating and not can_check)
    if can_check and not are_first_maxima(info, x, values):
        return _fold(info, x, axes, offset_dtype, exact=True)
    return values, offsets


def first_maximum(
    info: InputInfo, first: State, second: State, *, exact: bool, use_maximum: bool = False
) -> State:
    """Return the larger values and their positions, which in the second are larger ones.

    `exact` and `use_maximum` mean what they do in `_fold`.
    """
    (values, positions), (others, elsewhere) = first, second
    better = others > values
    if exact:
        better = better | (others != others)  # NaN alone differs from itself
    # xp.maximum splits the gradient of a tie; xp.where does not.
    values = (
        info.xp.maximum(values, others) if use_maximum else info.xp.where(better, others, values)
    )
    return values, where_greater(info, positions, better, elsewhere)


def _fold(
    info: InputInfo,
    x: Array,
    axes: Sequence[AnyAxis],
    offset_dtype: Any,
    *,
    exact: bool,
) -> tuple[Array, Array]:
    """Fold; `exact` for what xp.maximum and comparisons miss: NaN, and which zero was the first."""
    xp, best, offsets, use_maximum = info.xp, x, None, not exact and not info.traits.needs_grad

    def combine(first: State, second: State) -> State:
        return first_maximum(info, first, second, exact=exact, use_maximum=use_maximum)

    def first_of_taps(taps: State) -> State:
        values, shape = taps[0], taps[0].shape
        place = xp.argmax(values, axis=0)
        if exact:
            numbers = xp.arange(1, shape[0] + 1, dtype=place.dtype, device=info.device)
            numbers = xp.reshape(numbers, (-1, *(1,) * (len(shape) - 1)))
            last_nan = xp.max(numbers * xp.astype(values != values, place.dtype), axis=0)
            place = xp.where(last_nan > 0, last_nan - 1, place)
        place = xp.expand_dims(place, axis=0)
        full = [xp.broadcast_to(x, shape) for x in taps]
        return tuple([take_along_axis(info, x, place, 0)[0, ...] for x in full])

    for axis in axes:
        if isinstance(axis, PairedAxis):
            best, offsets = axis.reduce(axis.enter(best, offsets), combine, first_of_taps)
            # Where nothing was compared they are the same in every plane.
            offsets = xp.broadcast_to(offsets, best.shape)
            continue
        taps = axis.value_views(best)
        earlier = None if offsets is None else axis.offset_views(offsets)
        best = taps[0]
        if earlier is not None:
            offsets = earlier[0]
            if axis.first_valid_offsets is not None:
                offsets = offsets + axis.first_valid_offsets
        later_taps = zip(taps[1:], axis.flat_offsets[1:], strict=True)
        for i, (tap, offset) in enumerate(later_taps, start=1):
            better = tap > best
            if exact:
                better = better | (tap != tap)  # NaN alone differs from itself
            # xp.maximum splits the gradient of a tie; xp.where does not.
            best = xp.maximum(best, tap) if use_maximum else xp.where(better, tap, best)
            # Later taps have larger shifts, later rows larger positions.
            if earlier is not None:
                offsets = where_greater(info, offsets, better, earlier[i] + offset)
                continue
            if offsets is None:
                offsets = scale_mask(info, better, offset, offset_dtype)
            else:
                offsets = where_greater(info, offsets, better, offset)
            if i == 1 and axis.first_valid_offsets is not None:
                offsets = xp.maximum(offsets, axis.first_valid_offsets)
        if offsets is None:  # windows of one tap
            offsets = xp.zeros(best.shape, dtype=offset_dtype, device=info.device)
    last = axes[-1]
    if isinstance(last, FoldAxis) and len(last.flat_offsets) == 1:
        best = copied(xp, best)  # the one tap is a view, perhaps of the input
    return best, offsets
