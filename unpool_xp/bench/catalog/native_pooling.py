"""Native poolings: library functions, and snippets that people write.

One more native is one more entry in `POOLING_NATIVES`. The first argument of some functions here is
what the lines call the namespace: np, cp, jnp.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np

from unpool_xp.backends import Backend
from unpool_xp.bench.cases.case import Case
from unpool_xp.bench.cases.inputs import numpy_dtype
from unpool_xp.bench.cases.native import (
    Native,
    first_reason,
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
            2 * p <= k for (p, _), k in zip(case.padding_pairs, case.kernel, strict=True)
        ),
        "padding is more than half the kernel",
    ),
)


def _torch_fractional(case: Case) -> list[str]:
    return [
        f"y, indices = torch.nn.functional.fractional_max_pool{case.rank}d(",
        f"    x, {case.kernel}, output_size={case.output_plane}, return_indices=True,",
        "    _random_samples=samples,",
        ")",
    ]


def _torch_drawn(case: Case, backend: Backend) -> dict[str, Any]:
    samples = case.options()["samples"].reshape(-1, case.lead[-1], case.rank)
    if case.rank == 2:
        samples = samples[..., ::-1]  # which takes those of the columns first
    drawn = np.ascontiguousarray(samples, dtype=numpy_dtype(case.dtype))
    return {"samples": backend.asarray(drawn)}


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


def lowest(case: Case) -> str:
    """Return what is lower than all values, or as low."""
    dtype = numpy_dtype(case.dtype)
    return str(np.iinfo(dtype).min) if dtype.kind in "iu" else "-np.inf"


def _along(vector: str, axis: int, rank: int) -> str:
    """Return a vector as one that lies along an axis."""
    after = rank - 1 - axis
    return f"{vector}[:{', None' * after}]" if after else vector


def _in_plane(case: Case, positions: list[str]) -> str:
    """Return row-major positions in the plane of those along its axes."""
    found = positions[0]
    for n, position in zip(case.plane[1:], positions[1:], strict=True):
        found = f"({found}) * {n} + {position}"
    return found


def _window_view(xp: str, case: Case, fill: str) -> list[str]:
    """Return what pads and makes a view of all windows, their taps along the last axes."""
    lines, source, rank = [], "x", case.rank
    if case.padding:
        pad = (*((0, 0) for _ in case.lead), *case.padding_pairs)
        lines, source = [f"padded = {xp}.pad(x, {pad}, constant_values={fill})"], "padded"
    view = f"{xp}.lib.stride_tricks.sliding_window_view"
    steps = ", ".join(["...", *(f"::{s}" for s in case.stride), *(":" for _ in range(rank))])
    return [
        *lines,
        f"windows = {view}({source}, {case.kernel}, axis={tuple(range(-rank, 0))})[{steps}]",
    ]


def _split_windows(case: Case) -> str:
    """Return windows that do not overlap as axes of their own, count by taps."""
    pairs = list(zip(case.output_plane, case.kernel, strict=True))
    crop = ", ".join(["...", *(f":{count * taps}" for count, taps in pairs)])
    return f"x[{crop}].reshape({(*case.lead, *(n for pair in pairs for n in pair))})"


def max_of_windows(xp: str, indices: str) -> list[str]:
    """Take argmax over each window, its last axis, and from its place there to the plane."""
    return [
        "place = windows.argmax(-1)",
        f"y = {xp}.take_along_axis(windows, place[..., None], -1)[..., 0]",
        f"indices = {indices}",
    ]


def offsets(xp: str, case: Case) -> list[str]:
    """Return what makes the offsets in the plane of a window's taps, and of its first cells."""
    rank = case.rank
    axes = zip(case.output_plane, case.stride, case.padding_pairs, strict=True)
    ends = [(-before, count * step - before, step) for count, step, (before, _) in axes]
    taps = [_along(f"{xp}.arange({k})", axis, rank) for axis, k in enumerate(case.kernel)]
    starts = [_along(f"{xp}.arange{end}", axis, rank) for axis, end in enumerate(ends)]
    return [
        f"offsets = ({_in_plane(case, taps)}).reshape(-1)",
        f"first_cells = {_in_plane(case, starts)}",
    ]


LOOKED_UP = "offsets[place] + first_cells"


def _sliding_max(xp: str, case: Case) -> list[str]:
    return [
        *_window_view(xp, case, lowest(case)),
        f"windows = windows.reshape({(*case.output_shape, -1)})",
        *max_of_windows(xp, LOOKED_UP),
    ]


def _taps_last(case: Case) -> list[str]:
    first, end = len(case.lead), len(case.lead) + 2 * case.rank
    order = (*range(first), *range(first, end, 2), *range(first + 1, end, 2))
    return [
        f"windows = {_split_windows(case)}",
        f"windows = windows.transpose({order}).reshape({(*case.output_shape, -1)})",
    ]


def _block_max(xp: str, case: Case) -> list[str]:
    return [*_taps_last(case), *max_of_windows(xp, LOOKED_UP)]


def _block_max_computed(xp: str, case: Case) -> list[str]:
    """Do the same without an array kept for the positions."""
    sizes = enumerate(zip(case.output_plane, case.kernel, strict=True))
    positions = [
        f"taps[{axis}] + {_along(f'{xp}.arange(0, {n * k}, {k})', axis, case.rank)}"
        for axis, (n, k) in sizes
    ]
    place, y, indices = max_of_windows(xp, _in_plane(case, positions))
    return [
        *_taps_last(case),
        place,
        y,
        f"taps = {xp}.unravel_index(place, {case.kernel})",
        indices,
    ]


def _sliding_mean(xp: str, case: Case) -> list[str]:
    mean = f"y = windows.mean(axis={tuple(range(-case.rank, 0))})"
    return [*_window_view(xp, case, "0"), mean]


def _block_mean(case: Case) -> list[str]:
    return [f"y = {_split_windows(case)}.mean(axis={tuple(range(1 - 2 * case.rank, 0, 2))})"]


# --- jax, cupy, dask, numpy -----------------------------------------------------------------------


def _all_axes(case: Case) -> tuple[tuple[int, ...], tuple[int, ...], tuple[tuple[int, int], ...]]:
    """Return kernel, stride and padding for all axes."""
    ones = (1,) * len(case.lead)
    kernel, stride = (*ones, *case.kernel), (*ones, *case.stride)
    return kernel, stride, (*((0, 0) for _ in ones), *case.padding_pairs)


def _reduce_window(case: Case, operand: str, start: str, reduction: str) -> str:
    sizes = ", ".join(map(str, _all_axes(case)))
    return f"jax.lax.reduce_window({operand}, {start}, {reduction}, {sizes})"


def _jax_max(case: Case) -> list[str]:
    start = f"np.array({lowest(case)}, x.dtype)"
    return [f"y = {_reduce_window(case, 'x', start, 'jax.lax.max')}"]


def _jax_max_with_indices(case: Case) -> list[str]:
    start = f"(np.array({lowest(case)}, x.dtype), np.int32({math.prod(case.plane)}))"
    return [f"y, indices = {_reduce_window(case, '(x, positions)', start, 'first_largest')}"]


def _pairs(case: Case) -> list[str]:
    """Return what compares pairs of value and position: of two equal values the first is larger."""
    positions = f"jnp.arange({math.prod(case.plane)}, dtype=jnp.int32).reshape({case.plane})"
    return [
        f"positions = jnp.broadcast_to({positions}, {case.shape})",
        "def first_largest(a, b):",
        "    (value, place), (other, elsewhere) = a, b",
        "    kept = (value > other) | ((value == other) & (place < elsewhere))",
        "    return jnp.where(kept, value, other), jnp.where(kept, place, elsewhere)",
    ]


def _jax_avg(case: Case) -> list[str]:
    total = _reduce_window(case, "x", "np.array(0, x.dtype)", "jax.lax.add")
    return [f"y = {total} / {case.window_size}"]


def _cupy_maximum_filter(case: Case) -> list[str]:
    """Filter every pixel, keep each stride-th: simple, and more work than needed."""
    size, _, _ = _all_axes(case)
    # The filter's window is centred; here it starts at the pixel.
    origin = tuple(-(k // 2) for k in size)
    counts = zip(case.output_plane, case.stride, strict=True)
    keep = ", ".join(["...", *(f"0:{(count - 1) * step + 1}:{step}" for count, step in counts)])
    filtered = f"cupyx.scipy.ndimage.maximum_filter(x, size={size}, origin={origin})"
    return [f"y = {filtered}[{keep}].copy()"]


def _dask_coarsen(reduction: str, case: Case) -> list[str]:
    axes = {len(case.lead) + axis: taps for axis, taps in enumerate(case.kernel)}
    return [f"y = da.coarsen({reduction}, x, {axes}, trim_excess=True)"]


def tap_slices(case: Case, counts: tuple[int, ...]) -> str:
    """Return the slices of the elements that the windows have at taps i, j, k."""
    axes = zip("ijklmn", counts, case.stride, strict=False)
    return ", ".join(["...", *(f"{tap} : {tap} + {(n - 1) * s + 1} : {s}" for tap, n, s in axes)])


def tap_loops(case: Case) -> str:
    """Return the loops over taps i, j, k."""
    axes = zip("ijklmn", case.kernel, strict=False)
    return " ".join(f"for {tap} in range({k})" for tap, k in axes)


def _slices_mean(case: Case) -> list[str]:
    """Add up, tap by tap, the elements that the windows have there."""
    lines, source = [], "x"
    if case.padding:
        axes = list(zip(case.plane, case.padding, strict=True))
        inner = ", ".join(["...", *(f"{p}:{p + n}" for n, p in axes)])
        shape = (*case.lead, *(n + 2 * p for n, p in axes))
        lines, source = [f"padded = np.zeros({shape}, x.dtype)", f"padded[{inner}] = x"], "padded"
    return [
        *lines,
        f"y = {source}[taps[0]].copy()",
        "for tap in taps[1:]:",
        f"    y += {source}[tap]",
        f"y *= x.dtype.type(1 / {case.window_size})",
    ]


def _mean_taps(case: Case) -> list[str]:
    return [f"taps = [np.s_[{tap_slices(case, case.output_plane)}] {tap_loops(case)}]"]


_SLIDING = "lib.stride_tricks.sliding_window_view"

POOLING_NATIVES: dict[str, tuple[Native, ...]] = {
    "max_pool": (
        torch_native(
            "max_pool{d}d",
            _requires_torch_windows,
            lambda case: {**case.options(), "return_indices": True},
        ),
        Native("jax", "jax.lax.reduce_window", _jax_max, values_only=True),
        Native(
            "jax",
            "jax.lax.reduce_window of pairs",
            _jax_max_with_indices,
            reason_unless(
                lambda case: not case.backward, "JAX has gradients of its own reductions only"
            ),
            once=_pairs,
        ),
        Native(
            "numpy",
            f"numpy.{_SLIDING}",
            partial(_sliding_max, "np"),
            once=partial(offsets, "np"),
        ),
        Native(
            "numpy",
            "numpy.ndarray.reshape + argmax",
            partial(_block_max, "np"),
            requires_disjoint_windows,
            once=partial(offsets, "np"),
        ),
        Native(
            "cupy",
            f"cupy.{_SLIDING}",
            partial(_sliding_max, "cp"),
            once=partial(offsets, "cp"),
        ),
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
            partial(_dask_coarsen, "np.max"),
            requires_disjoint_windows,
            values_only=True,
        ),
        Native(
            "jax",
            "jax.numpy.reshape + argmax",
            partial(_block_max_computed, "jnp"),
            requires_disjoint_windows,
        ),
    ),
    "avg_pool": (
        torch_native("avg_pool{d}d", _requires_torch_windows),
        Native("jax", "jax.lax.reduce_window", _jax_avg),
        Native("numpy", f"numpy.{_SLIDING}", partial(_sliding_mean, "np")),
        Native("numpy", "numpy.ndarray.reshape + mean", _block_mean, requires_disjoint_windows),
        Native("cupy", f"cupy.{_SLIDING}", partial(_sliding_mean, "cp")),
        Native("cupy", "cupy.ndarray.reshape + mean", _block_mean, requires_disjoint_windows),
        Native(
            "dask",
            "dask.array.coarsen",
            partial(_dask_coarsen, "np.mean"),
            requires_disjoint_windows,
        ),
        Native("numpy", "numpy.add of strided slices", _slices_mean, once=_mean_taps),
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
            once=lambda case: ["samples = None  # that place the regions; torch draws them"],
            drawn=_torch_drawn,
        ),
    ),
}
