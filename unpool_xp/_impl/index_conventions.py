"""The index conventions of max pooling: from an index to a position, and back."""

from __future__ import annotations

import math
from typing import Any

from unpool_xp._array.compat import Array, cast
from unpool_xp._array.namespace import InputInfo
from unpool_xp._array.views import expand_to_axis, ravel
from unpool_xp._plan.arguments import Shape
from unpool_xp._plan.index_conventions import CHANNELS_LAST, IndexPlan


def convert(info: InputInfo, plan: IndexPlan, indices: Array, dtype: Any) -> Array:
    """Return the indices in the convention wanted, in an index dtype."""
    xp = info.xp
    if not info.traits.symbolic_axes and plan.largest_index > xp.iinfo(dtype).max:
        raise ValueError(
            f"convert_indices: input_shape={plan.shape} has positions up to {plan.largest_index} "
            f"from {plan.source} to {plan.target}, which {dtype} cannot hold"
        )
    indices = cast(xp, indices, dtype)
    if plan.source in CHANNELS_LAST:
        indices = xp.permute_dims(indices, (0, indices.ndim - 1, *range(1, indices.ndim - 1)))
    grid = _IndexGrid(info, plan, dtype)
    result = _encode(grid, _decode(grid, indices))
    if plan.target in CHANNELS_LAST:  # not moveaxis, for which torch.func.vmap has no rule
        result = xp.permute_dims(result, (0, *range(2, result.ndim), 1))
    return result


class _IndexGrid:
    """The batch, channel and window numbers of each element, as arrays that broadcast."""

    def __init__(self, info: InputInfo, plan: IndexPlan, dtype: Any) -> None:
        self.plan, self.channels, self.plane = plan, plan.shape[1], plan.shape[2:]
        numbers = [info.xp.arange(n, dtype=dtype, device=info.device) for n in plan.output]
        rank = len(numbers)
        vectors = [expand_to_axis(info.xp, v, axis - rank) for axis, v in enumerate(numbers)]
        self.batch, self.channel, self.windows = vectors[0], vectors[1], vectors[2:]

    @property
    def plane_number(self) -> Array:
        """The number of each plane, in (N, C) order."""
        return self.batch * self.channels + self.channel


def _decode(grid: _IndexGrid, indices: Array) -> list[Array]:
    """Return the position along each spatial axis."""
    source, windows = grid.plan.source, grid.plan.windows
    plane, cells = grid.plane, math.prod(grid.plane)
    if source == "chainer":
        assert windows is not None
        taps = _unravel(indices, tuple(axis.kernel_size for axis in windows))
        return [
            number * axis.stride - axis.padding[0] + tap * axis.dilation
            for number, axis, tap in zip(grid.windows, windows, taps, strict=True)
        ]
    if source in CHANNELS_LAST:
        flat = indices // grid.channels
        return _unravel(flat % cells if source == "tensorflow_batch" else flat, plane)
    if source in ("onnx", "onnx_column_major"):
        indices = indices - grid.plane_number * cells
    if source in ("torch", "onnx"):
        return _unravel(indices, plane)
    if source == "matlab":
        indices = indices - 1
    return _unravel(indices, plane[::-1])[::-1]


def _encode(grid: _IndexGrid, point: list[Array]) -> Array:
    """Return the number of each position in the convention wanted."""
    target, windows = grid.plan.target, grid.plan.windows
    plane, cells = grid.plane, math.prod(grid.plane)
    if target == "chainer":
        assert windows is not None
        taps = [
            (position - number * axis.stride + axis.padding[0]) // axis.dilation
            for position, number, axis in zip(point, grid.windows, windows, strict=True)
        ]
        return ravel(taps, tuple(axis.kernel_size for axis in windows))
    if target in CHANNELS_LAST:
        flat = ravel(point, plane)
        if target == "tensorflow_batch":
            flat = flat + grid.batch * cells
        return flat * grid.channels + grid.channel
    column_major = target in ("matlab", "onnx_column_major")
    flat = ravel(point[::-1], plane[::-1]) if column_major else ravel(point, plane)
    if target in ("onnx", "onnx_column_major"):
        return flat + grid.plane_number * cells
    return flat + 1 if target == "matlab" else flat


def _unravel(flat: Array, shape: Shape) -> list[Array]:
    point = []
    for n in reversed(shape):
        point.append(flat % n)
        flat = flat // n
    return point[::-1]
