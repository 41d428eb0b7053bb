"""Native unpoolings: library functions, and snippets that people write.

One more native is one more entry in `UNPOOLING_NATIVES`.
"""

from __future__ import annotations

import importlib
import math
from functools import partial
from typing import Any

import numpy as np

from unpool_xp import backends
from unpool_xp.backends import Backend
from unpool_xp.bench.cases.case import Case
from unpool_xp.bench.cases.inputs import numpy_dtype
from unpool_xp.bench.cases.operation import (
    Builder,
    Function,
    Native,
    first_reason,
    native_namespace,
    reason_unless,
    requires_batch,
    requires_exact_scale,
    requires_image_shape,
    requires_integer_scale,
    torch_native,
)


def _map_blocks(build: Builder) -> Builder:
    """Return what builds Dask's of NumPy's: it does each block, which holds whole planes."""

    def build_by_blocks(case: Case, backend: Backend) -> Function:
        function = build(case, backends.load("numpy"))
        plane = tuple((n,) for n in case.output_plane)

        def by_blocks(x: Any, *others: Any) -> Any:
            chunks = (*x.chunks[: x.ndim - case.rank], *plane)
            return x.map_blocks(function, *others, chunks=chunks, dtype=x.dtype)

        return by_blocks

    return build_by_blocks


# --- max_unpool -----------------------------------------------------------------------------------


def _output_sizes(case: Case) -> tuple[tuple[int, ...], int, int]:
    """Return the output's shape, how many planes it has, and how many cells each."""
    shape, rank = case.output_shape, case.rank
    return shape, math.prod(shape[:-rank]), math.prod(shape[-rank:])


def _set(case: Case, backend: Backend) -> Function:
    """Set by plane and cell."""
    xp, (shape, planes, cells) = native_namespace(backend), _output_sizes(case)
    immutable = backend.library == "jax"

    def put(values: Any, indices: Any) -> Any:
        flat = xp.zeros((planes, cells), dtype=values.dtype)
        places = (xp.arange(planes)[:, None], indices.reshape(planes, -1))
        if immutable:
            flat = flat.at[places].set(values.reshape(planes, -1))
        else:
            flat[places] = values.reshape(planes, -1)
        return flat.reshape(shape)

    return put


def _set_flat(case: Case, backend: Backend) -> Function:
    """Set by one index into the flat output; where planes start is prepared."""
    shape, planes, cells = _output_sizes(case)
    first = np.arange(planes)[:, None] * cells

    def put(values: Any, indices: Any) -> Any:
        out = np.zeros(planes * cells, values.dtype)
        out[(indices.reshape(planes, -1) + first).reshape(-1)] = values.reshape(-1)
        return out.reshape(shape)

    return put


def _jax_set_flat(case: Case, backend: Backend) -> Function:
    """Set by one index into the flat output, and promise that each is inside and alone."""
    jnp, (shape, planes, cells) = native_namespace(backend), _output_sizes(case)
    alone = case.stride == case.kernel

    def put(values: Any, indices: Any) -> Any:
        flat = (indices.reshape(planes, -1) + jnp.arange(planes)[:, None] * cells).reshape(-1)
        out = jnp.zeros(planes * cells, values.dtype).at[flat]
        out = out.set(values.reshape(-1), mode="promise_in_bounds", unique_indices=alone)
        return out.reshape(shape)

    return put


def _put_along_axis(case: Case, backend: Backend) -> Function:
    rank, plane = case.rank, case.output_plane

    def put(values: Any, indices: Any) -> Any:
        lead = values.shape[:-rank]  # of a block, perhaps
        flat = np.zeros((*lead, math.prod(plane)), dtype=values.dtype)
        shape = (*lead, math.prod(values.shape[-rank:]))
        np.put_along_axis(flat, indices.reshape(shape), values.reshape(shape), axis=-1)
        return flat.reshape(*lead, *plane)

    return put


# --- nearest_unpool -------------------------------------------------------------------------------


def _jax_resize(**options: Any) -> Builder:
    def build(case: Case, backend: Backend) -> Function:
        image, shape = importlib.import_module("jax.image"), case.output_shape
        return lambda x: image.resize(x, shape, **options)

    return build


def _repeat(case: Case, backend: Backend, *, last_first: bool = False) -> Function:
    xp = native_namespace(backend)
    factors = [(axis - case.rank, int(factor)) for axis, factor in enumerate(case.scale or ())]
    if last_first:  # what is repeated element by element is smallest then
        factors.reverse()

    def repeat(x: Any) -> Any:
        for axis, factor in factors:
            x = xp.repeat(x, factor, axis=axis)
        return x

    return repeat


def _kron(case: Case, backend: Backend) -> Function:
    block = (*(1 for _ in case.lead), *(int(factor) for factor in case.scale or ()))
    ones = np.ones(block, numpy_dtype(case.dtype))
    return lambda x: np.kron(x, ones)


def _broadcast(case: Case, backend: Backend) -> Function:
    shape, wide = case.output_shape, case.lead
    for size, factor in zip(case.plane, case.scale or (), strict=True):
        wide += (size, int(factor))
    spread = (..., *(slice(None), None) * case.rank)
    return lambda x: np.broadcast_to(x[spread], wide).reshape(shape)


# --- linear_unpool --------------------------------------------------------------------------------


def _torch_linear_options(case: Case) -> dict[str, Any]:
    mode = ("linear", "bilinear", "trilinear")[case.rank - 1]
    return {"scale_factor": case.scale, "mode": mode, "align_corners": False}


_requires_no_float16 = reason_unless(
    lambda case: case.dtype != "float16", "SciPy's ndimage has no float16"
)


def _zoom(case: Case, backend: Backend) -> Function:
    """Use SciPy's spline of order 1, whose grid mode has half-pixel coordinates."""
    cupy = "cupyx." if backend.library == "cupy" else ""
    ndimage = importlib.import_module(f"{cupy}scipy.ndimage")
    factors = (*(1 for _ in case.lead), *(case.scale or ()))
    return lambda x: ndimage.zoom(x, factors, order=1, mode="nearest", grid_mode=True)


def _matrix_products(case: Case, backend: Backend) -> Function:
    """Multiply by a matrix for each axis: what an element gives to an output cell."""
    xp, matrices = native_namespace(backend), []
    for n, out, factor in zip(case.plane, case.output_plane, case.scale or (), strict=True):
        places = np.clip((np.arange(out) + 0.5) / factor - 0.5, 0, n - 1)
        # A tent over each element.
        matrix = np.maximum(1 - np.abs(places - np.arange(n)[:, None]), 0)
        matrices.append(backend.asarray(matrix.astype(numpy_dtype(case.dtype))))

    def multiply(x: Any) -> Any:
        for axis in range(-1, -len(matrices) - 1, -1):
            matrix = matrices[axis]
            if axis == -1:
                x = x @ matrix
            elif axis == -2:
                x = matrix.T @ x
            else:
                x = xp.moveaxis(xp.tensordot(x, matrix, axes=(axis, 0)), -1, axis)
        return x

    return multiply


def _slices_linear(case: Case, backend: Backend) -> Function:
    """Interpolate axis by axis: cells of one phase, all at once, from two shifted slices."""
    kind = numpy_dtype(case.dtype).type
    axes = []
    for axis, factor in enumerate(case.scale or (), start=-case.rank):
        steps = [(phase + 0.5) / factor - 0.5 for phase in range(int(factor))]
        axes.append(
            (axis, [(math.floor(step) + 1, kind(step - math.floor(step))) for step in steps])
        )

    def unpool(x: Any) -> Any:
        for axis, phases in axes:
            tail, n = (slice(None),) * (-1 - axis), x.shape[axis]
            x = np.concatenate(
                [x[(..., slice(1), *tail)], x, x[(..., slice(n - 1, n), *tail)]], axis
            )
            shape = list(x.shape)
            shape[axis] = n * len(phases)
            out = np.empty(shape, x.dtype)
            for phase, (start, share) in enumerate(phases):
                low = x[(..., slice(start, start + n), *tail)]
                high = x[(..., slice(start + 1, start + 1 + n), *tail)]
                places: Any = (..., slice(phase, None, len(phases)), *tail)
                out[places] = low + (high - low) * share if share else low
            x = out
        return x

    return unpool


UNPOOLING_NATIVES: dict[str, tuple[Native, ...]] = {
    "max_unpool": (
        torch_native("max_unpool{d}d", requires_image_shape),
        Native("jax", "jax.Array.at[].set", _set),
        Native("numpy", "numpy.put_along_axis", _put_along_axis),
        Native("cupy", "cupy.ndarray.__setitem__", _set),
        Native("dask", "dask.array.map_blocks(numpy.put_along_axis)", _map_blocks(_put_along_axis)),
        Native("numpy", "numpy.ndarray.__setitem__, flat", _set_flat),
        Native("jax", "jax.Array.at[].set, flat", _jax_set_flat),
    ),
    "nearest_unpool": (
        torch_native(
            "interpolate",
            requires_image_shape,
            lambda case: {"scale_factor": case.scale, "mode": "nearest"},
        ),
        Native("jax", "jax.image.resize", _jax_resize(method="nearest"), requires_integer_scale),
        Native("jax", "jax.numpy.repeat", _repeat, requires_integer_scale),
        Native("numpy", "numpy.repeat", _repeat, requires_integer_scale),
        Native("numpy", "numpy.kron", _kron, requires_integer_scale),
        Native("numpy", "numpy.broadcast_to", _broadcast, requires_integer_scale),
        Native("cupy", "cupy.repeat", _repeat, requires_integer_scale),
        Native("dask", "dask.array.repeat", _repeat, requires_integer_scale),
        Native(
            "numpy",
            "numpy.repeat, last axis first",
            partial(_repeat, last_first=True),
            requires_integer_scale,
        ),
    ),
    "linear_unpool": (
        torch_native("interpolate", requires_batch, _torch_linear_options),
        Native(
            "jax",
            "jax.image.resize",
            _jax_resize(method="linear", antialias=False),
            requires_exact_scale,
        ),
        Native(
            "numpy",
            "scipy.ndimage.zoom",
            _zoom,
            first_reason(requires_exact_scale, _requires_no_float16),
        ),
        Native("numpy", "numpy.matmul with matrices of weights", _matrix_products),
        Native("numpy", "numpy, strided slices", _slices_linear, requires_integer_scale),
        Native("cupy", "cupyx.scipy.ndimage.zoom", _zoom, requires_exact_scale),
        Native("cupy", "cupy.matmul with matrices of weights", _matrix_products),
        Native("dask", "dask.array.map_blocks(numpy.matmul)", _map_blocks(_matrix_products)),
    ),
    # jax.image.resize has another coefficient, -0.5, and leaves out what lies beyond the ends.
    "cubic_unpool": (
        torch_native(
            "interpolate",
            reason_unless(
                lambda case: case.rank == 2 and len(case.lead) == 2,
                "shape {case.shape} is not (N, C, H, W)",
            ),
            lambda case: {"scale_factor": case.scale, "mode": "bicubic"},
        ),
    ),
}
