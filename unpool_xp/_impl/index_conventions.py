"""The index conventions of max pooling: from an index to a position, and back."""

from __future__ import annotations

import math
from typing import Literal, TypeAlias, get_args

from unpool_xp._array.compat import Array, Namespace
from unpool_xp._array.views import along
from unpool_xp._plan import windows as _geometry
from unpool_xp._plan.arguments import Shape

Convention: TypeAlias = Literal[
    "torch", "onnx", "onnx_column_major", "tensorflow", "tensorflow_batch", "chainer", "matlab"
]

_CONVENTIONS = get_args(Convention)

_LAST_CHANNEL = ("tensorflow", "tensorflow_batch")


def _largest(convention: Convention, shape: Shape) -> int:
    """Return the largest index of a convention."""
    if convention in ("onnx", "onnx_column_major", "tensorflow_batch"):
        return math.prod(shape) - 1
    if convention == "tensorflow":
        return math.prod(shape[1:]) - 1
    return math.prod(shape[2:]) - (0 if convention == "matlab" else 1)


class _Counters:
    """The batch, channel and window numbers of each element, as arrays that broadcast."""

    def __init__(
        self, xp: Namespace, place: object, shape: Shape, out: Shape, dtype: object
    ) -> None:
        self.xp, self.shape, self.plane = xp, shape, shape[2:]
        numbers = [xp.arange(n, dtype=dtype, device=place) for n in out]
        vectors = [along(xp, v, axis - len(out)) for axis, v in enumerate(numbers)]
        self.batch, self.channel, self.windows = vectors[0], vectors[1], vectors[2:]

    @property
    def planes(self) -> Array:
        """The number of each plane, in (N, C) order."""
        return self.batch * self.shape[1] + self.channel


def _decode(
    counters: _Counters,
    indices: Array,
    source: Convention,
    windows: tuple[_geometry.AxisWindows, ...] | None,
) -> list[Array]:
    """Return the position along each spatial axis."""
    plane, cells = counters.plane, math.prod(counters.plane)
    if source == "chainer":
        assert windows is not None
        taps = _unravel(indices, tuple(axis.taps for axis in windows))
        return [
            number * axis.stride - axis.padding[0] + tap * axis.dilation
            for number, axis, tap in zip(counters.windows, windows, taps, strict=True)
        ]
    if source in _LAST_CHANNEL:
        flat = indices // counters.shape[1]
        return _unravel(flat % cells if source == "tensorflow_batch" else flat, plane)
    if source in ("onnx", "onnx_column_major"):
        indices = indices - counters.planes * cells
    if source in ("torch", "onnx"):
        return _unravel(indices, plane)
    if source == "matlab":
        indices = indices - 1
    return _unravel(indices, plane[::-1])[::-1]


def _encode(
    counters: _Counters,
    point: list[Array],
    target: Convention,
    windows: tuple[_geometry.AxisWindows, ...] | None,
) -> Array:
    """Return the number of each position in the convention wanted."""
    plane, cells = counters.plane, math.prod(counters.plane)
    if target == "chainer":
        assert windows is not None
        taps = [
            (position - number * axis.stride + axis.padding[0]) // axis.dilation
            for position, number, axis in zip(point, counters.windows, windows, strict=True)
        ]
        return _ravel(taps, tuple(axis.taps for axis in windows))
    if target in _LAST_CHANNEL:
        flat = _ravel(point, plane)
        if target == "tensorflow_batch":
            flat = flat + counters.batch * cells
        return flat * counters.shape[1] + counters.channel
    column_major = target in ("matlab", "onnx_column_major")
    flat = _ravel(point[::-1], plane[::-1]) if column_major else _ravel(point, plane)
    if target in ("onnx", "onnx_column_major"):
        return flat + counters.planes * cells
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
