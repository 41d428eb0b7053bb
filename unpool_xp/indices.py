"""Convert max-pooling indices between the conventions of other libraries."""

from __future__ import annotations

from unpool_xp._array.compat import ArrayT, cast, index_dtype
from unpool_xp._array.namespace import inspect_inputs, require_dtype
from unpool_xp._array.traits import is_dask_array
from unpool_xp._dask.graph import chunks_index_dtype, drop_empty_chunks
from unpool_xp._impl.index_conventions import (
    _CHANNELS_LAST,
    _CONVENTIONS,
    Convention,
    _decode,
    _encode,
    _IndexGrid,
    _largest_index,
)
from unpool_xp._plan import windows as _geometry
from unpool_xp._plan.arguments import Padding, Shape, Sizes, as_int, check_choice
from unpool_xp._plan.cache import PlanFactory

__all__ = ["convert_indices"]


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
    xp, device, make_plan = inspect_inputs(operation, indices=indices)
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
    if source in _CHANNELS_LAST:
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
        windows = _plan_windows(
            make_plan, operation, shape, out, kernel_size, stride, padding, dilation
        )

    if is_dask_array(indices):
        dtype, indices = chunks_index_dtype(indices), drop_empty_chunks(indices)
    else:
        dtype = index_dtype(xp, device)
    last = max(_largest_index(convention, shape) for convention in (source, target))
    if last > xp.iinfo(dtype).max:
        raise ValueError(
            f"{operation}: input_shape={input_shape!r} has positions up to {last} from {source} to "
            f"{target}, which {dtype} cannot hold"
        )
    indices = cast(xp, indices, dtype)
    if source in _CHANNELS_LAST:
        indices = xp.moveaxis(indices, -1, 1)
    grid = _IndexGrid(xp, device, shape, out, dtype)
    point = _decode(grid, indices, source, windows)
    result = _encode(grid, point, target, windows)
    return xp.moveaxis(result, 1, -1) if target in _CHANNELS_LAST else result


def _plan_windows(
    make_plan: PlanFactory,
    operation: str,
    shape: Shape,
    out: Shape,
    kernel_size: Sizes,
    stride: Sizes | None,
    padding: Padding,
    dilation: Sizes,
) -> tuple[_geometry.PoolAxis, ...]:
    """Return the windows that were pooled, with or without ceil mode."""
    for ceil_mode in (False, True):
        plan = make_plan(
            _geometry.plan_max_pool,
            operation,
            shape,
            kernel_size,
            stride,
            padding,
            dilation,
            ceil_mode,
        )
        if plan.output == out[2:]:
            return plan.axes
    raise ValueError(
        f"{operation}: windows of kernel_size={kernel_size!r}, stride={stride!r}, padding="
        f"{padding!r}, dilation={dilation!r} on input_shape={shape} give a map of {plan.output}, "
        f"but indices have {out[2:]}"
    )
