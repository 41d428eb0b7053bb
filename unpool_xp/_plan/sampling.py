"""Which input elements an output cell of a resized axis is made of, as NumPy arrays.

Sizes and offsets are those of the whole axis. Imports no array library but NumPy.
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

from unpool_xp._plan.arguments import Coordinates, Rounding

if TYPE_CHECKING:
    import numpy.typing as npt

    NDArray: TypeAlias = npt.NDArray[Any]


class Nearest(NamedTuple):
    """Each cell takes one element."""

    coordinates: Coordinates = "asymmetric"
    rounding: Rounding = "floor"


class Kernel(NamedTuple):
    """Each cell is a weighted sum of the elements around it."""

    coordinates: Coordinates = "asymmetric"
    coefficient: float | None = None  # of a cubic; None: linear
    antialias: bool = False
    exclude_outside: bool = False

    @property
    def radius(self) -> int:
        """How far away the elements may lie, where nothing is stretched."""
        return 1 if self.coefficient is None else 2


# --- where an output cell lies in the input -------------------------------------------------------


_MAX_PERIOD = 2**12  # cells


def period(size: int, output: int, scale: float | None, coordinates: str) -> tuple[int, int] | None:
    """Return after how many cells their fractions repeat, and how many elements further on."""
    if coordinates == "align_corners":
        scale = None
        size, output = size - 1, output - 1
    if scale is not None:
        return _simple_ratio(scale)
    common = math.gcd(size, output)
    return (output // common, size // common) if 0 < output // common <= _MAX_PERIOD else None


@functools.cache
def _simple_ratio(scale: float) -> tuple[int, int] | None:
    """Return output cells and the elements that they cover, if a float stands for few of them."""
    from fractions import Fraction

    ratio = Fraction(scale).limit_denominator(_MAX_PERIOD)
    simple = ratio.numerator <= _MAX_PERIOD and float(ratio) == scale
    return (ratio.numerator, ratio.denominator) if simple else None


def _positions(
    size: int, output: int, scale: float | None, coordinates: str, cells: NDArray
) -> tuple[NDArray, int]:
    """Return positions as numerators and one denominator: whole numbers where they are exact.

    The formulas are those of ONNX's Resize.
    """
    if coordinates == "align_corners":
        return cells * (size - 1), max(output - 1, 1)
    if coordinates == "pytorch_half_pixel" and output == 1:
        return cells, 1  # the first one alone
    half = coordinates != "asymmetric"
    up, down = (output, size) if scale is None else _simple_ratio(scale) or (0, 1)
    if up:
        # In whole numbers, since o * (n / output) in floats can fall below the integer it is.
        numerators, denominator = (2 * cells + half) * down - half * up, 2 * up
        if coordinates == "half_pixel_symmetric":
            numerators = numerators + (size * up - output * down)
        return numerators, denominator
    assert scale is not None
    positions = (cells + 0.5 * half) / scale - 0.5 * half
    if coordinates == "half_pixel_symmetric":
        positions = positions + size / 2 * (1 - output / (size * scale))
    return positions, 1


def _snapped(positions: NDArray) -> NDArray:
    """Return positions, where those within 4 ulp of a whole number are that number.

    So a neighbour of no weight has none.
    """
    whole = np.rint(positions)
    close = np.abs(positions - whole) <= 4 * np.finfo(np.float64).eps * (np.abs(whole) + 1)
    return np.where(close, whole, positions)


def nearest_sources(
    size: int,
    output: int,
    scale: float | None,
    method: tuple[Any, ...],
    first: int,
    last: int,
) -> NDArray:
    """Return the source index of each output index in [first, last); `method` is a `Nearest`."""
    coordinates, rounding = method
    numerators, denominator = _positions(size, output, scale, coordinates, np.arange(first, last))
    if numerators.dtype.kind == "f":
        shift, rounded = {
            "floor": (0.0, np.floor),
            "ceil": (0.0, np.ceil),
            "round_prefer_floor": (-0.5, np.ceil),
            "round_prefer_ceil": (0.5, np.floor),
        }[rounding]
        sources = rounded(_snapped(numerators + shift)).astype(np.int64)
    elif rounding == "floor":
        sources = numerators // denominator
    elif rounding == "ceil":
        sources = -(-numerators // denominator)
    elif rounding == "round_prefer_ceil":
        sources = (2 * numerators + denominator) // (2 * denominator)
    else:
        sources = -((denominator - 2 * numerators) // (2 * denominator))
    return np.clip(sources, 0, size - 1, out=sources)


# --- weights --------------------------------------------------------------------------------------


def tap_count(size: int, output: int, scale: float | None, method: tuple[Any, ...]) -> int:
    """Return how many elements a cell is made of; `method` is a `Kernel`."""
    kernel = Kernel(*method)
    return math.ceil(2 * kernel.radius * _stretch(size, output, scale, kernel))


def _stretch(size: int, output: int, scale: float | None, kernel: Kernel) -> float:
    """Return how much wider antialiasing makes the kernel, where the axis gets shorter."""
    return max(size / output if scale is None else 1 / scale, 1.0) if kernel.antialias else 1.0


def tap_range(
    size: int, output: int, scale: float | None, method: tuple[Any, ...], first: int, last: int
) -> tuple[int, int]:
    """Return the slice of the axis that the cells [first, last) are made of."""
    lows = [
        int(_lowest_taps(size, output, scale, Kernel(*method), np.asarray([cell]))[0][0])
        for cell in (first, last - 1)
    ]
    stop = lows[1] + tap_count(size, output, scale, method)
    return min(max(lows[0], 0), size - 1), max(min(stop, size), 1)


def _lowest_taps(
    size: int, output: int, scale: float | None, kernel: Kernel, cells: NDArray
) -> tuple[NDArray, NDArray]:
    """Return the first tap of each cell, and how far it lies from the cell's position."""
    numerators, denominator = _positions(size, output, scale, kernel.coordinates, cells)
    fractions: NDArray
    if numerators.dtype.kind == "f":
        positions = _snapped(numerators)
        below = np.floor(positions).astype(np.int64)
        fractions = positions - below
    else:
        below = numerators // denominator
        fractions = (numerators - below * denominator) / denominator
    reach = kernel.radius * _stretch(size, output, scale, kernel)
    # The first whole number above position - reach.
    steps = np.floor(fractions - reach).astype(np.int64) + 1
    return below + steps, steps - fractions


def weighted_taps(
    size: int,
    output: int,
    scale: float | None,
    method: tuple[Any, ...],
    first: int,
    last: int,
) -> tuple[NDArray, NDArray]:
    """Return the source index and the weight of each tap (row) of the cells [first, last).

    No weight is zero, since zero times an infinity is NaN: a tap without weight shares that of
    another one, from the same element.
    """
    kernel, cells = Kernel(*method), np.arange(last - first)
    lowest, distances = _lowest_taps(size, output, scale, kernel, cells + first)
    taps = np.arange(tap_count(size, output, scale, method))[:, None]
    sources = lowest + taps
    stretch = _stretch(size, output, scale, kernel)
    weights = _kernel_weights(np.abs(distances + taps) / stretch, kernel.coefficient)
    outside = [sources < 0, sources >= size]
    if outside[0].any() or outside[1].any():
        inside = np.where(outside[0] | outside[1], 0.0, weights)
        if not kernel.exclude_outside:  # the element at the end stands for what lies beyond it
            for edge, beyond in zip((0, size - 1), outside, strict=True):
                (columns,) = np.nonzero(beyond.any(axis=0))
                spilled = _sums(np.where(beyond, weights, 0.0))
                inside[(edge - lowest)[columns], columns] += spilled[columns]
        weights = inside
    if kernel.exclude_outside or stretch > 1:
        weights = weights / _sums(weights)
    zero = weights == 0
    if zero.any():
        main = np.abs(weights).argmax(axis=0)
        shared = weights[main, cells] / (1 + zero.sum(axis=0))
        weights = np.where(zero, shared, weights)
        weights[main, cells] = shared
        sources = np.where(zero, sources[main, cells], sources)
    return sources, weights


def _sums(weights: NDArray) -> NDArray:
    """Return the sum of each column, in order: `sum` has another one for a single column."""
    totals: NDArray = np.cumsum(weights, axis=0)[-1]
    return totals


def _kernel_weights(distances: NDArray, coefficient: float | None) -> NDArray:
    weights: NDArray
    if coefficient is None:
        weights = np.maximum(1 - distances, 0)
        return weights
    # Keys 1981 (doi 10.1109/TASSP.1981.1163711), factored so that it is 0 at 1 and at 2.
    d, a = distances, coefficient
    near = (1 - d) * (1 + d - (a + 2) * d * d)
    far = a * (d - 1) * (d - 2) * (d - 2)
    weights = np.where(d <= 1, near, np.where(d < 2, far, 0.0))
    return weights


# What torch.compiler.assume_constant_result sets, without importing torch: while torch.compile
# traces, the arrays are found once and kept, not traced.
nearest_sources._dynamo_marked_constant = True  # type: ignore[attr-defined]
tap_count._dynamo_marked_constant = True  # type: ignore[attr-defined]
weighted_taps._dynamo_marked_constant = True  # type: ignore[attr-defined]
