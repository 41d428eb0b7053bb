"""Views and forms of arrays, by slices."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from unpool_xp._array.compat import Array, Namespace
from unpool_xp._array.namespace import InputInfo
from unpool_xp._plan.arguments import Shape


def axis_slice(axis: int, chosen: slice) -> tuple[Any, ...]:
    """Return the index tuple that slices one (negative) axis and keeps the others whole."""
    return (..., chosen) + (slice(None),) * (-1 - axis)


def expand_to_axis(xp: Namespace, vector: Array, axis: int) -> Array:
    """Return a vector as an array that broadcasts along a negative axis."""
    return xp.reshape(vector, (-1,) + (1,) * (-1 - axis))


def pad(
    info: InputInfo, x: Array, before: Sequence[int], after: Sequence[int], value: float
) -> Array:
    """Return x with cells of one value before and after each of its last axes."""
    if not any(before) and not any(after):
        return x
    rank, traits = len(before), info.traits
    if traits.library == "torch" and not traits.is_torch_compiling:  # one call for all axes
        widths = [n for i in reversed(range(rank)) for n in (before[i], after[i])]
        return sys.modules["torch"].constant_pad_nd(x, widths, value)
    if traits.library == "numpy":
        sizes = zip(x.shape[-rank:], before, after, strict=True)
        shape = (*x.shape[:-rank], *(n + b + a for n, b, a in sizes))
        wide = info.xp.full(shape, value, dtype=x.dtype)
        wide[(..., *(slice(b, b + n) for n, b in zip(x.shape[-rank:], before, strict=True)))] = x
        return wide
    for i in range(rank):
        x = pad_axis(info, x, i - rank, before[i], after[i], value)
    return x


def pad_axis(
    info: InputInfo, x: Array, axis: int, before: int, after: int, value: float = 0
) -> Array:
    """Return x with cells of one value before and after along a negative axis."""
    if not before and not after:
        return x
    xp, traits = info.xp, info.traits
    # One call costs less than three; its compiler would compute what is padded again and again.
    if traits.library == "torch" and not traits.is_torch_compiling:
        widths = [0, 0] * (-1 - axis) + [before, after]
        return sys.modules["torch"].constant_pad_nd(x, widths, value)
    if traits.library == "jax":  # whose compiler looks through its own padding alone
        pairs = [(0, 0)] * x.ndim
        pairs[axis] = (before, after)
        return sys.modules["jax.numpy"].pad(x, pairs, constant_values=value)

    def cells(count: int) -> list[Array]:
        if not count:  # nothing, which not every library can put beside something
            return []
        shape = list(x.shape)
        shape[axis] = count
        if not value:
            return [zeros(info, tuple(shape), x)]
        return [xp.full(tuple(shape), value, dtype=x.dtype, device=info.device)]

    parts = [*cells(before), x, *cells(after)]
    padded = xp.concat(parts, axis=axis) if len(parts) > 1 else x
    # NumPy puts arrays together in the byte order of the machine.
    return padded if padded.dtype == x.dtype else xp.astype(padded, x.dtype)


def zeros(info: InputInfo, shape: Shape, like: Array) -> Array:
    """Return zeros of the dtype of another array."""
    return info.xp.zeros(shape, dtype=like.dtype, device=info.device)


def axis_first(xp: Namespace, x: Array, axis: int) -> Array:
    """Return x with a (non-negative) axis before all others."""
    others = [other for other in range(x.ndim) if other != axis]
    return xp.permute_dims(x, (axis, *others))  # vmap of torch.func has no moveaxis


def reshape_tail(xp: Namespace, x: Array, n_lead: int, tail: Shape) -> Array:
    """Return x with the axes after the first `n_lead` in another shape."""
    return xp.reshape(x, x.shape[:n_lead] + tail)


def ravel(point: Sequence[Array], sizes: Shape) -> Array:
    """Return the row-major positions of places along each axis."""
    flat = point[0]
    for position, n in zip(point[1:], sizes[1:], strict=True):
        flat = flat * n + position
    return flat


def interleave(info: InputInfo, parts: list[Array], axis: int) -> Array:
    """Interleave equally shaped parts along an axis: the first cell of each, then the second."""
    xp, factor, first = info.xp, len(parts), parts[0]
    if factor == 1:
        return first
    shape = list(first.shape)
    shape[axis] *= factor
    if info.traits.supports_setitem:
        output = xp.empty(tuple(shape), dtype=first.dtype, device=info.device)
        for number, part in enumerate(parts):
            output[axis_slice(axis, slice(number, None, factor))] = part
        return output
    stacked = xp.stack(parts, axis=axis)  # (..., length, factor, ...)
    n_lead = stacked.ndim - 1 + axis
    return reshape_tail(xp, stacked, n_lead, tuple(shape[n_lead:]))
