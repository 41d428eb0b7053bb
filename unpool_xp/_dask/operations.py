"""The operations on Dask arrays: how each one partitions its plan.

Every part is processed by the same function as an array in memory.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

from unpool_xp._array.compat import Array, Namespace
from unpool_xp._array.views import zeros
from unpool_xp._dask.graph import Core, Key, More, Slices, by_chunks
from unpool_xp._dask.partition import (
    AxisParts,
    LinearParts,
    NearestParts,
    PlaneParts,
    ReachParts,
    RegionParts,
    SpanOfResize,
    SpreadParts,
    Whole,
    WindowParts,
    cuts,
    linear_of_span,
    nearest_of_span,
)
from unpool_xp._dask.scatter import (
    Entries,
    Picking,
    put_anywhere,
    put_entries,
    put_in_planes,
    put_in_reach,
)
from unpool_xp._impl.linear import interpolate
from unpool_xp._impl.nearest import _repeated
from unpool_xp._plan.arguments import Coordinates, Shape
from unpool_xp._plan.cache import kept
from unpool_xp._plan.fractional import Regions
from unpool_xp._plan.resize import AxisResize, Interpolation, between
from unpool_xp._plan.transposed import AxisSpread
from unpool_xp._plan.windows import Means, Windows


def max_pool(core: Core, plan: Windows, x: Array, indexing: Any) -> list[Array]:
    """Return the maxima and their places in the whole plane."""

    def part(parts: Sequence[Any], _: Any) -> Windows:
        axes = tuple(windows for windows, _ in parts)
        return Windows(plan.plane, tuple(axis.count for axis in axes), axes, part=True)

    axes = [WindowParts(windows) for windows in plan.axes]
    return by_chunks("max_pool", core, axes, [x], part, token=repr(plan), dtypes=(None, indexing))


def avg_pool(core: Core, plan: Means, x: Array) -> Array:
    """Return the means."""

    def part(parts: Sequence[Any], _: Any) -> Means:
        return Means(tuple(w for w, _ in parts), tuple(c for _, c in parts), plan.divisor)

    counts = plan.counts if plan.divisor is None else ((),) * len(plan.axes)
    axes = [WindowParts(windows, c) for windows, c in zip(plan.axes, counts, strict=True)]
    return by_chunks("avg_pool", core, axes, [x], part, token=repr(plan))[0]


def fractional_max_pool(core: Core, plan: Regions, x: Array, indexing: Any) -> list[Array]:
    """Return the maxima and their places in the whole plane."""
    rank = len(plan.plane)

    def part(parts: Sequence[Any], planes: tuple[slice, ...]) -> Regions:
        starts = []
        for found, (first, last, start, _) in zip(plan.starts, parts, strict=True):
            lead = planes if found.ndim > 1 else ()
            starts.append(found[(*lead, slice(first, last))] - start)
        return Regions(plan.plane, plan.kernels, starts, tuple(start for _, _, start, _ in parts))

    axes = [
        RegionParts(i - rank, n, k, *_ends(starts, n - k))
        for i, (n, k, starts) in enumerate(zip(plan.plane, plan.kernels, plan.starts, strict=True))
    ]
    return by_chunks(
        "fractional_max_pool",
        core,
        axes,
        [x],
        part,
        token=(plan.plane, plan.kernels, plan.starts),
        dtypes=(None, indexing),
        own_plans=True,
    )


def _ends(starts: Any, last: int) -> tuple[Any, Any]:
    """Return the first and the last start of each region, of all planes."""
    planes = tuple(range(starts.ndim - 1))
    if not starts.size:  # no planes: any will do
        return starts.min(axis=planes, initial=0), starts.max(axis=planes, initial=last)
    return starts.min(axis=planes), starts.max(axis=planes)


def nearest_unpool(
    core: Core, plan: Sequence[AxisResize], coordinates: Coordinates, x: Array
) -> Array:
    """Return each value over the cells that it stands for."""
    axes = [NearestParts(axis, coordinates) for axis in plan]
    token = (repr(plan), coordinates)
    return by_chunks("nearest_unpool", core, axes, [x], lambda parts, _: parts, token=token)[0]


def linear_unpool(operation: str, plan: Interpolation, x: Array) -> Array:
    """Return the interpolation."""
    axes = _linear_parts(plan)

    def part(parts: Sequence[Any], _: Any) -> Any:
        return _Between(plan.growth, tuple(parts))

    return by_chunks(operation, _interpolated, axes, [x], part, token=repr(axes))[0]


class _Between(NamedTuple):
    """The interpolation of a part; None where nothing lies between the elements of an axis."""

    growth: float
    axes: tuple[SpanOfResize | None, ...]


def _linear_parts(plan: Interpolation) -> list[AxisParts]:
    ways = plan.coordinates
    return [LinearParts(axis, ways, between(axis, ways)) for axis in plan.resized]


def _interpolated(xp: Namespace, plan: _Between, x: Array) -> list[Array]:
    axes = tuple(kept(linear_of_span, span) for span in plan.axes if span)
    rank = len(plan.axes)
    # Never as small as the whole may be: a matrix product may round otherwise in each shape.
    return [interpolate(xp, x, Interpolation(rank, (), plan.growth, False, axes, (), "asymmetric"))]


def fractional_max_unpool(plan: Interpolation, values: Array, indices: Array) -> Array:
    """Return the interpolation with the maxima at their places."""
    operation, rank, growth = "fractional_max_unpool", plan.rank, plan.growth
    axes = _linear_parts(plan)
    token = repr(axes)

    def part(parts: Sequence[Any], _: Any) -> Any:
        return _Between(growth, tuple(parts))

    if _one_chunk(values, rank):
        given = [values, indices]
        return by_chunks(operation, _put_in_between, axes, given, part, token=token)[0]
    more = _picked(operation, plan.plane, axes, values, indices)
    return by_chunks(operation, _put_entries, axes, [values], part, token=token, more=more)[0]


def _put_in_between(xp: Namespace, plan: _Between, values: Array, indices: Array) -> list[Array]:
    (target,) = _interpolated(xp, plan, values)
    keep = values.ndim - len(plan.axes)
    return [put_in_planes(xp, _own(xp, target), keep, values, indices, add=False)]


def _put_entries(xp: Namespace, plan: _Between, values: Array, *entries: Entries) -> list[Array]:
    (target,) = _interpolated(xp, plan, values)
    return [put_entries(xp, _own(xp, target), entries, add=False)]


def _own(xp: Namespace, target: Array) -> Array:
    # With nothing to interpolate it is the input, or a view of it.
    return xp.asarray(target, copy=True)


def max_unpool(
    plane: Shape,
    windows: Sequence[AxisSpread] | None,
    values: Array,
    indices: Array,
    *,
    add: bool,
) -> Array:
    """Return the maxima at their places, in one of three ways."""
    rank = len(plane)
    if _one_chunk(values, rank):
        whole = _whole(values, plane)

        def all_of_it(_: Any, __: Any) -> Any:
            return plane, add

        token: Any = (plane, add)
        return by_chunks(
            "max_unpool", put_anywhere, whole, [values, indices], all_of_it, token=token
        )[0]
    if windows is not None:  # each chunk looks at the windows that reach into it

        def part(parts: Sequence[Any], _: Any) -> Any:
            return tuple(parts), add

        axes = [ReachParts(axis) for axis in windows]
        token = (repr(axes), add)
        return by_chunks("max_unpool", put_in_reach, axes, [values, indices], part, token=token)[0]
    planes = [PlaneParts(i - rank, values.shape[i - rank], n) for i, n in enumerate(plane)]

    def sizes(parts: Sequence[Any], lead: Slices) -> Any:
        known = (*lead, *(slice(first, last) for first, last in parts))
        return tuple(each.stop - each.start for each in known), add

    return by_chunks(
        "max_unpool",
        _put_in_zeros,
        planes,
        [values],
        sizes,
        token=(plane, add),
        more=_picked("max_unpool", plane, planes, values, indices),
        own_plans=True,
    )[0]


def _put_in_zeros(xp: Namespace, plan: tuple[Shape, bool], *entries: Entries) -> list[Array]:
    shape, add = plan
    return [put_entries(xp, zeros(xp, shape, entries[0].values), entries, add=add)]


def _picked(
    operation: str, plane: Shape, axes: Sequence[AxisParts], values: Array, indices: Array
) -> More:
    """Return what is picked from every chunk of values for every chunk of its output plane."""
    rank = len(plane)
    indices = indices.rechunk(values.chunks)
    lead = values.ndim - rank
    pooled = [list(itertools.accumulate(c, initial=0)) for c in values.chunks[lead:]]
    bounds = [cuts(axis, known) for axis, known in zip(axes, pooled, strict=True)]
    mark = sys.modules["dask.base"].tokenize(plane, bounds, values.name, indices.name)
    name = f"{operation}-pick-{mark}"
    sources = list(itertools.product(*(range(n) for n in values.numblocks[lead:])))
    tasks: dict[Key, Any] = {}
    for place in itertools.product(*(range(len(known) - 1) for known in bounds)):
        ranges = tuple((known[i], known[i + 1]) for known, i in zip(bounds, place, strict=True))
        for source in sources:
            origins = tuple(known[i] for known, i in zip(pooled, source, strict=True))
            pick = Picking(plane, ranges, tuple(values.shape[lead:]), origins)
            for number in itertools.product(*(range(n) for n in values.numblocks[:lead])):
                chunks = [(array.name, *number, *source) for array in (values, indices)]
                tasks[(name, *number, *place, *source)] = (pick, *chunks)

    def keys(number: tuple[int, ...]) -> list[Key]:
        return [(name, *number, *source) for source in sources]

    return More(tasks, keys, [values, indices])


def _one_chunk(values: Array, rank: int) -> bool:
    return all(n == 1 for n in values.numblocks[values.ndim - rank :])


def _whole(values: Array, plane: Shape) -> list[AxisParts]:
    rank = len(plane)
    return [Whole(i - rank, values.shape[i - rank], n) for i, n in enumerate(plane)]


def conv_transpose(
    core: Core,
    plan: tuple[AxisSpread, ...],
    groups: int,
    channels: tuple[int, int],
    x: Array,
    whole: Sequence[Array],
) -> Array:
    """Return the shares added up, with all channels of the input in one chunk."""

    def part(parts: Sequence[Any], _: Any) -> Any:
        return tuple(parts[1:]), groups

    axes: list[AxisParts] = [Whole(-len(plan) - 1, *channels)]
    axes += [SpreadParts(axis) for axis in plan]
    x = x.rechunk({x.ndim - len(plan) - 1: -1})
    token = (repr(plan), groups)
    return by_chunks("conv_transpose", core, axes, [x], part, token=token, whole=whole)[0]


def _repeated_part(xp: Namespace, spans: Sequence[SpanOfResize], x: Array) -> list[Array]:
    return [_repeated(xp, x, spans, lambda span: kept(nearest_of_span, span))]
