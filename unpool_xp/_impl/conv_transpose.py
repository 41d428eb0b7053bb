"""A transposed convolution: one matrix product, then overlap-add."""

from __future__ import annotations

import math
from collections.abc import Callable

from unpool_xp._array.blocks import (
    by_window_blocks,
    largest_bytes,
    map_channel_blocks,
    may_block,
    sharing,
    should_block,
)
from unpool_xp._array.compat import Array, cast, compute_dtype
from unpool_xp._array.namespace import InputInfo
from unpool_xp._array.numeric import matmul, without_float_errors
from unpool_xp._array.overlap_add import overlap_add
from unpool_xp._impl.conv_phases import is_applicable, prepare_phases
from unpool_xp._plan.transposed import ConvTransposeAxis, ConvTransposePlan

_LARGE_PLANE = 2**20  # elements; of those some cells at a time


def prepare_conv_transpose(
    info: InputInfo, plan: ConvTransposePlan, x: Array, weight: Array, bias: Array | None = None
) -> Callable[..., Array]:
    """Return what computes the transposed convolution of x (..., channels, *plane), in its dtype.

    It takes the same arrays.
    """
    rank = len(plan.axes)
    if not info.traits.fast_path or math.prod(x.shape[-rank:]) < _LARGE_PLANE:
        return _prepare_whole(info, plan, x, weight)
    growth = math.prod(weight.shape[1:]) * plan.groups / weight.shape[0]

    def convolve(x: Array, weight: Array, bias: Array | None = None) -> Array:
        # Most parts are alike.
        ready: dict[tuple[ConvTransposeAxis, ...], Callable[..., Array]] = {}

        def prepare(axes: tuple[ConvTransposeAxis, ...]) -> Callable[[Array], tuple[Array]]:
            def convolve_part(x: Array) -> tuple[Array]:
                if axes not in ready:
                    part = ConvTransposePlan(axes, plan.groups)
                    ready[axes] = _prepare_whole(info, part, x, weight)
                return (ready[axes](x, weight, bias),)

            return convolve_part

        return by_window_blocks(info, prepare, plan.axes, x, growth, same_in_planes=False)(x)[0]

    return convolve


def _prepare_whole(
    info: InputInfo, plan: ConvTransposePlan, x: Array, weight: Array
) -> Callable[..., Array]:
    xp, groups, rank, output_dtype = info.xp, plan.groups, len(plan.axes), x.dtype
    dtype = compute_dtype(xp, output_dtype)
    lead, plane = tuple(x.shape[: -rank - 1]), tuple(x.shape[-rank:])
    in_channels, out_per_group, *kernel = weight.shape
    in_per_group, kernel_size = in_channels // groups, math.prod(kernel)
    planes = math.prod(lead)
    outputs = tuple([axis.output for axis in plan.axes])
    input_shape = (groups, in_per_group, math.prod(plane))
    matrix_shape = (groups, in_per_group, out_per_group * kernel_size)

    def prepare_product(lead: tuple[int, ...]) -> Callable[[Array, Array], Array]:
        add = overlap_add(info, plan.axes, len(lead) + 1)

        def convolve(inputs: Array, weight_matrix: Array) -> Array:
            # One matrix product gives for every element of x its share in every tap and channel.
            columns = matmul(info, xp.matrix_transpose(weight_matrix), inputs)
            channels = groups * weight_matrix.shape[-1] // kernel_size
            shape = (*columns.shape[: len(lead)], channels, *kernel, *plane)
            return add(xp.reshape(columns, shape))

        return convolve

    n_bytes = largest_bytes(info, x, out_per_group * kernel_size / in_channels)
    by_channels = groups == 1 and bool(lead) and may_block(info, n_bytes)
    whole = prepare_product(lead)
    some = prepare_product((planes,)) if by_channels else whole
    phases = None
    if groups == 1 and is_applicable(info, plan.axes, x, weight):
        phases = prepare_phases(info, plan.axes, weight)

    def multiply_and_add(x: Array, weight: Array) -> Array:
        # At the borders padding zeros are multiplied by weights: 0 * inf would be NaN.
        if phases is not None and bool(xp.all(xp.isfinite(weight))):
            made = phases(xp.reshape(x, (planes, in_channels, *plane)), weight)
            return xp.reshape(made, (*lead, out_per_group, *outputs))
        weight_matrix = xp.reshape(weight, matrix_shape)
        if not by_channels or not should_block(n_bytes, sharing(info, n_bytes)):
            return whole(xp.reshape(x, (*lead, *input_shape)), weight_matrix)
        flat = xp.reshape(x, (planes, *input_shape))

        def make(planes: slice, channels: slice) -> Array:
            chosen = slice(channels.start * kernel_size, channels.stop * kernel_size)
            return some(flat[planes, ...], weight_matrix[..., chosen])

        shape = (planes, out_per_group, *outputs)
        made = map_channel_blocks(info, make, shape, x, kernel_size * math.prod(plane))
        return xp.reshape(made, (*lead, out_per_group, *outputs))

    def convolve(x: Array, weight: Array, bias: Array | None = None) -> Array:
        output = multiply_and_add(cast(xp, x, dtype), cast(xp, weight, dtype))
        if bias is not None:
            output = output + xp.reshape(cast(xp, bias, dtype), (-1,) + (1,) * rank)
        return cast(xp, output, output_dtype)

    return without_float_errors(info, convolve)
