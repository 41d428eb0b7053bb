"""Max unpooling of one chunk of a plane.

If the windows are known, a chunk reads those that overlap it. Otherwise every input chunk sends
it the values whose index lies inside.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from unpool_xp._array.blocks import planes_in_cache
from unpool_xp._array.compat import Array, Namespace, device, index_dtype, namespace
from unpool_xp._array.scatter import any_outside, scatter
from unpool_xp._array.views import along, zeros
from unpool_xp._dask.partition import AxisReach
from unpool_xp._plan.arguments import Shape


def put_in_reach(
    xp: Namespace, plan: tuple[Sequence[AxisReach], bool], values: Array, indices: Array
) -> list[Array]:
    """Return one chunk of the plane with the maxima of the windows that overlap it."""
    axes, add = plan
    place = device(values)
    counting = index_dtype(xp, place)
    indices = xp.astype(indices, counting, copy=False)
    sizes = tuple(axis.size for axis in axes)
    lead = tuple(values.shape[: values.ndim - len(axes)])
    planes, cells = math.prod(lead), math.prod(sizes)
    if 0 not in values.shape and all(axis.within for axis in axes):
        whole = _put_within(xp, axes, values, indices, add=add)
        if whole is not None:
            return [xp.reshape(whole, (*lead, *sizes))]
    # One cell more at the end takes what belongs to other parts.
    target = zeros(xp, (planes * cells + 1,), values)
    if 0 not in values.shape:
        positions, inside = _in_reach(xp, axes, indices) or _anywhere(xp, axes, indices)
        rows = xp.arange(planes, dtype=counting, device=place)[:, None] * cells
        positions = xp.reshape(positions, (planes, -1)) + rows
        if inside is not None:
            other = xp.full_like(positions, planes * cells)
            positions = xp.where(xp.reshape(inside, positions.shape), positions, other)
        given = [xp.reshape(array, (-1,)) for array in (values, positions)]
        target = scatter(xp, target, *given, add=add, inside=True)
    return [xp.reshape(target[:-1], (*lead, *sizes))]


def _put_within(
    xp: Namespace, axes: Sequence[AxisReach], values: Array, indices: Array, *, add: bool
) -> Array | None:
    """Return the planes of a part, made flat; None where an index lies in another part."""
    windows = math.prod([axis.count for axis in axes])
    values, indices = (xp.reshape(array, (-1, windows)) for array in (values, indices))
    planes = values.shape[0]
    target = zeros(xp, (planes, math.prod([axis.size for axis in axes])), values)
    step = planes_in_cache(values, windows * 8)
    for first in range(0, planes, step):
        some = slice(first, first + step)
        local = _local(xp, axes, indices[some, :])
        if local is None:
            return None
        put = scatter(xp, target[some, :], values[some, :], local, add=add, inside=True)
    # In pieces, which come with libraries that set in place, it is the target that was set.
    return put if step >= planes else target


def _local(xp: Namespace, axes: Sequence[AxisReach], indices: Array) -> Array | None:
    """Return places in the whole plane as those in a part; None where one lies elsewhere."""
    steps = _steps([axis.plane for axis in axes])
    cells = axes[0].plane * steps[0]
    if bool(any_outside(xp, indices, cells)):
        return None
    # A copy, with half the bytes where they suffice; what follows works in place.
    rest = xp.astype(indices, xp.int32 if cells < 2**31 else indices.dtype)
    # From the first cell of the part on, what lies before an axis' part shows as lying behind it.
    rest -= sum([axis.origin * step for axis, step in zip(axes, steps, strict=True)])
    local: Any = 0
    for i, (axis, step) in enumerate(zip(axes, steps, strict=True)):
        if bool(any_outside(xp, rest, axis.size * step)):
            return None
        if all(inner.size == inner.plane for inner in axes[i + 1 :]):  # and lies as in the plane
            local *= axis.size * step
            rest += local
            return rest
        cell = rest // step
        rest -= cell * step
        local *= axis.size
        cell += local
        local = cell
    return None  # of no axes at all


def _in_reach(
    xp: Namespace, axes: Sequence[AxisReach], indices: Array
) -> tuple[Array, Array | None] | None:
    """Return positions relative to the chunk, and a mask of those inside unless all are.

    None if an index lies outside its window. A position is the start of its window plus an
    offset, which is small enough for int32.
    """
    place = device(indices)
    steps, own = _steps([a.plane for a in axes]), _steps([a.size for a in axes])
    reaches = [(axis.extent - 1) * step for axis, step in zip(axes, steps, strict=True)]
    reach = sum(reaches)
    if max(reach, axes[0].size * own[0], *(a.plane + a.extent for a in axes)) >= 2**31:
        return None
    starts = [_starts(xp, axis, i - len(axes), indices.dtype, place) for i, axis in enumerate(axes)]
    rest = indices - _summed([start * step for start, step in zip(starts, steps, strict=True)])
    if bool(any_outside(xp, rest, reach + 1)):
        return None
    rest, local, inside = xp.astype(rest, xp.int32), None, None
    for i, (axis, start) in enumerate(zip(axes, starts, strict=True)):
        if i == len(axes) - 1:
            cell = rest
        elif not reaches[i]:
            cell = xp.zeros_like(rest)
        else:
            reach -= reaches[i]
            cell = rest // steps[i]
            rest = rest - cell * steps[i]
            if bool(any_outside(xp, rest, reach + 1)):
                return None
        cell = cell + xp.astype(start - axis.origin, xp.int32)
        if not axis.within:
            # Around the end of a line the cells of the next one have offsets in reach, too.
            if not axis.inner and bool(any_outside(xp, cell + axis.origin, axis.plane)):
                return None
            here = (cell >= 0) & (cell < axis.size)
            inside = here if inside is None else inside & here
        local = cell if local is None else local * axis.size + cell
    return local, inside


def _anywhere(xp: Namespace, axes: Sequence[AxisReach], indices: Array) -> tuple[Array, Array]:
    """Return the places in a part, and which lie in it; raise for those out of reach."""
    sizes = tuple(axis.size for axis in axes)
    points = _unravelled(indices, tuple(axis.plane for axis in axes))
    _check_reach(xp, axes, points, indices)
    positions = _ravelled([p - axis.origin for p, axis in zip(points, axes, strict=True)], sizes)
    return positions, _inside(points, [(a.origin, a.origin + a.size) for a in axes])


def _steps(sizes: Sequence[int]) -> list[int]:
    return [math.prod(sizes[i + 1 :]) for i in range(len(sizes))]


def _summed(vectors: Sequence[Array]) -> Array:
    return functools.reduce(operator.add, vectors)


def put_anywhere(
    xp: Namespace, plan: tuple[Shape, bool], values: Array, indices: Array
) -> list[Array]:
    """Scatter values into planes of zeros; indices outside are dropped."""
    plane, add = plan
    lead = tuple(values.shape[: values.ndim - len(plane)])
    target = zeros(xp, (*lead, *plane), values)
    return [put_in_planes(xp, target, len(lead), values, indices, add=add)]


def put_in_planes(
    xp: Namespace, target: Array, keep: int, values: Array, indices: Array, *, add: bool
) -> Array:
    """Return the target with the values put in its planes, those after the first `keep` axes.

    The target may be used up.
    """
    if 0 in values.shape:
        return target
    indices = xp.astype(indices, index_dtype(xp, device(values)), copy=False)
    target_, values, indices = (
        xp.reshape(array, (*array.shape[:keep], math.prod(array.shape[keep:])))
        for array in (target, values, indices)
    )
    inside = not bool(any_outside(xp, indices, target_.shape[-1]))
    put = scatter(xp, target_, values, indices, add=add, inside=inside)
    return xp.reshape(put, target.shape)


def _starts(xp: Namespace, axis: AxisReach, number: int, dtype: Any, place: Any) -> Array:
    windows = xp.arange(axis.count, dtype=dtype, device=place) * axis.stride
    return along(xp, windows + axis.first, number)


def _unravelled(flat: Array, plane: Shape) -> list[Array]:
    """Return the place along each axis; what is outside the plane is so along the first."""
    points, step = [], math.prod(plane)
    for n in plane[:-1]:
        step //= n
        points.append(flat // step)
        flat = flat - points[-1] * step
    return [*points, flat]


def _ravelled(points: Sequence[Array], sizes: Shape) -> Array:
    flat = points[0]
    for point, n in zip(points[1:], sizes[1:], strict=True):
        flat = flat * n + point
    return flat


def _inside(points: Sequence[Array], ranges: Sequence[tuple[Any, Any]]) -> Array:
    inside = None
    for point, (low, high) in zip(points, ranges, strict=True):
        here = (point >= low) & (point < high)
        inside = here if inside is None else inside & here
    return inside


def _numbers(xp: Namespace, chosen: Array) -> Array:
    return xp.nonzero(xp.reshape(chosen, (-1,)))[0]


def _check_reach(
    xp: Namespace,
    axes: Sequence[AxisReach],
    points: Sequence[Array],
    indices: Array,
) -> None:
    """Raise for indices in the plane that their windows do not reach."""
    place = device(indices)
    starts = [_starts(xp, axis, i - len(axes), indices.dtype, place) for i, axis in enumerate(axes)]
    ends = [start + axis.extent for start, axis in zip(starts, axes, strict=True)]
    near = _inside(points, list(zip(starts, ends, strict=True)))
    plane = tuple(axis.plane for axis in axes)
    cells = math.prod(plane)
    wrong = _numbers(xp, ~near & (indices >= 0) & (indices < cells))
    if wrong.shape[0]:
        first = int(xp.reshape(indices, (-1,))[int(wrong[0])])
        extent = tuple(axis.extent for axis in axes)
        raise IndexError(
            f"max_unpool: {wrong.shape[0]} indices of a chunk lie in the output plane {plane}, but "
            f"not in their windows of {extent} cells; the first is {first}. With kernel_size, a "
            "chunk of a lazy array looks only at windows that reach into it: for indices of other "
            "windows leave kernel_size out and give output_size"
        )


# --- from anywhere in the plane ------------------------------------------------------------------


class Entries(NamedTuple):
    """Values for a part of the plane; each array has one axis."""

    positions: Array  # in the part, one plane behind the other
    order: Array  # where the value stood in its plane
    values: Array


@dataclass(frozen=True)
class Picking:
    """Select the values of one input chunk that belong to one output chunk."""

    plane: Shape
    ranges: tuple[tuple[int, int], ...]  # the part
    pooled: Shape  # the plane of the values
    origins: Shape  # where the chunk starts in it

    def __call__(self, values: Array, indices: Array) -> Entries:
        """Return the entries."""
        xp, place = namespace(values), device(values)
        rank, counting = len(self.plane), index_dtype(xp, place)
        cells = tuple(values.shape[values.ndim - rank :])
        indices = xp.astype(indices, counting, copy=False)
        points = _unravelled(indices, self.plane)
        kept = _numbers(xp, _inside(points, self.ranges))
        sizes = tuple(high - low for low, high in self.ranges)
        local = [point - low for point, (low, _) in zip(points, self.ranges, strict=True)]
        positions = xp.take(xp.reshape(_ravelled(local, sizes), (-1,)), kept)
        each = max(math.prod(cells), 1)
        places = _unravelled(kept % each, cells) if kept.shape[0] else [kept] * rank
        known = [p + origin for p, origin in zip(places, self.origins, strict=True)]
        return Entries(
            positions + kept // each * math.prod(sizes),
            _ravelled(known, self.pooled),
            xp.take(xp.reshape(values, (-1,)), kept),
        )


def put_entries(xp: Namespace, target: Array, entries: Sequence[Entries], *, add: bool) -> Array:
    """Return a part of the plane with the entries put in the order of their values.

    The target may be used up.
    """
    positions, order, values = (
        xp.concat(arrays) if len(arrays) > 1 else arrays[0] for arrays in zip(*entries, strict=True)
    )
    if 0 in target.shape or not values.shape[0]:
        return target
    if len(entries) > 1:
        sorting = xp.argsort(order)
        positions, values = xp.take(positions, sorting), xp.take(values, sorting)
    flat = xp.reshape(target, (-1,))
    return xp.reshape(scatter(xp, flat, values, positions, add=add, inside=True), target.shape)
