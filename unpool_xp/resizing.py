"""Resizing: repeat the values of an array, or interpolate between them."""

from __future__ import annotations

from typing import Any

from unpool_xp import _dask as chunked
from unpool_xp._array.adapted.calls import prepare_call
from unpool_xp._array.compat import ArrayT
from unpool_xp._array.namespace import Prepared, inspect_inputs, ready, require_dtype
from unpool_xp._impl.interpolation import prepare_interpolation
from unpool_xp._impl.nearest import prepare_nearest
from unpool_xp._plan.arguments import Coordinates, Rounding, Scales, Sizes
from unpool_xp._plan.resize import plan_interpolation, plan_nearest

__all__ = ["cubic_unpool", "linear_unpool", "nearest_unpool"]


def nearest_unpool(
    x: ArrayT,
    /,
    scale_factor: Scales | None = None,
    *,
    output_size: Sizes | None = None,
    coordinates: Coordinates = "asymmetric",
    rounding: Rounding | None = None,
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
        The size of the output's spatial axes, instead of `scale_factor`.
    coordinates : {"asymmetric", "half_pixel", "align_corners", "half_pixel_symmetric", \
"pytorch_half_pixel"}, optional
        Where in the input an output cell lies; the formulas are in the notes.
    rounding : {"floor", "ceil", "round_prefer_floor", "round_prefer_ceil"}, optional
        From this position to the element that the cell takes: down, up, or to the nearest one,
        halves down or up. Default: "floor"; for "half_pixel" "round_prefer_ceil".

    Returns
    -------
    array
        Shape ``(..., *out)`` with ``out = floor(n * scale_factor)`` or `output_size`. A product
        within 4 ulp of a whole number is that number.

    Raises
    ------
    TypeError
        If `x` is not an array, or a size or factor is not a number.
    ValueError
        If not exactly one of `scale_factor` and `output_size` is given, one of them cannot be, or
        `coordinates` or `rounding` is unknown.

    See Also
    --------
    unpool_xp.max_unpool : Puts each value at one position and zeros elsewhere.
    unpool_xp.linear_unpool : Interpolates between the values.

    Notes
    -----
    Coordinates and roundings are those of ONNX's ``Resize``. With ``scale`` the factor, or
    ``out / n`` for an `output_size`, the cell ``o`` lies at

    - "asymmetric": ``o / scale``
    - "half_pixel": ``(o + 0.5) / scale - 0.5``
    - "align_corners": ``o * (n - 1) / (out - 1)``
    - "half_pixel_symmetric": that of "half_pixel" plus ``n / 2 * (1 - out / (n * scale))``
    - "pytorch_half_pixel": that of "half_pixel", but 0 where ``out`` is 1

    The default is PyTorch's ``nearest``, and "half_pixel" alone its ``nearest-exact``. PyTorch
    finds the sources in float32; here they are exact, so cells whose source lies on the edge
    between two elements may differ by one element.

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
    options = (scale_factor, output_size, coordinates, rounding)
    return ready(_prepare_nearest, (x,), *options)(x)


def linear_unpool(
    x: ArrayT,
    /,
    scale_factor: Scales | None = None,
    *,
    output_size: Sizes | None = None,
    coordinates: Coordinates = "asymmetric",
    antialias: bool = False,
    exclude_outside: bool | None = None,
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
        The size of the output's spatial axes, instead of `scale_factor`.
    coordinates : {"asymmetric", "half_pixel", "align_corners", "half_pixel_symmetric", \
"pytorch_half_pixel"}, optional
        Where in the input an output cell lies, with the formulas of
        :func:`unpool_xp.nearest_unpool`; never beyond the first and the last element.
    antialias : bool, optional
        Whether an axis that gets shorter takes the mean of all the elements that a cell covers,
        weighted by a triangle as wide as two cells.
    exclude_outside : bool, optional
        Whether the part of this triangle that lies beyond the ends of the axis is left out, or
        falls on the element at the end. Default: as `antialias`, so left out.

    Returns
    -------
    array
        Shape ``(..., *out)`` with ``out = floor(n * scale_factor)`` or `output_size`, the dtype
        of `x`. A product within 4 ulp of a whole number is that number.

    Raises
    ------
    TypeError
        If `x` is not an array or not of a real floating dtype, a size or factor is not a number,
        or `antialias` or `exclude_outside` is not a bool.
    ValueError
        If not exactly one of `scale_factor` and `output_size` is given, one of them cannot be, or
        `coordinates` is unknown.

    See Also
    --------
    unpool_xp.nearest_unpool : Repeats each value.
    unpool_xp.cubic_unpool : Interpolates more smoothly.
    unpool_xp.fractional_max_unpool : Keeps recorded maxima in their places.

    Notes
    -----
    "half_pixel" and "align_corners" are PyTorch's ``interpolate(mode="bilinear")`` with
    ``align_corners`` false and true, and ONNX's ``Resize`` has all five. With `antialias` the ends
    are PyTorch's; ONNX's have ``exclude_outside=False`` by default. An axis that keeps its size is
    copied, whatever its factor. An element of weight zero never spoils a result, infinite or NaN
    as it may be. Half precision is interpolated in float32.

    Examples
    --------
    >>> import array_api_strict as xp
    >>> from unpool_xp import linear_unpool
    >>> linear_unpool(xp.asarray([0.0, 1.0, 2.0]), (2,))
    Array([0. , 0.5, 1. , 1.5, 2. , 2. ], dtype=array_api_strict.float64)
    """
    options = (scale_factor, output_size, coordinates, antialias, exclude_outside)
    return ready(_prepare_interpolation, (x,), "linear_unpool", *options)(x)


def cubic_unpool(
    x: ArrayT,
    /,
    scale_factor: Scales | None = None,
    *,
    output_size: Sizes | None = None,
    coordinates: Coordinates = "half_pixel",
    coefficient: float = -0.75,
    antialias: bool = False,
    exclude_outside: bool | None = None,
) -> ArrayT:
    """Interpolate between the values by cubic convolution, axis by axis.

    Parameters
    ----------
    x : array
        Shape ``(..., *spatial)``, a real floating dtype.
    scale_factor : float or tuple of float, optional
        Output size over input size, below 1 too. A tuple of length d acts on the last d axes; a
        number acts on every axis after the first two.
    output_size : int or tuple of int, optional
        The size of the output's spatial axes, instead of `scale_factor`.
    coordinates : {"asymmetric", "half_pixel", "align_corners", "half_pixel_symmetric", \
"pytorch_half_pixel"}, optional
        Where in the input an output cell lies, with the formulas of
        :func:`unpool_xp.nearest_unpool`. Beyond its ends the axis goes on as it ends.
    coefficient : float, optional
        The slope of the kernel at 1, the parameter *a* of Keys.
    antialias : bool, optional
        Whether the kernel is stretched, where an axis gets shorter, over all the elements that a
        cell covers.
    exclude_outside : bool, optional
        Whether weights beyond the ends of the axis are left out and the others sum to one, or fall
        on the element at the end. Default: as `antialias`.

    Returns
    -------
    array
        Shape ``(..., *out)`` with ``out = floor(n * scale_factor)`` or `output_size`, the dtype
        of `x`. A product within 4 ulp of a whole number is that number.

    Raises
    ------
    TypeError
        If `x` is not an array or not of a real floating dtype, a size, factor or `coefficient` is
        not a number, or `antialias` or `exclude_outside` is not a bool.
    ValueError
        If not exactly one of `scale_factor` and `output_size` is given, one of them or
        `coefficient` cannot be, or `coordinates` is unknown.

    See Also
    --------
    unpool_xp.linear_unpool : Interpolates between two neighbours along each axis, not four.

    Notes
    -----
    The kernel is that of Keys 1981, "Cubic convolution interpolation for digital image processing"
    (doi 10.1109/TASSP.1981.1163711). The defaults are PyTorch's ``interpolate(mode="bicubic")`` and
    ONNX's cubic ``Resize``; PyTorch's ``antialias=True`` has a coefficient of -0.5, and
    ONNX's has ``exclude_outside=False`` by default. Half precision is interpolated in float32.

    Examples
    --------
    >>> import array_api_strict as xp
    >>> from unpool_xp import cubic_unpool
    >>> cubic_unpool(xp.asarray([0.0, 0.0, 1.0, 1.0]), (2,), coefficient=-0.5)
    Array([ 0.       , -0.0234375, -0.0703125,
            0.203125 ,  0.796875 ,  1.0703125,
            1.0234375,  1.       ], dtype=array_api_strict.float64)
    """
    options = (scale_factor, output_size, coordinates, antialias, exclude_outside, coefficient)
    return ready(_prepare_interpolation, (x,), "cubic_unpool", *options)(x)


def _prepare_nearest(x: ArrayT, *options: Any) -> Prepared[ArrayT]:
    operation = "nearest_unpool"
    info = inspect_inputs(operation, x=x)
    require_dtype(operation, info.xp, ("bool", "numeric"), "a bool or numeric", x=x)
    plan = info.make_plan(plan_nearest, operation, tuple(x.shape), *options)
    if info.traits.is_chunked:
        return plan, lambda x: chunked.nearest_unpool(plan, x)
    return plan, prepare_call(prepare_nearest, info, plan, x)


def _prepare_interpolation(x: ArrayT, operation: str, *options: Any) -> Prepared[ArrayT]:
    info = inspect_inputs(operation, x=x)
    require_dtype(operation, info.xp, ("real floating",), "a real floating", x=x)
    plan = info.make_plan(plan_interpolation, operation, tuple(x.shape), *options)
    if info.traits.is_chunked:
        return plan, lambda x: chunked.interpolate(operation, plan, x)
    return plan, prepare_call(prepare_interpolation, info, plan, x)
