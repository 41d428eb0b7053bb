"""The maximum of each window and its position, by folding over the taps, axis by axis.

A position is the start of the window plus an offset. Offsets are small, so they fit a narrow
dtype, and they are the same in every window.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from unpool_xp._array.compat import Array, Namespace, device
from unpool_xp._array.numeric import raised, times
from unpool_xp._array.traits import at_hand, number, smooth


class AxisTaps(NamedTuple):
    """The taps of all the windows along one axis."""

    values: Callable[[Array], list[Array]]  # array -> one view per tap
    offsets: Callable[[Array], list[Array]]  # the same for the offsets of the axes folded before
    shifts: Sequence[int]  # what each tap adds to the offset
    first: Array | None  # with padding: offset of the first tap inside the input, per window


def first_maxima(
    xp: Namespace, x: Array, axes: Sequence[AxisTaps], counting: Any, *, floating: bool
) -> tuple[Array, Array]:
    """Return the maximum of each window, and its offset from where the window starts.

    Axes are folded in the given order. With the last axis first, a tie yields the first position
    in row-major order, and several NaNs the last one.
    """
    look = floating and 0 not in x.shape and at_hand(x)
    values, offsets = _folded(xp, x, axes, counting, careful=floating and not look)
    if look and math.isnan(number(xp.max(values))):  # NaN: comparisons ignore it, so fold again
        return _folded(xp, x, axes, counting, careful=True)
    return values, offsets


def _folded(
    xp: Namespace, x: Array, axes: Sequence[AxisTaps], counting: Any, *, careful: bool
) -> tuple[Array, Array]:
    best, offsets, to_both = x, None, not smooth(x)
    for axis in axes:
        taps = axis.values(best)
        earlier = None if offsets is None else axis.offsets(offsets)
        best = taps[0]
        if earlier is not None:
            offsets = earlier[0] if axis.first is None else earlier[0] + axis.first
        for i, (tap, shift) in enumerate(zip(taps[1:], axis.shifts[1:], strict=True), start=1):
            better = tap > best
            if careful:
                better = better | (tap != tap)  # NaN alone differs from itself
            # xp.maximum splits the gradient of a tie; xp.where does not.
            best = xp.maximum(best, tap) if to_both else xp.where(better, tap, best)
            # Later taps have larger shifts, later rows larger positions.
            if earlier is not None:
                offsets = raised(xp, offsets, better, earlier[i] + shift)
                continue
            if offsets is None:
                offsets = times(xp, better, shift, counting)
            else:
                offsets = raised(xp, offsets, better, shift)
            if i == 1 and axis.first is not None:
                offsets = xp.maximum(offsets, axis.first)
        if offsets is None:  # windows of one tap
            offsets = xp.zeros(best.shape, dtype=counting, device=device(x))
    return best, offsets
