"""The index conventions of max pooling: from an index to a position, and back."""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable
from typing import Any, TypeAlias

from unpool_xp._array.compat import Array, Namespace, cast, copied
from unpool_xp._array.namespace import InputInfo
from unpool_xp._array.numeric import count_and_first, integer
from unpool_xp._array.scatter import any_outside
from unpool_xp._array.traits import concrete_bool
from unpool_xp._array.views import expand_to_axis, ravel
from unpool_xp._plan.arguments import Shape
from unpool_xp._plan.index_conventions import CHANNELS_LAST, COLUMN_MAJOR, IndexPlan

# Numbers, each of which lies in [0, n) if it is possible.
Bounds: TypeAlias = list[tuple[Array, int]]


def prepare_conversion(
    info: InputInfo, plan: IndexPlan, indices: Array, *, dtype: Any
) -> Callable[[Array], Array]:
    """Return what gives the indices in the convention wanted, in an index dtype."""
    xp = info.xp
    if not info.traits.symbolic_axes and plan.largest_index > xp.iinfo(dtype).max:
        raise ValueError(
            f"convert_indices: input_shape={plan.shape} has positions up to {plan.largest_index} "
            f"from {plan.source} to {plan.target}, which {dtype} cannot hold"
        )
    grid = _IndexGrid(info, plan, dtype)
    to_front = None
    if plan.source in CHANNELS_LAST:
        to_front = (0, indices.ndim - 1, *range(1, indices.ndim - 1))
    can_check = info.traits.is_concrete and 0 not in indices.shape

    def convert(indices: Array) -> Array:
        numbers = cast(xp, indices, dtype)
        if to_front:
            numbers = xp.permute_dims(numbers, to_front)
        flat, source_bounds = _decode(grid, plan.source, numbers)
        result, target_bounds = _encode(grid, plan.target, flat)
        if can_check:
            _check_possible(info, plan, indices, [*source_bounds, *target_bounds])
        result = _channels_last(xp, plan.target, result)
        return copied(xp, result) if result is indices else result

    return convert


def _channels_last(xp: Namespace, convention: str, x: Array) -> Array:
    """Return an array with its channels last where the convention has them there."""
    if convention not in CHANNELS_LAST:
        return x
    return xp.permute_dims(x, (0, *range(2, x.ndim), 1))  # vmap of torch.func has no moveaxis


def _check_possible(info: InputInfo, plan: IndexPlan, indices: Array, bounds: Bounds) -> None:
    """Raise an IndexError for indices out of bounds, or that the index dtype cannot hold."""
    xp, dtype = info.xp, info.index_dtype
    looks, narrowed = [any_outside(info, *bound) for bound in bounds], None
    if xp.iinfo(indices.dtype).bits > xp.iinfo(dtype).bits:
        narrowed = xp.astype(xp.astype(indices, dtype), indices.dtype) != indices
        looks.append(xp.any(narrowed))
    if not concrete_bool(info.traits.library, functools.reduce(operator.or_, looks)):
        return
    wrong = functools.reduce(operator.or_, [(x < 0) | (x >= n) for x, n in bounds])
    wrong = _channels_last(xp, plan.source, wrong)
    count, first = count_and_first(info, wrong if narrowed is None else wrong | narrowed)
    windows = ", within their windows" if plan.windows is not None else ""
    raise IndexError(
        f"convert_indices: {count} of {math.prod(indices.shape)} indices cannot be {plan.source} "
        f"indices of input_shape={plan.shape}{windows}; the first is "
        f"{integer(info, xp.reshape(indices, (-1,))[first])}, element {first} of indices of shape "
        f"{tuple(indices.shape)} in row-major order"
    )


class _IndexGrid:
    """The batch, channel and window numbers of each element, as arrays that broadcast."""

    def __init__(self, info: InputInfo, plan: IndexPlan, dtype: Any) -> None:
        self.info, self.dtype, self.output = info, dtype, plan.output
        self.channels, self.plane, self.windows = plan.shape[1], plan.shape[2:], plan.windows or ()

    def numbers(self, axis: int) -> Array:
        """Return the number of each element along an axis."""
        n = self.output[axis]
        numbers = self.info.xp.arange(n, dtype=self.dtype, device=self.info.device)
        return expand_to_axis(self.info.xp, numbers, axis - len(self.output))

    @property
    def plane_number(self) -> Array:
        """The number of each plane, in (N, C) order."""
        return self.numbers(0) * self.channels + self.numbers(1)

    @property
    def window_origins(self) -> list[Array]:
        """Where each window starts along the spatial axes, below 0 in the padding."""
        return [
            self.numbers(i) * axis.stride - axis.padding[0]
            for i, axis in enumerate(self.windows, start=2)
        ]


def _decode(grid: _IndexGrid, source: str, indices: Array) -> tuple[Array, Bounds]:
    """Return the row-major position in the plane, and what is in bounds for possible indices."""
    plane, cells = grid.plane, math.prod(grid.plane)
    if source == "chainer":
        kernel = tuple([axis.kernel_size for axis in grid.windows])
        taps = zip(grid.window_origins, _unravel(indices, kernel), grid.windows, strict=True)
        point = [origin + tap * axis.dilation for origin, tap, axis in taps]
        return ravel(point, plane), [(indices, math.prod(kernel)), *zip(point, plane, strict=True)]
    bounds: Bounds = []
    if source in CHANNELS_LAST:
        indices, flat = indices // grid.channels, indices
        bounds.append((flat - indices * grid.channels - grid.numbers(1), 1))
        if source == "tensorflow_batch":
            indices = indices - grid.numbers(0) * cells
    elif source in ("onnx", "onnx_column_major"):
        indices = indices - grid.plane_number * cells
    elif source == "matlab":
        indices = indices - 1
    bounds.append((indices, cells))
    if source in COLUMN_MAJOR:
        indices = ravel(_unravel(indices, plane[::-1])[::-1], plane)
    return indices, bounds


def _encode(grid: _IndexGrid, target: str, flat: Array) -> tuple[Array, Bounds]:
    """Return the number of row-major positions, and what is in bounds if they have one."""
    plane, cells = grid.plane, math.prod(grid.plane)
    if target == "chainer":
        numbers, bounds = [], []
        places = zip(_unravel(flat, plane), grid.window_origins, grid.windows, strict=True)
        for position, origin, axis in places:
            offset = position - origin
            numbers.append(offset // axis.dilation)
            bounds.append((numbers[-1], axis.kernel_size))
            if axis.dilation > 1:  # between two taps
                bounds.append((offset % axis.dilation, 1))
        return ravel(numbers, tuple([axis.kernel_size for axis in grid.windows])), bounds
    if target in CHANNELS_LAST:
        if target == "tensorflow_batch":
            flat = flat + grid.numbers(0) * cells
        return flat * grid.channels + grid.numbers(1), []
    if target in COLUMN_MAJOR:
        flat = ravel(_unravel(flat, plane)[::-1], plane[::-1])
    if target in ("onnx", "onnx_column_major"):
        return flat + grid.plane_number * cells, []
    return flat + 1 if target == "matlab" else flat, []


def _unravel(flat: Array, shape: Shape) -> list[Array]:
    """Return the places along each axis of numbers in row-major order."""
    point = []
    for n in reversed(shape[1:]):
        point.append(flat % n)
        flat = flat // n
    return [flat, *reversed(point)]
