"""What people who write for speed alone get out of a library, beyond its own functions.

The tax is taken against these apart: they are held to the oracle, but no sweep measures them.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from unpool_xp.backends import Backend
from unpool_xp.bench.cases import Case
from unpool_xp.bench.native import Function, Native, apart, plain, whole_scale
from unpool_xp.bench.photo import numpy_dtype

# --- numpy ----------------------------------------------------------------------------------------


def _repeat_last_first(case: Case, backend: Backend) -> Function:
    """Repeat the last axis first: what is repeated element by element is smallest then."""
    factors = [
        (axis, int(factor)) for axis, factor in enumerate(case.scale or (), start=-case.rank)
    ]

    def repeat(x: Any) -> Any:
        for axis, factor in reversed(factors):
            x = x.repeat(factor, axis)
        return x

    return repeat


def _flat_positions(case: Case, backend: Backend) -> Function:
    """Set by one index into the flat output; where planes start is prepared."""
    shape, rank = case.output_shape, case.rank
    planes, cells = math.prod(shape[:-rank]), math.prod(shape[-rank:])
    first = np.arange(planes)[:, None] * cells

    def put(values: Any, indices: Any) -> Any:
        out = np.zeros(planes * cells, values.dtype)
        out[(indices.reshape(planes, -1) + first).reshape(-1)] = values.reshape(-1)
        return out.reshape(shape)

    return put


def _slices_mean(case: Case, backend: Backend) -> Function:
    """Add up, tap by tap, the elements that the windows have there."""
    rank, kernel, stride = case.rank, case.kernel or (), case.stride or ()
    spans = [(c - 1) * s + 1 for c, s in zip(case.output_shape[-rank:], stride, strict=True)]
    padded = [n + before + after for n, (before, after) in zip(case.plane, case.pairs, strict=True)]
    inner: Any = (..., *(slice(b, b + n) for n, (b, _) in zip(case.plane, case.pairs, strict=True)))
    taps = [
        (..., *(slice(t, t + n, s) for t, n, s in zip(tap, spans, stride, strict=True)))
        for tap in np.ndindex(*kernel)
    ]
    share = numpy_dtype(case.dtype).type(1 / case.taps)

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


# --- jax ------------------------------------------------------------------------------------------


def _jax_block_max(case: Case, backend: Backend) -> Function:
    jnp, rank, first = plain(backend), case.rank, len(case.lead)
    counts, kernel = case.output_shape[-rank:], case.kernel or ()
    crop = (..., *(slice(c * k) for c, k in zip(counts, kernel, strict=True)))
    split = (*case.lead, *(n for pair in zip(counts, kernel, strict=True) for n in pair))
    order = [
        *range(first),
        *range(first, first + 2 * rank, 2),
        *range(first + 1, first + 2 * rank, 2),
    ]

    def pool(x: Any) -> tuple[Any, Any]:
        windows = x[crop].reshape(split).transpose(order).reshape(*case.output_shape, -1)
        place = windows.argmax(-1)
        values = jnp.take_along_axis(windows, place[..., None], -1)[..., 0]
        indices = 0
        for axis, tap in enumerate(jnp.unravel_index(place, kernel)):
            starts = jnp.arange(counts[axis]) * kernel[axis]
            starts = starts.reshape(-1, *(1,) * (rank - 1 - axis))
            indices = indices * case.plane[axis] + tap + starts
        return values, indices

    return pool


def _jax_flat_set(case: Case, backend: Backend) -> Function:
    """Set by one index into the flat output, and promise that each is inside and alone."""
    jnp, shape, rank = plain(backend), case.output_shape, case.rank
    planes, cells = math.prod(shape[:-rank]), math.prod(shape[-rank:])
    alone = case.stride == case.kernel

    def put(values: Any, indices: Any) -> Any:
        flat = (indices.reshape(planes, -1) + jnp.arange(planes)[:, None] * cells).reshape(-1)
        out = jnp.zeros(planes * cells, values.dtype).at[flat]
        out = out.set(values.reshape(-1), mode="promise_in_bounds", unique_indices=alone)
        return out.reshape(shape)

    return put


_MAX, _AVG, _UNPOOL, _NEAREST = "max_pool", "avg_pool", "max_unpool", "nearest_unpool"

TUNED_NATIVES: tuple[Native, ...] = (
    Native(
        "numpy",
        _NEAREST,
        "numpy.repeat, last axis first",
        _repeat_last_first,
        whole_scale,
        tuned=True,
    ),
    Native("numpy", _UNPOOL, "numpy.ndarray.__setitem__, flat", _flat_positions, tuned=True),
    Native("numpy", _AVG, "numpy.add of strided slices", _slices_mean, tuned=True),
    Native("jax", _MAX, "jax.numpy.reshape + argmax", _jax_block_max, apart, tuned=True),
    Native("jax", _UNPOOL, "jax.Array.at[].set, flat", _jax_flat_set, tuned=True),
)
