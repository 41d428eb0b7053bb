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
from unpool_xp.workers import ALONE, Scope, current_scope, run_shared


def largest_bytes(info: InputInfo, x: Array, growth: float) -> float:
    """Return the bytes of the largest array, `growth` times x if that is more; 0 where none counts.

    Only eager arrays of the host without gradient are processed in blocks.
    """
    return x.nbytes * max(growth, 1.0) if info.traits.fast_path else 0


def sharing(info: InputInfo, n_bytes: float) -> Scope:
    """Return the workers that share so many bytes: one, but for large arrays of NumPy.

    They are asked for once a call, and handed on.
    """
    return current_scope() if _may_share(info, n_bytes) else ALONE


def _may_share(info: InputInfo, n_bytes: float) -> bool:
    return info.traits.library == "numpy" and n_bytes >= _MIN_SHARED


def may_block(info: InputInfo, n_bytes: float) -> bool:
    """Return whether arrays of so many bytes are processed in blocks, with workers enough."""
    return n_bytes >= 3 * _BLOCK or _may_share(info, n_bytes)


def should_block(n_bytes: float, scope: Scope) -> bool:
    """Return whether so many bytes are processed in blocks: faster, or shared by workers."""
    return n_bytes >= 3 * _BLOCK or scope.workers > 1


def run_blocks(
    compute: Callable[[int, int], None], count: int, step: int, scope: Scope = ALONE
) -> None:
    """Call a function for each block [first, last) of so many cells; workers share them."""

    def compute_block(first: int) -> None:
        compute(first, min(first + step, count))

    run_shared(scope, compute_block, range(0, count, step))


def planes_per_cache_block(
    info: InputInfo, planes: int, plane_bytes: float, scope: Scope = ALONE
) -> int:
    """Return how many planes of so many bytes to work on at a time: all, where that is no gain."""
    planes = max(planes, 1)
    return per_block(info, planes, plane_bytes, scope) if info.traits.library == "numpy" else planes


def planes_and_cells_per_block(
    info: InputInfo, planes: int, count: int, plane_bytes: float, scope: Scope
) -> tuple[int, int]:
    """Return how many planes to work on at a time, and how many cells along their first axis.

    `count` is how many cells there are, `plane_bytes` what lies in between for a plane.
    """
    step = per_block(info, planes, plane_bytes, scope)
    return step, count if step > 1 else per_block(info, count, plane_bytes / max(count, 1), scope)


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


def by_window_blocks(
    info: InputInfo,
    prepare: Callable[[tuple[AxisWindowsT, ...]], Callable[[Array], tuple[Array, ...]]],
    axes: tuple[AxisWindowsT, ...],
    x: Array,
    growth: float,
    *,
    same_in_planes: bool = True,
) -> Callable[[Array], tuple[Array, ...]]:
    """Return what computes the windows of x: some planes at a time, of large ones in parts.

    `prepare` makes of windows what computes them. `growth` is the size of the largest array in
    between, or output, over that of x.
    """
    whole, n_bytes = prepare(axes), largest_bytes(info, x, growth)
    if not may_block(info, n_bytes):
        return whole
    longest = max(axes, key=lambda windows: windows.count)
    axis, count = longest.axis, longest.count

    def compute_plane(x: Array, scope: Scope) -> tuple[Array, ...]:
        size = math.prod(x.shape) * max(growth, 1.0) * x.dtype.itemsize
        step = per_block(info, count, size / count, scope)
        # What two neighbouring parts both read is a quarter of them at most.
        shared = longest.extent - x.shape[axis] // count
        step = max(step, 4 * shared * count // x.shape[axis], 1)
        if count < 2 * step:
            return whole(x)

        def compute_part(first: int, last: int) -> tuple[Array, ...]:
            start, stop, part = longest.part(first, last)
            parts = tuple([part if windows is longest else windows for windows in axes])
            return prepare(parts)(x[axis_slice(axis, slice(start, stop))])

        return _join_blocks(info, compute_part, axis, count, step, scope)

    def compute(x: Array) -> tuple[Array, ...]:
        scope = sharing(info, n_bytes)
        if not should_block(n_bytes, scope):
            return whole(x)
        if not same_in_planes:
            return compute_plane(x, scope)
        return _compute_planes(info, compute_plane, x, len(axes), growth, scope)

    return compute


def _compute_planes(
    info: InputInfo,
    compute: Callable[[Array, Scope], tuple[Array, ...]],
    x: Array,
    rank: int,
    growth: float,
    scope: Scope,
) -> tuple[Array, ...]:
    """Return what is computed of each plane of the last `rank` axes, some planes at a time."""
    n_lead = x.ndim - rank
    lead, plane = x.shape[:n_lead], x.shape[n_lead:]
    planes = math.prod(lead)
    plane_bytes = math.prod(plane) * max(growth, 1.0) * x.dtype.itemsize
    block_size = per_block(info, planes, plane_bytes, scope)
    is_even = scope.workers > 1 and planes % scope.workers == 0
    if planes < 4 * block_size and not is_even:
        return compute(x, scope)
    xp = info.xp
    x = xp.reshape(x, (planes, *plane))

    def compute_planes(first: int, last: int) -> tuple[Array, ...]:
        return compute(x[first:last, ...], ALONE)

    outputs = _join_blocks(info, compute_planes, -1 - rank, planes, block_size, scope)
    return tuple([xp.reshape(output, (*lead, *output.shape[1:])) for output in outputs])


def _join_blocks(
    info: InputInfo,
    compute: Callable[[int, int], tuple[Array, ...]],
    axis: int,
    count: int,
    step: int,
    scope: Scope,
) -> tuple[Array, ...]:
    """Return what is computed of the cells [first, last) along an axis, side by side."""
    outputs: list[Array] = []
    lock = threading.Lock()

    def compute_block(first: int, last: int) -> None:
        parts = compute(first, last)
        with lock:
            for part in parts if not outputs else ():
                shape = list(part.shape)
                shape[axis] = count
                empty = info.xp.empty(tuple(shape), dtype=part.dtype, device=info.device)
                outputs.append(empty)
        for output, part in zip(outputs, parts, strict=True):
            output[axis_slice(axis, slice(first, last))] = part

    run_blocks(compute_block, count, step, scope)
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


def per_block(info: InputInfo, count: int, unit_bytes: float, scope: Scope = ALONE) -> int:
    """Return how many of so many planes or lines, each of so many bytes, to work on at a time."""
    size = count * unit_bytes
    block: float = _BLOCK
    if scope.workers > 1:  # as many blocks for each
        blocks = math.ceil(size / (_BLOCK * scope.workers)) * scope.workers
        return max(-(-count // blocks), 1)
    if info.traits.library == "numpy":
        pass
    elif not info.traits.is_eager_cpu:  # a GPU, whose calls should be few and large
        block = size
    else:
        block = _SHARED_BLOCK if size >= _ALLOCATOR_CACHE else size
    return max(int(block // max(unit_bytes, 1)), 1)
