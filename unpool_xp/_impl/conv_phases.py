"""Transposed convolution by sub-pixel phases, for kernels that are a multiple of the stride.

Before cropping, cell ``s * u + p`` of an axis is the sum over j of ``x[u - j] w[s * j + p]``. With
the shifted inputs stacked (im2col), one matrix product computes every cell of every phase p.
"""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple

from unpool_xp._array.blocks import planes_at_once
from unpool_xp._array.compat import Array, Namespace, device
from unpool_xp._array.traits import plain
from unpool_xp._array.views import surrounded
from unpool_xp._plan.transposed import AxisSpread

_WIDER = 1  # input channels per output channel; above this, im2col costs too much memory


def suits(xp: Namespace, plan: tuple[AxisSpread, ...], x: Array, weight: Array) -> bool:
    """Return whether this method is exact and faster; x has shape (..., channels, *plane)."""
    channels, made = weight.shape[:2]
    return (
        all(axis.dilation == 1 and axis.taps % axis.stride == 0 for axis in plan)
        and any(axis.taps > axis.stride for axis in plan)
        and channels <= _WIDER * made
        and 0 not in x.shape
        and plain(x)
        and plain(weight)
        # At the borders padding zeros are multiplied by weights: 0 * inf would be NaN.
        and bool(xp.all(xp.isfinite(weight)))
    )


class _Axis(NamedTuple):
    """The phases along one axis."""

    shifts: int
    low: int  # the first u
    many: int  # of them
    phases: tuple[tuple[slice, slice], ...]  # for each p: which u, and the cells


def _axis(axis: AxisSpread) -> _Axis:
    stride, before, output = axis.stride, axis.before, axis.output
    low = before // stride
    many = (before + output - 1) // stride + 1 - low
    phases = []
    for phase in range(stride):
        cell = (phase - before) % stride
        start = (cell + before) // stride - low
        cells = max(-(-(output - cell) // stride), 0)
        phases.append((slice(start, start + cells), slice(cell, None, stride)))
    return _Axis(axis.taps // stride, low, many, tuple(phases))


def spread(xp: Namespace, plan: tuple[AxisSpread, ...], x: Array, weight: Array) -> Array:
    """Return the convolution (planes, channels, *output) of x (planes, channels, *plane)."""
    axes = [_axis(axis) for axis in plan]
    made = weight.shape[1]
    rows = _rows(xp, plan, axes, weight)
    shape = (x.shape[0], made, *(axis.output for axis in plan))
    output = xp.empty(shape, dtype=x.dtype, device=device(x))
    counts, strides = [axis.many for axis in axes], [axis.stride for axis in plan]
    step = planes_at_once(x, math.prod(counts) * math.prod(strides) * made)
    for start in range(0, x.shape[0], step):
        part = _side_by_side(xp, plan, axes, x[start : start + step, ...])
        phases = xp.reshape(xp.matmul(rows, part), (-1, *strides, made, *counts))
        target = output[start : start + step, ...]
        for chosen in itertools.product(*[range(stride) for stride in strides]):
            pairs = [axis.phases[p] for axis, p in zip(axes, chosen, strict=True)]
            cells = tuple([cells for _, cells in pairs])
            target[(..., *cells)] = phases[(slice(None), *chosen, ..., *[u for u, _ in pairs])]
    return output


def _rows(xp: Namespace, plan: tuple[AxisSpread, ...], axes: list[_Axis], weight: Array) -> Array:
    """Return the weights (phases * channels out, shifts * channels in)."""
    channels, made, rank = weight.shape[0], weight.shape[1], len(plan)
    sizes = [n for axis, on in zip(plan, axes, strict=True) for n in (on.shifts, axis.stride)]
    split = xp.reshape(weight, (channels, made, *sizes))
    shifts, phases = [2 + 2 * i for i in range(rank)], [3 + 2 * i for i in range(rank)]
    turned = xp.permute_dims(split, (*phases, 1, *shifts, 0))
    return xp.reshape(turned, (made * math.prod([a.stride for a in plan]), -1))


def _side_by_side(
    xp: Namespace, plan: tuple[AxisSpread, ...], axes: list[_Axis], x: Array
) -> Array:
    """Return the inputs of all shifts (planes, shifts * channels, cells)."""
    before, after, kept = [], [], []
    for axis, on in zip(plan, axes, strict=True):
        first, last = on.low - on.shifts + 1, on.low + on.many
        before.append(max(-first, 0))
        after.append(max(last - axis.size, 0))
        kept.append(max(first, 0))
    x = surrounded(xp, x, before, after, 0)
    views = [
        x[
            (
                ...,
                *[
                    slice(k + on.shifts - 1 - j, k + on.shifts - 1 - j + on.many)
                    for k, on, j in zip(kept, axes, chosen, strict=True)
                ],
            )
        ]
        for chosen in itertools.product(*[range(on.shifts) for on in axes])
    ]
    stacked = xp.stack(views, axis=1)
    return xp.reshape(stacked, (x.shape[0], -1, math.prod([on.many for on in axes])))
