"""The reference for unpooling: loops over cells, nothing else."""

from __future__ import annotations

import math
from collections.abc import Iterator

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
from unpool_xp.reference.resizing import _resized, linear_unpool


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


def _entries(
    values: NDArray, indices: NDArray, rank: int, size: int
) -> Iterator[tuple[tuple[NDArray, NDArray], NDArray]]:
    """Yield each entry as (places, planes) and values, without the planes where it is outside."""
    source, places = _cells_first(values, rank), _cells_first(indices, rank)
    for i in np.ndindex(source.shape[:-1]):
        planes = np.flatnonzero((places[i] >= 0) & (places[i] < size))
        yield (places[i][planes].astype(np.int64), planes), source[i][planes]
