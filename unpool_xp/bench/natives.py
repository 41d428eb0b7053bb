"""Each library's own function for a case, or what people write with it: what we are held against.

A native of another library or operation is one more entry in `NATIVES`.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from unpool_xp.backends import Backend
from unpool_xp.bench.cases import Case
from unpool_xp.bench.photo import numpy_dtype

Function: TypeAlias = Callable[..., Any]
Reason: TypeAlias = Callable[[Case], str | None]


def _always(case: Case) -> str | None:
    return None


@dataclass(frozen=True)
class Native:
    """One way to do an operation with a library alone.

    Parameters
    ----------
    library, operation : str
        What it belongs to.
    title : str
        The function; ``{d}`` stands for the rank.
    build : callable
        From a case and a backend to a function of the case's arrays.
    reason : callable, optional
        Why a case cannot be done, or None where it can.
    values_only : bool, optional
        Whether it gives values without indices.
    """

    library: str
    operation: str
    title: str
    build: Callable[[Case, Backend], Function]
    reason: Reason = _always
    values_only: bool = False

    def name(self, case: Case) -> str:
        """Return the name of the function for a case."""
        note = " (values only)" if self.values_only else ""
        return self.title.format(d=case.rank) + note

    def bytes_moved(self, case: Case) -> int:
        """Return the bytes of the inputs and of those outputs that it writes."""
        if not self.values_only:
            return case.bytes_moved
        shape, _ = case.outputs["indices"]
        return case.bytes_moved - 8 * math.prod(shape)


def natives(library: str, case: Case) -> list[Native]:
    """Return the natives of a library for the operation of a case, suited or not."""
    return [n for n in NATIVES if n.library == library and n.operation == case.operation]


def find(library: str, case: Case, name: str) -> Native:
    """Return the native of that name.

    Parameters
    ----------
    library : str
        The library's part of a backend's label.
    case : Case
        The case it is for.
    name : str
        As `Native.name` gives it.

    Returns
    -------
    Native
        The native.

    Raises
    ------
    ValueError
        If there is none; the message lists those there are.
    """
    there = {native.name(case): native for native in natives(library, case)}
    if name not in there:
        known = ", ".join(there) or "none"
        raise ValueError(f"{library} has no native {name!r} for {case.operation}; known: {known}")
    return there[name]


# --- what a case needs ---------------------------------------------------------------------------


def _either(*reasons: Reason) -> Reason:
    return lambda case: next((said for reason in reasons if (said := reason(case))), None)


def _whole(case: Case) -> str | None:
    whole = all(float(factor).is_integer() for factor in case.scale or ())
    return None if whole else f"scale {case.scale} is not whole"


def _image(case: Case) -> str | None:
    whole = case.rank <= 3 and len(case.shape) in (case.rank + 1, case.rank + 2)
    return None if whole else f"shape {case.shape} is not (N, C, *spatial) with 1 to 3 axes"


def _half_padding(case: Case) -> str | None:
    pairs = zip(case.padding or (), case.kernel or (), strict=False)
    return "padding is more than half the kernel" if any(2 * p > k for p, k in pairs) else None


def _apart(case: Case) -> str | None:
    if case.stride != case.kernel:
        return f"stride {case.stride} is not the kernel {case.kernel}"
    return f"padding {case.padding}" if case.padding else None


# --- torch ---------------------------------------------------------------------------------------


def _torch(call: Callable[[Any, Case], Function]) -> Callable[[Case, Backend], Function]:
    return lambda case, backend: call(importlib.import_module("torch.nn.functional"), case)


def _torch_pool(functional: Any, case: Case) -> Function:
    pool = getattr(functional, f"max_pool{case.rank}d")
    options = {**case.options(), "return_indices": True}
    return lambda x: pool(x, **options)


def _torch_unpool(functional: Any, case: Case) -> Function:
    unpool, options = getattr(functional, f"max_unpool{case.rank}d"), case.options()
    return lambda values, indices: unpool(values, indices, **options)


def _torch_interpolate(functional: Any, case: Case) -> Function:
    return lambda x: functional.interpolate(x, scale_factor=case.scale, mode="nearest")


# --- one way, several libraries ------------------------------------------------------------------


def _repeat(case: Case, backend: Backend) -> Function:
    xp = _plain(backend)
    factors = [(axis - case.rank, int(factor)) for axis, factor in enumerate(case.scale or ())]

    def repeat(x: Any) -> Any:
        for axis, factor in factors:
            x = xp.repeat(x, factor, axis=axis)
        return x

    return repeat


def _kron(case: Case, backend: Backend) -> Function:
    xp = _plain(backend)
    block = (1,) * (len(case.shape) - case.rank) + tuple(int(f) for f in case.scale or ())
    ones = backend.asarray(np.ones(block, numpy_dtype(case.dtype)))
    return lambda x: xp.kron(x, ones)


def _lowest(dtype: str) -> Any:
    kind = numpy_dtype(dtype)
    return kind.type(np.iinfo(kind).min if kind.kind in "iu" else -math.inf)


def _broadcast(case: Case, backend: Backend) -> Function:
    xp, shape = _plain(backend), case.output_shape
    wide = case.shape[: -case.rank]
    for size, factor in zip(case.shape[-case.rank :], case.scale or (), strict=True):
        wide += (size, int(factor))
    spread = (..., *(slice(None), None) * case.rank)
    return lambda x: xp.broadcast_to(x[spread], wide).reshape(shape)


def _sliding_windows(case: Case, backend: Backend) -> Function:
    """Pad, view all windows, argmax over each, and from its place in the window to the plane."""
    xp = _plain(backend)
    view = importlib.import_module(f"{xp.__name__}.lib.stride_tricks").sliding_window_view
    kernel, stride, rank = case.kernel or (), case.stride or (), case.rank
    padding = case.padding or (0,) * rank
    lead = (0,) * (len(case.shape) - rank)
    steps = (..., *(slice(None, None, s) for s in stride), *(slice(None),) * rank)
    axes = tuple(range(-rank, 0))
    lowest = _lowest(case.dtype)
    pad = [(p, p) for p in (*lead, *padding)]

    def pool(x: Any) -> tuple[Any, Any]:
        if any(padding):
            x = xp.pad(x, pad, constant_values=lowest)
        windows = view(x, kernel, axis=axes)[steps]
        windows = windows.reshape(*windows.shape[:-rank], -1)
        place = windows.argmax(-1)
        values = xp.take_along_axis(windows, place[..., None], -1)[..., 0]
        return values, _in_plane(xp, case, place)

    return pool


def _blocks(case: Case, backend: Backend) -> Function:
    """Windows that do not overlap, as axes of their own, in place of a view of windows."""
    xp, kernel, rank = _plain(backend), case.kernel or (), case.rank
    plane, lead = case.shape[-rank:], case.shape[:-rank]
    counts = [n // k for n, k in zip(plane, kernel, strict=True)]
    crop = (..., *(slice(c * k) for c, k in zip(counts, kernel, strict=True)))
    split = (*lead, *(n for pair in zip(counts, kernel, strict=True) for n in pair))
    first = len(lead)
    order = [*range(first), *range(first, first + 2 * rank, 2)]
    order += range(first + 1, first + 2 * rank, 2)

    def pool(x: Any) -> tuple[Any, Any]:
        windows = x[crop].reshape(split).transpose(order).reshape(*lead, *counts, -1)
        place = windows.argmax(-1)
        values = xp.take_along_axis(windows, place[..., None], -1)[..., 0]
        return values, _in_plane(xp, case, place)

    return pool


def _in_plane(xp: Any, case: Case, place: Any) -> Any:
    """Return row-major positions in the plane, from positions in each window."""
    kernel, stride, rank = case.kernel or (), case.stride or (), case.rank
    padding = case.padding or (0,) * rank
    indices = xp.zeros_like(place)
    for axis, tap in enumerate(xp.unravel_index(place, kernel)):
        starts = xp.arange(place.shape[axis - rank]) * stride[axis] - padding[axis]
        starts = starts.reshape(-1, *(1,) * (rank - 1 - axis))
        indices = indices * case.shape[axis - rank] + tap + starts
    return indices


def _put_along_axis(case: Case, backend: Backend) -> Function:
    return _putter(_plain(backend), case)


def _putter(xp: Any, case: Case) -> Function:
    plane = case.output_shape[-case.rank :]

    def put(values: Any, indices: Any) -> Any:
        lead = values.shape[: values.ndim - case.rank]
        flat = xp.zeros((*lead, math.prod(plane)), dtype=values.dtype)
        shape = (*lead, math.prod(values.shape[values.ndim - case.rank :]))
        xp.put_along_axis(flat, indices.reshape(shape), values.reshape(shape), axis=-1)
        return flat.reshape(*lead, *plane)

    return put


def _plain(backend: Backend) -> Any:
    """Return the library itself, without the standard's namespace around it."""
    names = {"jax": "jax.numpy", "dask": "dask.array"}
    return importlib.import_module(names.get(backend.library, backend.library))


# --- jax -----------------------------------------------------------------------------------------


def _jax_resize(case: Case, backend: Backend) -> Function:
    image, shape = importlib.import_module("jax.image"), case.output_shape
    return lambda x: image.resize(x, shape, method="nearest")


def _jax_reduce_window(case: Case, backend: Backend) -> Function:
    jax = importlib.import_module("jax")
    ones = (1,) * (len(case.shape) - case.rank)
    kernel, stride = (*ones, *(case.kernel or ())), (*ones, *(case.stride or ()))
    padding = [(0, 0)] * len(ones) + [(p, p) for p in case.padding or (0,) * case.rank]
    start = _lowest(case.dtype)
    return lambda x: jax.lax.reduce_window(x, start, jax.lax.max, kernel, stride, padding)


def _jax_at_set(case: Case, backend: Backend) -> Function:
    xp, rank, shape = _plain(backend), case.rank, case.output_shape
    planes, cells = math.prod(shape[:-rank]), math.prod(shape[-rank:])

    def put(values: Any, indices: Any) -> Any:
        rows = xp.arange(planes)[:, None]
        flat = xp.zeros((planes, cells), dtype=values.dtype)
        flat = flat.at[rows, indices.reshape(planes, -1)].set(values.reshape(planes, -1))
        return flat.reshape(shape)

    return put


# --- cupy and dask -------------------------------------------------------------------------------


def _cupy_set(case: Case, backend: Backend) -> Function:
    cupy, rank, shape = _plain(backend), case.rank, case.output_shape
    planes, cells = math.prod(shape[:-rank]), math.prod(shape[-rank:])

    def put(values: Any, indices: Any) -> Any:
        flat = cupy.zeros((planes, cells), dtype=values.dtype)
        rows = cupy.arange(planes)[:, None]
        flat[rows, indices.reshape(planes, -1)] = values.reshape(planes, -1)
        return flat.reshape(shape)

    return put


def _cupy_maximum_filter(case: Case, backend: Backend) -> Function:
    """Filter every pixel, keep each stride-th: simple, and more work than needed."""
    filters = importlib.import_module("cupyx.scipy.ndimage")
    kernel, stride = case.kernel or (), case.stride or ()
    lead, rank = (1,) * (len(case.shape) - case.rank), case.rank
    # The filter's window is centred; here it starts at the pixel.
    origin = (0,) * len(lead) + tuple(-(k // 2) for k in kernel)
    counts = case.output_shape[-rank:]
    keep = (..., *(slice(0, (c - 1) * s + 1, s) for c, s in zip(counts, stride, strict=True)))
    return lambda x: filters.maximum_filter(x, size=(*lead, *kernel), origin=origin)[keep].copy()


def _no_padding(case: Case) -> str | None:
    return f"padding {case.padding}" if case.padding else None


def _dask_coarsen(case: Case, backend: Backend) -> Function:
    da = _plain(backend)
    axes = {len(case.shape) - case.rank + i: k for i, k in enumerate(case.kernel or ())}
    return lambda x: da.coarsen(np.max, x, axes, trim_excess=True)


def _dask_put(case: Case, backend: Backend) -> Function:
    da, put, plane = _plain(backend), _putter(np, case), case.output_shape[-case.rank :]

    def blocks(values: Any, indices: Any) -> Any:
        chunks = (*values.chunks[: values.ndim - case.rank], *((n,) for n in plane))
        return da.map_blocks(put, values, indices, chunks=chunks, dtype=values.dtype)

    return blocks


_MAX, _UNPOOL, _NEAREST = "max_pool", "max_unpool", "nearest_unpool"
_F = "torch.nn.functional."

NATIVES: tuple[Native, ...] = (
    Native("torch", _MAX, _F + "max_pool{d}d", _torch(_torch_pool), _either(_image, _half_padding)),
    Native("torch", _UNPOOL, _F + "max_unpool{d}d", _torch(_torch_unpool), _image),
    Native("torch", _NEAREST, _F + "interpolate", _torch(_torch_interpolate), _image),
    Native("jax", _MAX, "jax.lax.reduce_window", _jax_reduce_window, values_only=True),
    Native("jax", _UNPOOL, "jax.Array.at[].set", _jax_at_set),
    Native("jax", _NEAREST, "jax.image.resize", _jax_resize, _whole),
    Native("jax", _NEAREST, "jax.numpy.repeat", _repeat, _whole),
    Native("numpy", _MAX, "numpy.lib.stride_tricks.sliding_window_view", _sliding_windows),
    Native("numpy", _MAX, "numpy.ndarray.reshape + argmax", _blocks, _apart),
    Native("numpy", _UNPOOL, "numpy.put_along_axis", _put_along_axis),
    Native("numpy", _NEAREST, "numpy.repeat", _repeat, _whole),
    Native("numpy", _NEAREST, "numpy.kron", _kron, _whole),
    Native("numpy", _NEAREST, "numpy.broadcast_to", _broadcast, _whole),
    Native("cupy", _MAX, "cupy.lib.stride_tricks.sliding_window_view", _sliding_windows),
    Native(
        "cupy",
        _MAX,
        "cupyx.scipy.ndimage.maximum_filter",
        _cupy_maximum_filter,
        _no_padding,
        values_only=True,
    ),
    Native("cupy", _UNPOOL, "cupy.ndarray.__setitem__", _cupy_set),
    Native("cupy", _NEAREST, "cupy.repeat", _repeat, _whole),
    Native("dask", _MAX, "dask.array.coarsen", _dask_coarsen, _apart, values_only=True),
    Native("dask", _UNPOOL, "dask.array.map_blocks(numpy.put_along_axis)", _dask_put),
    Native("dask", _NEAREST, "dask.array.repeat", _repeat, _whole),
)
