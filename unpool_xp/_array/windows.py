"""The elements that each tap of a window meets, as views."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from unpool_xp._array.compat import Array, Namespace, library
from unpool_xp._array.views import at, padded, surrounded
from unpool_xp._plan.windows import AxisWindows


def window_views(
    xp: Namespace, x: Array, windows: AxisWindows, *, pad: float | None = None
) -> list[Array]:
    """Return one view per tap: the elements it reads in all windows along one axis.

    A cell of the padding holds `pad`, or a copy of an input cell of the same window.
    """
    axis = windows.axis
    if windows.before or windows.after:
        if pad is None:
            lead = [x[at(axis, slice(p, p + 1))] for p in windows.before]
            trail = [x[at(axis, slice(p, p + 1))] for p in windows.after]
            x = xp.concat([*lead, x, *trail], axis=axis)
        else:
            x = padded(xp, x, axis, len(windows.before), len(windows.after), pad)
    return tap_views(x, windows)


def tap_views(x: Array, windows: AxisWindows) -> list[Array]:
    """Return one view per tap of an axis that is already padded."""
    axis = windows.axis
    if library(x) == "torch":  # where two views at once cost less than one index
        extent = (windows.taps - 1) * windows.dilation + 1
        views: tuple[Array, ...] = x.unfold(axis, extent, windows.stride).unbind(-1)
        return list(views[:: windows.dilation])
    return [x[at(axis, cells)] for cells in windows.cells]


def stacked_taps(xp: Namespace, x: Array, axes: Sequence[AxisWindows], pad: float) -> Array:
    """Stack the taps of all windows, (taps, ..., *windows); the padding holds `pad`."""
    rank = len(axes)
    before = [len(windows.before) for windows in axes]
    after = [len(windows.after) for windows in axes]
    x = surrounded(xp, x, before, after, pad)
    if library(x) == "torch":  # where one view costs less than an index for each tap
        lead, steps = x.shape[: x.ndim - rank], x.stride()
        along_taps = [w.dilation * step for w, step in zip(axes, steps[-rank:], strict=True)]
        along_cells = [w.stride * step for w, step in zip(axes, steps[-rank:], strict=True)]
        taps, cells = [windows.taps for windows in axes], [windows.count for windows in axes]
        strides = (*along_taps, *steps[: x.ndim - rank], *along_cells)
        view = x.as_strided((*taps, *lead, *cells), strides)
        return view.reshape(math.prod(taps), *lead, *cells)
    views = itertools.product(*[windows.cells for windows in axes])
    return xp.stack([x[(..., *cells)] for cells in views])
