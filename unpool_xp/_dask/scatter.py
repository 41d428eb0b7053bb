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

from unpool_xp._array.blocks import planes_per_cache_block
from unpool_xp._array.compat import Array, Namespace
from unpool_xp._array.namespace import InputInfo, inspect_inputs
from unpool_xp._array.scatter import any_outside, scatter
from unpool_xp._array.views import expand_to_axis, ravel, zeros
from unpool_xp._dask.partition import UnpoolAxis
from unpool_xp._plan.arguments import Shape


def scatter_from_windows(
    info: InputInfo, plan: tuple[Sequence[UnpoolAxis], bool], values: Array, indices: Array
) -> Array:
    """Return one chunk of the plane with the maxima of the windows that overlap it."""
    axes, add = plan
    xp, device, dtype = info.xp, info.device, info.index_dtype
    indices = xp.astype(indices, dtype, copy=False)
    sizes = tuple(axis.size for axis in axes)
    lead = tuple(values.shape[: values.ndim - len(axes)])
    planes, cells = math.prod(lead), math.prod(sizes)
    if 0 not in values.shape and all(axis.within for axis in axes):
        result = _scatter_within(info, axes, values, indices, add=add)
        if result is not None:
            return xp.reshape(result, (*lead, *sizes))
    # One cell more at the end takes what belongs to other parts.
    target = zeros(info, (planes * cells + 1,), values)
    if 0 not in values.shape:
        positions, inside = _window_positions(info, axes, indices) or _unravelled_positions(
            info, axes, indices
        )
        rows = xp.arange(planes, dtype=dtype, device=device)[:, None] * cells
        positions = xp.reshape(positions, (planes, -1)) + rows
        sentinel = xp.full_like(positions, planes * cells)
        positions = xp.where(xp.reshape(inside, positions.shape), positions, sentinel)
        flat = [xp.reshape(array, (-1,)) for array in (values, positions)]
        target = scatter(info, target, *flat, add=add, inside=True)
    return xp.reshape(target[:-1], (*lead, *sizes))


def _scatter_within(
    info: InputInfo, axes: Sequence[UnpoolAxis], values: Array, indices: Array, *, add: bool
) -> Array | None:
    """Return the planes of a part, made flat; None where an index lies in another part."""
    windows = math.prod([axis.count for axis in axes])
    values, indices = (info.xp.reshape(array, (-1, windows)) for array in (values, indices))
    planes = values.shape[0]
    target = zeros(info, (planes, math.prod([axis.size for axis in axes])), values)
    step = planes_per_cache_block(info, values.shape[0], windows * 8)
    for first in range(0, planes, step):
        block = slice(first, first + step)
        local = _local_positions(info, axes, indices[block, :])
        if local is None:
            return None
        scattered = scatter(info, target[block, :], values[block, :], local, add=add, inside=True)
    # In pieces, which come with libraries that set in place, it is the target that was set.
    return scattered if step >= planes else target


def _local_positions(info: InputInfo, axes: Sequence[UnpoolAxis], indices: Array) -> Array | None:
    """Return places in the whole plane as those in a part; None where one lies elsewhere."""
    flat_strides = _flat_strides([axis.plane for axis in axes])
    cells = axes[0].plane * flat_strides[0]
    if bool(any_outside(info, indices, cells)):
        return None
    xp = info.xp
    # A copy, with half the bytes where they suffice; what follows works in place.
    rest = xp.astype(indices, xp.int32 if cells < 2**31 else indices.dtype)
    # From the first cell of the part on, what lies before an axis' part shows as lying behind it.
    rest -= sum([axis.origin * step for axis, step in zip(axes, flat_strides, strict=True)])
    local: Any = 0
    for i, (axis, step) in enumerate(zip(axes, flat_strides, strict=True)):
        if bool(any_outside(info, rest, axis.size * step)):
            return None
        local *= axis.size
        if all(inner.size == inner.plane for inner in axes[i + 1 :]):
            break
        cell = rest // step
        rest -= cell * step
        cell += local
        local = cell
    local *= step  # the rest, if not of the last axis, lies as in the plane
    rest += local
    return rest


def _window_positions(
    info: InputInfo, axes: Sequence[UnpoolAxis], indices: Array
) -> tuple[Array, Array] | None:
    """Return positions relative to the chunk, and a mask of those inside.

    None if an index lies outside its window. A position is the start of its window plus an
    offset, which is small enough for int32. Of windows that all lie inside, `_scatter_within` has
    taken what it can: an index is left that lies outside the chunk, and so outside its window.
    """
    xp, flat_strides = info.xp, _flat_strides([axis.plane for axis in axes])
    part_strides = _flat_strides([axis.size for axis in axes])
    flat_extents = [(axis.extent - 1) * step for axis, step in zip(axes, flat_strides, strict=True)]
    flat_extent = sum(flat_extents)
    extents = [axis.plane + axis.extent for axis in axes]
    if max(flat_extent, axes[0].size * part_strides[0], *extents) >= 2**31:
        return None
    starts = _window_starts(info, axes, indices.dtype)
    rest = indices - _sum([start * step for start, step in zip(starts, flat_strides, strict=True)])
    if bool(any_outside(info, rest, flat_extent + 1)):
        return None
    rest, local, inside = xp.astype(rest, xp.int32), None, None
    for i, (axis, start) in enumerate(zip(axes, starts, strict=True)):
        if i == len(axes) - 1:
            cell = rest
        elif not flat_extents[i]:
            cell = xp.zeros_like(rest)
        else:
            flat_extent -= flat_extents[i]
            cell = rest // flat_strides[i]
            rest = rest - cell * flat_strides[i]
            if bool(any_outside(info, rest, flat_extent + 1)):
                return None
        cell = cell + xp.astype(start - axis.origin, xp.int32)
        if not axis.within:
            # Around the end of a line the cells of the next one have offsets in reach, too.
            if not axis.inner and bool(any_outside(info, cell + axis.origin, axis.plane)):
                return None
            here = (cell >= 0) & (cell < axis.size)
            inside = here if inside is None else inside & here
        local = cell if local is None else local * axis.size + cell
    return local, inside


def _unravelled_positions(
    info: InputInfo, axes: Sequence[UnpoolAxis], indices: Array
) -> tuple[Array, Array]:
    """Return the places in a part, and which lie in it; raise for those out of reach."""
    sizes = tuple(axis.size for axis in axes)
    points = _unravel(indices, tuple(axis.plane for axis in axes))
    _check_windows(info, axes, points, indices)
    positions = ravel([p - axis.origin for p, axis in zip(points, axes, strict=True)], sizes)
    return positions, _is_inside(points, [(a.origin, a.origin + a.size) for a in axes])


def _flat_strides(sizes: Sequence[int]) -> list[int]:
    return [math.prod(sizes[i + 1 :]) for i in range(len(sizes))]


def _sum(vectors: Sequence[Array]) -> Array:
    return functools.reduce(operator.add, vectors)


def scatter_into_zeros(
    info: InputInfo, plan: tuple[Shape, bool], values: Array, indices: Array
) -> Array:
    """Scatter values into planes of zeros; indices outside are dropped."""
    plane, add = plan
    lead = tuple(values.shape[: values.ndim - len(plane)])
    target = zeros(info, (*lead, *plane), values)
    return scatter_into_planes(info, target, len(lead), values, indices, add=add)


def scatter_into_planes(
    info: InputInfo, target: Array, n_lead: int, values: Array, indices: Array, *, add: bool
) -> Array:
    """Return the target with the values put in its planes, those after the first `n_lead` axes.

    The target may be used up.
    """
    if 0 in values.shape or 0 in target.shape:
        return target
    xp = info.xp
    indices = xp.astype(indices, info.index_dtype, copy=False)
    flat_target, values, indices = (
        xp.reshape(array, (*array.shape[:n_lead], math.prod(array.shape[n_lead:])))
        for array in (target, values, indices)
    )
    inside = not bool(any_outside(info, indices, flat_target.shape[-1]))
    scattered = scatter(info, flat_target, values, indices, add=add, inside=inside)
    return xp.reshape(scattered, target.shape)


def _window_starts(info: InputInfo, axes: Sequence[UnpoolAxis], dtype: Any) -> list[Array]:
    starts = []
    for i, axis in enumerate(axes):
        windows = info.xp.arange(axis.count, dtype=dtype, device=info.device) * axis.stride
        starts.append(expand_to_axis(info.xp, windows + axis.first, i - len(axes)))
    return starts


def _unravel(flat: Array, plane: Shape) -> list[Array]:
    """Return the place along each axis; what is outside the plane is so along the first."""
    points, step = [], math.prod(plane)
    for n in plane[:-1]:
        step //= n
        points.append(flat // step)
        flat = flat - points[-1] * step
    return [*points, flat]


def _is_inside(points: Sequence[Array], ranges: Sequence[tuple[Any, Any]]) -> Array:
    inside = None
    for point, (low, high) in zip(points, ranges, strict=True):
        here = (point >= low) & (point < high)
        inside = here if inside is None else inside & here
    return inside


def _flat_nonzero(xp: Namespace, mask: Array) -> Array:
    return xp.nonzero(xp.reshape(mask, (-1,)))[0]


def _check_windows(
    info: InputInfo,
    axes: Sequence[UnpoolAxis],
    points: Sequence[Array],
    indices: Array,
) -> None:
    """Raise for indices in the plane that their windows do not reach."""
    xp, starts = info.xp, _window_starts(info, axes, indices.dtype)
    ends = [start + axis.extent for start, axis in zip(starts, axes, strict=True)]
    near = _is_inside(points, list(zip(starts, ends, strict=True)))
    plane = tuple(axis.plane for axis in axes)
    cells = math.prod(plane)
    wrong = _flat_nonzero(xp, ~near & (indices >= 0) & (indices < cells))
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


class ScatterEntries(NamedTuple):
    """Values for a part of the plane; each array has one axis."""

    positions: Array  # in the part, one plane behind the other
    order: Array  # position of the value in its plane
    values: Array


@dataclass(frozen=True)
class ScatterSelector:
    """Select the values of one input chunk that belong to one output chunk."""

    plane: Shape
    ranges: tuple[tuple[int, int], ...]  # the part
    pooled_plane: Shape  # the plane of the values
    origins: Shape  # where the chunk starts in it

    def __call__(self, values: Array, indices: Array) -> ScatterEntries:
        """Return the entries."""
        info = inspect_inputs("max_unpool", values=values)
        xp, rank = info.xp, len(self.plane)
        cells = tuple(values.shape[values.ndim - rank :])
        indices = xp.astype(indices, info.index_dtype, copy=False)
        points = _unravel(indices, self.plane)
        selected = _flat_nonzero(xp, _is_inside(points, self.ranges))
        sizes = tuple(high - low for low, high in self.ranges)
        local = [point - low for point, (low, _) in zip(points, self.ranges, strict=True)]
        positions = xp.take(xp.reshape(ravel(local, sizes), (-1,)), selected)
        plane_size = max(math.prod(cells), 1)
        local_points = (
            _unravel(selected % plane_size, cells) if selected.shape[0] else [selected] * rank
        )
        source_points = [p + origin for p, origin in zip(local_points, self.origins, strict=True)]
        return ScatterEntries(
            positions + selected // plane_size * math.prod(sizes),
            ravel(source_points, self.pooled_plane),
            xp.take(xp.reshape(values, (-1,)), selected),
        )


def scatter_entries(
    info: InputInfo, target: Array, entries: Sequence[ScatterEntries], *, add: bool
) -> Array:
    """Return a part of the plane with the entries, of two chunks or more, in their values' order.

    The target may be used up.
    """
    xp = info.xp
    positions, order, values = (xp.concat(arrays) for arrays in zip(*entries, strict=True))
    if 0 in target.shape or not values.shape[0]:
        return target
    permutation = xp.argsort(order)
    positions, values = xp.take(positions, permutation), xp.take(values, permutation)
    flat = xp.reshape(target, (-1,))
    return xp.reshape(scatter(info, flat, values, positions, add=add, inside=True), target.shape)
