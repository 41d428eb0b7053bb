"""Process arrays in blocks that fit the cache."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol, Self, TypeVar

from unpool_xp._array.compat import Array
from unpool_xp._array.namespace import InputInfo
from unpool_xp._array.views import axis_slice
from unpool_xp._plan.arguments import Shape


def should_block(info: InputInfo, x: Array, growth: float) -> bool:
    """Return whether processing x in cache-sized blocks is faster.

    `growth` is the size of the largest array in between, or output, over that of x.
    """
    return info.traits.fast_path and bool(x.nbytes * max(growth, 1.0) >= 3 * _BLOCK)


def planes_per_cache_block(info: InputInfo, x: Array, plane_bytes: int) -> int:
    """Return how many planes of so many bytes to work on at a time: all, where that is no gain."""
    if info.traits.library == "numpy":
        return max(_BLOCK // max(plane_bytes, 1), 1)
    return max(int(x.shape[0]), 1)


def planes_per_block(info: InputInfo, x: Array, cells: int) -> int:
    """Return how many planes of x to work on at a time, where each has so many cells in between."""
    plane_bytes = max(int(cells * x.dtype.itemsize), 1)
    return max(_block_bytes(info, x, x.shape[0] * cells) // plane_bytes, 1)


def cells_per_block(info: InputInfo, x: Array, axis: int) -> int:
    """Return how many cells along an axis of x to work on at a time."""
    size: int = math.prod(x.shape)
    cell_bytes = max(int(size // max(x.shape[axis], 1) * x.dtype.itemsize), 1)
    return max(_block_bytes(info, x, size) // cell_bytes, 1)


class AxisWindows(Protocol):
    """The windows along one axis."""

    @property
    def axis(self) -> int:
        """The axis, counted from the end."""

    @property
    def count(self) -> int:
        """How many windows there are."""

    @property
    def extent(self) -> int:
        """How many cells a window spans."""

    def part(self, first: int, last: int) -> tuple[int, int, Self]:
        """Return the input cells [start, stop) that the windows [first, last) need, and those."""


AxisWindowsT = TypeVar("AxisWindowsT", bound=AxisWindows)


def map_window_blocks(
    info: InputInfo,
    compute: Callable[[tuple[AxisWindowsT, ...], Array], tuple[Array, ...]],
    axes: tuple[AxisWindowsT, ...],
    x: Array,
    growth: float,
    *,
    same_in_planes: bool = True,
) -> tuple[Array, ...]:
    """Return what is computed of the windows of x: some planes at a time, of large ones in parts.

    `growth` is the size of the largest array in between, or output, over that of x.
    """
    if not should_block(info, x, growth):
        return compute(axes, x)
    longest = max(axes, key=lambda windows: windows.count)
    axis, count = longest.axis, longest.count

    def compute_plane(x: Array) -> tuple[Array, ...]:
        cells = math.prod(x.shape) * max(growth, 1.0)
        step = int(count * _block_bytes(info, x, cells) // (cells * x.dtype.itemsize))
        # What two neighbouring parts both read is a quarter of them at most.
        shared = longest.extent - x.shape[axis] // count
        step = max(step, 4 * shared * count // x.shape[axis], 1)
        if count < 2 * step:
            return compute(axes, x)
        outputs: list[Array] = []
        for first in range(0, count, step):
            last = min(first + step, count)
            start, stop, part = longest.part(first, last)
            parts = tuple([part if windows is longest else windows for windows in axes])
            results = compute(parts, x[axis_slice(axis, slice(start, stop))])
            if not outputs:
                shapes = [list(result.shape) for result in results]
                for shape, result in zip(shapes, results, strict=True):
                    shape[axis] = count
                    outputs.append(
                        info.xp.empty(tuple(shape), dtype=result.dtype, device=info.device)
                    )
            for output, result in zip(outputs, results, strict=True):
                output[axis_slice(axis, slice(first, last))] = result
        return tuple(outputs)

    if not same_in_planes:
        return compute_plane(x)
    return _map_plane_blocks(info, compute_plane, x, len(axes), growth)


def _map_plane_blocks(
    info: InputInfo,
    compute: Callable[[Array], tuple[Array, ...]],
    x: Array,
    rank: int,
    growth: float,
) -> tuple[Array, ...]:
    """Return what is computed of each plane of the last `rank` axes, some planes at a time."""
    n_lead = x.ndim - rank
    lead, plane = x.shape[:n_lead], x.shape[n_lead:]
    planes, cells = math.prod(lead), math.prod(plane) * max(growth, 1.0)
    plane_bytes = cells * x.dtype.itemsize
    block_size = max(int(_block_bytes(info, x, planes * cells) // plane_bytes), 1)
    if planes < 4 * block_size:
        return compute(x)
    xp = info.xp
    x = xp.reshape(x, (planes, *plane))
    outputs: list[Array] = []
    for start in range(0, planes, block_size):
        parts = compute(x[start : start + block_size, ...])
        if not outputs:
            outputs = [
                xp.empty((planes, *part.shape[1:]), dtype=part.dtype, device=info.device)
                for part in parts
            ]
        for output, part in zip(outputs, parts, strict=True):
            output[start : start + block_size, ...] = part
    return tuple([xp.reshape(output, (*lead, *output.shape[1:])) for output in outputs])


def map_channel_blocks(
    info: InputInfo,
    compute: Callable[[slice, slice], Array],
    shape: Shape,
    x: Array,
    cells: int,
) -> Array:
    """Return an array (planes, channels, ...) computed some planes and some channels at a time.

    `cells` is how many elements lie between for each plane and channel.
    """
    planes, channels = shape[:2]
    # A matrix product wants more in one piece than passes over elements do.
    size = int(planes * channels * cells * x.dtype.itemsize)
    whole = info.traits.library != "numpy" and size < _ALLOCATOR_CACHE
    max_planes = max((size if whole else _SHARED_BLOCK) // max(cells * x.dtype.itemsize, 1), 1)
    if max_planes >= planes * channels:
        return compute(slice(0, planes), slice(0, channels))
    plane_step, channel_step = max(max_planes // channels, 1), min(max_planes, channels)
    output = info.xp.empty(shape, dtype=x.dtype, device=info.device)
    for plane in range(0, planes, plane_step):
        for channel in range(0, channels, channel_step):
            block = (
                slice(plane, plane + plane_step),
                slice(channel, min(channel + channel_step, channels)),
            )
            output[block] = compute(*block)
    return output


_BLOCK = 2**21  # bytes; about the cache per core, smaller blocks cost more in calls than they save
# PyTorch's threads need more to share; below what the allocator keeps for the next call, it is as
# fast in one piece.
_SHARED_BLOCK, _ALLOCATOR_CACHE = 2**23, 2**25


def _block_bytes(info: InputInfo, x: Array, cells: float) -> int:
    if info.traits.library == "numpy":
        return _BLOCK
    if not info.traits.is_eager_cpu:  # a GPU, whose calls should be few and large
        return max(int(cells * x.dtype.itemsize), 1)
    size = int(cells * x.dtype.itemsize)
    return _SHARED_BLOCK if size >= _ALLOCATOR_CACHE else size
