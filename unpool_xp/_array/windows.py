"""The elements that each tap of a window meets, as views."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

from unpool_xp._array.compat import Array
from unpool_xp._array.constants import cached_array
from unpool_xp._array.gather import take
from unpool_xp._array.namespace import InputInfo
from unpool_xp._array.views import axis_slice, pad, pad_axis, reshape_tail
from unpool_xp._plan.adaptive import AdaptiveAxis
from unpool_xp._plan.windows import AnyWindows, PoolAxis


def window_starts(info: InputInfo, windows: PoolAxis, dtype: Any) -> Array:
    """Return the first position of each window, below 0 in the padding."""
    numbers = info.xp.arange(windows.count, dtype=dtype, device=info.device)
    return numbers * windows.stride - windows.padding[0]


def window_views(
    info: InputInfo, x: Array, windows: AnyWindows, *, pad_value: float | None = None
) -> list[Array]:
    """Return one view per tap: the elements it reads in all windows along one axis.

    A cell of the padding holds `pad_value`, or a copy of an input cell of the same window.
    """
    axis = windows.axis
    if windows.source_before or windows.source_after:
        if pad_value is None:
            lead = [x[axis_slice(axis, slice(p, p + 1))] for p in windows.source_before]
            trail = [x[axis_slice(axis, slice(p, p + 1))] for p in windows.source_after]
            x = info.xp.concat([*lead, x, *trail], axis=axis)
        else:
            x = pad_axis(
                info, x, axis, len(windows.source_before), len(windows.source_after), pad_value
            )
    return tap_views(info, x, windows)


def tap_views(info: InputInfo, x: Array, windows: AnyWindows) -> list[Array]:
    """Return one view per tap of an axis that is already padded."""
    axis = windows.axis
    if isinstance(windows, AdaptiveAxis):
        return _gathered_taps(info, x, windows)
    traits = info.traits
    is_symbolic = bool(traits.symbolic_axes) and traits.symbolic_axes[axis]
    use_unfold = traits.is_torch_compiling and not is_symbolic
    # On PyTorch two views at once cost less than one index. ONNX has no `unfold`, and torch.export
    # would ask whether the size of the axis, where it is a symbol, is a multiple of the stride.
    if traits.library == "torch" and (use_unfold or not traits.is_traced):
        extent = (windows.kernel_size - 1) * windows.dilation + 1
        views: tuple[Array, ...] = x.unfold(axis, extent, windows.stride).unbind(-1)
        return list(views[:: windows.dilation])
    return [x[axis_slice(axis, cells)] for cells in windows.tap_slices]


def _gathered_taps(info: InputInfo, x: Array, windows: AdaptiveAxis) -> list[Array]:
    """Return one view per tap of windows that are not evenly spaced."""
    axis, n_lead = windows.axis, x.ndim + windows.axis

    def make_sources() -> Array:
        return info.xp.asarray(windows.sources, dtype=info.index_dtype, device=info.device)

    sources = cached_array(info, windows.arrays, "sources", make_sources)
    taps = take(info, x, sources, axis)
    tail = (windows.kernel_size, windows.count, *x.shape[n_lead + 1 :])
    taps = reshape_tail(info.xp, taps, n_lead, tail)
    return [taps[(..., tap, *(slice(None),) * -axis)] for tap in range(windows.kernel_size)]


def stacked_taps(info: InputInfo, x: Array, axes: Sequence[PoolAxis], pad_value: float) -> Array:
    """Stack the taps of all windows, (taps, ..., *windows); the padding holds `pad_value`."""
    rank = len(axes)
    before = [len(windows.source_before) for windows in axes]
    after = [len(windows.source_after) for windows in axes]
    x = pad(info, x, before, after, pad_value)
    if info.traits.library == "torch":  # where one view costs less than an index for each tap
        lead, steps = x.shape[: x.ndim - rank], x.stride()
        along_taps = [w.dilation * step for w, step in zip(axes, steps[-rank:], strict=True)]
        along_cells = [w.stride * step for w, step in zip(axes, steps[-rank:], strict=True)]
        kernel_size = [windows.kernel_size for windows in axes]
        cells = [windows.count for windows in axes]
        strides = (*along_taps, *steps[: x.ndim - rank], *along_cells)
        view = x.as_strided((*kernel_size, *lead, *cells), strides)
        return view.reshape(math.prod(kernel_size), *lead, *cells)
    views = itertools.product(*[windows.tap_slices for windows in axes])
    return info.xp.stack([x[(..., *cells)] for cells in views])
