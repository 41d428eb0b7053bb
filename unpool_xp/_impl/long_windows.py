"""Windows of many taps, reduced in pairs: the cost grows with the input, not with the window."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import TypeAlias

from unpool_xp._array.compat import Array
from unpool_xp._array.namespace import InputInfo
from unpool_xp._array.views import axis_slice, pad_axis, reshape_tail
from unpool_xp._array.windows import gathered_taps
from unpool_xp._plan.adaptive import AdaptiveAxis
from unpool_xp._plan.windows import AnyWindows

# Arrays that are reduced together, such as values and their positions. Any of them may lack leading
# axes that it would broadcast along.
State: TypeAlias = tuple[Array, ...]
# From the states of neighbouring runs of elements, the first one first, to that of both.
Combine: TypeAlias = Callable[[State, State], State]


def reduce_windows(info: InputInfo, state: State, combine: Combine, windows: AnyWindows) -> State:
    """Return the combination of the elements of each window along one axis, which is padded.

    Windows that do not overlap are reduced side by side, pair by pair: as many steps as elements.
    Others are made of runs of 1, 2, 4, ... elements that are found for every position: as many
    steps as elements times the logarithm of the window. Which elements are combined first depends
    on the kernel and the stride alone, so that a part of an axis is rounded as the whole is.
    """
    if isinstance(windows, AdaptiveAxis):
        return reduce_pairs(tuple([gathered_taps(info, x, windows) for x in state]), combine)
    k, stride, step, axis = windows.kernel_size, windows.stride, windows.dilation, windows.axis
    if stride > (k - 1) * step:
        taps = tuple([_disjoint_taps(info, x, axis, windows.count, stride) for x in state])
        inside = slice(0, (k - 1) * step + 1, step)
        return reduce_pairs(tuple([x[inside, ...] for x in taps]), combine)
    # Both the windows and what lies between their starts are so many whole blocks.
    block = math.gcd(k, stride) if step == 1 else 1
    if block > 1:
        blocks = ((windows.count - 1) * stride + k) // block
        taps = tuple([_disjoint_taps(info, x, axis, blocks, block) for x in state])
        state = reduce_pairs(taps, combine)
    return _reduce_runs(state, combine, axis, (k // block, stride // block, step, windows.count))


def _disjoint_taps(info: InputInfo, x: Array, axis: int, count: int, length: int) -> Array:
    """Return the elements of windows that lie side by side, on a new first axis."""
    n_lead = x.ndim + axis
    missing = max(count * length - x.shape[axis], 0)  # after the last window
    x = pad_axis(info, x, axis, 0, missing)[axis_slice(axis, slice(count * length))]
    x = reshape_tail(info.xp, x, n_lead, (count, length, *x.shape[n_lead + 1 :]))
    return info.xp.moveaxis(x, n_lead + 1, 0)


def reduce_pairs(taps: State, combine: Combine) -> State:
    """Return the combination along the first axis, of neighbours again and again."""
    left_over = []
    while (count := taps[0].shape[0]) > 1:
        if count % 2:
            left_over.append(tuple([x[-1:, ...] for x in taps]))
        even = tuple([x[0 : count - 1 : 2, ...] for x in taps])
        odd = tuple([x[1:count:2, ...] for x in taps])
        taps = combine(even, odd)
    for rest in reversed(left_over):  # what was left over later lies earlier
        taps = combine(taps, rest)
    return tuple([x[0, ...] for x in taps])


def _reduce_runs(
    runs: State, combine: Combine, axis: int, sizes: tuple[int, int, int, int]
) -> State:
    """Return the combination of windows that overlap: of runs whose lengths are powers of two."""
    k, stride, step, count = sizes

    def pick(first: int, stop: int, by: int) -> State:
        return tuple([x[axis_slice(axis, slice(first, stop, by))] for x in runs])

    parts, taken = [], 0  # of each window, and how many of its elements are in them
    for power in range(k.bit_length()):
        length = 2**power
        if power:  # runs of half the length lie side by side
            shift, end = length // 2 * step, runs[0].shape[axis]
            runs = combine(pick(0, end - shift, 1), pick(shift, end, 1))
        if k & length:
            first = taken * step
            parts.append(pick(first, first + (count - 1) * stride + 1, stride))
            taken += length
    return functools.reduce(combine, parts)
