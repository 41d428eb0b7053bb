"""The maximum of each window and its position, by folding over the taps, axis by axis.

A position is the start of the window plus an offset. Offsets are small, so they fit a narrow
dtype, and they are the same in every window.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from unpool_xp._array.compat import Array, copied
from unpool_xp._array.namespace import InputInfo
from unpool_xp._array.numeric import item, scale_mask, where_greater


class FoldAxis(NamedTuple):
    """The taps of all the windows along one axis."""

    value_views: Callable[[Array], list[Array]]  # array -> one view per tap
    offset_views: Callable[[Array], list[Array]]  # for the offsets of the axes folded before
    flat_offsets: Sequence[int]  # what each tap adds to the offset
    first_valid_offsets: Array | None  # with padding: of each window's first tap inside the input


def first_maxima(
    info: InputInfo, x: Array, axes: Sequence[FoldAxis], offset_dtype: Any, *, floating: bool
) -> tuple[Array, Array]:
    """Return the maximum of each window, and its offset from where the window starts.

    Axes are folded in the given order. With the last axis first, a tie yields the first position
    in row-major order, and several NaNs the last one.
    """
    check_for_nan = floating and info.traits.is_eager_cpu and 0 not in x.shape
    propagate_nan = floating and not check_for_nan
    values, offsets = _fold(info, x, axes, offset_dtype, propagate_nan=propagate_nan)
    if check_for_nan and math.isnan(item(info, info.xp.max(values))):
        # Comparisons ignore NaN, so fold again.
        return _fold(info, x, axes, offset_dtype, propagate_nan=True)
    return values, offsets


def _fold(
    info: InputInfo, x: Array, axes: Sequence[FoldAxis], offset_dtype: Any, *, propagate_nan: bool
) -> tuple[Array, Array]:
    xp, best, offsets, use_maximum = info.xp, x, None, not info.traits.needs_grad
    for axis in axes:
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
            if propagate_nan:
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
    if len(axes[-1].flat_offsets) == 1:  # the one tap is a view, perhaps of the input
        best = copied(xp, best)
    return best, offsets
