"""Pooling: what unpooling undoes."""

from __future__ import annotations

import math
from typing import NamedTuple

from unpool_xp import _geometry
from unpool_xp._compat import Array, Namespace, arguments, index_dtype
from unpool_xp._geometry import Padding, Sizes
from unpool_xp._primitives import along, window_views

__all__ = ["MaxPooled", "max_pool"]


class MaxPooled(NamedTuple):
    """The maxima of the windows and where they stood.

    Attributes
    ----------
    values : array
        The maximum of each window, shape ``(..., *out)``, in the dtype of the input.
    indices : array
        Its row-major position in the plane that was pooled, the same shape, in the default
        indexing dtype of the library.
    """

    values: Array
    indices: Array


def max_pool(
    x: Array,
    /,
    kernel_size: Sizes,
    *,
    stride: Sizes | None = None,
    padding: Padding = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
) -> MaxPooled:
    """Take the maximum of each window, and where it stood.

    Parameters
    ----------
    x : array
        Shape ``(..., *spatial)``, any real dtype.
    kernel_size : int or tuple of int
        The size of the window. A tuple of length d acts on the last d axes; an int acts on
        every axis after the first two.
    stride : int or tuple of int, optional
        The step from window to window. Default: `kernel_size`, so that windows do not overlap.
    padding : int or tuple of int or tuple of (int, int), optional
        Cells before and after each spatial axis that a window may cover and that never hold the
        maximum; smaller than the effective kernel ``dilation * (kernel_size - 1) + 1``.
    dilation : int or tuple of int, optional
        The step from element to element in a window.
    ceil_mode : bool, optional
        Whether to keep a last window that reaches beyond the end, as long as it starts inside.

    Returns
    -------
    MaxPooled
        ``values`` and ``indices``, both of shape ``(..., *out)`` with
        ``out = (n + before + after - dilation * (kernel_size - 1) - 1) // stride + 1``.

    Raises
    ------
    TypeError
        If `x` is no array, has no real dtype, or a size is no int.
    ValueError
        If a size, the padding or the rank cannot be, or a window would hold no element.

    See Also
    --------
    unpool_xp.max_unpool : Puts the maxima back.

    Notes
    -----
    The rules are those of ``torch.nn.functional.max_pool2d(..., return_indices=True)``: of equal
    maxima the first in row-major order counts; NaN counts as the maximum, the last NaN of
    several; a window of ``-inf`` alone gives its first position.

    Examples
    --------
    >>> import array_api_strict as xp
    >>> from unpool_xp import max_pool
    >>> max_pool(xp.asarray([[1.0, 2.0], [3.0, 4.0]]), (2, 2))
    MaxPooled(values=Array([[4.]], dtype=array_api_strict.float64), indices=Array([[3]], dtype=array_api_strict.int64))
    """  # noqa: E501
    xp, device = arguments("max_pool", x=x)
    if not xp.isdtype(x.dtype, ("integral", "real floating")):
        raise TypeError(f"max_pool: x must have a real dtype, got {x.dtype}")
    plan = _geometry.windows(
        "max_pool", tuple(x.shape), kernel_size, stride, padding, dilation, ceil_mode
    )
    at_most = math.prod(plan.plane) - 1
    default = index_dtype(xp, device)
    if at_most > xp.iinfo(default).max:
        raise ValueError(
            f"max_pool: a plane of shape {plan.plane} has positions that {default} cannot hold"
        )
    # The narrower the positions, the less there is to move.
    counting = xp.int32 if at_most <= 2**31 - 1 else default

    # Axis by axis, the last one first: what is left of a tie or of several NaNs is then the
    # first, or last, in row-major order.
    values, positions, step = x, None, 1
    for windows in reversed(plan.axes):
        own = along(xp, step * xp.arange(windows.size, dtype=counting, device=device), windows.axis)
        found = window_views(xp, own, windows)
        if positions is not None:
            found = [a + b for a, b in zip(window_views(xp, positions, windows), found, strict=True)]
        values, positions = _first_maximum(xp, window_views(xp, values, windows), found)
        step *= windows.size
    return MaxPooled(values, xp.astype(positions, default))


def _first_maximum(xp: Namespace, values: list[Array], positions: list[Array]) -> MaxPooled:
    """Fold the taps of a window, in order, to the maximum and its position."""
    best, position = values[0], positions[0]
    floating = xp.isdtype(best.dtype, "real floating")
    for value, other in zip(values[1:], positions[1:], strict=True):
        better = value > best
        if floating:
            better = better | (value != value)  # noqa: PLR0124  NaN alone differs from itself
        best = xp.where(better, value, best)
        position = xp.where(better, other, position)
    return MaxPooled(best, xp.broadcast_to(position, best.shape))
