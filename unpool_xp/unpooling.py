"""Unpooling: upsample a pooled array to its original size."""

from __future__ import annotations

from typing import Any, Literal

from unpool_xp import _dask as chunked
from unpool_xp._array.adapted.calls import prepare_call
from unpool_xp._array.compat import ArrayObject, ArrayT
from unpool_xp._array.namespace import (
    Prepared,
    inspect_inputs,
    ready,
    require_dtype,
    require_indices,
)
from unpool_xp._impl.max_unpool import prepare_interpolated_scatter, prepare_scatter
from unpool_xp._plan.arguments import Padding, Scales, Sizes, check_bool, check_choice
from unpool_xp._plan.resize import plan_fractional_unpool
from unpool_xp._plan.transposed import plan_max_unpool

__all__ = ["fractional_max_unpool", "max_unpool"]


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
    padding : int or tuple of int or tuple of (int, int) or {"same", "same_lower"}, optional
        The padding that the pooling had. With "same" and without `output_size` the output has
        ``n * stride`` cells.
    dilation : int or tuple of int, optional
        The dilation that the pooling had.
    output_size : int or tuple of int, optional
        The size of the output plane, or the full shape of the output, whose leading entries must
        be those of `values`. Default, the smallest that pools to the size of `values`:
        ``(n - 1) * stride - before - after + dilation * (kernel_size - 1) + 1``.
    duplicates : {"any", "sum"}, optional
        What happens to values with one position, as overlapping windows have them: one of them
        stays, or they are added. The sum is the gradient of `max_pool`.
    check_indices : bool, optional
        Whether to look for indices outside the plane.

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
        If an argument is not an array, `indices` does not have an integer dtype, or a size is not
        an int.
    ValueError
        If the shapes differ, or a size, the padding or the rank cannot be.

    Warnings
    --------
    Where the values of `indices` cannot be looked at (under ``jax.jit``, ``torch.compile`` or
    ``vmap``, or in a lazy array), and with ``check_indices=False``, an index outside the plane is
    not an error: its value is dropped. Nothing is ever written outside the plane, and nothing wraps
    around.

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
    sizes = (kernel_size, stride, padding, dilation, output_size)
    arrays, modes = (values, indices), (duplicates, check_indices)
    return ready(_prepare_max_unpool, arrays, *modes, *sizes)(values, indices)


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
        The size of the output's spatial axes, instead of `scale_factor`; or the full shape of the
        output, whose leading entries must be those of `values`.

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
        If an argument is not an array or of another dtype, or a size or factor is not a number.
    ValueError
        If the shapes differ, or not exactly one of `scale_factor` and `output_size` is given, or
        one of them cannot be.

    Warnings
    --------
    Where the values of `indices` cannot be looked at (under ``jax.jit``, ``torch.compile`` or
    ``vmap``, or in a lazy array), an index outside the plane is not an error: its value is dropped.

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
    sizes = (scale_factor, output_size)
    return ready(_prepare_fractional, (values, indices), *sizes)(values, indices)


def _prepare_max_unpool(
    values: ArrayT, indices: ArrayObject, duplicates: Any, check_indices: bool, *sizes: Any
) -> Prepared[ArrayT]:
    operation = "max_unpool"
    info = inspect_inputs(operation, values=values, indices=indices)
    require_indices(operation, info, values, indices)
    check_choice(operation, "duplicates", duplicates, ("any", "sum"))
    check_bool(operation, "check_indices", check_indices)
    add = duplicates == "sum"
    kinds, kind = (("numeric",), "a numeric") if add else (("bool", "numeric"), "a bool or numeric")
    require_dtype(operation, info.xp, (*kinds, "computed"), kind, values=values)
    plan = info.make_plan(plan_max_unpool, operation, tuple(values.shape), *sizes)
    if info.traits.is_chunked:
        return plan, lambda values, indices: chunked.max_unpool(plan, values, indices, add=add)
    options = {"add": add, "check": check_indices}
    return plan, prepare_call(prepare_scatter, info, plan, values, indices, **options)


def _prepare_fractional(
    values: ArrayT, indices: ArrayObject | None, *sizes: Any
) -> Prepared[ArrayT]:
    named = {"values": values} if indices is None else {"values": values, "indices": indices}
    operation = "fractional_max_unpool"
    info = inspect_inputs(operation, **named)
    require_dtype(operation, info.xp, ("real floating",), "a real floating", values=values)
    plan = info.make_plan(plan_fractional_unpool, operation, tuple(values.shape), *sizes)
    if indices is not None:
        require_indices(operation, info, values, indices)
    if info.traits.is_chunked:
        return plan, lambda *arrays: chunked.fractional_max_unpool(plan, *arrays)
    return plan, prepare_call(prepare_interpolated_scatter, info, plan, values, indices)
