"""The index conventions of max pooling: from an index to a position, and back."""

from __future__ import annotations

import math
from typing import Literal, TypeAlias, get_args

from unpool_xp._array.compat import Array, Namespace
from unpool_xp._array.views import expand_to_axis
from unpool_xp._plan import windows as _geometry
from unpool_xp._plan.arguments import Shape

Convention: TypeAlias = Literal[
    "torch", "onnx", "onnx_column_major", "tensorflow", "tensorflow_batch", "chainer", "matlab"
]

_CONVENTIONS = get_args(Convention)

_CHANNELS_LAST = ("tensorflow", "tensorflow_batch")


def _largest_index(convention: Convention, shape: Shape) -> int:
    """Return the largest index of a convention."""
    if convention in ("onnx", "onnx_column_major", "tensorflow_batch"):
        return math.prod(shape) - 1
    if convention == "tensorflow":
        return math.prod(shape[1:]) - 1
    return math.prod(shape[2:]) - (0 if convention == "matlab" else 1)


class _IndexGrid:
    """The batch, channel and window numbers of each element, as arrays that broadcast."""

    def __init__(
        self, xp: Namespace, device: object, shape: Shape, out: Shape, dtype: object
    ) -> None:
        self.xp, self.shape, self.plane = xp, shape, shape[2:]
        numbers = [xp.arange(n, dtype=dtype, device=device) for n in out]
        vectors = [expand_to_axis(xp, v, axis - len(out)) for axis, v in enumerate(numbers)]
        self.batch, self.channel, self.windows = vectors[0], vectors[1], vectors[2:]

    @property
    def plane_number(self) -> Array:
        """The number of each plane, in (N, C) order."""
        return self.batch * self.shape[1] + self.channel


def _decode(
    grid: _IndexGrid,
    indices: Array,
    source: Convention,
    windows: tuple[_geometry.PoolAxis, ...] | None,
) -> list[Array]:
    """Return the position along each spatial axis."""
    plane, cells = grid.plane, math.prod(grid.plane)
    if source == "chainer":
        assert windows is not None
        taps = _unravel(indices, tuple(axis.kernel_size for axis in windows))
        return [
            number * axis.stride - axis.padding[0] + tap * axis.dilation
            for number, axis, tap in zip(grid.windows, windows, taps, strict=True)
        ]
    if source in _CHANNELS_LAST:
        flat = indices // grid.shape[1]
        return _unravel(flat % cells if source == "tensorflow_batch" else flat, plane)
    if source in ("onnx", "onnx_column_major"):
        indices = indices - grid.plane_number * cells
    if source in ("torch", "onnx"):
        return _unravel(indices, plane)
    if source == "matlab":
        indices = indices - 1
    return _unravel(indices, plane[::-1])[::-1]


def _encode(
    grid: _IndexGrid,
    point: list[Array],
    target: Convention,
    windows: tuple[_geometry.PoolAxis, ...] | None,
) -> Array:
    """Return the number of each position in the convention wanted."""
    plane, cells = grid.plane, math.prod(grid.plane)
    if target == "chainer":
        assert windows is not None
        taps = [
            (position - number * axis.stride + axis.padding[0]) // axis.dilation
            for position, number, axis in zip(point, grid.windows, windows, strict=True)
        ]
        return _ravel(taps, tuple(axis.kernel_size for axis in windows))
    if target in _CHANNELS_LAST:
        flat = _ravel(point, plane)
        if target == "tensorflow_batch":
            flat = flat + grid.batch * cells
        return flat * grid.shape[1] + grid.channel
    column_major = target in ("matlab", "onnx_column_major")
    flat = _ravel(point[::-1], plane[::-1]) if column_major else _ravel(point, plane)
    if target in ("onnx", "onnx_column_major"):
        return flat + grid.plane_number * cells
    return flat + 1 if target == "matlab" else flat


def _unravel(flat: Array, shape: Shape) -> list[Array]:
    point = []
    for n in reversed(shape):
        point.append(flat % n)
        flat = flat // n
    return point[::-1]


def _ravel(point: list[Array], shape: Shape) -> Array:
    flat = point[0]
    for position, n in zip(point[1:], shape[1:], strict=True):
        flat = flat * n + position
    return flat
