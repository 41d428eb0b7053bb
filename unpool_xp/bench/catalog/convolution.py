"""Transposed convolution, as the harness knows it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

import unpool_xp
from unpool_xp import reference
from unpool_xp._plan import transposed
from unpool_xp.bench.cases.case import Case
from unpool_xp.bench.cases.inputs import NDArray, feature_map, numpy_dtype
from unpool_xp.bench.cases.operation import (
    WINDOW,
    Arrays,
    Layout,
    Operation,
    Outputs,
    Planes,
    RowRange,
    Shape,
    to_64_bit,
)
from unpool_xp.bench.cases.parameter import Parameter
from unpool_xp.bench.catalog.gradients import conv_transpose_gradients
from unpool_xp.bench.catalog.native_mlx import MLX_NATIVES
from unpool_xp.bench.catalog.native_unpooling import UNPOOLING_NATIVES


def _channels(case: Case) -> tuple[int, int]:
    # An array without channels is refused by the plan, which is made first.
    return case.lead[-1] if case.lead else 1, case.out_channels


def _weight_shape(case: Case) -> tuple[int, ...]:
    return (*_channels(case), *case.kernel)


def _input_layout(case: Case) -> Layout:
    return {"x": (case.shape, case.dtype), "weight": (_weight_shape(case), case.dtype)}


def _output_layout(case: Case) -> Layout:
    plan = transposed.plan_conv_transpose(
        "conv_transpose",
        case.shape,
        _weight_shape(case),
        bias_shape=None,
        stride=case.stride,
        padding=case.padding or 0,
        output_padding=0,
        output_size=None,
        groups=1,
        dilation=1,
    )
    shape = (*case.lead[:-1], _channels(case)[1], *(axis.output for axis in plan.axes))
    return {"convolved": (shape, case.dtype)}


def make_weight(case: Case, rng: np.random.Generator) -> NDArray:
    """Return weights for a transposed convolution."""
    # Uniform, as wide as keeps the size of the values from layer to layer (arXiv 1502.01852).
    taps = case.window_size / math.prod(case.stride)  # that an output cell meets
    bound = math.sqrt(3 / (_channels(case)[0] * max(taps, 1)))
    return rng.uniform(-bound, bound, _weight_shape(case)).astype(numpy_dtype(case.dtype))


def _make_inputs(
    shape: Shape, dtype: str, parameters: Mapping[str, Any], rng: np.random.Generator
) -> Arrays:
    case = Case("conv_transpose", shape, dtype=dtype, **parameters)
    x = feature_map(shape, dtype, rank=case.rank)
    return {"x": x, "weight": make_weight(case, rng)}


def _options(case: Case) -> dict[str, Any]:
    padding = {} if case.padding is None else {"padding": case.padding}
    return {"stride": case.stride, **padding}


def _multiplications(case: Case) -> int:
    """Return how many elements meet a weight."""
    items, (channels, out_channels) = math.prod(case.lead[:-1]), _channels(case)
    return items * channels * out_channels * case.window_size * math.prod(case.plane)


def _columns_bytes(case: Case) -> int:
    # Each element's share in every tap, computed in single precision at least.
    itemsize = max(numpy_dtype(case.dtype).itemsize, 4)
    return _multiplications(case) // _channels(case)[0] * itemsize


def _expected(case: Case, arrays: Arrays, planes: Planes, rows: RowRange) -> Outputs:
    (channels, out_channels), rank = _channels(case), case.rank
    k, s = case.kernel[0], case.stride[0]
    start = rows[0] + case.padding_pairs[0][0]  # of these rows, in the output before it is cropped
    low = max(-(-(start - k + 1) // s), 0)
    high = max(min((rows[1] - rows[0] + start - 1) // s + 1, case.plane[0]), low + 1)
    before = start - low * s
    after = (high - low - 1) * s + k - before - (rows[1] - rows[0])

    # Each item as a group of its own, with the weights of its wanted planes; where it has fewer of
    # them than others, its last fills up.
    items, columns = np.divmod(planes, out_channels)
    found, first, number, counts = np.unique(
        items, return_index=True, return_inverse=True, return_counts=True
    )
    most = int(counts.max())
    columns = columns[first[:, None] + np.minimum(np.arange(most), counts[:, None] - 1)]
    x = arrays["x"].reshape(-1, channels, *case.plane)[found, :, low:high]
    # Channels last in memory: the reference handles one pixel, and one tap, at a time.
    x = np.ascontiguousarray(np.moveaxis(to_64_bit(x), (0, 1), (-2, -1)))
    x = np.moveaxis(x.reshape(*x.shape[:rank], -1), -1, 0)[None]
    weight = np.moveaxis(to_64_bit(arrays["weight"][:, columns]), (1, 0, 2), (-3, -2, -1))
    weight = np.ascontiguousarray(weight)
    weight = np.moveaxis(weight.reshape(*case.kernel, -1, most), (-2, -1), (0, 1))
    convolved = reference.conv_transpose(
        x,
        weight,
        stride=case.stride,
        padding=((before, after), *case.padding_pairs[1:]),
        output_padding=(0,) * rank,
        groups=len(found),
        dilation=(1,) * rank,
    )
    return (convolved[0, number * most + np.arange(len(planes)) - first[number]],)


CONVOLUTION = (
    Operation(
        name="conv_transpose",
        function=unpool_xp.conv_transpose,
        natives=(*UNPOOLING_NATIVES["conv_transpose"], *MLX_NATIVES["conv_transpose"]),
        parameters={
            **WINDOW,
            "out_channels": Parameter(help="Output channels.", least=1, required=True, letter="c"),
        },
        input_layout=_input_layout,
        output_layout=_output_layout,
        inputs=_make_inputs,
        options=_options,
        flops=lambda c: 2 * _multiplications(c),
        gradients=conv_transpose_gradients,
        partial_reference=_expected,
        reference_steps=lambda c: math.prod(c.output_plane) * c.window_size,
        # A short product; most taps of an output cell meet no element, and have none to do.
        work_per_step=lambda c: (2 + _channels(c)[0] / 20) / math.prod(c.stride),
        working_bytes=lambda c: 2 * _columns_bytes(c),
    ),
)
