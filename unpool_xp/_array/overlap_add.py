"""Overlap-add (col2im) for transposed convolution."""

from __future__ import annotations

import itertools

from unpool_xp._array.compat import Array
from unpool_xp._array.namespace import InputInfo
from unpool_xp._array.views import axis_slice, interleave, pad_axis, zeros
from unpool_xp._plan.transposed import ConvTransposeAxis


def overlap_add(info: InputInfo, columns: Array, plan: tuple[ConvTransposeAxis, ...]) -> Array:
    """Sum the columns (..., *kernel, *plane) into the output (col2im).

    Tap t of element i lands on the cell ``i * stride + t * dilation - before`` of each axis.
    """
    rank = len(plan)
    n_lead = columns.ndim - 2 * rank
    in_place = info.traits.supports_setitem
    if in_place and all(axis.disjoint for axis in plan):
        return _scatter_disjoint(info, columns, plan, n_lead)
    # Axis by axis. The last one first adds up less where all is added to; where each cell is
    # written by its first tap, whole rows that stay together count for more.
    order = range(rank) if in_place and info.traits.library == "torch" else reversed(range(rank))
    remaining = list(range(rank))
    for i in order:
        before_tap = (slice(None),) * (n_lead + remaining.index(i))
        remaining.remove(i)
        parts = [columns[(*before_tap, tap, ...)] for tap in range(plan[i].kernel_size)]
        columns = (_add_in_place if in_place else _add_phases)(info, parts, plan[i])
    return columns


def _scatter_disjoint(
    info: InputInfo, columns: Array, plan: tuple[ConvTransposeAxis, ...], n_lead: int
) -> Array:
    """Put shares that do not overlap where they land.

    1.3x as fast as `_add_in_place`, in all of ``conv_transpose`` of (4, 64, 28, 28) to 32 channels
    by a 2x2 kernel with stride 2, on NumPy and PyTorch, one core of an Intel Xeon.
    """
    shape = columns.shape[:n_lead] + tuple([axis.output for axis in plan])
    if all(axis.covers_output for axis in plan):
        output = info.xp.empty(shape, dtype=columns.dtype, device=info.device)
    else:
        output = zeros(info, shape, columns)
    before = (slice(None),) * n_lead
    for slices in itertools.product(*[enumerate(axis.scatter_slices) for axis in plan]):
        taps = [tap for tap, _ in slices]
        elements = [elements for _, (elements, _) in slices]
        output[(..., *[cells for _, (_, cells) in slices])] = columns[(*before, *taps, *elements)]
    return output


def _add_in_place(info: InputInfo, parts: list[Array], axis: ConvTransposeAxis) -> Array:
    """Write the first tap of each phase, add the others, and zero the cells not written."""
    shape, stride = list(parts[0].shape), axis.stride
    shape[axis.axis] = axis.output
    total = info.xp.empty(tuple(shape), dtype=parts[0].dtype, device=info.device)
    zero = zeros(info, (1,) * total.ndim, total)  # a number would be copied to the device
    written: set[int] = set()
    for tap, part in enumerate(parts):
        elements, cells = axis.scatter_slices[tap]
        if elements.start == elements.stop:
            continue
        if elements.stop - elements.start < axis.size:
            part = part[axis_slice(axis.axis, elements)]
        phase, target = cells.start % stride, axis_slice(axis.axis, cells)
        if phase in written:
            total[target] += part
            continue
        total[target] = part
        written.add(phase)
        for edge in (slice(phase, cells.start, stride), slice(cells.stop, axis.output, stride)):
            if edge.start < edge.stop:
                total[axis_slice(axis.axis, edge)] = zero
    for phase in range(min(stride, axis.output)):
        if phase not in written:
            total[axis_slice(axis.axis, slice(phase, None, stride))] = zero
    return total


def _add_phases(info: InputInfo, parts: list[Array], axis: ConvTransposeAxis) -> Array:
    stride, full_size = axis.stride, axis.before + axis.output
    # Cells of each phase, in which a shift is a whole number of cells.
    length = -(-full_size // stride)
    phases = []
    for phase in range(stride):
        total = None
        for tap, part in enumerate(parts):
            shift, rest = divmod(tap * axis.dilation, stride)
            if rest != phase or shift >= length:
                continue
            count = min(length - shift, axis.size)
            elements = part[axis_slice(axis.axis, slice(0, count))]
            placed = pad_axis(info, elements, axis.axis, shift, length - shift - count)
            total = placed if total is None else total + placed
        if total is None:
            shape = list(parts[0].shape)
            shape[axis.axis] = length
            total = zeros(info, tuple(shape), parts[0])
        phases.append(total)
    output = interleave(info, phases, axis.axis)
    return output[axis_slice(axis.axis, slice(axis.before, full_size))]
