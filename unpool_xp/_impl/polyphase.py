"""Polyphase interpolation: where weights repeat, each phase is a sum of strided slices.

Of whole factors each product with a weight is made once, and serves two phases.
"""

from __future__ import annotations

from unpool_xp._array.compat import Array
from unpool_xp._array.namespace import InputInfo
from unpool_xp._array.numeric import as_dtype
from unpool_xp._array.views import as_line, axis_slice
from unpool_xp._plan.polyphase import Polyphase
from unpool_xp._plan.resize import InterpolatedAxis


def write_polyphase(
    info: InputInfo,
    x: Array,
    axis: InterpolatedAxis,
    polyphase: Polyphase,
    cells: tuple[int, int],
    origin: int,
    target: Array,
) -> tuple[int, int]:
    """Write the cells [first, last) of an axis, times its unit; return which of them are right.

    `first` is a multiple of the period, and `x` has the elements from `origin` on. Wrong are cells
    of a cubic near the ends.
    """
    dim, beyond, (first, last) = axis.axis, 0, cells
    source, place = x, target
    if dim == -1 and cells == (0, axis.size * polyphase.cells):
        # All lines as one. What mixes the end of one with the start of the next is written again.
        line, target_line = as_line(info, x), as_line(info, target)
        if line is not None and target_line is not None:
            source, place, beyond = line, target_line, line.shape[0] - axis.size
    products: dict[float, Array] = {}

    def product(offset: int, weight: float, start: int, stop: int) -> Array:
        weight = as_dtype(info, weight, x.dtype)  # in which two phases have it
        elements = polyphase.elements_at(offset, start, stop)
        chosen = axis_slice(dim, _moved(elements, -origin))
        if weight == 1:
            return source[chosen]
        if polyphase.elements > 1:
            return source[chosen] * weight
        if weight not in products:
            products[weight] = source * weight
        return products[weight][chosen]

    for phase, taps in enumerate(polyphase.taps):
        begin, start, stop, end = polyphase.periods(phase, first, last)
        if start < stop:
            written = polyphase.cells_of(phase, start, stop + beyond)
            shares = [product(*tap, start, stop + beyond) for tap in taps]
            _write_sum(info, shares, place[axis_slice(dim, _moved(written, -first))])
        if axis.n_taps > 2:
            continue
        for element, periods in ((slice(1), (begin, start)), (slice(-1, None), (stop, end))):
            if periods[0] < periods[1]:
                written = _moved(polyphase.cells_of(phase, *periods), -first)
                target[axis_slice(axis.axis, written)] = (
                    x[axis_slice(axis.axis, element)] * polyphase.unit
                )
    return polyphase.complete(first, last) if axis.n_taps > 2 else cells


def _moved(chosen: slice, by: int) -> slice:
    return slice(chosen.start + by, chosen.stop + by, chosen.step)


def _write_sum(info: InputInfo, shares: list[Array], output: Array) -> None:
    """Set `output` to the sum of the shares, added up in their order."""
    if len(shares) == 1:
        output[...] = shares[0]
        return
    total, *others = shares
    for number, share in enumerate(others[:-1]):
        total = info.xp.add(total, share, out=total) if number else total + share
    info.xp.add(total, others[-1], out=output)
