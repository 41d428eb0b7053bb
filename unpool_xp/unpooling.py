"""Unpooling: a pooled map brought back to its size."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

from unpool_xp import _chunked as chunked
from unpool_xp import _geometry, _resize
from unpool_xp._compat import Array, Namespace, arguments, index_dtype, require_dtype
from unpool_xp._interpolation import interpolate
from unpool_xp._parts import SpanOfResize, nearest_of_span
from unpool_xp._plans import kept
from unpool_xp._primitives import (
    any_outside,
    cells_to_spare,
    in_chunks,
    looked,
    padded,
    readable,
    repeated,
    reshape_tail,
    scatter,
    scatter_refuses,
    take_known,
    zeros,
)
from unpool_xp._sizes import Coordinates, Padding, Scales, Shape, Sizes, check_choice
from unpool_xp._typing import ArrayObject, ArrayT

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
    xp, _, plan_of = arguments("nearest_unpool", x=x)
    check_choice("nearest_unpool", "coordinates", coordinates, ("asymmetric", "half_pixel"))
    plan = plan_of(_resize.resize, "nearest_unpool", tuple(x.shape), scale_factor, output_size)

    if in_chunks(x):
        return chunked.nearest_unpool(_repeated_part, plan, coordinates, x)
    return _repeated(xp, x, plan, lambda axis: plan_of(_resize.nearest, axis, coordinates))


def _repeated_part(xp: Namespace, spans: Sequence[SpanOfResize], x: Array) -> list[Array]:
    return [_repeated(xp, x, spans, lambda span: kept(nearest_of_span, span))]


def _repeated(
    xp: Namespace, x: Array, axes: Sequence[Any], sources_of: Callable[[Any], _resize.Sources]
) -> Array:
    repeats = [axis.repeats for axis in axes if axis.repeats is not None]
    if len(repeats) == len(axes):
        return repeated(xp, x, repeats)
    for axis in reversed(axes):
        if axis.repeats is not None:
            x = xp.repeat(x, axis.repeats, axis=axis.axis)
        else:
            sources = sources_of(axis)
            x = take_known(xp, x, sources.places, axis.axis, sources.arrays)
    return x


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
    xp, _, plan_of = arguments("linear_unpool", x=x)
    require_dtype("linear_unpool", xp, ("real floating",), "a real floating", x=x)
    known = ("asymmetric", "half_pixel", "align_corners")
    check_choice("linear_unpool", "coordinates", coordinates, known)
    sizes = (tuple(x.shape), scale_factor, output_size)
    plan = plan_of(_resize.interpolation, "linear_unpool", *sizes, coordinates)
    if in_chunks(x):
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
    xp, place, plan_of = arguments("max_unpool", values=values, indices=indices)
    _check_pair("max_unpool", xp, values, indices)
    check_choice("max_unpool", "duplicates", duplicates, ("any", "sum"))
    if duplicates == "sum":
        require_dtype("max_unpool", xp, ("numeric",), "a numeric", values=values)
    rank, plane = plan_of(
        _geometry.unpooled_plane,
        "max_unpool",
        tuple(values.shape),
        kernel_size,
        stride,
        padding,
        dilation,
        output_size,
    )
    if in_chunks(values):
        windows = None
        if kernel_size is not None:
            sizes = (tuple(values.shape), plane, kernel_size, stride, padding, dilation)
            windows = _geometry.unpooled_windows("max_unpool", *sizes)
        return chunked.max_unpool(plane, windows, values, indices, add=duplicates == "sum")
    indices = _signed(xp, indices, place)
    lead = tuple(values.shape[: values.ndim - rank])

    def _empty(spare: int) -> Array:
        return zeros(xp, (*lead, math.prod(plane) + spare), values)

    put = _Put("max_unpool", plane, add=duplicates == "sum", check=check_indices)
    return put(xp, _empty, values, indices)


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
    xp, place, plan_of = arguments("fractional_max_unpool", **named)
    operation = "fractional_max_unpool"
    require_dtype(operation, xp, ("real floating",), "a real floating", values=values)
    sizes = (tuple(values.shape), scale_factor, output_size)
    plan = plan_of(_resize.interpolation, operation, *sizes, "asymmetric")
    if indices is None:
        if in_chunks(values):
            return chunked.linear_unpool(operation, plan, values)
        return interpolate(xp, values, plan)
    _check_pair(operation, xp, values, indices)
    if in_chunks(values):
        return chunked.fractional_max_unpool(plan, values, indices)
    indices = _signed(xp, indices, place)

    def _between(spare: int) -> Array:
        between = interpolate(xp, values, plan)
        between = reshape_tail(xp, between, values.ndim - plan.rank, (math.prod(plan.plane),))
        return padded(xp, between, -1, 0, spare)

    return _Put(operation, plan.plane, add=False, check=True)(xp, _between, values, indices)


class _Put(NamedTuple):
    """Values put at their positions in each plane."""

    operation: str
    plane: Shape
    add: bool
    check: bool  # whether a position outside the plane is an error

    def __call__(
        self, xp: Namespace, target: Callable[[int], Array], values: Array, indices: Array
    ) -> Array:
        """Put the values of each plane at its indices in the flat target.

        It is made after the checks, with as many cells more at the end as it is asked for.
        """
        if not self.check or not scatter_refuses(values, add=self.add):
            inside = self.check and _check_inside(xp, self.operation, indices, self.plane)
            spare = 0 if inside else cells_to_spare(values)
            return self._put(xp, target(spare), values, indices, inside=inside, spare=spare)
        try:
            return self._put(xp, target(0), values, indices, inside=True)
        except (IndexError, RuntimeError):
            _check_inside(xp, self.operation, indices, self.plane)  # says which
            raise

    def _put(
        self,
        xp: Namespace,
        target: Array,
        values: Array,
        indices: Array,
        *,
        inside: bool,
        spare: int = 0,
    ) -> Array:
        keep = values.ndim - len(self.plane)
        flat = (math.prod(values.shape[keep:]),)
        values, indices = (reshape_tail(xp, a, keep, flat) for a in (values, indices))
        put = scatter(xp, target, values, indices, add=self.add, inside=inside, spare=spare)
        return reshape_tail(xp, put, keep, self.plane)


def _check_pair(operation: str, xp: Namespace, values: Array, indices: Array) -> None:
    if values.shape != indices.shape:
        raise ValueError(
            f"{operation}: values of shape {tuple(values.shape)} and indices of shape "
            f"{tuple(indices.shape)} must have the same shape"
        )
    require_dtype(operation, xp, ("integral",), "an integer", indices=indices)


def _signed(xp: Namespace, indices: Array, place: Any) -> Array:
    # Narrow or unsigned indices cannot count a whole plane, or tell what lies before it.
    if indices.dtype in (xp.int64, xp.int32):
        return indices
    return xp.astype(indices, index_dtype(xp, place))


def _check_inside(xp: Namespace, operation: str, indices: Array, plane: Shape) -> bool:
    """Raise for an index outside the plane; return whether there was a look at the values."""
    if 0 in indices.shape or not readable(indices):
        return False
    cells = math.prod(plane)
    wrong = looked(any_outside(xp, indices, cells))  # JAX traces what is made of a constant, too
    if not wrong:
        return wrong is False
    flat = xp.reshape(indices, (-1,))
    outside = (flat < 0) | (flat >= cells)
    count = int(xp.sum(xp.astype(outside, xp.int32)))
    first = int(xp.argmax(xp.astype(outside, xp.int32)))
    raise IndexError(
        f"{operation}: {count} of {flat.shape[0]} indices lie outside the output plane {plane}, "
        f"whose positions are 0 to {cells - 1}; the first is {int(flat[first])}, element {first} "
        f"of indices of shape {tuple(indices.shape)} in row-major order"
    )
