"""The elements that each tap of a window meets, as views."""

from __future__ import annotations

import functools
import itertools
import math
import sys
from collections.abc import Callable, Sequence
from typing import Any

from unpool_xp._array.compat import Array
from unpool_xp._array.gather import take, take_static
from unpool_xp._array.namespace import InputInfo
from unpool_xp._array.views import (
    axis_first,
    axis_slice,
    cached_array,
    pad,
    pad_axis,
    reshape_tail,
)
from unpool_xp._plan.adaptive import AdaptiveAxis
from unpool_xp._plan.arguments import Shape
from unpool_xp._plan.windows import AnyWindows, PoolAxis


def window_starts(info: InputInfo, windows: PoolAxis, dtype: Any) -> Array:
    """Return the first position of each window, below 0 in the padding."""
    numbers = info.xp.arange(windows.count, dtype=dtype, device=info.device)
    return numbers * windows.stride - windows.padding[0]


def window_views(
    info: InputInfo, x: Array, windows: PoolAxis, *, pad_value: float | None = None
) -> list[Array]:
    """Return one view per tap: the elements it reads in all windows along one axis.

    A cell of the padding holds `pad_value`, or a copy of an input cell of the same window.
    """
    return tap_views(info, windows)(padded_axis(info, x, windows, pad_value=pad_value))


def padded_axis(
    info: InputInfo, x: Array, windows: AnyWindows, *, pad_value: float | None = None
) -> Array:
    """Return x with the padding of one axis, filled as `window_views` does."""
    axis, before, after = windows.axis, windows.source_before, windows.source_after
    if not before and not after:
        return x
    if pad_value is not None:
        return pad_axis(info, x, axis, len(before), len(after), pad_value)
    if windows.in_pairs:
        sources = [*before, *range(windows.size), *after]
        places = (lambda first, last: sources[first:last]), len(sources)
        return take_static(info, x, *places, axis, windows.arrays)
    lead = [x[axis_slice(axis, slice(p, p + 1))] for p in before]
    trail = [x[axis_slice(axis, slice(p, p + 1))] for p in after]
    return info.xp.concat([*lead, x, *trail], axis=axis)


def tap_views(info: InputInfo, windows: PoolAxis) -> Callable[[Array], list[Array]]:
    """Return what takes one view per tap of an axis that is already padded."""
    axis, traits = windows.axis, info.traits
    # On PyTorch two views at once cost less than one index. ONNX has no `unfold`, and torch.export
    # would ask whether the size of the axis, where it is a symbol, is a multiple of the stride.
    if traits.library == "torch" and (
        not traits.is_traced
        or (traits.is_torch_compiling and not (traits.symbolic_axes and traits.symbolic_axes[axis]))
    ):
        extent, stride, dilation = windows.extent, windows.stride, windows.dilation
        return lambda x: list(x.unfold(axis, extent, stride).unbind(-1)[::dilation])
    if traits.is_traced:  # torch.compile would take the values of symbols in slices that are held
        return lambda x: [x[axis_slice(axis, cells)] for cells in windows.tap_slices]
    chosen = [axis_slice(axis, cells) for cells in windows.tap_slices]
    if info.takes_host_index and windows.stride > 1:
        # Cubed fails where steps end before a chunk does: it is cut first.
        cuts = [axis_slice(axis, slice(cells.start, cells.stop)) for cells in windows.tap_slices]
        steps = axis_slice(axis, slice(None, None, windows.stride))
        return lambda x: [x[cut][steps] for cut in cuts]
    return lambda x: [x[cells] for cells in chosen]


def gathered_taps(info: InputInfo, x: Array, windows: AdaptiveAxis) -> Array:
    """Return the taps of windows that are not evenly spaced, on a new first axis."""
    axis, n_lead = windows.axis, x.ndim + windows.axis
    key = "sources", lambda: info.as_index(windows.sources), info.index_dtype
    sources = cached_array(info, windows.arrays, *key)
    taps = take(info, x, sources, axis)
    tail = (windows.kernel_size, windows.count, *x.shape[n_lead + 1 :])
    return axis_first(info.xp, reshape_tail(info.xp, taps, n_lead, tail), n_lead)


def gathered_growth(axes: Sequence[AnyWindows]) -> float:
    """Return how much the taps that are gathered take over the plane, with their indices."""
    gathered = [windows for windows in axes if isinstance(windows, AdaptiveAxis)]
    taps = [windows.kernel_size * windows.count / windows.size for windows in gathered]
    return 4 * math.prod(taps) if taps else 1.0


def stacked_taps(
    info: InputInfo,
    axes: Sequence[PoolAxis],
    padding: tuple[Shape, Shape],
    pad_value: float,
) -> Callable[[Array], Array]:
    """Return what stacks the taps of all windows in a new array, (taps, ..., *windows).

    The padding holds `pad_value`.
    """
    rank, is_padded = len(axes), any(map(any, padding))
    if info.traits.library == "torch":  # where one view costs less than an index for each tap
        kernel_size, cells = [w.kernel_size for w in axes], [w.count for w in axes]
        n_taps, whole = math.prod(kernel_size), sys.modules["torch"].contiguous_format

        @functools.lru_cache(8)
        def find_view(shape: Shape, steps: Shape) -> tuple[Shape, Shape, Shape]:
            lead = shape[: len(shape) - rank]
            along_taps = [w.dilation * step for w, step in zip(axes, steps[-rank:], strict=True)]
            along_cells = [w.stride * step for w, step in zip(axes, steps[-rank:], strict=True)]
            strides = (*along_taps, *steps[: len(lead)], *along_cells)
            return (*kernel_size, *lead, *cells), strides, (n_taps, *lead, *cells)

        def stack_views(x: Array) -> Array:
            if is_padded:
                x = pad(info, x, *padding, pad_value)
            sizes, strides, flat = find_view(x.shape, x.stride())
            return x.as_strided(sizes, strides).clone(memory_format=whole).view(flat)

        return stack_views
    chosen = [(..., *cells) for cells in itertools.product(*[w.tap_slices for w in axes])]

    def stack(x: Array) -> Array:
        if is_padded:
            x = pad(info, x, *padding, pad_value)
        views = [x[cells] for cells in chosen]
        taps = info.xp.empty((len(views), *views[0].shape), dtype=x.dtype)
        for number, view in enumerate(views):  # a small stack costs more in checks
            taps[number] = view
        return taps

    return stack
