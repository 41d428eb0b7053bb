"""The oracle: every operation as nested loops, slow and obvious, to hold the fast ones to.

NumPy only, and nothing of unpool_xp. The loops run over the cells of the output and the taps of
the kernel, for any number d of spatial axes; only planes (whatever leads) go together. Arguments
come normalised: tuples with one int a spatial axis, padding as (before, after) pairs. What is
computed is float64; what is only moved keeps its dtype. See `reference_indices` for
`convert_indices`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Any, TypeAlias

import numpy as np

NDArray: TypeAlias = np.ndarray[Any, Any]
Sizes: TypeAlias = tuple[int, ...]
Scales: TypeAlias = tuple[float, ...]
Pairs: TypeAlias = tuple[tuple[int, int], ...]

_HALF = Fraction(1, 2)
# inf - inf and 0 * inf are NaN, as everywhere; that is no news.
_quiet = np.errstate(invalid="ignore", over="ignore")


# --- from large to small -------------------------------------------------------------------------


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
        averages[o] = total / math.prod(len(axis) for axis in counted)
    return _planes_first(averages, x, rank)


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
    starts = [  # one array an axis: (planes, regions)
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


# --- from small to large -------------------------------------------------------------------------


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


@_quiet
def conv_transpose(
    x: NDArray,
    weight: NDArray,
    bias: NDArray | None = None,
    *,
    stride: Sizes,
    padding: Pairs,
    output_padding: Sizes,
    groups: int,
    dilation: Sizes,
) -> NDArray:
    """Return the transposed convolution (arXiv 1603.07285, relation 14).

    Output cell o takes, for each tap t of the kernel, input cell i times the weight there, where
    ``o + before = i*stride + t*dilation``.

    Parameters
    ----------
    x : ndarray
        Shape ``(N, Cin, *spatial)``.
    weight : ndarray
        Shape ``(Cin, Cout/groups, *kernel)``.
    bias : ndarray, optional
        Shape ``(Cout,)``.
    stride, padding, output_padding : tuple
        One entry a spatial axis. Padding is cropped; output padding is added at the end.
    groups : int
        Channels meet within their group only.
    dilation : tuple of int
        The step from tap to tap along each axis.

    Returns
    -------
    ndarray
        Shape ``(N, Cout, *out)``, float64 or complex128.
    """
    (batch, channels, *plane), (_, out_channels, *kernel) = x.shape, weight.shape
    out = tuple(
        (n - 1) * s - before - after + d * (k - 1) + extra + 1
        for n, k, s, (before, after), extra, d in zip(
            plane, kernel, stride, padding, output_padding, dilation, strict=True
        )
    )
    # Spatial axes first, then a stack of matrices: (groups, N, Cin) @ (groups, Cin, Cout).
    wide = np.complex128 if np.iscomplexobj(x) or np.iscomplexobj(weight) else np.float64
    grouped = x.astype(wide).reshape(batch, groups, channels // groups, *plane)
    cells = np.moveaxis(grouped, (1, 0, 2), (-3, -2, -1))
    taps = weight.astype(wide).reshape(groups, -1, out_channels, *kernel)
    taps = np.moveaxis(taps, (0, 1, 2), (-3, -2, -1))
    result = np.zeros((*out, groups, batch, out_channels), dtype=wide)
    for o in np.ndindex(out):
        for tap in np.ndindex(*kernel):
            reached = [
                divmod(i + before - t * d, s)
                for i, t, s, (before, _), d in zip(o, tap, stride, padding, dilation, strict=True)
            ]
            on_cells = all(rest == 0 for _, rest in reached)
            if on_cells and all(0 <= i < n for (i, _), n in zip(reached, plane, strict=True)):
                result[o] += cells[tuple(i for i, _ in reached)] @ taps[tap]
    result = np.moveaxis(result, (-2, -3, -1), (0, 1, 2))
    result = result.reshape(batch, groups * out_channels, *out)
    return result if bias is None else result + bias.reshape(-1, *(1 for _ in out))


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


# --- layout --------------------------------------------------------------------------------------


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
