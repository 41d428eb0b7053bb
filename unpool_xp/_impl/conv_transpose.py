"""A transposed convolution: one matrix product, then overlap-add."""

from __future__ import annotations

import math

from unpool_xp._array.blocks import map_channel_blocks, map_window_blocks, should_block
from unpool_xp._array.compat import Array, cast, compute_dtype
from unpool_xp._array.namespace import InputInfo
from unpool_xp._array.numeric import matmul, without_float_errors
from unpool_xp._array.overlap_add import overlap_add
from unpool_xp._array.views import reshape_tail
from unpool_xp._impl.conv_phases import conv_transpose_phases, is_applicable
from unpool_xp._plan.transposed import ConvTransposeAxis, ConvTransposePlan

_LARGE_PLANE = 2**20  # elements; of those some cells at a time


def conv_transpose_matmul(
    info: InputInfo,
    plan: ConvTransposePlan,
    x: Array,
    weight: Array,
    bias: Array | None = None,
) -> Array:
    """Return the transposed convolution of x (..., channels, *plane), in its dtype."""
    kernel = tuple(weight.shape[2:])

    def convolve(axes: tuple[ConvTransposeAxis, ...], x: Array) -> tuple[Array]:
        part = ConvTransposePlan(axes, plan.groups)
        return (without_float_errors(_multiply_and_add, info, part, x, weight, bias),)

    if not info.traits.fast_path or math.prod(x.shape[-len(kernel) :]) < _LARGE_PLANE:
        return convolve(plan.axes, x)[0]
    growth = weight.shape[1] * plan.groups * math.prod(kernel) / weight.shape[0]
    return map_window_blocks(info, convolve, plan.axes, x, growth, same_in_planes=False)[0]


def _multiply_and_add(
    info: InputInfo,
    plan: ConvTransposePlan,
    x: Array,
    weight: Array,
    bias: Array | None,
) -> Array:
    output_dtype = x.dtype
    xp, axes, groups, rank = info.xp, plan.axes, plan.groups, len(plan.axes)
    dtype = compute_dtype(xp, x.dtype)
    lead, plane = tuple(x.shape[: -rank - 1]), tuple(x.shape[-rank:])
    (in_channels, out_per_group), kernel = weight.shape[:2], tuple(weight.shape[2:])
    in_per_group = in_channels // groups

    x, weight = (cast(xp, array, dtype) for array in (x, weight))
    inputs = reshape_tail(xp, x, len(lead), (groups, in_per_group, math.prod(plane)))
    kernel_size = math.prod(kernel)
    weight_matrix = reshape_tail(xp, weight, 0, (groups, in_per_group, out_per_group * kernel_size))

    def _convolve(inputs: Array, weight_matrix: Array) -> Array:
        # One matrix product gives for every element of x its share in every tap and channel.
        columns = matmul(info, xp.matrix_transpose(weight_matrix), inputs)
        n_lead, out_channels = inputs.ndim - 3, weight_matrix.shape[-1] // kernel_size
        columns = reshape_tail(xp, columns, n_lead, (groups * out_channels, *kernel, *plane))
        return overlap_add(info, columns, axes)

    if groups == 1 and is_applicable(info, axes, x, weight):
        flat = xp.reshape(x, (math.prod(lead), in_channels, *plane))
        whole = conv_transpose_phases(info, axes, flat, weight)
        output = xp.reshape(whole, (*lead, *whole.shape[1:]))
    elif groups == 1 and lead and should_block(info, x, out_per_group * kernel_size / in_channels):
        flat = xp.reshape(inputs, (math.prod(lead), *inputs.shape[len(lead) :]))
        outputs = tuple(axis.output for axis in axes)

        def _part(planes: slice, channels: slice) -> Array:
            chosen = slice(channels.start * kernel_size, channels.stop * kernel_size)
            return _convolve(flat[planes, ...], weight_matrix[..., chosen])

        shape = (flat.shape[0], out_per_group, *outputs)
        whole = map_channel_blocks(info, _part, shape, x, kernel_size * math.prod(plane))
        output = xp.reshape(whole, (*lead, out_per_group, *outputs))
    else:
        output = _convolve(inputs, weight_matrix)
    if bias is not None:
        output = output + xp.reshape(cast(xp, bias, dtype), (-1,) + (1,) * rank)
    return cast(xp, output, output_dtype)
