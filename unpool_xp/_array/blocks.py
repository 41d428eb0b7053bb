"""Process arrays in blocks that fit the cache."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from typing import Protocol, Self, TypeVar

from unpool_xp._array.compat import Array
from unpool_xp._array.namespace import InputInfo
from unpool_xp._array.views import axis_slice
from unpool_xp._plan.arguments import Shape
from unpool_xp.workers import get_workers, run_shared


def should_block(info: InputInfo, x: Array, growth: float) -> bool:
    """Return whether processing x in cache-sized blocks is faster, or shared by several workers.

    `growth` is the size of the largest array in between, or output, over that of x.
    """
    if not info.traits.fast_path:
        return False
    size = x.nbytes * max(growth, 1.0)
    if size >= 3 * _BLOCK:
        return True
    return info.traits.library == "numpy" and size >= _MIN_SHARED and get_workers() > 1


def run_blocks(info: InputInfo, compute: Callable[[int], None], starts: range) -> None:
    """Call a function for each block by where it starts; of NumPy's, workers share them."""
    if info.traits.library == "numpy":
        run_shared(compute, starts)
    else:
        for start in starts:
            compute(start)


def planes_per_cache_block(info: InputInfo, x: Array, plane_bytes: int) -> int:
    """Return how many planes of so many bytes to work on at a time: all, where that is no gain."""
    planes = max(int(x.shape[0]), 1)
    return _per_block(info, planes, plane_bytes) if info.traits.library == "numpy" else planes


def planes_per_block(info: InputInfo, x: Array, cells: int) -> int:
    """Return how many planes of x to work on at a time, where each has so many cells in between."""
    return _per_block(info, x.shape[0], cells * x.dtype.itemsize)


def planes_and_cells_per_block(
    info: InputInfo, planes: int, count: int, plane_bytes: float
) -> tuple[int, int]:
    """Return how many planes to work on at a time, and how many cells along their first axis.

    `count` is how many cells there are, `plane_bytes` what lies in between for a plane.
    """
    step = _per_block(info, planes, plane_bytes)
    return step, count if step > 1 else _per_block(info, count, plane_bytes / max(count, 1))


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
        size = math.prod(x.shape) * max(growth, 1.0) * x.dtype.itemsize
        step = _per_block(info, count, size / count)
        # What two neighbouring parts both read is a quarter of them at most.
        shared = longest.extent - x.shape[axis] // count
        step = max(step, 4 * shared * count // x.shape[axis], 1)
        if count < 2 * step:
            return compute(axes, x)

        def compute_part(first: int, last: int) -> tuple[Array, ...]:
            start, stop, part = longest.part(first, last)
            parts = tuple([part if windows is longest else windows for windows in axes])
            return compute(parts, x[axis_slice(axis, slice(start, stop))])

        return _map_blocks(info, compute_part, axis, count, step)

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
    planes = math.prod(lead)
    block_size = _per_block(info, planes, math.prod(plane) * max(growth, 1.0) * x.dtype.itemsize)
    workers = get_workers() if info.traits.library == "numpy" else 1
    is_even = workers > 1 and planes % workers == 0
    if planes < 4 * block_size and not is_even:
        return compute(x)
    xp = info.xp
    x = xp.reshape(x, (planes, *plane))

    def compute_planes(first: int, last: int) -> tuple[Array, ...]:
        return compute(x[first:last, ...])

    outputs = _map_blocks(info, compute_planes, -1 - rank, planes, block_size)
    return tuple([xp.reshape(output, (*lead, *output.shape[1:])) for output in outputs])


def _map_blocks(
    info: InputInfo,
    compute: Callable[[int, int], tuple[Array, ...]],
    axis: int,
    count: int,
    step: int,
) -> tuple[Array, ...]:
    """Return what is computed of the cells [first, last) along an axis, side by side."""
    outputs: list[Array] = []
    lock = threading.Lock()

    def compute_block(first: int) -> None:
        last = min(first + step, count)
        parts = compute(first, last)
        with lock:
            for part in parts if not outputs else ():
                shape = list(part.shape)
                shape[axis] = count
                empty = info.xp.empty(tuple(shape), dtype=part.dtype, device=info.device)
                outputs.append(empty)
        for output, part in zip(outputs, parts, strict=True):
            output[axis_slice(axis, slice(first, last))] = part

    run_blocks(info, compute_block, range(0, count, step))
    return tuple(outputs)


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


_MIN_SHARED = 2**21  # bytes that are worth several threads


def _per_block(info: InputInfo, count: int, unit_bytes: float) -> int:
    """Return how many of so many planes or lines, each of so many bytes, to work on at a time."""
    size = count * unit_bytes
    block: float = _BLOCK
    if info.traits.library == "numpy":
        workers = get_workers() if size >= _MIN_SHARED else 1
        if workers > 1:  # as many blocks for each
            blocks = math.ceil(size / (_BLOCK * workers)) * workers
            return max(-(-count // blocks), 1)
    elif not info.traits.is_eager_cpu:  # a GPU, whose calls should be few and large
        block = size
    else:
        block = _SHARED_BLOCK if size >= _ALLOCATOR_CACHE else size
    return max(int(block // max(unit_bytes, 1)), 1)
