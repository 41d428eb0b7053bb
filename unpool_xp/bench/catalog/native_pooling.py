"""Native poolings: library functions, and snippets that people write.

One more native is one more entry in `POOLING_NATIVES`.
"""

from __future__ import annotations

import importlib
import math
from typing import Any

import numpy as np

from unpool_xp.backends import Backend
from unpool_xp.bench.cases.case import Case
from unpool_xp.bench.cases.inputs import numpy_dtype
from unpool_xp.bench.cases.operation import (
    Builder,
    Function,
    Native,
    first_reason,
    lowest_value,
    native_namespace,
    reason_unless,
    requires_disjoint_windows,
    requires_image_shape,
    requires_no_padding,
    torch_native,
)

# --- torch ----------------------------------------------------------------------------------------


_requires_torch_windows = first_reason(
    requires_image_shape,
    reason_unless(
        lambda case: all(
            2 * p <= k for (p, _), k in zip(case.padding_pairs, case.kernel or (), strict=True)
        ),
        "padding is more than half the kernel",
    ),
)


def _torch_fractional(case: Case, backend: Backend) -> Function:
    functional = importlib.import_module("torch.nn.functional")
    pool = getattr(functional, f"fractional_max_pool{case.rank}d")
    options = case.options()
    samples = options["samples"].reshape(-1, case.lead[-1], case.rank)
    if case.rank == 2:
        samples = samples[..., ::-1]  # which takes those of the columns first
    drawn = backend.asarray(np.ascontiguousarray(samples, dtype=numpy_dtype(case.dtype)))
    output_options = {"output_size": case.output_plane, "return_indices": True}
    return lambda x: pool(x, options["kernel_size"], **output_options, _random_samples=drawn)


_requires_torch_regions = first_reason(
    requires_image_shape,
    reason_unless(
        lambda case: case.rank in (2, 3), "shape {case.shape} has {case.rank} spatial axes"
    ),
    reason_unless(
        lambda case: case.dtype in ("float32", "float64"),
        "it places the regions in the dtype of the values, {case.dtype}",
    ),
)


# --- windows along axes of their own --------------------------------------------------------------


def _window_view(case: Case, backend: Backend, fill: Any) -> Function:
    """Return what pads and gives a view of all windows, their taps along the last axes."""
    xp = native_namespace(backend)
    view = importlib.import_module(f"{xp.__name__}.lib.stride_tricks").sliding_window_view
    kernel, stride, rank = case.kernel or (), case.stride or (), case.rank
    steps = (..., *(slice(None, None, s) for s in stride), *(slice(None),) * rank)
    axes = tuple(range(-rank, 0))
    pad = [*((0, 0) for _ in case.lead), *case.padding_pairs]

    def windows(x: Any) -> Any:
        if case.padding:
            x = xp.pad(x, pad, constant_values=fill)
        return view(x, kernel, axis=axes)[steps]

    return windows


def _split_windows(case: Case) -> Function:
    """Return what gives windows that do not overlap as axes of their own, count by taps."""
    pairs = list(zip(case.output_plane, case.kernel or (), strict=True))
    crop = (..., *(slice(count * taps) for count, taps in pairs))
    shape = (*case.lead, *(n for pair in pairs for n in pair))
    return lambda x: x[crop].reshape(shape)


def _split_windows_taps_last(case: Case) -> Function:
    split, shape = _split_windows(case), (*case.output_shape, -1)
    first, end = len(case.lead), len(case.lead) + 2 * case.rank
    order = [*range(first), *range(first, end, 2), *range(first + 1, end, 2)]
    return lambda x: split(x).transpose(order).reshape(shape)


def _max_of_windows(backend: Backend, windows_of: Function, in_plane: Function) -> Function:
    """Take argmax over each window, its last axis, and from its place there to the plane."""
    xp = native_namespace(backend)

    def pool(x: Any) -> tuple[Any, Any]:
        windows = windows_of(x)
        place = windows.argmax(-1)
        values = xp.take_along_axis(windows, place[..., None], -1)[..., 0]
        return values, in_plane(place)

    return pool


def _looked_up_positions(case: Case, backend: Backend) -> Function:
    """Return what makes row-major positions in the plane of positions in each window."""
    xp, kernel, rank = native_namespace(backend), case.kernel or (), case.rank
    spans = [math.prod(case.plane[axis + 1 :]) for axis in range(rank)]
    taps = np.indices(kernel).reshape(rank, -1)
    offsets = xp.asarray(sum(span * tap for span, tap in zip(spans, taps, strict=True)))
    axes = zip(case.output_plane, case.stride or (), case.padding_pairs, strict=True)
    starts = np.ix_(*(np.arange(count) * step - before for count, step, (before, _) in axes))
    first_cells = xp.asarray(sum(span * start for span, start in zip(spans, starts, strict=True)))
    return lambda place: xp.take(offsets, place) + first_cells


def _computed_positions(case: Case, backend: Backend) -> Function:
    """Return the same for windows that do not overlap, without an array kept for it."""
    xp, kernel, rank = native_namespace(backend), case.kernel or (), case.rank
    counts = case.output_plane

    def in_plane(place: Any) -> Any:
        indices = 0
        for axis, tap in enumerate(xp.unravel_index(place, kernel)):
            starts = xp.arange(counts[axis]) * kernel[axis]
            starts = starts.reshape(-1, *(1,) * (rank - 1 - axis))
            indices = indices * case.plane[axis] + tap + starts
        return indices

    return in_plane


def _sliding_max(case: Case, backend: Backend) -> Function:
    view, shape = _window_view(case, backend, lowest_value(case.dtype)), (*case.output_shape, -1)
    in_plane = _looked_up_positions(case, backend)
    return _max_of_windows(backend, lambda x: view(x).reshape(shape), in_plane)


def _block_max(case: Case, backend: Backend) -> Function:
    positions = _computed_positions if backend.library == "jax" else _looked_up_positions
    return _max_of_windows(backend, _split_windows_taps_last(case), positions(case, backend))


def _sliding_mean(case: Case, backend: Backend) -> Function:
    windows_of, axes = _window_view(case, backend, 0), tuple(range(-case.rank, 0))
    return lambda x: windows_of(x).mean(axis=axes)


def _block_mean(case: Case, backend: Backend) -> Function:
    split, axes = _split_windows(case), tuple(range(1 - 2 * case.rank, 0, 2))
    return lambda x: split(x).mean(axis=axes)


# --- jax, cupy, dask, numpy -----------------------------------------------------------------------


def _all_axes(case: Case) -> tuple[tuple[int, ...], tuple[int, ...], list[tuple[int, int]]]:
    """Return kernel, stride and padding for all axes."""
    ones = (1,) * len(case.lead)
    kernel, stride = (*ones, *(case.kernel or ())), (*ones, *(case.stride or ()))
    return kernel, stride, [*((0, 0) for _ in ones), *case.padding_pairs]


def _jax_max(case: Case, backend: Backend) -> Function:
    jax, window, start = importlib.import_module("jax"), _all_axes(case), lowest_value(case.dtype)
    return lambda x: jax.lax.reduce_window(x, start, jax.lax.max, *window)


def _jax_max_with_indices(case: Case, backend: Backend) -> Function:
    """Reduce pairs of value and position, of two equal values the first."""
    jax, window, start = importlib.import_module("jax"), _all_axes(case), lowest_value(case.dtype)
    jnp = native_namespace(backend)
    last = np.int32(math.prod(case.plane))
    plane = np.arange(last, dtype=np.int32).reshape(case.plane)
    positions = backend.asarray(np.broadcast_to(plane, case.shape).copy())

    def first_largest(a: Any, b: Any) -> tuple[Any, Any]:
        (value, place), (other, elsewhere) = a, b
        kept = (value > other) | ((value == other) & (place < elsewhere))
        return jnp.where(kept, value, other), jnp.where(kept, place, elsewhere)

    starts = (start, last)
    return lambda x: tuple(jax.lax.reduce_window((x, positions), starts, first_largest, *window))


def _jax_avg(case: Case, backend: Backend) -> Function:
    jax, window = importlib.import_module("jax"), _all_axes(case)
    window_size, zero = case.window_size, numpy_dtype(case.dtype).type(0)
    return lambda x: jax.lax.reduce_window(x, zero, jax.lax.add, *window) / window_size


def _cupy_maximum_filter(case: Case, backend: Backend) -> Function:
    """Filter every pixel, keep each stride-th: simple, and more work than needed."""
    filters = importlib.import_module("cupyx.scipy.ndimage")
    size, _, _ = _all_axes(case)
    # The filter's window is centred; here it starts at the pixel.
    origin = tuple(-(k // 2) for k in size)
    counts = zip(case.output_plane, case.stride or (), strict=True)
    keep = (..., *(slice(0, (count - 1) * step + 1, step) for count, step in counts))
    return lambda x: filters.maximum_filter(x, size=size, origin=origin)[keep].copy()


def _dask_coarsen(reduction: Any) -> Builder:
    def build(case: Case, backend: Backend) -> Function:
        axes = {len(case.lead) + axis: taps for axis, taps in enumerate(case.kernel or ())}
        return lambda x: native_namespace(backend).coarsen(reduction, x, axes, trim_excess=True)

    return build


def _slices_mean(case: Case, backend: Backend) -> Function:
    """Add up, tap by tap, the elements that the windows have there."""
    rank, kernel, stride = case.rank, case.kernel or (), case.stride or ()
    spans = [(c - 1) * s + 1 for c, s in zip(case.output_plane, stride, strict=True)]
    paddings = case.padding or (0,) * rank
    padded = [n + 2 * p for n, p in zip(case.plane, paddings, strict=True)]
    inner: Any = (..., *(slice(p, p + n) for n, p in zip(case.plane, paddings, strict=True)))
    taps = [
        (..., *(slice(t, t + n, s) for t, n, s in zip(tap, spans, stride, strict=True)))
        for tap in np.ndindex(*kernel)
    ]
    share = numpy_dtype(case.dtype).type(1 / case.window_size)

    def mean(x: Any) -> Any:
        if case.padding:
            wide = np.zeros((*case.lead, *padded), x.dtype)
            wide[inner] = x
            x = wide
        total = x[taps[0]].copy()
        for tap in taps[1:]:
            total += x[tap]
        total *= share
        return total

    return mean


POOLING_NATIVES: dict[str, tuple[Native, ...]] = {
    "max_pool": (
        torch_native(
            "max_pool{d}d",
            _requires_torch_windows,
            lambda case: {**case.options(), "return_indices": True},
        ),
        Native("jax", "jax.lax.reduce_window", _jax_max, values_only=True),
        Native("jax", "jax.lax.reduce_window of pairs", _jax_max_with_indices),
        Native("numpy", "numpy.lib.stride_tricks.sliding_window_view", _sliding_max),
        Native("numpy", "numpy.ndarray.reshape + argmax", _block_max, requires_disjoint_windows),
        Native("cupy", "cupy.lib.stride_tricks.sliding_window_view", _sliding_max),
        Native(
            "cupy",
            "cupyx.scipy.ndimage.maximum_filter",
            _cupy_maximum_filter,
            requires_no_padding,
            values_only=True,
        ),
        Native(
            "dask",
            "dask.array.coarsen",
            _dask_coarsen(np.max),
            requires_disjoint_windows,
            values_only=True,
        ),
        Native("jax", "jax.numpy.reshape + argmax", _block_max, requires_disjoint_windows),
    ),
    "avg_pool": (
        torch_native("avg_pool{d}d", _requires_torch_windows),
        Native("jax", "jax.lax.reduce_window", _jax_avg),
        Native("numpy", "numpy.lib.stride_tricks.sliding_window_view", _sliding_mean),
        Native("numpy", "numpy.ndarray.reshape + mean", _block_mean, requires_disjoint_windows),
        Native("cupy", "cupy.lib.stride_tricks.sliding_window_view", _sliding_mean),
        Native("cupy", "cupy.ndarray.reshape + mean", _block_mean, requires_disjoint_windows),
        Native("dask", "dask.array.coarsen", _dask_coarsen(np.mean), requires_disjoint_windows),
        Native("numpy", "numpy.add of strided slices", _slices_mean),
    ),
    "adaptive_max_pool": (
        torch_native(
            "adaptive_max_pool{d}d",
            first_reason(
                requires_image_shape,
                reason_unless(
                    lambda case: numpy_dtype(case.dtype).kind not in "iu",
                    "it takes no integers such as {case.dtype}",
                ),
            ),
            lambda case: {**case.options(), "return_indices": True},
        ),
    ),
    "adaptive_avg_pool": (torch_native("adaptive_avg_pool{d}d", requires_image_shape),),
    "fractional_max_pool": (
        Native(
            "torch",
            "torch.nn.functional.fractional_max_pool{d}d",
            _torch_fractional,
            _requires_torch_regions,
        ),
    ),
}
