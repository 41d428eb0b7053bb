"""Maxima put back at their places in a part of a plane.

Where the windows are known, a part looks at those that reach into it; where they are not, at the
entries of all the plane's values that were picked for it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from unpool_xp._compat import Array, Namespace, device, index_dtype, namespace
from unpool_xp._parts import AxisReach
from unpool_xp._primitives import along, any_outside, scatter, zeros
from unpool_xp._sizes import Shape


def put_in_reach(
    xp: Namespace, plan: tuple[Sequence[AxisReach], bool], values: Array, indices: Array
) -> list[Array]:
    """Return a part of the plane with the maxima of the windows that reach into it."""
    axes, add = plan
    place = device(values)
    counting = index_dtype(xp, place)
    indices = xp.astype(indices, counting, copy=False)
    sizes = tuple(axis.size for axis in axes)
    lead = tuple(values.shape[: values.ndim - len(axes)])
    target = zeros(xp, (*lead, math.prod(sizes)), values)
    if 0 in values.shape:
        return [xp.reshape(target, (*lead, *sizes))]
    cells = values.shape[values.ndim - len(axes) :]
    flat = (*lead, math.prod(cells))

    points = _unravelled(indices, tuple(axis.plane for axis in axes))
    starts = [_starts(xp, axis, i - len(axes), counting, place) for i, axis in enumerate(axes)]
    positions = _ravelled([p - axis.origin for p, axis in zip(points, axes, strict=True)], sizes)
    near = not any(
        bool(any_outside(xp, point - start, axis.extent))
        for point, start, axis in zip(points, starts, axes, strict=True)
    ) and not bool(any_outside(xp, points[0], axes[0].plane))
    if near and all(axis.within for axis in axes):
        given = [xp.reshape(array, flat) for array in (values, positions)]
        put = scatter(xp, target, *given, add=add, inside=True)
        return [xp.reshape(put, (*lead, *sizes))]
    if not near:
        _check_reach(xp, axes, points, starts, indices)
    inside = _inside(points, [(axis.origin, axis.origin + axis.size) for axis in axes])
    kept = _numbers(xp, inside)
    rows = xp.arange(math.prod(lead), dtype=counting, device=place)[:, None] * math.prod(sizes)
    positions = xp.reshape(positions, (rows.shape[0], -1)) + rows
    given = [xp.take(xp.reshape(array, (-1,)), kept) for array in (values, positions)]
    put = scatter(xp, xp.reshape(target, (-1,)), *given, add=add, inside=True)
    return [xp.reshape(put, (*lead, *sizes))]


def put_anywhere(
    xp: Namespace, plan: tuple[Shape, bool], values: Array, indices: Array
) -> list[Array]:
    """Return whole planes with their values put; what lies outside is dropped."""
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
    starts: Sequence[Array],
    indices: Array,
) -> None:
    """Raise for indices in the plane that their windows do not reach."""
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
    """Picks from a chunk of the values those for a part of the plane."""

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
