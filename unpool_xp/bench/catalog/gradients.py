"""The gradients of our operations by the rule of each, in NumPy, to check those of the libraries.

Each function takes a case and its arrays in 64 bits, the cotangent last, and returns the gradients
by the floating-point inputs. The tests compare them with finite differences.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any, TypeAlias

import numpy as np
from scipy import sparse

from unpool_xp._plan import resize
from unpool_xp._plan.arguments import Coordinates
from unpool_xp.bench.cases.case import Case
from unpool_xp.bench.cases.inputs import NDArray
from unpool_xp.bench.cases.operation import Arrays, Outputs

# Of one axis: the element that each cell takes at each tap, and its weight; shape (taps, cells).
Taps: TypeAlias = tuple[NDArray, NDArray]
AxisTaps: TypeAlias = Callable[[Case], Iterator[Taps | None]]  # None: the axis stays as it is


# --- maxima ---------------------------------------------------------------------------------------


def max_pool_gradient(case: Case, arrays: Arrays) -> Outputs:
    """Give what arrives at each maximum to the element that it is."""
    pooled = case.definition.function(arrays["x"], **case.options())
    places = _in_all_planes(case, pooled.indices, case.plane)
    gradient = np.bincount(places, arrays["cotangent"].reshape(-1), math.prod(case.shape))
    return (gradient.reshape(case.shape),)


def max_unpool_gradient(case: Case, arrays: Arrays) -> Outputs:
    """Take what arrives at the cell of each value; of several in one cell the first has it."""
    places = _in_all_planes(case, arrays["indices"], case.output_plane)
    gradient = arrays["cotangent"].reshape(-1)[places]
    if may_repeat(case):
        _, first = np.unique(places, return_index=True)
        alone = np.zeros_like(gradient)
        alone[first] = gradient[first]
        gradient = alone
    return (gradient.reshape(case.shape),)


def merge_repeated(case: Case, arrays: Arrays, gradients: Outputs) -> Outputs:
    """Return the sum of the gradients of all values in a cell at the first of them.

    Which of them stays, and so has the gradient, is left to the library.
    """
    if not may_repeat(case):
        return gradients
    places = _in_all_planes(case, arrays["indices"], case.output_plane)
    _, first, group = np.unique(places, return_index=True, return_inverse=True)
    merged = np.zeros(len(places))
    merged[first] = np.bincount(group.reshape(-1), gradients[0].reshape(-1))
    return (merged.reshape(case.shape),)


def may_repeat(case: Case) -> bool:
    """Return whether two windows can have their maximum in the same cell."""
    return case.operation != "max_unpool" or any(
        step < taps for step, taps in zip(case.stride, case.kernel, strict=True)
    )


def _in_all_planes(case: Case, indices: NDArray, plane: tuple[int, ...]) -> NDArray:
    """Return indices into a plane as indices into all planes, in one row."""
    planes = math.prod(case.lead)
    first_cells = np.arange(planes)[:, None] * math.prod(plane)
    places: NDArray = (indices.reshape(planes, -1) + first_cells).reshape(-1)
    return places


# --- means and interpolation: linear, axis by axis ------------------------------------------------


def separable_gradient(axis_taps: AxisTaps) -> Callable[[Case, Arrays], Outputs]:
    """Return the gradient of what sums elements with weights along one axis after the other."""

    def gradient(case: Case, arrays: Arrays) -> Outputs:
        return (_transposed(case, arrays["cotangent"], axis_taps),)

    return gradient


def _transposed(case: Case, arrived: NDArray, axis_taps: AxisTaps) -> NDArray:
    """Give each element, along each axis, what arrives at the cells that it is part of."""
    taps_of_axes = zip(range(-case.rank, 0), case.plane, axis_taps(case), strict=True)
    for axis, size, taps in taps_of_axes:
        if taps is None:
            continue
        elements, weights = taps
        cells = np.broadcast_to(np.arange(elements.shape[1]), elements.shape)
        entries = weights.ravel(), (elements.ravel(), cells.ravel())
        matrix = sparse.csr_array(entries, (size, elements.shape[1]))
        columns = np.moveaxis(arrived, axis, 0)
        summed = matrix @ columns.reshape(len(columns), -1)
        arrived = np.moveaxis(summed.reshape(size, *columns.shape[1:]), 0, axis)
    return arrived


def mean_taps(case: Case) -> Iterator[Taps]:
    """Return the taps of average pooling; what lies in the padding has no weight."""
    sizes = zip(
        case.plane, case.output_plane, case.kernel, case.stride, case.padding_pairs, strict=True
    )
    for size, cells, kernel, step, (before, _) in sizes:
        elements = np.arange(cells) * step - before + np.arange(kernel)[:, None]
        inside = (elements >= 0) & (elements < size)
        yield np.clip(elements, 0, size - 1), inside / kernel


def adaptive_taps(case: Case) -> Iterator[Taps]:
    """Return the taps of adaptive average pooling."""
    for size, count in zip(case.plane, case.output_plane, strict=True):
        cells = np.arange(count)
        starts, stops = cells * size // count, -(-(cells + 1) * size // count)
        elements = starts + np.arange((stops - starts).max())[:, None]
        weights = (elements < stops) / (stops - starts)
        yield np.minimum(elements, size - 1), weights


def nearest_taps(case: Case) -> Iterator[Taps]:
    """Return the one element of each cell."""
    plan = resize.plan_nearest("nearest_unpool", case.shape, case.scale, None, "asymmetric", None)
    for axis in plan.axes:
        elements = axis.sources(0, axis.output)[None]
        yield elements, np.ones(elements.shape)


def interpolation_taps(coordinates: Coordinates, coefficient: float | None = None) -> AxisTaps:
    """Return what finds the taps of linear interpolation, of cubic with a coefficient."""

    def axis_taps(case: Case) -> Iterator[Taps | None]:
        # The name is for messages alone, and no size is wrong any more.
        plan = resize.plan_interpolation(
            "linear_unpool", case.shape, case.scale, None, coordinates, coefficient=coefficient
        )
        planned = {axis.axis: axis for axis in plan.axes}
        for number in range(-case.rank, 0):
            axis = planned.get(number)
            yield None if axis is None else axis.weighted_taps(0, axis.output)

    return axis_taps


def fractional_unpool_gradient(case: Case, arrays: Arrays) -> Outputs:
    """Take what arrives at the cell of each maximum; what arrives elsewhere goes by the weights."""
    places = _in_all_planes(case, arrays["indices"], case.output_plane)
    between = arrays["cotangent"].copy()
    between.reshape(-1)[places] = 0
    (there,) = max_unpool_gradient(case, arrays)
    return (there + _transposed(case, between, interpolation_taps("asymmetric")),)


# --- transposed convolution -----------------------------------------------------------------------


def conv_transpose_gradients(case: Case, arrays: Arrays) -> Outputs:
    """Convolve what arrives with the weight, and correlate it with the input."""
    x, weight, arrived = arrays["x"], arrays["weight"], arrays["cotangent"]
    (channels, out_channels), rank = weight.shape[:2], case.rank
    rows = x.reshape(-1, channels, math.prod(case.plane))
    sizes = list(zip(case.plane, case.kernel, case.stride, strict=True))
    # As it was before it was cropped.
    full = np.zeros((len(rows), out_channels, *((n - 1) * s + k for n, k, s in sizes)))
    crop: tuple[Any, ...] = (
        ...,
        *(
            slice(before, before + n)
            for (before, _), n in zip(case.padding_pairs, case.output_plane, strict=True)
        ),
    )
    full[crop] = arrived.reshape(len(rows), out_channels, *arrived.shape[-rank:])
    by_x, by_weight = np.zeros_like(rows), np.zeros_like(weight)
    for tap in product(*map(range, case.kernel)):
        at_tap: tuple[Any, ...] = (..., *tap)
        cells: tuple[Any, ...] = (
            ...,
            *(
                slice(first, first + (n - 1) * s + 1, s)
                for first, (n, _, s) in zip(tap, sizes, strict=True)
            ),
        )
        met = full[cells].reshape(len(rows), out_channels, -1)
        by_x += np.ascontiguousarray(weight[at_tap]) @ met  # a product of strided ones is slow
        # Item by item: a product over all of them at once would copy the whole input for each tap.
        by_weight[at_tap] = sum(one @ other.T for one, other in zip(rows, met, strict=True))
    return by_x.reshape(x.shape), by_weight
