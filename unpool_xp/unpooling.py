"""Unpooling: upsample a pooled array to its original size."""

from __future__ import annotations

import math
from typing import Literal

from unpool_xp._array.compat import Array, ArrayObject, ArrayT, Namespace
from unpool_xp._array.namespace import inspect_inputs, require_dtype
from unpool_xp._array.traits import is_dask_array
from unpool_xp._array.views import pad_axis, reshape_tail, zeros
from unpool_xp._dask import operations as chunked
from unpool_xp._dask.operations import _nearest_part
from unpool_xp._impl.linear import interpolate
from unpool_xp._impl.max_unpool import _ScatterMax, _to_index_dtype
from unpool_xp._impl.nearest import _nearest
from unpool_xp._plan import resize, transposed
from unpool_xp._plan.arguments import Coordinates, Padding, Scales, Sizes, check_choice

__all__ = ["fractional_max_unpool", "linear_unpool", "max_unpool", "nearest_unpool"]


def nearest_unpool(
    x: ArrayT,
    /,
    scale_factor: Scales | None = None,
    *,
    output_size: Sizes | None = None,
    coordinates: Coordinates = "asymmetric",
) -> ArrayT:
    """Repeat each value over the cells that it stands for.

    Parameters
    ----------
    x : array
        Shape ``(..., *spatial)``, any dtype.
    scale_factor : float or tuple of float, optional
        Output size over input size, below 1 too. A tuple of length d acts on the last d axes; a
        number acts on every axis after the first two.
    output_size : int or tuple of int, optional
        The size of the output's spatial axes, in place of `scale_factor`.
    coordinates : {"asymmetric", "half_pixel"}, optional
        Which element an output cell ``o`` takes where the factor is not whole:
        ``floor(o / scale)``, or ``floor((o + 0.5) / scale)``.

    Returns
    -------
    array
        Shape ``(..., *out)`` with ``out = floor(n * scale_factor)`` or `output_size`.

    Raises
    ------
    TypeError
        If `x` is no array, or a size or factor is no number.
    ValueError
        If not exactly one of `scale_factor` and `output_size` is given, one of them cannot be, or
        `coordinates` is unknown.

    See Also
    --------
    unpool_xp.max_unpool : Puts each value at one position and zeros elsewhere.

    Notes
    -----
    "asymmetric" is PyTorch's ``nearest`` and "half_pixel" its ``nearest-exact``. PyTorch finds the
    sources in float32; here they are exact, so cells whose source lies on the edge between two
    elements may differ by one element.

    Examples
    --------
    >>> import array_api_strict as xp
    >>> from unpool_xp import nearest_unpool
    >>> nearest_unpool(xp.asarray([[1, 2], [3, 4]]), (2, 2))
    Array([[1, 1, 2, 2],
           [1, 1, 2, 2],
           [3, 3, 4, 4],
           [3, 3, 4, 4]], dtype=array_api_strict.int64)
    """
    xp, _, make_plan = inspect_inputs("nearest_unpool", x=x)
    check_choice("nearest_unpool", "coordinates", coordinates, ("asymmetric", "half_pixel"))
    plan = make_plan(
        resize.plan_resize, "nearest_unpool", tuple(x.shape), scale_factor, output_size
    )

    if is_dask_array(x):
        return chunked.nearest_unpool(_nearest_part, plan, coordinates, x)
    return _nearest(
        xp, x, plan, lambda axis: make_plan(resize.plan_nearest_axis, axis, coordinates)
    )


def linear_unpool(
    x: ArrayT,
    /,
    scale_factor: Scales | None = None,
    *,
    output_size: Sizes | None = None,
    coordinates: Coordinates = "asymmetric",
) -> ArrayT:
    """Interpolate linearly between the values, axis by axis.

    Parameters
    ----------
    x : array
        Shape ``(..., *spatial)``, a real floating dtype.
    scale_factor : float or tuple of float, optional
        Output size over input size, below 1 too. A tuple of length d acts on the last d axes; a
        number acts on every axis after the first two.
    output_size : int or tuple of int, optional
        The size of the output's spatial axes, in place of `scale_factor`.
    coordinates : {"asymmetric", "half_pixel", "align_corners"}, optional
        Where in the input an output cell ``o`` lies: ``o / scale``, ``(o + 0.5) / scale - 0.5``,
        or ``o * (n - 1) / (out - 1)``; never beyond the first and the last element.

    Returns
    -------
    array
        Shape ``(..., *out)`` with ``out = floor(n * scale_factor)`` or `output_size`, the dtype
        of `x`.

    Raises
    ------
    TypeError
        If `x` is no array or not of a real floating dtype, or a size or factor is no number.
    ValueError
        If not exactly one of `scale_factor` and `output_size` is given, one of them cannot be, or
        `coordinates` is unknown.

    See Also
    --------
    unpool_xp.nearest_unpool : Repeats each value.
    unpool_xp.fractional_max_unpool : Keeps recorded maxima in their places.

    Notes
    -----
    "half_pixel" and "align_corners" are PyTorch's ``interpolate(mode="bilinear")`` with
    ``align_corners`` false and true, and ONNX's ``Resize`` has all three. Half precision is
    interpolated in float32.

    Examples
    --------
    >>> import array_api_strict as xp
    >>> from unpool_xp import linear_unpool
    >>> linear_unpool(xp.asarray([0.0, 1.0, 2.0]), (2,))
    Array([0. , 0.5, 1. , 1.5, 2. , 2. ], dtype=array_api_strict.float64)
    """
    xp, _, make_plan = inspect_inputs("linear_unpool", x=x)
    require_dtype("linear_unpool", xp, ("real floating",), "a real floating", x=x)
    known = ("asymmetric", "half_pixel", "align_corners")
    check_choice("linear_unpool", "coordinates", coordinates, known)
    sizes = (tuple(x.shape), scale_factor, output_size)
    plan = make_plan(resize.plan_linear, "linear_unpool", *sizes, coordinates)
    if is_dask_array(x):
        return chunked.linear_unpool("linear_unpool", plan, x)
    return interpolate(xp, x, plan)


def max_unpool(
    values: ArrayT,
    indices: ArrayObject,
    /,
    kernel_size: Sizes | None = None,
    *,
    stride: Sizes | None = None,
    padding: Padding = 0,
    dilation: Sizes = 1,
    output_size: Sizes | None = None,
    duplicates: Literal["any", "sum"] = "any",
    check_indices: bool = True,
) -> ArrayT:
    """Put pooled maxima back at the positions that they came from, zeros elsewhere.

    Parameters
    ----------
    values : array
        Shape ``(..., *spatial)``, any dtype.
    indices : array
        The same shape, an integer dtype: the row-major position of each value in the output
        plane, as `max_pool` gives them.
    kernel_size : int or tuple of int, optional
        The size of the window that was pooled. A tuple of length d acts on the last d axes; an
        int acts on every axis after the first two. May be left out where `output_size` is given.
    stride : int or tuple of int, optional
        The step from window to window. Default: `kernel_size`.
    padding : int or tuple of int or tuple of (int, int), optional
        The padding that the pooling had.
    dilation : int or tuple of int, optional
        The dilation that the pooling had.
    output_size : int or tuple of int, optional
        The size of the output plane. Default, the smallest that pools to the size of `values`:
        ``(n - 1) * stride - before - after + dilation * (kernel_size - 1) + 1``.
    duplicates : {"any", "sum"}, optional
        What becomes of values with one position, as overlapping windows have them: one of them
        stays, or they are added. The sum is the gradient of `max_pool`.
    check_indices : bool, optional
        Whether to look for indices outside the plane before any work.

    Returns
    -------
    array
        Shape ``(..., *output_size)``, the dtype of `values`.

    Raises
    ------
    IndexError
        If `check_indices` and an index lies outside the output plane. When a lazy array whose plane
        lies in chunks is computed: if an index lies in the plane but not in its window of
        `kernel_size`; without `kernel_size` any index serves.
    TypeError
        If an argument is no array, `indices` has no integer dtype, or a size is no int.
    ValueError
        If the shapes differ, or a size, the padding or the rank cannot be.

    Warnings
    --------
    Where the values of `indices` cannot be looked at (under ``jax.jit`` or ``torch.compile``, or
    in a lazy array), and with ``check_indices=False``, an index outside the plane is no error:
    its value is dropped. Nothing is ever written outside the plane, and nothing wraps around.

    See Also
    --------
    unpool_xp.max_pool : Gives values and indices.

    Examples
    --------
    >>> import array_api_strict as xp
    >>> from unpool_xp import max_unpool
    >>> max_unpool(xp.asarray([[4]]), xp.asarray([[3]]), (2, 2))
    Array([[0, 0],
           [0, 4]], dtype=array_api_strict.int64)
    """
    xp, device, make_plan = inspect_inputs("max_unpool", values=values, indices=indices)
    _check_pair("max_unpool", xp, values, indices)
    check_choice("max_unpool", "duplicates", duplicates, ("any", "sum"))
    if duplicates == "sum":
        require_dtype("max_unpool", xp, ("numeric",), "a numeric", values=values)
    rank, plane = make_plan(
        transposed.plan_max_unpool,
        "max_unpool",
        tuple(values.shape),
        kernel_size,
        stride,
        padding,
        dilation,
        output_size,
    )
    if is_dask_array(values):
        windows = None
        if kernel_size is not None:
            sizes = (tuple(values.shape), plane, kernel_size, stride, padding, dilation)
            windows = transposed.plan_unpool_windows("max_unpool", *sizes)
        return chunked.max_unpool(plane, windows, values, indices, add=duplicates == "sum")
    indices = _to_index_dtype(xp, indices, device)
    lead = tuple(values.shape[: values.ndim - rank])

    def make_target(n_sentinel: int) -> Array:
        return zeros(xp, (*lead, math.prod(plane) + n_sentinel), values)

    scatter_max = _ScatterMax("max_unpool", plane, add=duplicates == "sum", check=check_indices)
    return scatter_max(xp, make_target, values, indices)


def fractional_max_unpool(
    values: ArrayT,
    indices: ArrayObject | None = None,
    /,
    *,
    scale_factor: Scales | None = None,
    output_size: Sizes | None = None,
) -> ArrayT:
    """Bring pooled maxima back at a size that need not be a multiple of theirs.

    Parameters
    ----------
    values : array
        Shape ``(..., *spatial)``, a real floating dtype.
    indices : array, optional
        The same shape, an integer dtype: the row-major position of each maximum in the output
        plane, as `fractional_max_pool` gives them.
    scale_factor : float or tuple of float, optional
        Output size over input size. A tuple of length d acts on the last d axes; a number acts on
        every axis after the first two.
    output_size : int or tuple of int, optional
        The size of the output's spatial axes, in place of `scale_factor`.

    Returns
    -------
    array
        Shape ``(..., *out)``: the "asymmetric" linear interpolation of `values`, and with
        `indices` each maximum exactly at its recorded position in it.

    Raises
    ------
    IndexError
        If an index lies outside the output plane.
    TypeError
        If an argument is no array or of another dtype, or a size or factor is no number.
    ValueError
        If the shapes differ, or not exactly one of `scale_factor` and `output_size` is given, or
        one of them cannot be.

    Warnings
    --------
    Where the values of `indices` cannot be looked at (under ``jax.jit`` or ``torch.compile``, or
    in a lazy array), an index outside the plane is no error: its value is dropped.

    See Also
    --------
    unpool_xp.fractional_max_pool : Gives values and indices.
    unpool_xp.linear_unpool : The interpolation alone, with a choice of coordinates.

    Examples
    --------
    >>> import array_api_strict as xp
    >>> from unpool_xp import fractional_max_unpool
    >>> fractional_max_unpool(xp.asarray([0.0, 2.0]), xp.asarray([1, 2]), output_size=(4,))
    Array([0., 0., 2., 2.], dtype=array_api_strict.float64)
    """
    named = {"values": values} if indices is None else {"values": values, "indices": indices}
    xp, device, make_plan = inspect_inputs("fractional_max_unpool", **named)
    operation = "fractional_max_unpool"
    require_dtype(operation, xp, ("real floating",), "a real floating", values=values)
    sizes = (tuple(values.shape), scale_factor, output_size)
    plan = make_plan(resize.plan_linear, operation, *sizes, "asymmetric")
    if indices is None:
        if is_dask_array(values):
            return chunked.linear_unpool(operation, plan, values)
        return interpolate(xp, values, plan)
    _check_pair(operation, xp, values, indices)
    if is_dask_array(values):
        return chunked.fractional_max_unpool(plan, values, indices)
    indices = _to_index_dtype(xp, indices, device)

    def make_target(n_sentinel: int) -> Array:
        target = interpolate(xp, values, plan)
        target = reshape_tail(xp, target, values.ndim - plan.rank, (math.prod(plan.plane),))
        return pad_axis(xp, target, -1, 0, n_sentinel)

    return _ScatterMax(operation, plan.plane, add=False, check=True)(
        xp, make_target, values, indices
    )


def _check_pair(operation: str, xp: Namespace, values: Array, indices: Array) -> None:
    if values.shape != indices.shape:
        raise ValueError(
            f"{operation}: values of shape {tuple(values.shape)} and indices of shape "
            f"{tuple(indices.shape)} must have the same shape"
        )
    require_dtype(operation, xp, ("integral",), "an integer", indices=indices)
