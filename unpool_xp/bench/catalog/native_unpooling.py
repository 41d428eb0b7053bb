"""Native unpoolings: library functions, and snippets that people write.

One more native is one more entry in `UNPOOLING_NATIVES`.
"""

from __future__ import annotations

import importlib
import math
from typing import Any

import numpy as np

from unpool_xp.backends import Backend
from unpool_xp.bench.cases.case import Case
from unpool_xp.bench.cases.inputs import NDArray, numpy_dtype
from unpool_xp.bench.cases.operation import (
    Function,
    Native,
    first_reason,
    native_namespace,
    requires_batch,
    requires_exact_scale,
    requires_image_shape,
    requires_integer_scale,
    torch_function,
)

# --- max_unpool -----------------------------------------------------------------------------------


def _torch_unpool(functional: Any, case: Case) -> Function:
    unpool, options = getattr(functional, f"max_unpool{case.rank}d"), case.options()
    return lambda values, indices: unpool(values, indices, **options)


def _jax_at_set(case: Case, backend: Backend) -> Function:
    xp, rank, shape = native_namespace(backend), case.rank, case.output_shape
    planes, cells = math.prod(shape[:-rank]), math.prod(shape[-rank:])

    def put(values: Any, indices: Any) -> Any:
        rows = xp.arange(planes)[:, None]
        flat = xp.zeros((planes, cells), dtype=values.dtype)
        flat = flat.at[rows, indices.reshape(planes, -1)].set(values.reshape(planes, -1))
        return flat.reshape(shape)

    return put


def _cupy_set(case: Case, backend: Backend) -> Function:
    cupy, rank, shape = native_namespace(backend), case.rank, case.output_shape
    planes, cells = math.prod(shape[:-rank]), math.prod(shape[-rank:])

    def put(values: Any, indices: Any) -> Any:
        flat = cupy.zeros((planes, cells), dtype=values.dtype)
        rows = cupy.arange(planes)[:, None]
        flat[rows, indices.reshape(planes, -1)] = values.reshape(planes, -1)
        return flat.reshape(shape)

    return put


def _put_along_axis(case: Case, backend: Backend) -> Function:
    return _build_put_along_axis(native_namespace(backend), case)


def _build_put_along_axis(xp: Any, case: Case) -> Function:
    plane = case.output_shape[-case.rank :]

    def put(values: Any, indices: Any) -> Any:
        lead = values.shape[: values.ndim - case.rank]
        flat = xp.zeros((*lead, math.prod(plane)), dtype=values.dtype)
        shape = (*lead, math.prod(values.shape[values.ndim - case.rank :]))
        xp.put_along_axis(flat, indices.reshape(shape), values.reshape(shape), axis=-1)
        return flat.reshape(*lead, *plane)

    return put


def _dask_put(case: Case, backend: Backend) -> Function:
    da, put, plane = (
        native_namespace(backend),
        _build_put_along_axis(np, case),
        case.output_shape[-case.rank :],
    )

    def blocks(values: Any, indices: Any) -> Any:
        chunks = (*values.chunks[: values.ndim - case.rank], *((n,) for n in plane))
        return da.map_blocks(put, values, indices, chunks=chunks, dtype=values.dtype)

    return blocks


# --- nearest_unpool -------------------------------------------------------------------------------


def _torch_interpolate(functional: Any, case: Case) -> Function:
    return lambda x: functional.interpolate(x, scale_factor=case.scale, mode="nearest")


def _jax_resize(case: Case, backend: Backend) -> Function:
    image, shape = importlib.import_module("jax.image"), case.output_shape
    return lambda x: image.resize(x, shape, method="nearest")


def _repeat(case: Case, backend: Backend) -> Function:
    xp = native_namespace(backend)
    factors = [(axis - case.rank, int(factor)) for axis, factor in enumerate(case.scale or ())]

    def repeat(x: Any) -> Any:
        for axis, factor in factors:
            x = xp.repeat(x, factor, axis=axis)
        return x

    return repeat


def _kron(case: Case, backend: Backend) -> Function:
    xp = native_namespace(backend)
    block = (1,) * (len(case.shape) - case.rank) + tuple(int(f) for f in case.scale or ())
    ones = backend.asarray(np.ones(block, numpy_dtype(case.dtype)))
    return lambda x: xp.kron(x, ones)


def _broadcast(case: Case, backend: Backend) -> Function:
    xp, shape = native_namespace(backend), case.output_shape
    wide = case.shape[: -case.rank]
    for size, factor in zip(case.shape[-case.rank :], case.scale or (), strict=True):
        wide += (size, int(factor))
    spread = (..., *(slice(None), None) * case.rank)
    return lambda x: xp.broadcast_to(x[spread], wide).reshape(shape)


# --- linear_unpool --------------------------------------------------------------------------------


def _torch_linear(functional: Any, case: Case) -> Function:
    mode = ("linear", "bilinear", "trilinear")[case.rank - 1]
    options = {"scale_factor": case.scale, "mode": mode, "align_corners": False}
    return lambda x: functional.interpolate(x, **options)


def _jax_linear(case: Case, backend: Backend) -> Function:
    image, shape = importlib.import_module("jax.image"), case.output_shape
    return lambda x: image.resize(x, shape, method="linear", antialias=False)


def _zoom(case: Case, backend: Backend) -> Function:
    """Use SciPy's spline of order 1, whose grid mode has half-pixel coordinates."""
    cupy = "cupyx." if backend.library == "cupy" else ""
    ndimage = importlib.import_module(f"{cupy}scipy.ndimage")
    factors = (*(1 for _ in case.lead), *(case.scale or ()))
    return lambda x: ndimage.zoom(x, factors, order=1, mode="nearest", grid_mode=True)


def _requires_no_float16(case: Case) -> str | None:
    return "SciPy's ndimage has no float16" if case.dtype == "float16" else None


def _interpolation_matrices(case: Case) -> list[NDArray]:
    """Return for each axis, shape (n, out), what an element gives to an output cell."""
    made = []
    for n, out, factor in zip(
        case.plane, case.output_shape[-case.rank :], case.scale or (), strict=True
    ):
        places = np.clip((np.arange(out) + 0.5) / factor - 0.5, 0, n - 1)
        # A tent over each element.
        matrix = np.maximum(1 - np.abs(places - np.arange(n)[:, None]), 0)
        made.append(matrix.astype(numpy_dtype(case.dtype)))
    return made


def _matrix_products(case: Case, backend: Backend) -> Function:
    matrices = [backend.asarray(matrix) for matrix in _interpolation_matrices(case)]
    return _build_axis_products(native_namespace(backend), matrices)


def _build_axis_products(xp: Any, matrices: list[Any]) -> Function:
    def multiply(x: Any) -> Any:
        for axis, matrix in zip(range(-1, -len(matrices) - 1, -1), reversed(matrices), strict=True):
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


def _dask_products(case: Case, backend: Backend) -> Function:
    multiply, plane = (
        _build_axis_products(np, _interpolation_matrices(case)),
        case.output_shape[-case.rank :],
    )

    def blocks(x: Any) -> Any:
        chunks = (*x.chunks[: x.ndim - case.rank], *((n,) for n in plane))
        return x.map_blocks(multiply, chunks=chunks, dtype=x.dtype)

    return blocks


# --- conv_transpose -------------------------------------------------------------------------------


_F = "torch.nn.functional."


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


def _jax_flat_set(case: Case, backend: Backend) -> Function:
    """Set by one index into the flat output, and promise that each is inside and alone."""
    jnp, shape, rank = native_namespace(backend), case.output_shape, case.rank
    planes, cells = math.prod(shape[:-rank]), math.prod(shape[-rank:])
    alone = case.stride == case.kernel

    def put(values: Any, indices: Any) -> Any:
        flat = (indices.reshape(planes, -1) + jnp.arange(planes)[:, None] * cells).reshape(-1)
        out = jnp.zeros(planes * cells, values.dtype).at[flat]
        out = out.set(values.reshape(-1), mode="promise_in_bounds", unique_indices=alone)
        return out.reshape(shape)

    return put


UNPOOLING_NATIVES: dict[str, tuple[Native, ...]] = {
    "max_unpool": (
        Native("torch", _F + "max_unpool{d}d", torch_function(_torch_unpool), requires_image_shape),
        Native("jax", "jax.Array.at[].set", _jax_at_set),
        Native("numpy", "numpy.put_along_axis", _put_along_axis),
        Native("cupy", "cupy.ndarray.__setitem__", _cupy_set),
        Native("dask", "dask.array.map_blocks(numpy.put_along_axis)", _dask_put),
        Native("numpy", "numpy.ndarray.__setitem__, flat", _flat_positions),
        Native("jax", "jax.Array.at[].set, flat", _jax_flat_set),
    ),
    "nearest_unpool": (
        Native(
            "torch", _F + "interpolate", torch_function(_torch_interpolate), requires_image_shape
        ),
        Native("jax", "jax.image.resize", _jax_resize, requires_integer_scale),
        Native("jax", "jax.numpy.repeat", _repeat, requires_integer_scale),
        Native("numpy", "numpy.repeat", _repeat, requires_integer_scale),
        Native("numpy", "numpy.kron", _kron, requires_integer_scale),
        Native("numpy", "numpy.broadcast_to", _broadcast, requires_integer_scale),
        Native("cupy", "cupy.repeat", _repeat, requires_integer_scale),
        Native("dask", "dask.array.repeat", _repeat, requires_integer_scale),
        Native(
            "numpy", "numpy.repeat, last axis first", _repeat_last_first, requires_integer_scale
        ),
    ),
    "linear_unpool": (
        Native("torch", _F + "interpolate", torch_function(_torch_linear), requires_batch),
        Native("jax", "jax.image.resize", _jax_linear, requires_exact_scale),
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
        Native("dask", "dask.array.map_blocks(numpy.matmul)", _dask_products),
    ),
}
