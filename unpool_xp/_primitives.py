"""What the standard lacks: window views, setting by index, a look at values where there are any.

The one file with a branch on a library.
"""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from unpool_xp._compat import (
    Array,
    Namespace,
    device,
    index_dtype,
    is_lazy_array,
    library,
    namespace,
)
from unpool_xp._geometry import AxisSpread, AxisWindows
from unpool_xp._sizes import Shape


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
    made = arrays.get((name, *key))
    if made is None:
        made = make()
        if _keepable(made):
            arrays[(name, *key)] = made
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
    last = (windows.count - 1) * windows.stride
    if library(x) == "torch":  # where two views at once cost less than one index
        extent = (windows.taps - 1) * windows.dilation + 1
        views: tuple[Array, ...] = x.unfold(axis, extent, windows.stride).unbind(-1)
        return list(views[:: windows.dilation])
    starts = range(0, windows.taps * windows.dilation, windows.dilation)
    return [x[at(axis, slice(start, start + last + 1, windows.stride))] for start in starts]


def padded(xp: Namespace, x: Array, axis: int, before: int, after: int, value: float = 0) -> Array:
    """Return x with cells of one value before and after along a negative axis."""
    if library(x) == "jax":  # whose compiler looks through its own padding alone
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
    if library(x) != "dask":
        return xp.reshape(x, (*x.shape[:keep], *tail))
    # Dask's own reshape keeps chunks it need not keep, and refuses axes of length 0 and 1.
    x = x.rechunk(dict.fromkeys(range(keep, x.ndim), -1))

    def block(x: Array) -> Array:
        return x.reshape(*x.shape[:keep], *tail)

    chunks = (*x.chunks[:keep], *((n,) for n in tail))
    return sys.modules["dask.array"].map_blocks(
        block,
        x,
        dtype=x.dtype,
        chunks=chunks,
        drop_axis=list(range(keep, x.ndim)),
        new_axis=list(range(keep, keep + len(tail))),
        meta=x._meta,
    )


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


def interleaves(x: Array) -> bool:
    """Return whether weaving parts together leaves the array in the pieces that it came in."""
    return library(x) != "dask"


def take_known(xp: Namespace, x: Array, index: Any, axis: int) -> Array:
    """Return the elements at places along a negative axis that are known on the host."""
    if library(x) == "dask":  # which finds the chunks from numbers, but not from another graph
        return xp.take(x, np.asarray(index), axis=axis)
    place = device(x)
    index = xp.asarray(index, dtype=index_dtype(xp, place), device=place)
    return xp.take(x, index, axis=axis)


def lined_up(xp: Namespace, places: Any, rank: int, axis: int, *, dtype: Any, device: Any) -> Array:
    """Line numbers of the host, (out,) or (*leading, out), up with an axis of planes."""
    shape = (*places.shape[:-1], *(1,) * (rank + axis), places.shape[-1], *(1,) * (-1 - axis))
    return xp.asarray(places.reshape(shape), dtype=dtype, device=device)


def take_places(xp: Namespace, x: Array, places: Any, rank: int, axis: int) -> Array:
    """Return the elements at places of the host, the same in all planes or each plane's own."""
    if places.ndim == 1:
        return take_known(xp, x, places, axis)
    counting = index_dtype(xp, device(x))
    index = lined_up(xp, places, rank, axis, dtype=counting, device=device(x))
    shape = list(x.shape)
    shape[axis] = index.shape[axis]
    index = xp.broadcast_to(index, tuple(shape))
    if library(x) == "dask":
        return _take_along_dask(x, index, axis)
    return _take_along(xp, x, index, axis)


def _take_along(xp: Namespace, x: Array, index: Array, axis: int) -> Array:
    if hasattr(xp, "take_along_axis"):
        return xp.take_along_axis(x, index, axis=axis)
    # The standard before 2024.12: one take from the array made flat.
    step = math.prod(x.shape[axis:][1:])
    outer = math.prod(x.shape[:axis])
    block = x.shape[axis] * step
    first = xp.reshape(xp.arange(outer, device=device(x)) * block, (outer, 1, 1))
    inner = xp.reshape(xp.arange(step, device=device(x)), (1, 1, step))
    flat = xp.reshape(xp.astype(index, first.dtype), (outer, index.shape[axis], step))
    cells = xp.reshape(first + flat * step + inner, (-1,))
    return xp.reshape(xp.take(xp.reshape(x, (-1,)), cells), index.shape)


def _take_along_dask(x: Array, index: Array, axis: int) -> Array:
    x = x.rechunk({axis: -1})
    chunks = list(x.chunks)
    chunks[axis] = (index.shape[axis],)

    def block(x: Array, index: Array) -> Array:
        return _take_along(namespace(x), x, index, axis)

    return sys.modules["dask.array"].map_blocks(
        block, x, index.rechunk(tuple(chunks)), dtype=x.dtype, chunks=tuple(chunks), meta=x._meta
    )


def blocks_pay(x: Array) -> bool:
    """Return whether work in pieces that fit the cache is left to the caller.

    Other libraries lose more by small pieces than they win by the cache.
    """
    return library(x) == "numpy"


def in_blocks(
    xp: Namespace, compute: Callable[[Array], Sequence[Array]], x: Array, rank: int, share: float
) -> list[Array]:
    """Return what is computed of each plane of the last `rank` axes, some planes at a time.

    `share` is the size of the largest array in between, or output, over that of x.
    """
    keep = x.ndim - rank
    lead, plane = x.shape[:keep], x.shape[keep:]
    if not blocks_pay(x):
        return list(compute(x))
    planes, cells = math.prod(lead), math.prod(plane) * max(share, 1.0)
    count = max(int(_BLOCK // max(cells * x.dtype.itemsize, 1)), 1)
    if planes < 2 * count:
        return list(compute(x))
    x = xp.reshape(x, (planes, *plane))
    outputs: list[Array] = []
    for start in range(0, planes, count):
        parts = compute(x[start : start + count, ...])
        if not outputs:
            outputs = [xp.empty((planes, *part.shape[1:]), dtype=part.dtype) for part in parts]
        for output, part in zip(outputs, parts, strict=True):
            output[start : start + count, ...] = part
    return [xp.reshape(output, (*lead, *output.shape[1:])) for output in outputs]


def in_parts(
    xp: Namespace,
    compute: Callable[[slice, slice], Array],
    shape: Shape,
    x: Array,
    cells: int,
) -> Array:
    """Return an array (planes, channels, ...) computed some planes and some channels at a time.

    `cells` is how many elements lie between for each plane and channel.
    """
    planes, channels = shape[:2]
    most = max(_BLOCK // max(cells * x.dtype.itemsize, 1), 1)
    if most >= planes * channels:
        return compute(slice(0, planes), slice(0, channels))
    step, few = max(most // channels, 1), min(most, channels)
    output = xp.empty(shape, dtype=x.dtype, device=device(x))
    for plane in range(0, planes, step):
        for channel in range(0, channels, few):
            block = slice(plane, plane + step), slice(channel, min(channel + few, channels))
            output[block] = compute(*block)
    return output


_BLOCK = 2**19  # bytes


def readable(x: Array) -> bool:
    """Return whether the values of an array can be looked at: not while tracing, not if lazy."""
    kind = library(x)
    if kind == "torch":
        import torch

        if torch.compiler.is_compiling() or x.device.type == "meta":
            return False
        return not torch._C._functorch.is_functorch_wrapped_tensor(x)  # under vmap or func.grad
    if kind == "jax":
        return not isinstance(x, sys.modules["jax"].core.Tracer)
    return not is_lazy_array(x)


def at_hand(x: Array) -> bool:
    """Return whether a look at the values waits for no device and builds no graph."""
    kind = library(x)
    return kind == "numpy" or (kind == "torch" and bool(x.is_cpu) and readable(x))


def smooth(x: Array) -> bool:
    """Return whether somebody may ask for the gradient of what is made of x."""
    kind = library(x)
    if kind == "torch":
        return bool(x.requires_grad) or not readable(x)
    return kind == "jax" and not readable(x)


def writable(x: Array) -> bool:
    """Return whether what is made of x may be set by index."""
    kind = library(x)
    return kind in ("numpy", "cupy") or (kind == "torch" and not smooth(x))


def raised(xp: Namespace, old: Array, chosen: Array, new: Array) -> Array:
    """Return integers `new`, larger than `old`, where chosen, and `old` elsewhere."""
    if library(old) in ("numpy", "dask"):
        # NumPy's where takes a branch an element; two passes without one take a tenth of it.
        return xp.maximum(old, new * chosen)
    return xp.where(chosen, new, old)


def times(xp: Namespace, chosen: Array, number: int, dtype: Any) -> Array:
    """Return the number where chosen and 0 elsewhere, in an integer dtype."""
    if library(chosen) == "numpy":
        return chosen * dtype(number)
    ones = xp.astype(chosen, dtype)
    return ones if number == 1 else ones * number


def scatter(
    xp: Namespace, target: Array, values: Array, positions: Array, *, add: bool, inside: bool
) -> Array:
    """Return target (..., size) with values (..., m) at positions (..., m).

    With `add`, values are added to what stands there; without, they take its place, and of
    several for one position one stays. A position that is not in [0, size) is dropped; `inside`
    promises that there is none. The target itself may be used up.
    """
    if library(values) == "dask":
        return _scatter_dask(target, values, positions, add=add)
    if inside:
        return _scatter_inside(xp, target, values, positions, add=add)
    # One cell more at the end takes what is dropped.
    size = target.shape[-1]
    lost = (positions < 0) | (positions >= size)
    positions = xp.where(lost, xp.full_like(positions, size), positions)
    wider = padded(xp, target, -1, 0, 1)
    return _scatter_inside(xp, wider, values, positions, add=add)[..., :size]


def scatter_refuses(values: Array, *, add: bool) -> bool:
    """Return whether `scatter` itself raises, an IndexError or a RuntimeError, for what it drops.

    A look at the positions before would then be one pass too many.
    """
    return not add and library(values) == "torch" and at_hand(values) and values.numel() > 0


def any_outside(xp: Namespace, positions: Array, size: int) -> Array:
    """Return whether a position is not in [0, size), as one scalar on the device."""
    if library(positions) == "numpy":  # below zero is far beyond the end, once it has no sign
        return xp.max(positions.view(f"u{positions.dtype.itemsize}")) >= size
    return (xp.min(positions) < 0) | (xp.max(positions) >= size)


def _scatter_inside(
    xp: Namespace, target: Array, values: Array, positions: Array, *, add: bool
) -> Array:
    kind = library(values)
    if kind == "torch":
        positions = xp.astype(positions, xp.int64, copy=False)
        if smooth(values):  # under vmap the target cannot take what is batched
            return (target.scatter_add if add else target.scatter)(-1, positions, values)
        return (target.scatter_add_ if add else target.scatter_)(-1, positions, values)
    (*lead, size), m = target.shape, values.shape[-1]
    rows = math.prod(lead)
    values = xp.reshape(values, (rows, m))
    positions = xp.reshape(positions, (rows, m))
    if kind == "jax":
        cells = xp.reshape(target, (rows, size)).at[xp.arange(rows)[:, None], positions]
        return xp.reshape(cells.add(values) if add else cells.set(values), target.shape)
    if kind in ("numpy", "cupy"):
        counting = index_dtype(xp, device(values))
        flat = positions + xp.arange(rows, dtype=counting, device=device(values))[:, None] * size
        plane = xp.reshape(target, (-1,))
        if add:
            xp.add.at(plane, flat, values)
        else:
            plane[flat] = values
        return xp.reshape(plane, target.shape)
    counting = index_dtype(xp, device(values))
    first = xp.arange(rows, dtype=counting, device=device(values)) * size
    flat = xp.reshape(xp.astype(positions, counting) + first[:, None], (-1,))
    plane, values = xp.reshape(target, (-1,)), xp.reshape(values, (-1,))
    return xp.reshape(_scatter_by_sorting(xp, plane, values, flat, add=add), target.shape)


def _scatter_dask(target: Array, values: Array, positions: Array, *, add: bool) -> Array:
    dask_array = sys.modules["dask.array"]
    values = values.rechunk({-1: -1})
    positions = positions.rechunk(values.chunks)
    target = target.rechunk((*values.chunks[:-1], (target.shape[-1],)))

    def block(target: Array, values: Array, positions: Array) -> Array:
        xp = namespace(values)
        # A chunk may be shared with others, so the result gets memory of its own.
        target = xp.asarray(target, copy=True)
        return scatter(xp, target, values, positions, add=add, inside=False)

    return dask_array.map_blocks(
        block, target, values, positions, dtype=values.dtype, meta=values._meta
    )


def _scatter_by_sorting(
    xp: Namespace, target: Array, values: Array, positions: Array, *, add: bool
) -> Array:
    """Scatter vectors with the standard alone: every cell of the target looks up its value."""
    if positions.shape[0] == 0:
        return target
    order = xp.argsort(positions, stable=True)
    positions, values = xp.take(positions, order), xp.take(values, order)
    if add:
        # A segmented scan: after log2 steps the last of equal positions holds their sum.
        step = 1
        while step < positions.shape[0]:
            same = positions[step:] == positions[:-step]
            moved = xp.where(same, values[:-step], xp.zeros_like(values[:-step]))
            values = xp.concat([values[:step], values[step:] + moved])
            step *= 2
    cells = xp.arange(target.shape[0], dtype=positions.dtype, device=device(values))
    last = xp.searchsorted(positions, cells, side="right") - 1
    last = xp.where(last < 0, xp.zeros_like(last), last)
    found = xp.take(values, last)
    hit = xp.take(positions, last) == cells
    return xp.where(hit, target + found if add else found, target)


def overlap_add(xp: Namespace, shares: Array, plan: tuple[AxisSpread, ...]) -> Array:
    """Add up the shares (..., *kernel, *plane) that the taps of a kernel spread over the output.

    Tap t of element i lands on the cell ``i * stride + t * dilation - before`` of each axis.
    """
    rank = len(plan)
    keep = shares.ndim - 2 * rank
    if writable(shares) and all(axis.apart for axis in plan):
        return _put_apart(xp, shares, plan, keep)
    # Axis by axis, the last one first: what is added up twice is then already small.
    for i in reversed(range(rank)):
        before_tap = (slice(None),) * (keep + i)
        parts = [shares[(*before_tap, tap, ...)] for tap in range(plan[i].taps)]
        add = _add_in_place if writable(shares) else _add_phases
        shares = add(xp, parts, plan[i])
    return shares


def _put_apart(xp: Namespace, shares: Array, plan: tuple[AxisSpread, ...], keep: int) -> Array:
    """Put shares that do not overlap where they land."""
    output = zeros(xp, (*shares.shape[:keep], *(axis.output for axis in plan)), shares)
    for taps in itertools.product(*(range(axis.taps) for axis in plan)):
        landings = [axis.landing(tap) for axis, tap in zip(plan, taps, strict=True)]
        cells = tuple(slice(start, stop, stride) for _, _, start, stop, stride in landings)
        kept = tuple(slice(first, last) for first, last, *_ in landings)
        before = (slice(None),) * keep
        output[(..., *cells)] = shares[(*before, *taps, ...)][(..., *kept)]
    return output


def _add_in_place(xp: Namespace, parts: list[Array], axis: AxisSpread) -> Array:
    shape = list(parts[0].shape)
    shape[axis.axis] = axis.output
    total = zeros(xp, tuple(shape), parts[0])
    met = set()
    for tap, part in enumerate(parts):
        first, last, start, stop, stride = axis.landing(tap)
        kept = part if last - first == axis.size else part[at(axis.axis, slice(first, last))]
        cells = at(axis.axis, slice(start, stop, stride))
        if start % stride in met:
            total[cells] += kept
        else:
            total[cells] = kept
            met.add(start % stride)
    return total


def _add_phases(xp: Namespace, parts: list[Array], axis: AxisSpread) -> Array:
    stride, full = axis.stride, axis.before + axis.output
    length = -(-full // stride)  # cells of each phase, in which a shift is a whole number of cells
    phases = []
    for phase in range(stride):
        total = None
        for tap, part in enumerate(parts):
            shift, rest = divmod(tap * axis.dilation, stride)
            if rest != phase or shift >= length:
                continue
            kept = part[at(axis.axis, slice(0, min(length - shift, axis.size)))]
            missing = length - shift - kept.shape[axis.axis]
            placed = padded(xp, kept, axis.axis, shift, missing)
            total = placed if total is None else total + placed
        if total is None:
            shape = list(parts[0].shape)
            shape[axis.axis] = length
            total = zeros(xp, tuple(shape), parts[0])
        phases.append(total)
    woven = interleaved(xp, phases, axis.axis)
    return woven[at(axis.axis, slice(axis.before, full))]
