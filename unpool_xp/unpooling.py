"""Unpooling: a pooled map brought back to its size."""

from __future__ import annotations

from typing import Literal

from unpool_xp import _geometry
from unpool_xp._compat import Array, Namespace, arguments, index_dtype
from unpool_xp._geometry import Coordinates, Padding, Scales, Shape, Sizes
from unpool_xp._primitives import plane_size, readable, scatter

__all__ = ["max_unpool", "nearest_unpool"]


def nearest_unpool(
    x: Array,
    /,
    scale_factor: Scales | None = None,
    *,
    output_size: Sizes | None = None,
    coordinates: Coordinates = "asymmetric",
) -> Array:
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
    xp, device = arguments("nearest_unpool", x=x)
    _geometry.check_choice(
        "nearest_unpool", "coordinates", coordinates, ("asymmetric", "half_pixel")
    )
    plan = _geometry.resize("nearest_unpool", tuple(x.shape), scale_factor, output_size)

    # The last axis first: the widest copies are then whole rows.
    for axis in reversed(plan):
        if axis.repeats is not None:
            x = xp.repeat(x, axis.repeats, axis=axis.axis)
        else:
            sources = _geometry.nearest_sources(axis, coordinates)
            x = xp.take(x, xp.asarray(sources, dtype=xp.int64, device=device), axis=axis.axis)
    return x


def max_unpool(
    values: Array,
    indices: Array,
    /,
    kernel_size: Sizes | None = None,
    *,
    stride: Sizes | None = None,
    padding: Padding = 0,
    dilation: Sizes = 1,
    output_size: Sizes | None = None,
    duplicates: Literal["any", "sum"] = "any",
    check_indices: bool = True,
) -> Array:
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
        If `check_indices` and an index lies outside the output plane.
    TypeError
        If an argument is no array, `indices` has no integer dtype, or a size is no int.
    ValueError
        If the shapes differ, or a size, the padding or the rank cannot be.

    See Also
    --------
    unpool_xp.max_pool : Gives values and indices.

    Warnings
    --------
    Where the values of `indices` cannot be looked at (under ``jax.jit`` or ``torch.compile``, or
    in a lazy array), and with ``check_indices=False``, an index outside the plane is no error:
    its value is dropped. Nothing is ever written outside the plane, and nothing wraps around.

    Examples
    --------
    >>> import array_api_strict as xp
    >>> from unpool_xp import max_unpool
    >>> max_unpool(xp.asarray([[4]]), xp.asarray([[3]]), (2, 2))
    Array([[0, 0],
           [0, 4]], dtype=array_api_strict.int64)
    """
    xp, device = arguments("max_unpool", values=values, indices=indices)
    if tuple(values.shape) != tuple(indices.shape):
        raise ValueError(
            f"max_unpool: values of shape {tuple(values.shape)} and indices of shape "
            f"{tuple(indices.shape)} must have the same shape"
        )
    if not xp.isdtype(indices.dtype, "integral"):
        raise TypeError(f"max_unpool: indices must have an integer dtype, got {indices.dtype}")
    _geometry.check_choice("max_unpool", "duplicates", duplicates, ("any", "sum"))
    rank, plane = _geometry.unpooled_plane(
        "max_unpool", tuple(values.shape), kernel_size, stride, padding, dilation, output_size
    )
    # Narrow or unsigned indices cannot count a whole plane, or tell what lies before it.
    if indices.dtype not in (xp.int64, xp.int32):
        indices = xp.astype(indices, index_dtype(xp, device))
    inside = check_indices and _check_inside(xp, "max_unpool", indices, plane)

    lead = tuple(values.shape[: values.ndim - rank])
    cells = plane_size(tuple(values.shape[values.ndim - rank :]))
    flat = scatter(
        xp,
        xp.reshape(values, (*lead, cells)),
        xp.reshape(indices, (*lead, cells)),
        plane_size(plane),
        add=duplicates == "sum",
        inside=inside,
    )
    return xp.reshape(flat, (*lead, *plane))


def _check_inside(xp: Namespace, operation: str, indices: Array, plane: Shape) -> bool:
    """Raise for an index outside the plane; return whether there was a look at the values."""
    if 0 in indices.shape or not readable(indices):
        return False
    cells = plane_size(plane)
    # One scalar is read back from the device, not two.
    if not bool((xp.min(indices) < 0) | (xp.max(indices) >= cells)):
        return True
    flat = xp.reshape(indices, (-1,))
    outside = (flat < 0) | (flat >= cells)
    count = int(xp.sum(xp.astype(outside, xp.int32)))
    first = int(xp.argmax(xp.astype(outside, xp.int32)))
    raise IndexError(
        f"{operation}: {count} of {flat.shape[0]} indices lie outside the output plane {plane}, "
        f"whose positions are 0 to {cells - 1}; the first is {int(flat[first])}, element {first} "
        f"of indices of shape {tuple(indices.shape)} in row-major order"
    )
