"""A transposed convolution: one matrix product, then overlap-add."""

from __future__ import annotations

import math

from unpool_xp._array.blocks import blocks_pay, in_parts
from unpool_xp._array.compat import Array, Namespace, cast, computing_dtype
from unpool_xp._array.numeric import product
from unpool_xp._array.overlap_add import overlap_add
from unpool_xp._array.views import reshape_tail
from unpool_xp._impl import conv_phases as side_by_side
from unpool_xp._plan.transposed import AxisSpread


def _spread(
    xp: Namespace,
    axes: tuple[tuple[AxisSpread, ...], int],
    x: Array,
    weight: Array,
    bias: Array | None = None,
) -> list[Array]:
    plan, groups = axes
    rank, given, dtype = len(plan), x.dtype, computing_dtype(xp, x.dtype)
    lead, plane = tuple(x.shape[: -rank - 1]), tuple(x.shape[-rank:])
    (channels, per_group), kernel = weight.shape[:2], tuple(weight.shape[2:])
    group = channels // groups

    x, weight = (cast(xp, array, dtype) for array in (x, weight))
    columns = reshape_tail(xp, x, len(lead), (groups, group, math.prod(plane)))
    taps = math.prod(kernel)
    rows = reshape_tail(xp, weight, 0, (groups, group, per_group * taps))

    def _shares(columns: Array, rows: Array) -> Array:
        # One matrix product gives for every element of x its share in every tap and channel.
        shares = product(xp, xp.matrix_transpose(rows), columns)
        keep, made = columns.ndim - 3, rows.shape[-1] // taps
        shares = reshape_tail(xp, shares, keep, (groups * made, *kernel, *plane))
        return overlap_add(xp, shares, plan)

    if groups == 1 and side_by_side.suits(xp, plan, x, weight):
        flat = xp.reshape(x, (math.prod(lead), channels, *plane))
        whole = side_by_side.spread(xp, plan, flat, weight)
        shares = xp.reshape(whole, (*lead, *whole.shape[1:]))
    elif groups == 1 and lead and blocks_pay(x, per_group * taps / channels):
        flat = xp.reshape(columns, (math.prod(lead), *columns.shape[len(lead) :]))
        outputs = tuple(axis.output for axis in plan)

        def _part(planes: slice, channels: slice) -> Array:
            chosen = slice(channels.start * taps, channels.stop * taps)
            return _shares(flat[planes, ...], rows[..., chosen])

        shape = (flat.shape[0], per_group, *outputs)
        whole = in_parts(xp, _part, shape, x, taps * math.prod(plane))
        shares = xp.reshape(whole, (*lead, per_group, *outputs))
    else:
        shares = _shares(columns, rows)
    if bias is not None:
        shares = shares + xp.reshape(cast(xp, bias, dtype), (-1,) + (1,) * rank)
    return [cast(xp, shares, given)]
