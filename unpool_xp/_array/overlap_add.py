"""Overlap-add (col2im) for transposed convolution."""

from __future__ import annotations

import itertools

from unpool_xp._array.compat import Array, Namespace, device, library
from unpool_xp._array.traits import writable
from unpool_xp._array.views import at, interleaved, padded, zeros
from unpool_xp._plan.transposed import AxisSpread


def overlap_add(xp: Namespace, shares: Array, plan: tuple[AxisSpread, ...]) -> Array:
    """Sum the columns (..., *kernel, *plane) into the output (col2im).

    Tap t of element i lands on the cell ``i * stride + t * dilation - before`` of each axis.
    """
    rank = len(plan)
    keep = shares.ndim - 2 * rank
    if writable(shares) and all(axis.apart for axis in plan):
        return _put_apart(xp, shares, plan, keep)
    # Axis by axis. The last one first adds up less where all is added to; where each cell is
    # written by its first tap, whole rows that stay together count for more.
    in_place = writable(shares)
    order = range(rank) if in_place and library(shares) == "torch" else reversed(range(rank))
    left = list(range(rank))
    for i in order:
        before_tap = (slice(None),) * (keep + left.index(i))
        left.remove(i)
        parts = [shares[(*before_tap, tap, ...)] for tap in range(plan[i].taps)]
        shares = (_add_in_place if in_place else _add_phases)(xp, parts, plan[i])
    return shares


def _put_apart(xp: Namespace, shares: Array, plan: tuple[AxisSpread, ...], keep: int) -> Array:
    """Put shares that do not overlap where they land."""
    shape = shares.shape[:keep] + tuple([axis.output for axis in plan])
    if all(axis.full for axis in plan):
        output = xp.empty(shape, dtype=shares.dtype, device=device(shares))
    else:
        output = zeros(xp, shape, shares)
    before = (slice(None),) * keep
    for landings in itertools.product(*[enumerate(axis.landings) for axis in plan]):
        taps = [tap for tap, _ in landings]
        kept = [kept for _, (kept, _) in landings]
        output[(..., *[cells for _, (_, cells) in landings])] = shares[(*before, *taps, *kept)]
    return output


def _add_in_place(xp: Namespace, parts: list[Array], axis: AxisSpread) -> Array:
    """Write the first tap of each phase, add the others, and zero the cells not written."""
    shape, stride = list(parts[0].shape), axis.stride
    shape[axis.axis] = axis.output
    total = xp.empty(tuple(shape), dtype=parts[0].dtype, device=device(parts[0]))
    zero = zeros(xp, (1,) * total.ndim, total)  # a number would be copied to the device
    met: set[int] = set()
    for tap, part in enumerate(parts):
        kept, cells = axis.landings[tap]
        if kept.start == kept.stop:
            continue
        if kept.stop - kept.start < axis.size:
            part = part[at(axis.axis, kept)]
        phase, where = cells.start % stride, at(axis.axis, cells)
        if phase in met:
            total[where] += part
            continue
        total[where] = part
        met.add(phase)
        for edge in (slice(phase, cells.start, stride), slice(cells.stop, axis.output, stride)):
            if edge.start < edge.stop:
                total[at(axis.axis, edge)] = zero
    for phase in range(min(stride, axis.output)):
        if phase not in met:
            total[at(axis.axis, slice(phase, None, stride))] = zero
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
