"""The reference for pooling: loops over windows and their elements, nothing else."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from typing import Any, TypeAlias

import numpy as np

NDArray: TypeAlias = np.ndarray[Any, Any]
Sizes: TypeAlias = tuple[int, ...]
Scales: TypeAlias = tuple[float, ...]
Pairs: TypeAlias = tuple[tuple[int, int], ...]

# inf - inf and 0 * inf are NaN, as everywhere; that is no news.
_quiet = np.errstate(invalid="ignore", over="ignore")


def max_pool(
    x: NDArray, kernel: Sizes, stride: Sizes, padding: Pairs, dilation: Sizes, ceil_mode: bool
) -> tuple[NDArray, NDArray]:
    """Return the maximum of each window, and where it stands.

    Of equal maxima the first counts, of NaNs the last; a window of -inf alone gives its first cell.
    Padding never counts.

    Parameters
    ----------
    x : ndarray
        Shape ``(..., *spatial)``, any real dtype.
    kernel, stride, padding, dilation : tuple
        One entry a spatial axis.
    ceil_mode : bool
        Whether a last window may reach beyond the padding; it must not start in or after the
        padding at the end.

    Returns
    -------
    values : ndarray
        The maxima, in the dtype of `x`.
    indices : ndarray
        Their positions, row-major in the unpadded plane, int64.
    """
    rank = len(kernel)
    plane, cells = x.shape[-rank:], _cells_first(x, rank)
    windows = _windows(plane, kernel, stride, padding, dilation, ceil_mode)
    out = tuple(len(axis) for axis in windows)
    values = np.empty((*out, cells.shape[-1]), x.dtype)
    indices = np.empty(values.shape, np.int64)
    for o in np.ndindex(out):
        taps = [axis[i] for axis, i in zip(windows, o, strict=True)]
        real = itertools.product(*(_below(n, axis) for axis, n in zip(taps, plane, strict=True)))
        values[o], indices[o] = _maximum((cells[p], np.ravel_multi_index(p, plane)) for p in real)
    return _planes_first(values, x, rank), _planes_first(indices, x, rank)


@_quiet
def avg_pool(
    x: NDArray,
    kernel: Sizes,
    stride: Sizes,
    padding: Pairs,
    dilation: Sizes,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor: int | None = None,
) -> NDArray:
    """Return the sum of each window over the number of its cells.

    Parameters
    ----------
    x : ndarray
        Shape ``(..., *spatial)``.
    kernel, stride, padding, dilation : tuple
        One entry a spatial axis.
    ceil_mode : bool
        As in `max_pool`.
    count_include_pad : bool
        Whether cells of the padding count. Cells beyond the padding never do.
    divisor : int, optional
        Replaces the number of cells.

    Returns
    -------
    ndarray
        The averages, float64.
    """
    rank = len(kernel)
    plane, cells = x.shape[-rank:], _cells_first(x.astype(np.float64), rank)
    padded = tuple(n + after for n, (_, after) in zip(plane, padding, strict=True))
    windows = _windows(plane, kernel, stride, padding, dilation, ceil_mode)
    averages = np.empty((*(len(axis) for axis in windows), cells.shape[-1]))
    for o in np.ndindex(averages.shape[:-1]):
        taps = [axis[i] for axis, i in zip(windows, o, strict=True)]
        real = [_below(n, axis) for axis, n in zip(taps, plane, strict=True)]
        if count_include_pad:
            counted = [[p for p in axis if p < end] for axis, end in zip(taps, padded, strict=True)]
        else:
            counted = real
        total = sum(cells[p] for p in itertools.product(*real))
        averages[o] = total / (divisor or math.prod(len(axis) for axis in counted))
    return _planes_first(averages, x, rank)


def adaptive_max_pool(x: NDArray, output: Sizes) -> tuple[NDArray, NDArray]:
    """Return the maximum of each part of the plane, and where it stands.

    Parameters
    ----------
    x : ndarray
        Shape ``(..., *spatial)``, any real dtype.
    output : tuple of int
        The number of parts along each axis.

    Returns
    -------
    values : ndarray
        The maxima, as `max_pool` has them.
    indices : ndarray
        Their positions, as `max_pool` has them.
    """
    rank = len(output)
    plane, cells = x.shape[-rank:], _cells_first(x, rank)
    values = np.empty((*output, cells.shape[-1]), x.dtype)
    indices = np.empty(values.shape, np.int64)
    for o in np.ndindex(output):
        region = itertools.product(*map(_adaptive_part, plane, output, o))
        values[o], indices[o] = _maximum((cells[p], np.ravel_multi_index(p, plane)) for p in region)
    return _planes_first(values, x, rank), _planes_first(indices, x, rank)


@_quiet
def adaptive_avg_pool(x: NDArray, output: Sizes) -> NDArray:
    """Return the mean of each part of the plane.

    Parameters
    ----------
    x : ndarray
        Shape ``(..., *spatial)``.
    output : tuple of int
        The number of parts along each axis.

    Returns
    -------
    ndarray
        The means, float64.
    """
    rank = len(output)
    plane, cells = x.shape[-rank:], _cells_first(x.astype(np.float64), rank)
    means = np.empty((*output, cells.shape[-1]))
    for o in np.ndindex(output):
        region = list(itertools.product(*map(_adaptive_part, plane, output, o)))
        means[o] = sum(cells[p] for p in region) / len(region)
    return _planes_first(means, x, rank)


def fractional_max_pool(
    x: NDArray, kernel: Sizes, output: Sizes, samples: NDArray
) -> tuple[NDArray, NDArray]:
    """Return the maximum of each drawn region, and where it stands.

    Parameters
    ----------
    x : ndarray
        Shape ``(..., *spatial)``, any real dtype.
    kernel, output : tuple of int
        The size of a region and the number of regions along each axis.
    samples : ndarray
        Shape ``(d,)``, or ``(..., d)`` with the leading axes of `x`: numbers in [0, 1).

    Returns
    -------
    values : ndarray
        The maxima, as `max_pool` has them.
    indices : ndarray
        Their positions, as `max_pool` has them.
    """
    rank = len(kernel)
    plane, cells = x.shape[-rank:], _cells_first(x, rank)
    planes = np.arange(cells.shape[-1])
    drawn = np.broadcast_to(samples, (*x.shape[:-rank], rank)).reshape(len(planes), rank)
    starts = [  # one array per axis: (planes, regions)
        np.asarray([_starts(n, k, out, float(u)) for u in drawn[:, axis]], np.int64).reshape(
            len(planes), out
        )
        for axis, (n, k, out) in enumerate(zip(plane, kernel, output, strict=True))
    ]
    values = np.empty((*output, len(planes)), x.dtype)
    indices = np.empty(values.shape, np.int64)
    for o in np.ndindex(output):
        corner = [axis[:, i] for axis, i in zip(starts, o, strict=True)]
        region = [
            tuple(start + t for start, t in zip(corner, tap, strict=True))
            for tap in np.ndindex(kernel)
        ]
        values[o], indices[o] = _maximum(
            (cells[(*p, planes)], np.ravel_multi_index(p, plane)) for p in region
        )
    return _planes_first(values, x, rank), _planes_first(indices, x, rank)


def _windows(
    plane: Sizes, kernel: Sizes, stride: Sizes, padding: Pairs, dilation: Sizes, ceil_mode: bool
) -> list[list[list[int]]]:
    """Return for each axis, for each window, the positions of its taps; 0 is the first real one."""
    axes = []
    for n, k, s, (before, after), d in zip(plane, kernel, stride, padding, dilation, strict=True):
        steps = (n + before + after - (d * (k - 1) + 1)) / s
        count = 1 + (math.ceil(steps) if ceil_mode else math.floor(steps))
        starts = [i * s - before for i in range(count)]
        if ceil_mode:
            starts = [start for start in starts if start < n]
        axes.append([[start + t * d for t in range(k)] for start in starts])
    return axes


def _below(n: int, positions: list[int]) -> list[int]:
    """Return those of the positions that are real ones."""
    return [p for p in positions if 0 <= p < n]


def _adaptive_part(n: int, out: int, i: int) -> list[int]:
    """Return the cells of part i of an axis: all that it covers, and be it in part."""
    return [p for p in range(n) if p * out < (i + 1) * n and (p + 1) * out > i * n]


def _starts(n: int, k: int, out: int, u: float) -> list[int]:
    """Return where the regions of one axis start (arXiv 1412.6071, the form that PyTorch has)."""
    if out == 1:
        return [n - k]
    a = (n - k) / (out - 1)
    return [int((i + u) * a) - int(u * a) for i in range(out - 1)] + [n - k]


def _maximum(window: Iterable[tuple[NDArray, Any]]) -> tuple[NDArray, NDArray]:
    """Return the maximum of (value, position) candidates, and its position, plane by plane."""
    candidates = list(window)
    if not candidates:
        raise ValueError("a window holds no real element: its dilation steps over the whole plane")
    value, position = candidates[0]
    best, where = value, np.broadcast_to(position, value.shape)
    for value, position in candidates[1:]:
        better = (value > best) | (value != value)  # a NaN always is: the last one stays
        best, where = np.where(better, value, best), np.where(better, position, where)
    return best, where


def _cells_first(x: NDArray, rank: int) -> NDArray:
    """Return shape (*spatial, planes): a cell is a vector over all the planes."""
    lead, plane = x.shape[:-rank], x.shape[-rank:]
    flat = x.reshape(math.prod(lead), *plane)
    return np.ascontiguousarray(np.moveaxis(flat, 0, -1))


def _flat(x: NDArray, rank: int) -> NDArray:
    """Return shape (cells, planes): the cells of a plane in row-major order."""
    return _cells_first(x, rank).reshape(math.prod(x.shape[-rank:]), math.prod(x.shape[:-rank]))


def _unflat(flat: NDArray, plane: Sizes) -> NDArray:
    """Return shape (*spatial, planes)."""
    return flat.reshape(*plane, flat.shape[-1])


def _planes_first(cells: NDArray, like: NDArray, rank: int) -> NDArray:
    """Return shape (*lead, *spatial), with the leading axes of `like`."""
    flat = np.moveaxis(cells, -1, 0)
    return np.ascontiguousarray(flat.reshape(*like.shape[:-rank], *cells.shape[:-1]))


def _known(argument: str, value: str, choices: dict[str, Any]) -> Any:
    """Return what a choice stands for."""
    if value not in choices:
        raise ValueError(f"{argument}={value!r} must be one of {', '.join(choices)}")
    return choices[value]
