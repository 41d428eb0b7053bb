"""The unpoolings, as the harness knows them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

import unpool_xp
from unpool_xp import reference
from unpool_xp._plan import resize, transposed, windows
from unpool_xp._plan.arguments import Coordinates
from unpool_xp.bench.cases.case import Case
from unpool_xp.bench.cases.inputs import NDArray, feature_map, numpy_dtype
from unpool_xp.bench.cases.operation import (
    OUTPUT_SIZE,
    SCALE,
    WINDOW,
    Arrays,
    Layout,
    Operation,
    Outputs,
    Planes,
    RowRange,
    Shape,
    compute_dtype,
    feature_map_layout,
    no_tolerance,
    select_planes,
    sizes_as_options,
    usual_tolerance,
)
from unpool_xp.bench.cases.parameter import Parameter
from unpool_xp.bench.catalog.gradients import (
    fractional_unpool_gradient,
    interpolation_taps,
    max_unpool_gradient,
    merge_repeated,
    nearest_taps,
    separable_gradient,
)
from unpool_xp.bench.catalog.native_mlx import MLX_NATIVES
from unpool_xp.bench.catalog.native_unpooling import UNPOOLING_NATIVES
from unpool_xp.bench.catalog.pooling import draw_samples, value_index_layout

# What fractional pooling takes the maximum of, before its unpooling.
_REGION_SIZE = 2


def _pooled_inputs(case: Case, pooled: Any) -> Arrays:
    values = pooled.values.astype(numpy_dtype(case.dtype))
    return {"values": values, "indices": pooled.indices.astype(np.int64)}


def _resized_shape(case: Case) -> tuple[int, ...]:
    plan = resize.plan_resize(case.operation, case.shape, case.scale, None)
    return (*case.lead, *(axis.output for axis in plan))


def _expected_nearest_unpool(case: Case, arrays: Arrays, planes: Planes, rows: RowRange) -> Outputs:
    x = select_planes(arrays["x"], case.rank, planes)
    factor = case.scale[0]
    # With a whole factor it may start at any row, otherwise at the first only.
    low = int(rows[0] // factor) if float(factor).is_integer() else 0
    high = min(math.ceil(rows[1] / factor) + 1, x.shape[1])
    found = reference.nearest_unpool(x[:, low:high], scale_factor=case.scale)
    skipped = int(low * factor)
    return (found[:, rows[0] - skipped : rows[1] - skipped],)


# Those that the libraries' own functions have.
_COORDINATES: Coordinates = "half_pixel"


def _expected_linear_unpool(case: Case, arrays: Arrays, planes: Planes, rows: RowRange) -> Outputs:
    x = select_planes(arrays["x"], case.rank, planes)
    return (_rows_of_resized(case, x, rows, reference.linear_unpool, coordinates=_COORDINATES),)


def _expected_cubic_unpool(case: Case, arrays: Arrays, planes: Planes, rows: RowRange) -> Outputs:
    x = select_planes(arrays["x"], case.rank, planes)
    return (_rows_of_resized(case, x, rows, reference.cubic_unpool),)


def _rows_of_resized(
    case: Case, x: NDArray, rows: RowRange, unpool: Callable[..., NDArray], **options: Any
) -> NDArray:
    """Return some rows of the interpolation of planes, shape (planes, *spatial)."""
    factor = case.scale
    if rows == (0, case.output_plane[0]):
        return unpool(x, scale_factor=factor, **options)
    # Interpolation is separable: do the first axis in full, then keep only the wanted rows.
    first = unpool(np.moveaxis(x, 1, -1), scale_factor=factor[:1], **options)
    x = np.moveaxis(first[..., rows[0] : rows[1]], -1, 1)
    return x if case.rank == 1 else unpool(x, scale_factor=factor[1:], **options)


def _interpolation_flops(case: Case, taps: int) -> int:
    # Axis by axis, the last one first: for each element a product a tap, and their sum.
    shapes = [
        (*case.lead, *case.plane[:axis], *case.output_plane[axis:]) for axis in range(case.rank)
    ]
    return sum((2 * taps - 1) * math.prod(shape) for shape in shapes)


def _interpolation_tolerance(case: Case) -> float:
    # The libraries find the place of a cell in the precision that they compute values in; what
    # that loses grows with the place.
    computing = np.finfo(np.float64 if case.dtype == "float64" else np.float32)
    return usual_tolerance(case) + 2 * sum(case.plane) * float(computing.eps)


def _reference_steps(case: Case, taps: int) -> float:
    return math.prod((*case.output_plane, *(taps,) * case.rank))


def _unpooled_shape(case: Case) -> tuple[int, ...]:
    options = {"padding": 0, "output_size": None, **case.options(), "dilation": 1}
    plane = transposed.plan_max_unpool("max_unpool", case.shape, **options).plane
    if case.output_size is not None:
        del options["output_size"]
        pooled = windows.plan_max_pool("max_unpool", plane, **options, ceil_mode=False).output
        if pooled != case.plane:
            raise ValueError(
                f"max_unpool: output_size={plane} is not a plane whose windows are "
                f"{case.plane} (array of shape {case.shape})"
            )
    return (*case.lead, *plane)


def _max_unpool_inputs(
    shape: Shape, dtype: str, parameters: Mapping[str, Any], rng: np.random.Generator
) -> Arrays:
    case = Case("max_unpool", shape, dtype=dtype, **parameters)
    x = feature_map(_unpooled_shape(case), compute_dtype(case), rank=case.rank)
    options = {**case.options()}
    options.pop("output_size", None)  # that of x
    return _pooled_inputs(case, unpool_xp.max_pool(x, **options))


def _expected_max_unpool(case: Case, arrays: Arrays, planes: Planes, rows: RowRange) -> Outputs:
    values, indices = (select_planes(array, case.rank, planes) for array in arrays.values())
    _, *others = case.output_plane
    before = case.padding_pairs[0][0]
    # The windows that reach into these rows; what they have elsewhere falls outside.
    low = max(-(-(rows[0] + before - case.kernel[0] + 1) // case.stride[0]), 0)
    high = (rows[1] - 1 + before) // case.stride[0] + 1
    plane = (rows[1] - rows[0], *others)
    places = indices[:, low:high] - rows[0] * math.prod(others)
    return (reference.max_unpool(values[:, low:high], places, plane, "any"),)


def _fractional_outputs(case: Case) -> Layout:
    shape = _resized_shape(case)
    for n, out in zip(case.plane, shape[-case.rank :], strict=True):
        if n + _REGION_SIZE - 1 > out:
            raise ValueError(
                f"fractional_max_unpool: scale={case.scale} leaves {out} cells of an axis for {n} "
                f"regions of {_REGION_SIZE} at different places (array of shape {case.shape})"
            )
    return {"unpooled": (shape, case.dtype)}


def _fractional_unpool_inputs(
    shape: Shape, dtype: str, parameters: Mapping[str, Any], rng: np.random.Generator
) -> Arrays:
    case = Case("fractional_max_unpool", shape, dtype=dtype, **parameters)
    kernel = (_REGION_SIZE,) * case.rank
    x = feature_map(_resized_shape(case), compute_dtype(case), rank=case.rank)
    samples = draw_samples(case.lead, x.shape[-case.rank :], kernel, case.plane)
    pooled = unpool_xp.fractional_max_pool(x, kernel, output_size=case.plane, samples=samples)
    return _pooled_inputs(case, pooled)


def _expected_fractional_max_unpool(
    case: Case, arrays: Arrays, planes: Planes, rows: RowRange
) -> Outputs:
    values, indices = (select_planes(array, case.rank, planes) for array in arrays.values())
    out, *others = case.output_plane
    if rows == (0, out):
        return (reference.fractional_max_unpool(values, indices, scale_factor=case.scale),)
    # What has one position has one value, so it does not matter which is kept.
    plane, places = (rows[1] - rows[0], *others), indices - rows[0] * math.prod(others)
    inside = (places >= 0) & (places < math.prod(plane))
    near = np.flatnonzero(inside.any(axis=(0, *range(2, inside.ndim))))  # pooled rows
    kept, places = values[:, near], places[:, near]
    put = reference.max_unpool(kept, places, plane, "any")
    taken = reference.max_unpool(np.ones_like(kept), places, plane, "any")
    between = _rows_of_resized(case, values, rows, reference.linear_unpool)
    return (np.where(taken == 1, put, between),)


def _pooling_of(shape: Shape, parameters: Mapping[str, Any]) -> tuple[Case, dict[str, Any]]:
    """Return the unpooling that takes the same indices, and the options of their conversion."""
    window = {name: parameters[name] for name in WINDOW if name in parameters}
    unpooling = Case("max_unpool", shape, **window)
    return unpooling, {"input_shape": unpooling.output_shape, **unpooling.options()}


def _indices_to_convert(
    shape: Shape, dtype: str, parameters: Mapping[str, Any], rng: np.random.Generator
) -> Arrays:
    unpooling, options = _pooling_of(shape, parameters)
    indices = unpooling.arrays()["indices"]
    converted = _expected_conversion(indices, "torch", parameters["source"], **options)
    return {"indices": converted.astype(dtype)}


def _expected_conversion(
    indices: NDArray, source: str, target: str, input_shape: Shape, **window: Any
) -> NDArray:
    rank = len(input_shape) - 2
    padding = window.get("padding") or (0,) * rank
    return reference.convert_indices(
        indices,
        source,
        target,
        input_shape,
        window["kernel_size"],
        window["stride"],
        tuple((p, p) for p in padding),
        (1,) * rank,
    )


_CONVENTION = "Index convention, e.g. torch, onnx or tensorflow."
CONVERSION = Operation(
    name="convert_indices",
    function=unpool_xp.convert_indices,
    parameters={
        "source": Parameter(help=_CONVENTION, kind=str, default="torch"),
        "target": Parameter(help=_CONVENTION, kind=str, default="onnx"),
        **WINDOW,
    },
    inputs=_indices_to_convert,
    outputs=("converted",),
    reference=_expected_conversion,
    dtype_kinds="iu",
    options=lambda c: (
        {name: c.all_parameters[name] for name in ("source", "target")}
        | _pooling_of(c.shape, c.parameters)[1]
    ),
    backward=False,
)
UNPOOLING = (
    Operation(
        name="max_unpool",
        function=unpool_xp.max_unpool,
        natives=(*UNPOOLING_NATIVES["max_unpool"], *MLX_NATIVES["max_unpool"]),
        parameters={**WINDOW, "output_size": OUTPUT_SIZE},
        input_layout=lambda c: value_index_layout(c.shape, c.dtype),
        output_layout=lambda c: {"unpooled": (_unpooled_shape(c), c.dtype)},
        inputs=_max_unpool_inputs,
        gradients=max_unpool_gradient,
        merge_gradients=merge_repeated,
        partial_reference=_expected_max_unpool,
        reference_steps=lambda c: math.prod(c.plane),
        work_per_step=lambda c: 5,  # a scattered write
        tolerance=no_tolerance,
        dtype_kinds="fiu",
        options=sizes_as_options,
    ),
    Operation(
        name="nearest_unpool",
        function=unpool_xp.nearest_unpool,
        natives=(*UNPOOLING_NATIVES["nearest_unpool"], *MLX_NATIVES["nearest_unpool"]),
        parameters={"scale": SCALE},
        input_layout=feature_map_layout,
        output_layout=lambda c: {"unpooled": (_resized_shape(c), c.dtype)},
        gradients=separable_gradient(nearest_taps),
        gradient_flops=lambda c: math.prod(c.output_shape) - math.prod(c.shape),
        partial_reference=_expected_nearest_unpool,
        reference_steps=lambda c: math.prod(c.output_plane) / 3,  # a cheap step
        tolerance=no_tolerance,
        dtype_kinds="fiu",
        options=sizes_as_options,
    ),
    Operation(
        name="linear_unpool",
        function=unpool_xp.linear_unpool,
        natives=(*UNPOOLING_NATIVES["linear_unpool"], *MLX_NATIVES["linear_unpool"]),
        parameters={"scale": SCALE},
        input_layout=feature_map_layout,
        output_layout=lambda c: {"unpooled": (_resized_shape(c), c.dtype)},
        options=lambda c: {"scale_factor": c.scale, "coordinates": _COORDINATES},
        flops=lambda c: _interpolation_flops(c, 2),
        gradients=separable_gradient(interpolation_taps(_COORDINATES)),
        partial_reference=_expected_linear_unpool,
        reference_steps=lambda c: _reference_steps(c, 2),
        tolerance=_interpolation_tolerance,
    ),
    Operation(
        name="cubic_unpool",
        function=unpool_xp.cubic_unpool,
        natives=(*UNPOOLING_NATIVES["cubic_unpool"], *MLX_NATIVES["cubic_unpool"]),
        parameters={"scale": SCALE},
        input_layout=feature_map_layout,
        output_layout=lambda c: {"unpooled": (_resized_shape(c), c.dtype)},
        flops=lambda c: _interpolation_flops(c, 4),
        gradients=separable_gradient(interpolation_taps(_COORDINATES, -0.75)),
        partial_reference=_expected_cubic_unpool,
        reference_steps=lambda c: _reference_steps(c, 4),
        tolerance=_interpolation_tolerance,
        options=sizes_as_options,
    ),
    Operation(
        name="fractional_max_unpool",
        function=unpool_xp.fractional_max_unpool,
        parameters={"scale": SCALE},
        input_layout=lambda c: value_index_layout(c.shape, c.dtype),
        output_layout=_fractional_outputs,
        inputs=_fractional_unpool_inputs,
        flops=lambda c: _interpolation_flops(c, 2),
        gradients=fractional_unpool_gradient,
        merge_gradients=merge_repeated,
        partial_reference=_expected_fractional_max_unpool,
        reference_steps=lambda c: _reference_steps(c, 2) + math.prod(c.plane),
        options=sizes_as_options,
    ),
)
