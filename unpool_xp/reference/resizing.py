"""The reference for resizing: loops over cells, nothing else."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from typing import Any, TypeAlias

import numpy as np

from unpool_xp.reference.pooling import (
    NDArray,
    Scales,
    Sizes,
    _cells_first,
    _known,
    _planes_first,
    _quiet,
)

_HALF = Fraction(1, 2)
COORDINATES = (
    *("asymmetric", "half_pixel", "align_corners"),
    *("half_pixel_symmetric", "pytorch_half_pixel"),
)
# An element and its weight, for each element that counts for a cell; exact.
Weights: TypeAlias = dict[int, Fraction]


def nearest_unpool(
    x: NDArray,
    *,
    scale_factor: Scales | None = None,
    output_size: Sizes | None = None,
    coordinates: str = "asymmetric",
    rounding: str | None = None,
) -> NDArray:
    """Return each value repeated: a cell takes the element that its position is rounded to.

    Parameters
    ----------
    x : ndarray
        Shape ``(..., *spatial)``, any dtype.
    scale_factor : tuple of float, optional
        The scale of each axis; the output has ``floor(n*scale)`` cells, where a product within
        4 ulp of a whole number is that number.
    output_size : tuple of int, optional
        The cells of each axis of the output, instead of `scale_factor`; scale is ``out/n``.
    coordinates : str, optional
        A name in `position`.
    rounding : str, optional
        "floor", "ceil", "round_prefer_floor" or "round_prefer_ceil". Default: "floor"; for
        "half_pixel" "round_prefer_ceil".

    Returns
    -------
    ndarray
        In the dtype of `x`.
    """
    roundings = {
        "floor": math.floor,
        "ceil": math.ceil,
        "round_prefer_floor": lambda place: math.ceil(place - _HALF),
        "round_prefer_ceil": lambda place: math.floor(place + _HALF),
    }
    default = "round_prefer_ceil" if coordinates == "half_pixel" else "floor"
    rounded: Any = _known("rounding", rounding or default, roundings)
    plane, out, scales = _resized(x, scale_factor, output_size)
    cells = _cells_first(x, len(plane))
    sources = [
        [min(max(rounded(position(o, n, m, scale, coordinates)), 0), n - 1) for o in range(m)]
        for n, m, scale in zip(plane, out, scales, strict=True)
    ]
    unpooled = np.empty((*out, cells.shape[-1]), x.dtype)
    for o in np.ndindex(out):
        unpooled[o] = cells[tuple(axis[i] for axis, i in zip(sources, o, strict=True))]
    return _planes_first(unpooled, x, len(plane))


@_quiet
def linear_unpool(
    x: NDArray,
    *,
    scale_factor: Scales | None = None,
    output_size: Sizes | None = None,
    coordinates: str = "asymmetric",
    antialias: bool = False,
    exclude_outside: bool | None = None,
) -> NDArray:
    """Return the linear interpolation along every axis; one that keeps its size is copied.

    Parameters
    ----------
    x : ndarray
        Shape ``(..., *spatial)``.
    scale_factor, output_size : tuple, optional
        As in `nearest_unpool`.
    coordinates : str, optional
        A name in `position`.
    antialias : bool, optional
        Whether the kernel of an axis that gets shorter is as wide as two of its cells.
    exclude_outside : bool, optional
        Whether what lies beyond the ends has no weight. Default: `antialias`.

    Returns
    -------
    ndarray
        The interpolation, float64.
    """

    def weights(o: int, n: int, m: int, scale: Fraction) -> Weights:
        if n == m:
            return {o: Fraction(1)}
        place = position(o, n, m, scale, coordinates)
        stretch = max(1 / scale, Fraction(1)) if antialias else Fraction(1)
        exclude = antialias if exclude_outside is None else exclude_outside
        return _weights(place, n, 1, stretch, lambda d: 1 - d, exclude=exclude)

    return _interpolated(x, scale_factor, output_size, weights)


@_quiet
def cubic_unpool(
    x: NDArray,
    *,
    scale_factor: Scales | None = None,
    output_size: Sizes | None = None,
    coordinates: str = "half_pixel",
    coefficient: float = -0.75,
    antialias: bool = False,
    exclude_outside: bool | None = None,
) -> NDArray:
    """Return the cubic convolution along every axis, by the kernel of Keys (1981).

    Parameters
    ----------
    x : ndarray
        Shape ``(..., *spatial)``.
    scale_factor, output_size, coordinates, antialias, exclude_outside : optional
        As in `linear_unpool`.
    coefficient : float, optional
        The slope of the kernel at 1.

    Returns
    -------
    ndarray
        The interpolation, float64.
    """
    a = Fraction(coefficient)

    def kernel(d: Fraction) -> Fraction:
        if d < 1:
            return (a + 2) * d**3 - (a + 3) * d**2 + 1
        return a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a

    def weights(o: int, n: int, m: int, scale: Fraction) -> Weights:
        if antialias and n == m:
            return {o: Fraction(1)}
        place = position(o, n, m, scale, coordinates)
        stretch = max(1 / scale, Fraction(1)) if antialias else Fraction(1)
        exclude = antialias if exclude_outside is None else exclude_outside
        return _weights(place, n, 2, stretch, kernel, exclude=exclude)

    return _interpolated(x, scale_factor, output_size, weights)


def position(o: int, n: int, m: int, scale: Fraction, coordinates: str) -> Fraction:
    """Return where in an axis of n elements the cell o of m lies, by the formulas of ONNX's Resize.

    Parameters
    ----------
    o, n, m : int
        The cell, the elements, the cells.
    scale : Fraction
        The factor, of which ``floor(n*scale)`` is m.
    coordinates : str
        "asymmetric", "half_pixel", "align_corners", "half_pixel_symmetric" or "pytorch_half_pixel".

    Returns
    -------
    Fraction
        The position; it may lie before the first element or after the last one.
    """
    _known("coordinates", coordinates, dict.fromkeys(COORDINATES))
    if coordinates == "asymmetric":
        return o / scale
    if coordinates == "align_corners":
        return Fraction(o * (n - 1), max(m - 1, 1))
    if coordinates == "pytorch_half_pixel" and m == 1:
        return Fraction()
    place = (o + _HALF) / scale - _HALF
    if coordinates == "half_pixel_symmetric":
        place += Fraction(n, 2) * (1 - m / (n * scale))
    return place


def _weights(
    place: Fraction, n: int, radius: int, stretch: Fraction, kernel: Any, *, exclude: bool
) -> Weights:
    """Return the elements nearer than the radius, beyond the ends the last one, with weights.

    A place within 4 ulp of an element is that element: its neighbours, infinite perhaps, weigh
    nothing.
    """
    tiny = 4 * Fraction(math.ulp(max(abs(float(place)), 1.0)))
    found: Weights = {}
    low, high = place - radius * stretch, place + radius * stretch
    for i in range(math.ceil(low), math.floor(high) + 1):
        weight = kernel(abs(i - place) / stretch)
        if exclude and not 0 <= i < n:
            continue
        inside = min(max(i, 0), n - 1)
        found[inside] = found.get(inside, Fraction()) + weight
    total = sum(found.values()) if exclude or stretch > 1 else 1
    return {i: weight / total for i, weight in found.items() if abs(weight) > tiny}


def _interpolated(
    x: NDArray, scale_factor: Scales | None, output_size: Sizes | None, weights: Any
) -> NDArray:
    plane, out, scales = _resized(x, scale_factor, output_size)
    cells = _cells_first(x.astype(np.float64), len(plane))
    neighbours = [
        [[(i, float(w)) for i, w in weights(o, n, m, scale).items()] for o in range(m)]
        for n, m, scale in zip(plane, out, scales, strict=True)
    ]
    unpooled = np.zeros((*out, cells.shape[-1]))
    for o in np.ndindex(out):
        around = [axis[i] for axis, i in zip(neighbours, o, strict=True)]
        for corner in itertools.product(*around):
            weight = math.prod(weight for _, weight in corner)
            unpooled[o] += weight * cells[tuple(place for place, _ in corner)]
    return _planes_first(unpooled, x, len(plane))


def _resized(
    x: NDArray, scale_factor: Scales | None, output_size: Sizes | None
) -> tuple[Sizes, Sizes, list[Fraction]]:
    """Return the plane, the output's, and the exact scales."""
    if output_size is not None:
        plane = x.shape[-len(output_size) :]
        scales = [Fraction(m, n) for m, n in zip(output_size, plane, strict=True)]
        return plane, output_size, scales
    if scale_factor is None:
        raise ValueError("give either scale_factor or output_size, got neither")
    plane = x.shape[-len(scale_factor) :]
    scales = [_meant(float(scale)) for scale in scale_factor]
    out = []
    for n, scale in zip(plane, scale_factor, strict=True):
        exact = n * Fraction(float(scale))
        whole = round(exact)
        close = abs(exact - whole) <= 4 * Fraction(math.ulp(whole))
        out.append(whole if close else math.floor(exact))
    return plane, tuple(out), scales


def _meant(scale: float) -> Fraction:
    """Return the simple fraction that a float stands for, such as 11/10, or its exact value."""
    simple = Fraction(scale).limit_denominator(1000)
    return simple if float(simple) == scale else Fraction(scale)
