"""Windows of many taps, reduced in pairs: the cost grows with the input, not with the window."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TypeAlias

from unpool_xp._array.compat import Array
from unpool_xp._array.namespace import InputInfo, plain_size
from unpool_xp._array.views import axis_first, axis_slice, pad_axis, reshape_tail
from unpool_xp._array.windows import gathered_taps
from unpool_xp._plan.adaptive import AdaptiveAxis
from unpool_xp._plan.windows import LONG_WINDOW, AnyWindows

# Arrays that are reduced together, such as values and their positions. Any of them may lack leading
# axes that it would broadcast along.
State: TypeAlias = tuple[Array, ...]
# From the states of neighbouring runs of elements, the first one first, to that of both.
Combine: TypeAlias = Callable[[State, State], State]

# From the taps of windows, on the first axis, to their combination.
ReduceTaps: TypeAlias = Callable[[State], State]


def reduce_windows(
    info: InputInfo,
    state: State,
    combine: Combine,
    windows: AnyWindows,
    reduce_taps: ReduceTaps | None = None,
) -> State:
    """Return the combination of the elements of each window along one axis, which is padded.

    A window is a number of whole strides and a rest. Strides and rests do not overlap, so each is
    reduced for itself, by `reduce_taps` where it is long, else in pairs: as many steps as elements.
    Of whole strides runs of 1, 2, 4, ... are combined. What is combined first depends on the sizes
    of a window alone, so that a part of an axis is rounded as the whole is.
    """

    def reduce(taps: State) -> State:
        if reduce_taps and plain_size(taps[0].shape[0]) >= LONG_WINDOW:
            return reduce_taps(taps)
        return reduce_pairs(taps, combine)

    if isinstance(windows, AdaptiveAxis):
        return reduce(tuple([gathered_taps(info, x, windows) for x in state]))
    k, stride, step, axis = windows.kernel_size, windows.stride, windows.dilation, windows.axis
    count = windows.count
    if stride > (k - 1) * step:
        whole, rest = 0, k
    elif stride % step:  # a stride is not a number of elements
        return _reduce_runs(state, combine, axis, (k, stride, step, count))
    else:
        whole, rest = divmod(k, stride // step)
    blocks = count + whole - (not rest)
    taps = tuple([_disjoint_taps(info, x, axis, blocks, stride, step) for x in state])
    parts = []
    if whole:
        cells = axis_slice(axis, slice(blocks - bool(rest)))
        runs = reduce(tuple([x[cells] for x in taps]))
        parts.append(_reduce_runs(runs, combine, axis, (whole, 1, 1, count)))
    if rest:
        cells = (slice(rest), *axis_slice(axis, slice(whole, None)))
        parts.append(reduce(tuple([x[cells] for x in taps])))
    return functools.reduce(combine, parts)


def _disjoint_taps(
    info: InputInfo, x: Array, axis: int, count: int, length: int, step: int
) -> Array:
    """Return the elements of stretches that lie side by side, on a new first axis."""
    n_lead = x.ndim + axis
    missing = max(count * length - plain_size(x.shape[axis]), 0)  # after the last window
    x = pad_axis(info, x, axis, 0, missing)[axis_slice(axis, slice(count * length))]
    x = reshape_tail(info.xp, x, n_lead, (count, length, *x.shape[n_lead + 1 :]))
    return axis_first(info.xp, x, n_lead + 1)[::step, ...]


def reduce_pairs(taps: State, combine: Combine) -> State:
    """Return the combination along the first axis, of neighbours again and again."""
    left_over = []
    while (count := plain_size(taps[0].shape[0])) > 1:
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
