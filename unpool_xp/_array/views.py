"""Views and forms of arrays, by slices."""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from unpool_xp._array.compat import Array, Namespace, device, library
from unpool_xp._array.traits import readable, writable
from unpool_xp._plan.arguments import Shape
from unpool_xp._plan.windows import AxisWindows


def at(axis: int, chosen: slice) -> tuple[Any, ...]:
    """Return the index that takes `chosen` along a negative axis and all of the others."""
    return (..., chosen) + (slice(None),) * (-1 - axis)


def along(xp: Namespace, vector: Array, axis: int) -> Array:
    """Return a vector as an array that broadcasts along a negative axis."""
    return xp.reshape(vector, (-1,) + (1,) * (-1 - axis))


def constant(arrays: dict[Any, Any], name: str, make: Callable[[], Array], *key: Any) -> Array:
    """Return an array that depends on a plan and the key alone, kept in `arrays`, the plan's own.

    The key has the namespace, the dtype and the device.
    """
    key = (name, *key)
    try:
        made = arrays.get(key)
    except TypeError:  # CuPy's devices have no hash
        key = tuple(map(str, key))
        made = arrays.get(key)
    if made is None:
        made = make()
        if _keepable(made):
            arrays[key] = made
    return made


def _keepable(x: Array) -> bool:
    """Return whether an array can serve other calls: not what is traced, nor of inference mode."""
    kind = library(x)
    if kind == "torch":
        import torch

        return type(x) is torch.Tensor and readable(x) and not x.is_inference()
    return kind in ("numpy", "cupy")


def window_views(
    xp: Namespace, x: Array, windows: AxisWindows, *, pad: float | None = None
) -> list[Array]:
    """Return for each tap the elements that it meets in all the windows along one axis.

    A cell of the padding holds `pad`, or what the real cell holds that stands in for it.
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
    """Return the same of an array that has the cells of the padding."""
    axis = windows.axis
    if library(x) == "torch":  # where two views at once cost less than one index
        extent = (windows.taps - 1) * windows.dilation + 1
        views: tuple[Array, ...] = x.unfold(axis, extent, windows.stride).unbind(-1)
        return list(views[:: windows.dilation])
    return [x[at(axis, cells)] for cells in windows.cells]


def stacked_taps(xp: Namespace, x: Array, axes: Sequence[AxisWindows], pad: float) -> Array:
    """Return the taps of all windows side by side, (taps, ..., *windows); padding holds `pad`."""
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


def surrounded(
    xp: Namespace, x: Array, before: Sequence[int], after: Sequence[int], value: float
) -> Array:
    """Return x with cells of one value before and after each of its last axes."""
    if not any(before) and not any(after):
        return x
    rank = len(before)
    if library(x) == "torch":
        import torch

        if not torch.compiler.is_compiling():  # one call for all axes
            widths = [n for i in reversed(range(rank)) for n in (before[i], after[i])]
            return torch.constant_pad_nd(x, widths, value)
    if library(x) == "numpy":
        sizes = zip(x.shape[-rank:], before, after, strict=True)
        shape = (*x.shape[:-rank], *(n + b + a for n, b, a in sizes))
        wide = xp.full(shape, value, dtype=x.dtype)
        wide[(..., *(slice(b, b + n) for n, b in zip(x.shape[-rank:], before, strict=True)))] = x
        return wide
    for i in range(rank):
        x = padded(xp, x, i - rank, before[i], after[i], value)
    return x


def padded(xp: Namespace, x: Array, axis: int, before: int, after: int, value: float = 0) -> Array:
    """Return x with cells of one value before and after along a negative axis."""
    if not before and not after:
        return x
    kind = library(x)
    if kind == "torch":
        import torch

        # One call costs less than three; its compiler would compute what is padded again and again.
        if not torch.compiler.is_compiling():
            return torch.constant_pad_nd(x, [0, 0] * (-1 - axis) + [before, after], value)
    if kind == "jax":  # whose compiler looks through its own padding alone
        widths = [(0, 0)] * x.ndim
        widths[axis] = (before, after)
        return sys.modules["jax.numpy"].pad(x, widths, constant_values=value)

    def cells(count: int) -> list[Array]:
        if not count:  # nothing, which not every library can put beside something
            return []
        shape = list(x.shape)
        shape[axis] = count
        if not value:
            return [zeros(xp, tuple(shape), x)]
        return [xp.full(tuple(shape), value, dtype=x.dtype, device=device(x))]

    parts = [*cells(before), x, *cells(after)]
    return xp.concat(parts, axis=axis) if len(parts) > 1 else x


def zeros(xp: Namespace, shape: Shape, like: Array) -> Array:
    """Return zeros of the dtype and on the device of another array."""
    return xp.zeros(shape, dtype=like.dtype, device=device(like))


def reshape_tail(xp: Namespace, x: Array, keep: int, tail: Shape) -> Array:
    """Return x with the axes after the first `keep` in another shape."""
    return xp.reshape(x, x.shape[:keep] + tail)


def take_slices(xp: Namespace, x: Array, slices: tuple[tuple[int, int], ...], axis: int) -> Array:
    """Return slices along a negative axis, each a (start, stop), one behind the other."""
    if slices == ((0, x.shape[axis]),):
        return x
    parts = [x[at(axis, slice(start, stop))] for start, stop in slices]
    return xp.concat(parts, axis=axis) if len(parts) > 1 else parts[0]


def interleaved(xp: Namespace, parts: list[Array], axis: int) -> Array:
    """Return the cells of equal parts in turn: the first of each, then the second of each."""
    factor, first = len(parts), parts[0]
    if factor == 1:
        return first
    shape = list(first.shape)
    shape[axis] *= factor
    if writable(first):
        woven = xp.empty(tuple(shape), dtype=first.dtype, device=device(first))
        for number, part in enumerate(parts):
            woven[at(axis, slice(number, None, factor))] = part
        return woven
    stacked = xp.stack(parts, axis=axis)  # (..., length, factor, ...)
    keep = stacked.ndim - 1 + axis
    return reshape_tail(xp, stacked, keep, tuple(shape[keep:]))


def raised(xp: Namespace, old: Array, chosen: Array, new: Array | int) -> Array:
    """Return integers `new`, larger than `old`, where chosen, and `old` elsewhere."""
    kind = library(old)
    if isinstance(new, int) and kind not in ("torch", "jax"):  # whose where takes numbers
        return xp.maximum(old, times(xp, chosen, new, old.dtype))
    if kind == "numpy":
        # NumPy's where takes a branch an element; two passes without one take a tenth of it.
        return xp.maximum(old, new * chosen)
    return xp.where(chosen, new, old)


def times(xp: Namespace, chosen: Array, number: int, dtype: Any) -> Array:
    """Return the number where chosen and 0 elsewhere, in an integer dtype."""
    if library(chosen) == "numpy":
        return chosen * np.dtype(dtype).type(number)
    ones = xp.astype(chosen, dtype)
    return ones if number == 1 else ones * number
