"""Views and forms of arrays, by slices."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from unpool_xp._array.compat import Array, Namespace, get_device, library
from unpool_xp._array.traits import supports_setitem
from unpool_xp._plan.arguments import Shape


def axis_slice(axis: int, chosen: slice) -> tuple[Any, ...]:
    """Return the index tuple that slices one (negative) axis and keeps the others whole."""
    return (..., chosen) + (slice(None),) * (-1 - axis)


def expand_to_axis(xp: Namespace, vector: Array, axis: int) -> Array:
    """Return a vector as an array that broadcasts along a negative axis."""
    return xp.reshape(vector, (-1,) + (1,) * (-1 - axis))


def pad(
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
        x = pad_axis(xp, x, i - rank, before[i], after[i], value)
    return x


def pad_axis(
    xp: Namespace, x: Array, axis: int, before: int, after: int, value: float = 0
) -> Array:
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
        return [xp.full(tuple(shape), value, dtype=x.dtype, device=get_device(x))]

    parts = [*cells(before), x, *cells(after)]
    return xp.concat(parts, axis=axis) if len(parts) > 1 else x


def zeros(xp: Namespace, shape: Shape, like: Array) -> Array:
    """Return zeros of the dtype and on the device of another array."""
    return xp.zeros(shape, dtype=like.dtype, device=get_device(like))


def reshape_tail(xp: Namespace, x: Array, n_lead: int, tail: Shape) -> Array:
    """Return x with the axes after the first `n_lead` in another shape."""
    return xp.reshape(x, x.shape[:n_lead] + tail)


def take_slices(xp: Namespace, x: Array, slices: tuple[tuple[int, int], ...], axis: int) -> Array:
    """Return the concatenation of (start, stop) slices along a negative axis."""
    if slices == ((0, x.shape[axis]),):
        return x
    parts = [x[axis_slice(axis, slice(start, stop))] for start, stop in slices]
    return xp.concat(parts, axis=axis) if len(parts) > 1 else parts[0]


def interleave(xp: Namespace, parts: list[Array], axis: int) -> Array:
    """Interleave equally shaped parts along an axis: the first cell of each, then the second."""
    factor, first = len(parts), parts[0]
    if factor == 1:
        return first
    shape = list(first.shape)
    shape[axis] *= factor
    if supports_setitem(first):
        output = xp.empty(tuple(shape), dtype=first.dtype, device=get_device(first))
        for number, part in enumerate(parts):
            output[axis_slice(axis, slice(number, None, factor))] = part
        return output
    stacked = xp.stack(parts, axis=axis)  # (..., length, factor, ...)
    n_lead = stacked.ndim - 1 + axis
    return reshape_tail(xp, stacked, n_lead, tuple(shape[n_lead:]))
