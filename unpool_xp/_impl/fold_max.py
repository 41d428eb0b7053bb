"""The maximum of each window and where it stood, folded tap by tap, axis by axis.

A position is the start of the window and an offset: offsets are small numbers, so few bytes, and
alike in all windows.
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

    values: Callable[[Array], list[Array]]  # from what is left to fold to the views of the taps
    offsets: Callable[[Array], list[Array]]  # the same for the offsets along the axes before
    shifts: Sequence[int]  # what each tap adds to the offset
    first: Array | None  # where windows start outside: the shift of their first tap inside


def first_maxima(
    xp: Namespace, x: Array, axes: Sequence[AxisTaps], counting: Any, *, floating: bool
) -> tuple[Array, Array]:
    """Return the maximum of each window, and its offset from where the window starts.

    The axes come in the order in which they are folded: with the last one first, the first in
    row-major order is left of a tie, and the last of several NaNs.
    """
    look = floating and 0 not in x.shape and at_hand(x)
    values, offsets = _folded(xp, x, axes, counting, careful=floating and not look)
    if look and math.isnan(number(xp.max(values))):  # a NaN, which no comparison has seen
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
            # Where two are equal, the gradient of maximum goes to both.
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
