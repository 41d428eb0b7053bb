"""Overlap-add (col2im) for transposed convolution."""

from __future__ import annotations

import itertools
from collections.abc import Callable

from unpool_xp._array.compat import Array
from unpool_xp._array.namespace import InputInfo
from unpool_xp._array.views import axis_slice, interleave, pad_axis, zeros
from unpool_xp._plan.transposed import ConvTransposeAxis


def overlap_add(
    info: InputInfo, plan: tuple[ConvTransposeAxis, ...], n_lead: int
) -> Callable[[Array], Array]:
    """Return what sums columns (..., *kernel, *plane) into the output (col2im).

    There are `n_lead` axes before those of the kernel. Tap t of element i lands on the cell
    ``i * stride + t * dilation - before`` of each axis.
    """
    rank = len(plan)
    in_place = info.traits.supports_setitem
    if in_place and all(axis.disjoint for axis in plan):
        return _scatter_disjoint(info, plan, n_lead)
    # Axis by axis. The last one first adds up less where all is added to; where each cell is
    # written by its first tap, whole rows that stay together count for more.
    order = range(rank) if in_place and info.traits.library == "torch" else reversed(range(rank))
    remaining = list(range(rank))
    steps = []
    for i in order:
        before_tap = (slice(None),) * (n_lead + remaining.index(i))
        remaining.remove(i)
        taps = [(*before_tap, tap, ...) for tap in range(plan[i].kernel_size)]
        steps.append((taps, (_add_in_place if in_place else _add_phases)(info, plan[i])))

    def add(columns: Array) -> Array:
        for taps, add_parts in steps:
            columns = add_parts([columns[tap] for tap in taps])
        return columns

    return add


def _scatter_disjoint(
    info: InputInfo, plan: tuple[ConvTransposeAxis, ...], n_lead: int
) -> Callable[[Array], Array]:
    """Return what puts shares that do not overlap where they land.

    1.3x as fast as `_add_in_place`, in all of ``conv_transpose`` of (4, 64, 28, 28) to 32 channels
    by a 2x2 kernel with stride 2, on NumPy and PyTorch, one core of an Intel Xeon.
    """
    plane = tuple([axis.output for axis in plan])
    make = info.xp.empty if all(axis.covers_output for axis in plan) else info.xp.zeros
    before = (slice(None),) * n_lead
    moves = []
    for slices in itertools.product(*[enumerate(axis.scatter_slices) for axis in plan]):
        taps = [tap for tap, _ in slices]
        elements = [elements for _, (elements, _) in slices]
        cells = [cells for _, (_, cells) in slices]
        moves.append(((..., *cells), (*before, *taps, *elements)))

    def scatter(columns: Array) -> Array:
        output = make(columns.shape[:n_lead] + plane, dtype=columns.dtype, device=info.device)
        for cells, elements in moves:
            output[cells] = columns[elements]
        return output

    return scatter


def _add_in_place(info: InputInfo, axis: ConvTransposeAxis) -> Callable[[list[Array]], Array]:
    """Return what writes the first tap of each phase, adds the others, and zeroes other cells."""
    stride, whole = axis.stride, slice(0, axis.size)
    firsts, others, unwritten = [], [], []
    written: set[int] = set()
    for tap, (elements, cells) in enumerate(axis.scatter_slices):
        if elements.start == elements.stop:
            continue
        read = None if elements == whole else axis_slice(axis.axis, elements)
        phase, target = cells.start % stride, axis_slice(axis.axis, cells)
        if phase in written:
            others.append((tap, read, target))
            continue
        firsts.append((tap, read, target))
        written.add(phase)
        edges = slice(phase, cells.start, stride), slice(cells.stop, axis.output, stride)
        unwritten += [edge for edge in edges if edge.start < edge.stop]
    for phase in range(min(stride, axis.output)):
        if phase not in written:
            unwritten.append(slice(phase, None, stride))
    zeroed = [axis_slice(axis.axis, edge) for edge in unwritten]

    def add(parts: list[Array]) -> Array:
        shape = list(parts[0].shape)
        shape[axis.axis] = axis.output
        total = info.xp.empty(tuple(shape), dtype=parts[0].dtype, device=info.device)
        for tap, read, target in firsts:
            total[target] = parts[tap] if read is None else parts[tap][read]
        if zeroed:
            zero = zeros(info, (1,) * total.ndim, total)  # a number would be copied to the device
            for edge in zeroed:
                total[edge] = zero
        for tap, read, target in others:
            total[target] += parts[tap] if read is None else parts[tap][read]
        return total

    return add


def _add_phases(info: InputInfo, axis: ConvTransposeAxis) -> Callable[[list[Array]], Array]:
    """Return what makes each phase as a whole and interleaves them."""
    stride, full_size = axis.stride, axis.before + axis.output
    # Cells of each phase, in which a shift is a whole number of cells.
    length = -(-full_size // stride)

    def add(parts: list[Array]) -> Array:
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

    return add
