"""The index conventions of max pooling: from an index to a position, and back."""

from __future__ import annotations

import math
from typing import Any

from unpool_xp._array.compat import Array, Namespace, cast
from unpool_xp._array.namespace import InputInfo
from unpool_xp._array.numeric import count_and_first
from unpool_xp._array.traits import concrete_bool
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
    given, indices = indices, cast(xp, indices, dtype)
    if plan.source in CHANNELS_LAST:
        indices = xp.permute_dims(indices, (0, indices.ndim - 1, *range(1, indices.ndim - 1)))
    grid = _IndexGrid(info, plan, dtype)
    point = _decode(grid, plan.source, indices)
    result = _encode(grid, plan.target, point)
    if info.traits.is_concrete and 0 not in indices.shape:
        wrong = _impossible(grid, indices, point, result)
        _check_possible(info, plan, given, _channels_last(xp, plan.source, wrong))
    return _channels_last(xp, plan.target, result)


def _channels_last(xp: Namespace, convention: str, x: Array) -> Array:
    """Return an array with its channels last where the convention has them there."""
    if convention not in CHANNELS_LAST:
        return x
    return xp.permute_dims(x, (0, *range(2, x.ndim), 1))  # vmap of torch.func has no moveaxis


def _impossible(grid: _IndexGrid, indices: Array, point: list[Array], result: Array) -> Array:
    """Return which indices do not come back from their positions, or whose positions do not.

    Every convention numbers its elements one by one, so what it cannot mean wraps around.
    """
    wrong = _encode(grid, grid.plan.source, point) != indices
    for position, n in zip(point, grid.plane, strict=True):
        wrong = wrong | (position < 0) | (position >= n)  # in the padding of a window
    if grid.plan.target == "chainer":  # which cannot mean positions outside the window
        for position, back in zip(point, _decode(grid, "chainer", result), strict=True):
            wrong = wrong | (back != position)
    return wrong


def _check_possible(info: InputInfo, plan: IndexPlan, indices: Array, wrong: Array) -> None:
    """Raise an IndexError for indices that are wrong, or that the index dtype cannot hold."""
    xp, dtype = info.xp, info.index_dtype
    if xp.iinfo(indices.dtype).bits > xp.iinfo(dtype).bits:
        wrong = wrong | (xp.astype(xp.astype(indices, dtype), indices.dtype) != indices)
    if not concrete_bool(info.traits.library, xp.any(wrong)):
        return
    count, first = count_and_first(info, wrong)
    windows = ", within their windows" if plan.windows is not None else ""
    raise IndexError(
        f"convert_indices: {count} of {math.prod(indices.shape)} indices cannot be {plan.source} "
        f"indices of input_shape={plan.shape}{windows}; the first is "
        f"{int(xp.reshape(indices, (-1,))[first])}, element {first} of indices of shape "
        f"{tuple(indices.shape)} in row-major order"
    )


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


def _decode(grid: _IndexGrid, source: str, indices: Array) -> list[Array]:
    """Return the position along each spatial axis."""
    windows = grid.plan.windows
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


def _encode(grid: _IndexGrid, target: str, point: list[Array]) -> Array:
    """Return the number of each position in a convention."""
    windows = grid.plan.windows
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
