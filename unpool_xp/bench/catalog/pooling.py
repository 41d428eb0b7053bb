"""The poolings, as the harness knows them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import unpool_xp
from unpool_xp import reference
from unpool_xp._plan import adaptive, fractional, windows
from unpool_xp.bench.cases.case import Case
from unpool_xp.bench.cases.inputs import NDArray
from unpool_xp.bench.cases.operation import (
    KERNEL,
    SCALE,
    WINDOW,
    Arrays,
    Layout,
    Operation,
    Outputs,
    Planes,
    RowRange,
    feature_map_layout,
    no_tolerance,
    select_planes,
    sizes_as_options,
    total_bytes,
)
from unpool_xp.bench.catalog.gradients import (
    adaptive_taps,
    max_pool_gradient,
    mean_taps,
    separable_gradient,
)
from unpool_xp.bench.catalog.native_mlx import MLX_NATIVES
from unpool_xp.bench.catalog.native_pooling import POOLING_NATIVES


def value_index_layout(shape: tuple[int, ...], dtype: str) -> Layout:
    """Return the layout of maxima and where they were."""
    return {"values": (shape, dtype), "indices": (shape, "int64")}


def _output_shape(case: Case) -> tuple[int, ...]:
    options = {"padding": 0, **case.options(), "dilation": 1, "ceil_mode": False}
    return (*case.lead, *windows.plan_max_pool(case.operation, case.shape, **options).output)


def _reference_arguments(
    case: Case, arrays: Arrays, planes: Planes, rows: RowRange
) -> tuple[dict[str, Any], int]:
    """Return what the reference makes these rows of, and the first row of its input."""
    x = select_planes(arrays["x"], case.rank, planes)
    kernel, stride, pairs = case.kernel, case.stride, case.padding_pairs
    first = rows[0] * stride[0] - pairs[0][0]
    end = (rows[1] - 1) * stride[0] - pairs[0][0] + kernel[0]
    low, high = max(first, 0), min(end, x.shape[1])
    arguments = {
        "x": x[:, low:high],
        "kernel": kernel,
        "stride": stride,
        "padding": ((low - first, end - high), *pairs[1:]),
        "dilation": (1,) * case.rank,
        "ceil_mode": False,
    }
    return arguments, low


def _expected_max_pool(case: Case, arrays: Arrays, planes: Planes, rows: RowRange) -> Outputs:
    arguments, low = _reference_arguments(case, arrays, planes, rows)
    values, indices = reference.max_pool(**arguments)
    return values, indices + low * math.prod(case.plane[1:])


def _expected_avg_pool(case: Case, arrays: Arrays, planes: Planes, rows: RowRange) -> Outputs:
    arguments, _ = _reference_arguments(case, arrays, planes, rows)
    return (reference.avg_pool(**arguments, count_include_pad=True),)


def _adaptive_size(case: Case) -> tuple[int, ...]:
    """Return the number of windows along each axis: the scale times the size, rounded down."""
    return tuple(math.floor(n * s) for n, s in zip(case.plane, case.scale, strict=True))


def _adaptive_output_shape(case: Case) -> tuple[int, ...]:
    plan = adaptive.plan_adaptive_max_pool(case.operation, case.shape, _adaptive_size(case))
    return (*case.lead, *plan.output)


def _adaptive_steps(case: Case) -> int:
    """Return how many elements all the windows of a plane have, or a few more."""
    sizes = zip(case.plane, case.output_plane, strict=True)
    return math.prod(n + 2 * out for n, out in sizes)


def _adaptive_windows(
    case: Case, arrays: Arrays, planes: Planes, rows: RowRange
) -> list[tuple[int, NDArray]]:
    """Return for each of these rows the first row of its windows, and all that they cover."""
    x, out = select_planes(arrays["x"], case.rank, planes), case.output_plane[0]
    starts = [i * x.shape[1] // out for i in range(*rows)]
    stops = [-(-(i + 1) * x.shape[1] // out) for i in range(*rows)]
    return [(low, x[:, low:high]) for low, high in zip(starts, stops, strict=True)]


def _expected_adaptive_max_pool(
    case: Case, arrays: Arrays, planes: Planes, rows: RowRange
) -> Outputs:
    size, step = (1, *case.output_plane[1:]), math.prod(case.plane[1:])
    windows = _adaptive_windows(case, arrays, planes, rows)
    pooled = [reference.adaptive_max_pool(x, size) for _, x in windows]
    values, indices = zip(*pooled, strict=True)
    shifted = [i + low * step for i, (low, _) in zip(indices, windows, strict=True)]
    return np.concatenate(values, axis=1), np.concatenate(shifted, axis=1)


def _expected_adaptive_avg_pool(
    case: Case, arrays: Arrays, planes: Planes, rows: RowRange
) -> Outputs:
    size = (1, *case.output_plane[1:])
    windows = _adaptive_windows(case, arrays, planes, rows)
    means = [reference.adaptive_avg_pool(x, size) for _, x in windows]
    return (np.concatenate(means, axis=1),)


def _region_counts(case: Case) -> tuple[int, ...]:
    """Return the number of regions along each axis."""
    kernel, ratio = case.kernel, case.scale
    return fractional.plan_fractional_sizes(case.operation, case.shape, kernel, None, ratio).output


def draw_samples(
    lead: tuple[int, ...], plane: tuple[int, ...], kernel: tuple[int, ...], regions: tuple[int, ...]
) -> NDArray:
    """Return what places the regions in each plane, shape (*lead, d), the same each time.

    Only numbers with which single precision, which some libraries compute the places in, finds
    the same regions as double.
    """
    rng = np.random.default_rng(0)
    samples = np.empty((math.prod(lead), len(plane)))
    for axis, (n, k, out) in enumerate(zip(plane, kernel, regions, strict=True)):
        left = np.arange(len(samples))
        while len(left):
            samples[left, axis] = rng.random(len(left), dtype=np.float32)
            drawn = samples[left, axis, None]
            differ = _starts(n, k, out, drawn) != _starts(n, k, out, drawn.astype(np.float32))
            left = left[differ.any(axis=1)]
    return samples.reshape(*lead, len(plane))


def _starts(n: int, k: int, out: int, u: NDArray) -> NDArray:
    step = u.dtype.type(n - k) / u.dtype.type(max(out - 1, 1))
    counted = np.arange(out - 1, dtype=u.dtype) + u
    starts: NDArray = np.floor(counted * step) - np.floor(u * step)
    return starts


def _fractional_options(case: Case) -> dict[str, Any]:
    samples = draw_samples(case.lead, case.plane, case.kernel, _region_counts(case))
    return {"kernel_size": case.kernel, "output_ratio": case.scale, "samples": samples}


def _expected_fractional_max_pool(
    case: Case, arrays: Arrays, planes: Planes, rows: RowRange
) -> Outputs:
    x = select_planes(arrays["x"], case.rank, planes)
    (k, *others), (out, *columns) = case.kernel, _region_counts(case)
    samples = _fractional_options(case)["samples"].reshape(-1, case.rank)[planes]
    if rows == (0, out):
        return reference.fractional_max_pool(x, (k, *others), (out, *columns), samples)
    # The maxima of a ramp stand where its regions end.
    ramp = np.broadcast_to(np.arange(x.shape[1]), x.shape[:2])
    ends, _ = reference.fractional_max_pool(ramp, (k,), (out,), samples[:, :1])
    taps = ends[:, rows[0] : rows[1], None] - np.arange(k - 1, -1, -1)
    source = taps.reshape(len(x), -1)
    # The regions of these rows, end to end: with 0 drawn they lie k apart.
    x = x[np.arange(len(x))[:, None], source]
    samples = np.concatenate([np.zeros((len(x), 1)), samples[:, 1:]], axis=1)
    size = (rows[1] - rows[0], *columns)
    values, indices = reference.fractional_max_pool(x, (k, *others), size, samples)
    row, place = np.divmod(indices, math.prod(x.shape[2:]))
    row = np.take_along_axis(source, row.reshape(len(x), -1), axis=1).reshape(row.shape)
    return values, row * math.prod(x.shape[2:]) + place


def _one_addition_each(case: Case) -> int:
    """Return how many cotangents are added to the elements that the maxima are."""
    return math.prod(case.output_shape)


POOLING = (
    Operation(
        name="max_pool",
        function=unpool_xp.max_pool,
        natives=(*POOLING_NATIVES["max_pool"], *MLX_NATIVES["max_pool"]),
        parameters=WINDOW,
        input_layout=feature_map_layout,
        output_layout=lambda c: value_index_layout(_output_shape(c), c.dtype),
        flops=lambda c: math.prod(c.output_shape) * (c.window_size - 1),
        gradients=max_pool_gradient,
        gradient_flops=_one_addition_each,
        partial_reference=_expected_max_pool,
        reference_steps=lambda c: math.prod(c.output_plane) * c.window_size,
        tolerance=no_tolerance,
        dtype_kinds="fiu",
        options=sizes_as_options,
    ),
    Operation(
        name="avg_pool",
        function=unpool_xp.avg_pool,
        natives=(*POOLING_NATIVES["avg_pool"], *MLX_NATIVES["avg_pool"]),
        parameters=WINDOW,
        input_layout=feature_map_layout,
        output_layout=lambda c: {"averages": (_output_shape(c), c.dtype)},
        flops=lambda c: math.prod(c.output_shape) * c.window_size,
        gradients=separable_gradient(mean_taps),
        partial_reference=_expected_avg_pool,
        reference_steps=lambda c: math.prod(c.output_plane) * c.window_size,
        working_bytes=lambda c: 2 * total_bytes(c.inputs),
        options=sizes_as_options,
    ),
    Operation(
        name="adaptive_max_pool",
        function=unpool_xp.adaptive_max_pool,
        natives=POOLING_NATIVES["adaptive_max_pool"],
        parameters={"scale": SCALE},
        input_layout=feature_map_layout,
        output_layout=lambda c: value_index_layout(_adaptive_output_shape(c), c.dtype),
        options=lambda c: {"output_size": c.output_plane},
        flops=lambda c: math.prod(c.lead) * _adaptive_steps(c),
        gradients=max_pool_gradient,
        gradient_flops=_one_addition_each,
        partial_reference=_expected_adaptive_max_pool,
        reference_steps=_adaptive_steps,
        working_bytes=lambda c: 3 * total_bytes(c.inputs),  # the windows side by side
        tolerance=no_tolerance,
        dtype_kinds="fiu",
    ),
    Operation(
        name="adaptive_avg_pool",
        function=unpool_xp.adaptive_avg_pool,
        natives=POOLING_NATIVES["adaptive_avg_pool"],
        parameters={"scale": SCALE},
        input_layout=feature_map_layout,
        output_layout=lambda c: {"averages": (_adaptive_output_shape(c), c.dtype)},
        options=lambda c: {"output_size": c.output_plane},
        flops=lambda c: math.prod(c.lead) * _adaptive_steps(c),
        gradients=separable_gradient(adaptive_taps),
        partial_reference=_expected_adaptive_avg_pool,
        reference_steps=_adaptive_steps,
        working_bytes=lambda c: 3 * total_bytes(c.inputs),
    ),
    Operation(
        name="fractional_max_pool",
        function=unpool_xp.fractional_max_pool,
        natives=POOLING_NATIVES["fractional_max_pool"],
        parameters={"kernel": KERNEL, "scale": SCALE},
        input_layout=feature_map_layout,
        output_layout=lambda c: value_index_layout((*c.lead, *_region_counts(c)), c.dtype),
        options=_fractional_options,
        flops=lambda c: math.prod(c.output_shape) * (c.window_size - 1),
        gradients=max_pool_gradient,
        gradient_flops=_one_addition_each,
        partial_reference=_expected_fractional_max_pool,
        reference_steps=lambda c: 2 * math.prod(c.output_plane) * c.window_size,  # a dear step
        working_bytes=lambda c: 4 * total_bytes(c.inputs),  # the places of each plane
        tolerance=no_tolerance,
        dtype_kinds="fiu",
    ),
)
