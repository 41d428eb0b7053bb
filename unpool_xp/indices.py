"""The index conventions of max pooling in use, and the way between them."""

from __future__ import annotations

import math
from typing import Literal, TypeAlias, get_args

from unpool_xp import _geometry
from unpool_xp._compat import Array, Namespace, arguments, cast, index_dtype, require_dtype
from unpool_xp._plans import Planner
from unpool_xp._primitives import (
    along,
    chunks_index_dtype,
    in_chunks,
    without_empty_chunks,
)
from unpool_xp._sizes import Padding, Shape, Sizes, as_int, check_choice
from unpool_xp._typing import ArrayT

__all__ = ["convert_indices"]

Convention: TypeAlias = Literal[
    "torch", "onnx", "onnx_column_major", "tensorflow", "tensorflow_batch", "chainer", "matlab"
]
_CONVENTIONS = get_args(Convention)
_LAST_CHANNEL = ("tensorflow", "tensorflow_batch")


def convert_indices(
    indices: ArrayT,
    /,
    source: Convention,
    target: Convention,
    *,
    input_shape: Shape,
    kernel_size: Sizes | None = None,
    stride: Sizes | None = None,
    padding: Padding = 0,
    dilation: Sizes = 1,
) -> ArrayT:
    """Rewrite the indices of a max pooling from one convention to another.

    Parameters
    ----------
    indices : array
        Shape ``(N, C, *out)``, or ``(N, *out, C)`` where `source` is one of TensorFlow's; an
        integer dtype.
    source : str
        The convention of `indices`: "torch" (row-major in the plane, as `max_pool` gives them),
        "onnx" (row-major in the whole tensor), "onnx_column_major" (``storage_order=1``: the
        plane's positions in column-major order, plane after plane), "tensorflow" (NHWC, without
        the batch), "tensorflow_batch" (NHWC, ``include_batch_in_index``), "chainer" (row-major
        within the window) or "matlab" (1-based, column-major in the plane).
    target : str
        The convention wanted, one of the same.
    input_shape : tuple of int
        The shape ``(N, C, *spatial)`` of what was pooled, whatever the convention.
    kernel_size : int or tuple of int, optional
        The size of the window; "chainer" needs it.
    stride : int or tuple of int, optional
        The step from window to window. Default: `kernel_size`.
    padding : int or tuple of int or tuple of (int, int), optional
        The padding that the pooling had.
    dilation : int or tuple of int, optional
        The dilation that the pooling had.

    Returns
    -------
    array
        Shape ``(N, C, *out)``, or ``(N, *out, C)`` where `target` is one of TensorFlow's, in the
        library's default indexing dtype.

    Raises
    ------
    TypeError
        If `indices` is no array or not of an integer dtype, or a size is no int.
    ValueError
        If a convention is unknown, the shapes do not fit, the kernel is missing, a size or the
        padding cannot be, or the library's indices cannot count so far.

    See Also
    --------
    unpool_xp.max_unpool : Takes indices of the convention "torch".

    Examples
    --------
    >>> import array_api_strict as xp
    >>> from unpool_xp import convert_indices
    >>> convert_indices(xp.asarray([[[[6]]]]), "torch", "matlab", input_shape=(1, 1, 2, 4))
    Array([[[[6]]]], dtype=array_api_strict.int64)
    """
    operation = "convert_indices"
    xp, place, plan_of = arguments(operation, indices=indices)
    require_dtype(operation, xp, ("integral",), "an integer", indices=indices)
    check_choice(operation, "source", source, _CONVENTIONS)
    check_choice(operation, "target", target, _CONVENTIONS)
    shape = tuple(as_int(operation, "input_shape", n, tuple(indices.shape)) for n in input_shape)
    if len(shape) != indices.ndim or len(shape) < 3:
        raise ValueError(
            f"{operation}: input_shape={input_shape!r} must be (N, C, *spatial), with as many axes "
            f"as indices of shape {tuple(indices.shape)}"
        )
    out = tuple(indices.shape)
    if source in _LAST_CHANNEL:
        out = (out[0], out[-1], *out[1:-1])
    if out[:2] != shape[:2]:
        raise ValueError(
            f"{operation}: indices of shape {tuple(indices.shape)} ({source}) and input_shape="
            f"{input_shape!r} must agree in N and C"
        )
    windows = None
    if "chainer" in (source, target):
        if kernel_size is None:
            raise ValueError(f"{operation}: kernel_size must be given for the convention chainer")
        windows = _windows(plan_of, operation, shape, out, kernel_size, stride, padding, dilation)

    if in_chunks(indices):
        counting, indices = chunks_index_dtype(indices), without_empty_chunks(indices)
    else:
        counting = index_dtype(xp, place)
    most = max(_largest(convention, shape) for convention in (source, target))
    if most > xp.iinfo(counting).max:
        raise ValueError(
            f"{operation}: input_shape={input_shape!r} has positions up to {most} from {source} to "
            f"{target}, which {counting} cannot hold"
        )
    indices = cast(xp, indices, counting)
    if source in _LAST_CHANNEL:
        indices = xp.moveaxis(indices, -1, 1)
    counters = _Counters(xp, place, shape, out, counting)
    point = _decode(counters, indices, source, windows)
    result = _encode(counters, point, target, windows)
    return xp.moveaxis(result, 1, -1) if target in _LAST_CHANNEL else result


def _largest(convention: Convention, shape: Shape) -> int:
    """Return the largest index of a convention."""
    if convention in ("onnx", "onnx_column_major", "tensorflow_batch"):
        return math.prod(shape) - 1
    if convention == "tensorflow":
        return math.prod(shape[1:]) - 1
    return math.prod(shape[2:]) - (0 if convention == "matlab" else 1)


class _Counters:
    """The batch, channel and window numbers of each element, as arrays that broadcast."""

    def __init__(
        self, xp: Namespace, place: object, shape: Shape, out: Shape, dtype: object
    ) -> None:
        self.xp, self.shape, self.plane = xp, shape, shape[2:]
        numbers = [xp.arange(n, dtype=dtype, device=place) for n in out]
        vectors = [along(xp, v, axis - len(out)) for axis, v in enumerate(numbers)]
        self.batch, self.channel, self.windows = vectors[0], vectors[1], vectors[2:]

    @property
    def planes(self) -> Array:
        """The number of each plane, in (N, C) order."""
        return self.batch * self.shape[1] + self.channel


def _windows(
    plan_of: Planner,
    operation: str,
    shape: Shape,
    out: Shape,
    kernel_size: Sizes,
    stride: Sizes | None,
    padding: Padding,
    dilation: Sizes,
) -> tuple[_geometry.AxisWindows, ...]:
    """Return the windows that were pooled, which may have been so in ceil mode."""
    for ceil_mode in (False, True):
        plan = plan_of(
            _geometry.windows, operation, shape, kernel_size, stride, padding, dilation, ceil_mode
        )
        if plan.output == out[2:]:
            return plan.axes
    raise ValueError(
        f"{operation}: windows of kernel_size={kernel_size!r}, stride={stride!r}, padding="
        f"{padding!r}, dilation={dilation!r} on input_shape={shape} give a map of {plan.output}, "
        f"but indices have {out[2:]}"
    )


def _decode(
    counters: _Counters,
    indices: Array,
    source: Convention,
    windows: tuple[_geometry.AxisWindows, ...] | None,
) -> list[Array]:
    """Return the position along each spatial axis."""
    plane, cells = counters.plane, math.prod(counters.plane)
    if source == "chainer":
        assert windows is not None
        taps = _unravel(indices, tuple(axis.taps for axis in windows))
        return [
            number * axis.stride - axis.padding[0] + tap * axis.dilation
            for number, axis, tap in zip(counters.windows, windows, taps, strict=True)
        ]
    if source in _LAST_CHANNEL:
        flat = indices // counters.shape[1]
        return _unravel(flat % cells if source == "tensorflow_batch" else flat, plane)
    if source in ("onnx", "onnx_column_major"):
        indices = indices - counters.planes * cells
    if source in ("torch", "onnx"):
        return _unravel(indices, plane)
    if source == "matlab":
        indices = indices - 1
    return _unravel(indices, plane[::-1])[::-1]


def _encode(
    counters: _Counters,
    point: list[Array],
    target: Convention,
    windows: tuple[_geometry.AxisWindows, ...] | None,
) -> Array:
    """Return the number of each position in the convention wanted."""
    plane, cells = counters.plane, math.prod(counters.plane)
    if target == "chainer":
        assert windows is not None
        taps = [
            (position - number * axis.stride + axis.padding[0]) // axis.dilation
            for position, number, axis in zip(point, counters.windows, windows, strict=True)
        ]
        return _ravel(taps, tuple(axis.taps for axis in windows))
    if target in _LAST_CHANNEL:
        flat = _ravel(point, plane)
        if target == "tensorflow_batch":
            flat = flat + counters.batch * cells
        return flat * counters.shape[1] + counters.channel
    column_major = target in ("matlab", "onnx_column_major")
    flat = _ravel(point[::-1], plane[::-1]) if column_major else _ravel(point, plane)
    if target in ("onnx", "onnx_column_major"):
        return flat + counters.planes * cells
    return flat + 1 if target == "matlab" else flat


def _unravel(flat: Array, shape: Shape) -> list[Array]:
    point = []
    for n in reversed(shape):
        point.append(flat % n)
        flat = flat // n
    return point[::-1]


def _ravel(point: list[Array], shape: Shape) -> Array:
    flat = point[0]
    for position, n in zip(point[1:], shape[1:], strict=True):
        flat = flat * n + position
    return flat
