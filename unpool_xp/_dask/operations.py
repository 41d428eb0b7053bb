"""The operations on Dask arrays: how each one partitions its plan.

Every part is processed by the same function as an array in memory.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from unpool_xp._array.compat import Array, compute_dtype
from unpool_xp._array.namespace import InputInfo
from unpool_xp._array.views import zeros
from unpool_xp._dask.graph import (
    ChunkPlanFactory,
    ExtraInputs,
    Key,
    Slices,
    blockwise_with_halo,
    drop_empty_chunks,
    inspect_chunks,
)
from unpool_xp._dask.partition import (
    AnyPartition,
    AxisSizes,
    ConvTransposePartition,
    FractionalPoolPartition,
    ResizePartition,
    ScatterPartition,
    UnpoolPartition,
    UnsplitAxis,
    WindowPartition,
    chunk_bounds,
)
from unpool_xp._dask.scatter import (
    ScatterEntries,
    ScatterSelector,
    scatter_entries,
    scatter_from_windows,
    scatter_into_planes,
    scatter_into_zeros,
)
from unpool_xp._impl.avg_pool import prepare_means
from unpool_xp._impl.conv_transpose import prepare_conv_transpose
from unpool_xp._impl.fractional_pool import prepare_region_maxima
from unpool_xp._impl.index_conventions import prepare_conversion
from unpool_xp._impl.interpolation import prepare_interpolation
from unpool_xp._impl.max_pool import index_and_offset_dtypes, prepare_maxima
from unpool_xp._impl.nearest import prepare_nearest
from unpool_xp._plan.arguments import Shape
from unpool_xp._plan.cache import cached
from unpool_xp._plan.fractional import FractionalPoolPlan
from unpool_xp._plan.index_conventions import IndexPlan
from unpool_xp._plan.resize import (
    InterpolationPlan,
    NearestPlan,
    ResizeSpan,
    needs_interpolation,
    plan_interpolated_axis,
    plan_nearest_axis,
)
from unpool_xp._plan.sampling import Kernel
from unpool_xp._plan.transposed import ConvTransposePlan, MaxUnpoolPlan
from unpool_xp._plan.windows import AvgPoolPlan, MaxPoolPlan


def max_pool(plan: MaxPoolPlan, x: Array) -> list[Array]:
    """Return the maxima and their places in the whole plane."""
    operation, index_dtype = plan.operation, _index_dtype(plan.operation, plan, x)

    def part(axes: Sequence[Any], _: Any) -> MaxPoolPlan:
        return plan.part(tuple(axes))

    axes = [WindowPartition(windows) for windows in plan.axes]
    dtypes = (None, index_dtype)
    return blockwise_with_halo(
        operation,
        _max_pool_part,
        axes,
        [x],
        part,
        token=repr(plan),
        dtypes=dtypes,
    )


def _max_pool_part(info: InputInfo, plan: MaxPoolPlan, x: Array) -> tuple[Array, ...]:
    return prepare_maxima(info, plan, x)(x)


def _index_dtype(operation: str, plan: MaxPoolPlan | FractionalPoolPlan, x: Array) -> Any:
    info = inspect_chunks(operation, x)
    return index_and_offset_dtypes(info, operation, plan.plane, plan.flat_extent)[0]


def avg_pool(plan: AvgPoolPlan, x: Array, operation: str = "avg_pool") -> Array:
    """Return the means."""

    def part(axes: Sequence[Any], _: Any) -> AvgPoolPlan:
        return replace(plan, axes=tuple(axes))

    axes = [WindowPartition(windows) for windows in plan.axes]
    return blockwise_with_halo(operation, _avg_pool_part, axes, [x], part, token=repr(plan))[0]


def _avg_pool_part(info: InputInfo, plan: AvgPoolPlan, x: Array) -> Array:
    return prepare_means(info, plan, x)(x)


def fractional_max_pool(plan: FractionalPoolPlan, x: Array) -> list[Array]:
    """Return the maxima and their places in the whole plane."""

    def part(axes: Sequence[Any], planes: tuple[slice, ...]) -> FractionalPoolPlan:
        return replace(plan, axes=tuple([axis.of_planes(planes) for axis in axes]))

    axes = [FractionalPoolPartition.of_regions(regions) for regions in plan.axes]
    return blockwise_with_halo(
        "fractional_max_pool",
        _region_maxima_part,
        axes,
        [x],
        part,
        token=(plan.plane, [(regions.kernel_size, regions.starts) for regions in plan.axes]),
        dtypes=(None, _index_dtype("fractional_max_pool", plan, x)),
        plan_per_chunk=True,
    )


def _region_maxima_part(info: InputInfo, plan: FractionalPoolPlan, x: Array) -> tuple[Array, ...]:
    return prepare_region_maxima(info, plan, x)(x)


def nearest_unpool(plan: NearestPlan, x: Array) -> Array:
    """Return each value over the cells that it stands for."""
    axes = [ResizePartition(axis.span.whole, axis.span.method) for axis in plan.axes]

    def part(parts: Sequence[ResizeSpan], _: Any) -> Sequence[ResizeSpan]:
        return parts

    token = repr(axes)
    return blockwise_with_halo("nearest_unpool", _repeat_part, axes, [x], part, token=token)[0]


def _repeat_part(info: InputInfo, spans: Sequence[ResizeSpan], x: Array) -> Array:
    axes = tuple([cached(plan_nearest_axis, span) for span in spans])
    return prepare_nearest(info, NearestPlan(axes), x)(x)


def interpolate(operation: str, plan: InterpolationPlan, x: Array) -> Array:
    """Return the interpolation."""
    axes = _resize_partitions(plan)
    part, token = _InterpolatedPart.maker(plan), repr(axes)
    return blockwise_with_halo(operation, _interpolate_part, axes, [x], part, token=token)[0]


class _InterpolatedPart(NamedTuple):
    """The interpolation of a part; None where nothing lies between the elements of an axis."""

    growth: float
    kernel: Kernel
    axes: tuple[ResizeSpan | None, ...]

    @classmethod
    def maker(cls, plan: InterpolationPlan) -> ChunkPlanFactory:
        """Return what makes the plan of a part from those of its axes."""
        return lambda parts, _: cls(plan.growth, plan.kernel, tuple(parts))


def _resize_partitions(plan: InterpolationPlan) -> list[ResizePartition]:
    kernel = plan.kernel
    return [
        ResizePartition(axis, kernel, is_kept=not needs_interpolation(axis, kernel))
        for axis in plan.resize_axes
    ]


def _interpolate_part(info: InputInfo, plan: _InterpolatedPart, x: Array) -> Array:
    axes = tuple([cached(plan_interpolated_axis, span) for span in plan.axes if span])
    plane = list(x.shape[x.ndim - len(plan.axes) :])
    for axis in axes:
        plane[axis.axis] = axis.output
    part = InterpolationPlan(tuple(plane), plan.growth, axes, (), plan.kernel)
    # Never as small as the whole may be: a matrix product may round otherwise in each shape.
    return prepare_interpolation(info, part, x, is_part=True)(x)


def fractional_max_unpool(plan: InterpolationPlan, values: Array, indices: Array | None) -> Array:
    """Return the interpolation, with the maxima at their places if these are given."""
    operation = "fractional_max_unpool"
    if indices is None:
        return interpolate(operation, plan, values)
    axes = _resize_partitions(plan)
    part, token = _InterpolatedPart.maker(plan), repr(axes)
    if _is_one_chunk(values, plan.rank):
        inputs = [values, indices]
        # A smaller plane is not made of all elements, but each of them may be recorded in it.
        all_of_them = [replace(axis, reads_all=True) for axis in axes]
        return blockwise_with_halo(
            operation, _scatter_into_linear, all_of_them, inputs, part, token=token
        )[0]
    extra = route_entries(operation, plan.plane, axes, values, indices)
    return blockwise_with_halo(
        operation, _scatter_entries_into_linear, axes, [values], part, token=token, extra=extra
    )[0]


def _scatter_into_linear(
    info: InputInfo, plan: _InterpolatedPart, values: Array, indices: Array
) -> Array:
    target, n_lead = _interpolate_part(info, plan, values), values.ndim - len(plan.axes)
    return scatter_into_planes(info, target, n_lead, values, indices, add=False)


def _scatter_entries_into_linear(
    info: InputInfo, plan: _InterpolatedPart, values: Array, *entries: ScatterEntries
) -> Array:
    return scatter_entries(info, _interpolate_part(info, plan, values), entries, add=False)


def max_unpool(plan: MaxUnpoolPlan, values: Array, indices: Array, *, add: bool) -> Array:
    """Return the maxima at their places, in one of three ways."""
    if add:
        dtype = compute_dtype(inspect_chunks("max_unpool", values).xp, values.dtype)
        if dtype != values.dtype:
            wide = max_unpool(plan, values.astype(dtype), indices, add=add)
            return wide.astype(values.dtype)
    plane, windows = plan.plane, plan.windows
    if 0 in plane or _is_one_chunk(values, len(plane)):
        return blockwise_with_halo(
            "max_unpool",
            scatter_into_zeros,
            [UnsplitAxis(axis) for axis in _axis_sizes(values, plane)],
            [values, indices],
            lambda *_: (plane, add),
            token=(plane, add),
        )[0]
    if windows is not None:  # each chunk looks at the windows that reach into it
        return blockwise_with_halo(
            "max_unpool",
            scatter_from_windows,
            [UnpoolPartition(axis) for axis in windows],
            [values, indices],
            lambda parts, _: (tuple(parts), add),
            token=(repr(windows), add),
        )[0]
    planes = [ScatterPartition(axis) for axis in _axis_sizes(values, plane)]

    def sizes(parts: Sequence[Any], lead: Slices) -> Any:
        known = (*lead, *(slice(first, last) for first, last in parts))
        return tuple(each.stop - each.start for each in known), add

    return blockwise_with_halo(
        "max_unpool",
        _scatter_entries_into_zeros,
        planes,
        [values],
        sizes,
        token=(plane, add),
        extra=route_entries("max_unpool", plane, planes, values, indices),
        plan_per_chunk=True,
    )[0]


def _scatter_entries_into_zeros(
    info: InputInfo, plan: tuple[Shape, bool], *entries: ScatterEntries
) -> Array:
    shape, add = plan
    return scatter_entries(info, zeros(info, shape, entries[0].values), entries, add=add)


def route_entries(
    operation: str,
    plane: Shape,
    axes: Sequence[AnyPartition],
    values: Array,
    indices: Array,
) -> ExtraInputs:
    """Return what is picked from every chunk of values for every chunk of its output plane."""
    rank = len(plane)
    indices = indices.rechunk(values.chunks)
    lead = values.ndim - rank
    pooled = [list(itertools.accumulate(c, initial=0)) for c in values.chunks[lead:]]
    bounds = [chunk_bounds(axis, known) for axis, known in zip(axes, pooled, strict=True)]
    digest = sys.modules["dask.base"].tokenize(plane, bounds, values.name, indices.name)
    name = f"{operation}-pick-{digest}"
    sources = list(itertools.product(*(range(n) for n in values.numblocks[lead:])))
    tasks: dict[Key, Any] = {}
    for chunk_index in itertools.product(*(range(len(known) - 1) for known in bounds)):
        ranges = tuple(
            (known[i], known[i + 1]) for known, i in zip(bounds, chunk_index, strict=True)
        )
        for source in sources:
            origins = tuple(known[i] for known, i in zip(pooled, source, strict=True))
            selector = ScatterSelector(plane, ranges, tuple(values.shape[lead:]), origins)
            for lead_index in itertools.product(*(range(n) for n in values.numblocks[:lead])):
                chunks = [(array.name, *lead_index, *source) for array in (values, indices)]
                tasks[(name, *lead_index, *chunk_index, *source)] = (selector, *chunks)

    def keys(number: tuple[int, ...]) -> list[Key]:
        return [(name, *number, *source) for source in sources]

    return ExtraInputs(tasks, keys, [values, indices])


def _is_one_chunk(values: Array, rank: int) -> bool:
    return all(n == 1 for n in values.numblocks[values.ndim - rank :])


def _axis_sizes(values: Array, plane: Shape) -> list[AxisSizes]:
    rank = len(plane)
    return [AxisSizes(i - rank, values.shape[i - rank], n) for i, n in enumerate(plane)]


def conv_transpose(plan: ConvTransposePlan, x: Array, *weights: Array) -> Array:
    """Return the shares added up, with all channels of the input in one chunk."""

    def part(parts: Sequence[Any], _: Any) -> ConvTransposePlan:
        return ConvTransposePlan(tuple(parts[1:]), plan.groups)

    channel_axis = -len(plan.axes) - 1
    in_channels, out_per_group = weights[0].shape[:2]
    channels = AxisSizes(channel_axis, in_channels, out_per_group * plan.groups)
    axes: list[AnyPartition] = [UnsplitAxis(channels), *map(ConvTransposePartition, plan.axes)]
    x = x.rechunk({x.ndim + channel_axis: -1})
    return blockwise_with_halo(
        "conv_transpose",
        _conv_transpose_part,
        axes,
        [x],
        part,
        token=repr(plan),
        whole=weights,
    )[0]


def _conv_transpose_part(info: InputInfo, plan: ConvTransposePlan, *arrays: Array) -> Array:
    return prepare_conv_transpose(info, plan, *arrays)(*arrays)


def convert_indices(info: InputInfo, plan: IndexPlan, indices: Array) -> Array:
    """Return the indices in another convention, by operations of Dask."""
    dtype = inspect_chunks("convert_indices", indices).index_dtype
    indices = drop_empty_chunks(indices)
    return prepare_conversion(info, plan, indices, dtype=dtype)(indices)
