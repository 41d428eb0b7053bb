"""The reference for unpooling: loops over cells, nothing else."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np

from unpool_xp.reference.pooling import (
    NDArray,
    Scales,
    Sizes,
    _cells_first,
    _flat,
    _known,
    _planes_first,
    _quiet,
    _unflat,
)

_HALF = Fraction(1, 2)


def nearest_unpool(
    x: NDArray,
    *,
    scale_factor: Scales | None = None,
    output_size: Sizes | None = None,
    coordinates: str = "asymmetric",
) -> NDArray:
    """Return each value repeated: o takes floor(o/scale), or floor((o+0.5)/scale).

    Parameters
    ----------
    x : ndarray
        Shape ``(..., *spatial)``, any dtype.
    scale_factor : tuple of float, optional
        The scale of each axis; the output has ``floor(n*scale)`` cells.
    output_size : tuple of int, optional
        The cells of each axis of the output, in place of `scale_factor`; scale is ``out/n``.
    coordinates : str, optional
        "asymmetric" or "half_pixel".

    Returns
    -------
    ndarray
        In the dtype of `x`.
    """
    shift = _known("coordinates", coordinates, {"asymmetric": Fraction(), "half_pixel": _HALF})
    plane, out, scales = _resized(x, scale_factor, output_size)
    cells = _cells_first(x, len(plane))
    sources = [
        [min(math.floor((o + shift) / scale), n - 1) for o in range(m)]
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
) -> NDArray:
    """Return the linear interpolation along every axis.

    The output's cell o stands at o/scale ("asymmetric"), (o+0.5)/scale - 0.5 ("half_pixel") or
    o*(n-1)/(out-1) ("align_corners") of the input, but never before its first or after its last.

    Parameters
    ----------
    x : ndarray
        Shape ``(..., *spatial)``.
    scale_factor, output_size : tuple, optional
        As in `nearest_unpool`.
    coordinates : str, optional
        "asymmetric", "half_pixel" or "align_corners".

    Returns
    -------
    ndarray
        The interpolation, float64.
    """
    shifts = {"asymmetric": Fraction(), "half_pixel": _HALF, "align_corners": Fraction()}
    shift = _known("coordinates", coordinates, shifts)
    plane, out, scales = _resized(x, scale_factor, output_size)
    cells = _cells_first(x.astype(np.float64), len(plane))
    neighbours = []  # of each axis, of each output cell: two positions with their weights
    for n, m, scale in zip(plane, out, scales, strict=True):
        places = [(o + shift) / scale - shift for o in range(m)]
        if coordinates == "align_corners":
            places = [Fraction(o * (n - 1), max(m - 1, 1)) for o in range(m)]
        places = [min(max(place, 0), n - 1) for place in places]
        if places == list(range(n)):  # nothing lies between two positions
            neighbours.append([[(o, 0.5), (o, 0.5)] for o in range(n)])
        else:
            neighbours.append([_neighbours(place, n) for place in places])
    unpooled = np.zeros((*out, cells.shape[-1]))
    for o in np.ndindex(out):
        pairs = [axis[i] for axis, i in zip(neighbours, o, strict=True)]
        for corner in itertools.product(*pairs):
            weight = math.prod(weight for _, weight in corner)
            unpooled[o] += weight * cells[tuple(position for position, _ in corner)]
    return _planes_first(unpooled, x, len(plane))


@_quiet
def max_unpool(values: NDArray, indices: NDArray, plane: Sizes, duplicates: str) -> NDArray:
    """Return the values at their positions, zeros elsewhere.

    Parameters
    ----------
    values, indices : ndarray
        The maxima and their positions, row-major in the plane. A position outside is dropped.
    plane : tuple of int
        The spatial shape of the output.
    duplicates : str
        Of several values at one position "sum" adds all (floats in float64, rounded once), "any"
        keeps the last; see `is_candidate` for what else "any" may keep.

    Returns
    -------
    ndarray
        In the dtype of `values`.
    """
    add = _known("duplicates", duplicates, {"any": False, "sum": True})
    dtype = np.dtype(np.float64) if add and values.dtype.kind == "f" else values.dtype
    flat = np.zeros((math.prod(plane), math.prod(values.shape[: -len(plane)])), dtype)
    for place, value in _entries(values, indices, len(plane), len(flat)):
        flat[place] = flat[place] + value if add else value
    return _planes_first(_unflat(flat.astype(values.dtype), plane), values, len(plane))


def is_candidate(unpooled: NDArray, values: NDArray, indices: NDArray, rank: int) -> NDArray:
    """Tell for each cell of an unpooled array whether ``duplicates="any"`` allows what it holds.

    Parameters
    ----------
    unpooled : ndarray
        What is asked about.
    values, indices : ndarray
        What it was made from.
    rank : int
        The number of spatial axes.

    Returns
    -------
    ndarray
        Shape of `unpooled`, bool: one of the values recorded there, or zero where none was.
    """
    plane = unpooled.shape[-rank:]
    flat = _flat(unpooled, rank)
    allowed, taken = np.zeros(flat.shape, bool), np.zeros(flat.shape, bool)
    for place, value in _entries(values, indices, rank, len(flat)):
        held = flat[place]
        allowed[place] |= (held == value) | ((held != held) & (value != value))
        taken[place] = True
    return _planes_first(_unflat(np.where(taken, allowed, flat == 0), plane), unpooled, rank)


def fractional_max_unpool(
    values: NDArray,
    indices: NDArray | None = None,
    *,
    scale_factor: Scales | None = None,
    output_size: Sizes | None = None,
) -> NDArray:
    """Return the "asymmetric" linear interpolation, with each maximum at its recorded position.

    Parameters
    ----------
    values : ndarray
        Shape ``(..., *spatial)``: the maxima.
    indices : ndarray, optional
        Their positions, row-major in the output's plane. One outside is dropped; of several values
        at one position the largest stands there, and NaN before any.
    scale_factor, output_size : tuple, optional
        As in `nearest_unpool`.

    Returns
    -------
    ndarray
        The unpooled map, float64.
    """
    unpooled = linear_unpool(values, scale_factor=scale_factor, output_size=output_size)
    if indices is None:
        return unpooled
    plane = _resized(values, scale_factor, output_size)[1]
    rank = len(plane)
    flat = _flat(unpooled, rank)
    taken = np.zeros(flat.shape, bool)
    for place, value in _entries(values, indices, rank, len(flat)):
        # np.maximum gives NaN where either is.
        flat[place] = np.where(taken[place], np.maximum(flat[place], value), value)
        taken[place] = True
    return _planes_first(_unflat(flat, plane), unpooled, rank)


def _resized(
    x: NDArray, scale_factor: Scales | None, output_size: Sizes | None
) -> tuple[Sizes, Sizes, list[Any]]:
    """Return the plane, the output's, and the scales: exact where the size is given."""
    if output_size is not None:
        plane = x.shape[-len(output_size) :]
        scales = [Fraction(m, n) for m, n in zip(output_size, plane, strict=True)]
        return plane, output_size, scales
    if scale_factor is None:
        raise ValueError("give either scale_factor or output_size, got neither")
    plane = x.shape[-len(scale_factor) :]
    out = tuple(math.floor(n * scale) for n, scale in zip(plane, scale_factor, strict=True))
    return plane, out, [float(scale) for scale in scale_factor]


def _neighbours(place: float | Fraction, n: int) -> list[tuple[int, float]]:
    """Return the positions around a place, and their weights."""
    below = math.floor(place)
    if below == n - 1:  # the last position is its own neighbour
        return [(below, 0.5), (below, 0.5)]
    above = float(place - below)
    return [(below, 1 - above), (below + 1, above)]


def _entries(
    values: NDArray, indices: NDArray, rank: int, size: int
) -> Iterator[tuple[tuple[NDArray, NDArray], NDArray]]:
    """Yield each entry as (places, planes) and values, without the planes where it is outside."""
    source, places = _cells_first(values, rank), _cells_first(indices, rank)
    for i in np.ndindex(source.shape[:-1]):
        planes = np.flatnonzero((places[i] >= 0) & (places[i] < size))
        yield (places[i][planes].astype(np.int64), planes), source[i][planes]
