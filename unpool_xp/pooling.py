"""Pooling: what unpooling undoes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, NamedTuple

from unpool_xp import _dask as chunked
from unpool_xp._array.adapted.calls import prepare_call
from unpool_xp._array.compat import ArrayT
from unpool_xp._array.namespace import Prepared, inspect_inputs, ready, require_dtype
from unpool_xp._array.views import region_starts
from unpool_xp._impl.avg_pool import prepare_means
from unpool_xp._impl.fractional_pool import prepare_region_maxima
from unpool_xp._impl.max_pool import prepare_maxima
from unpool_xp._plan.adaptive import (
    OutputSizes,
    plan_adaptive_avg_pool,
    plan_adaptive_max_pool,
)
from unpool_xp._plan.arguments import Padding, Scales, Sizes
from unpool_xp._plan.fractional import plan_fractional_sizes, plan_regions
from unpool_xp._plan.windows import AvgPoolPlan, MaxPoolPlan, plan_avg_pool, plan_max_pool

__all__ = [
    "MaxPooled",
    "adaptive_avg_pool",
    "adaptive_max_pool",
    "avg_pool",
    "fractional_max_pool",
    "max_pool",
]


class MaxPooled(NamedTuple, Generic[ArrayT]):
    """The maxima of the windows and their positions.

    Attributes
    ----------
    values : array
        The maximum of each window, shape ``(..., *out)``, in the dtype of the input.
    indices : array
        Its row-major position in the plane that was pooled, the same shape, in the default
        indexing dtype of the library.
    """

    values: ArrayT
    indices: ArrayT


# Before 2.8, PyTorch's vmap takes a named tuple apart only if tuple is its one base.
MaxPooled.__bases__ = (tuple,)


def max_pool(
    x: ArrayT,
    /,
    kernel_size: Sizes,
    *,
    stride: Sizes | None = None,
    padding: Padding = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
) -> MaxPooled[ArrayT]:
    """Return the maximum of each window and its position.

    Parameters
    ----------
    x : array
        Shape ``(..., *spatial)``, any real dtype.
    kernel_size : int or tuple of int
        The size of the window. A tuple of length d acts on the last d axes; an int acts on
        every axis after the first two.
    stride : int or tuple of int, optional
        The step from window to window. Default: `kernel_size`, so that windows do not overlap.
    padding : int or tuple of int or tuple of (int, int) or {"same", "same_lower"}, optional
        Cells before and after each spatial axis that a window may cover and that never hold the
        maximum; smaller than the effective kernel ``dilation * (kernel_size - 1) + 1``. "same"
        pads for ``ceil(n / stride)`` windows, an odd cell at the end, "same_lower" at the start.
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
        If `x` is not an array, does not have a real dtype, or a size is not an int.
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
    >>> pooled = max_pool(xp.asarray([[1.0, 2.0], [3.0, 4.0]]), (2, 2))
    >>> pooled.values
    Array([[4.]], dtype=array_api_strict.float64)
    >>> pooled.indices
    Array([[3]], dtype=array_api_strict.int64)
    """
    options = (kernel_size, stride, padding, dilation, ceil_mode)
    return ready(_prepare_maxima, (x,), "max_pool", *options)(x)


def avg_pool(
    x: ArrayT,
    /,
    kernel_size: Sizes,
    *,
    stride: Sizes | None = None,
    padding: Padding = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor: int | None = None,
) -> ArrayT:
    """Take the mean of each window.

    Parameters
    ----------
    x : array
        Shape ``(..., *spatial)``, a real floating dtype.
    kernel_size : int or tuple of int
        The size of the window. A tuple of length d acts on the last d axes; an int acts on
        every axis after the first two.
    stride : int or tuple of int, optional
        The step from window to window. Default: `kernel_size`, so that windows do not overlap.
    padding : int or tuple of int or tuple of (int, int) or {"same", "same_lower"}, optional
        Cells of zero before and after each spatial axis, smaller than the effective kernel
        ``dilation * (kernel_size - 1) + 1``. "same" pads for ``ceil(n / stride)`` windows, an odd
        cell at the end, "same_lower" at the start.
    dilation : int or tuple of int, optional
        The step from element to element in a window.
    ceil_mode : bool, optional
        Whether to keep a last window that reaches beyond the end, as long as it starts inside.
    count_include_pad : bool, optional
        Whether a cell of the padding counts in the mean. What `ceil_mode` adds beyond the padding
        never does.
    divisor : int, optional
        What each sum is divided by instead of the number of its cells; any int of 64 bits but 0,
        so that 1 gives the sums.

    Returns
    -------
    array
        Shape ``(..., *out)``, the dtype of `x`, with
        ``out = (n + before + after - dilation * (kernel_size - 1) - 1) // stride + 1``.

    Raises
    ------
    TypeError
        If `x` is not an array or not of a real floating dtype, or a size is not an int.
    ValueError
        If a size, the padding or the rank cannot be, or a window would hold no element.

    See Also
    --------
    unpool_xp.max_pool : The maximum instead of the mean.

    Notes
    -----
    The rules are those of ``torch.nn.functional.avg_pool2d``, whose ``divisor_override`` is
    `divisor`, with the ``dilations`` of ONNX's ``AveragePool``. Half precision is summed in
    float32.

    Examples
    --------
    >>> import array_api_strict as xp
    >>> from unpool_xp import avg_pool
    >>> avg_pool(xp.asarray([[1.0, 2.0], [3.0, 4.0]]), (2, 2))
    Array([[2.5]], dtype=array_api_strict.float64)
    """
    options = (kernel_size, stride, padding, dilation, ceil_mode, count_include_pad, divisor)
    return ready(_prepare_means, (x,), "avg_pool", *options)(x)


def adaptive_max_pool(x: ArrayT, /, output_size: OutputSizes) -> MaxPooled[ArrayT]:
    """Return the maxima of windows that split each axis into a wanted number of parts.

    Parameters
    ----------
    x : array
        Shape ``(..., *spatial)``, any real dtype.
    output_size : int or tuple of (int or None)
        The number of windows along each spatial axis; None keeps the size of an axis. A tuple of
        length d acts on the last d axes; an int acts on every axis after the first two.

    Returns
    -------
    MaxPooled
        ``values`` and ``indices``, both of shape ``(..., *output_size)``.

    Raises
    ------
    TypeError
        If `x` is not an array, does not have a real dtype, or a size is not an int.
    ValueError
        If a size is below 1, or the rank cannot be.

    See Also
    --------
    unpool_xp.adaptive_avg_pool : The mean instead of the maximum.
    unpool_xp.max_unpool : Puts the maxima back.

    Notes
    -----
    The rules are those of ``torch.nn.functional.adaptive_max_pool2d(..., return_indices=True)``:
    of ``out`` windows of an axis of size ``n``, window i goes from ``floor(i * n / out)`` to
    ``ceil((i + 1) * n / out)``. Where ``out`` divides ``n`` that is `max_pool` of the kernel
    ``n // out``; elsewhere neighbours share elements. There may be more windows than elements.
    Ties and NaN are treated as in `max_pool`.

    Examples
    --------
    >>> import array_api_strict as xp
    >>> from unpool_xp import adaptive_max_pool
    >>> adaptive_max_pool(xp.asarray([1.0, 5.0, 2.0, 4.0, 3.0]), (3,)).indices
    Array([1, 1, 3], dtype=array_api_strict.int64)
    """
    return ready(_prepare_maxima, (x,), "adaptive_max_pool", output_size)(x)


def adaptive_avg_pool(x: ArrayT, /, output_size: OutputSizes) -> ArrayT:
    """Take the means of windows that split each axis into a wanted number of parts.

    Parameters
    ----------
    x : array
        Shape ``(..., *spatial)``, a real floating dtype.
    output_size : int or tuple of (int or None)
        The number of windows along each spatial axis; None keeps the size of an axis. A tuple of
        length d acts on the last d axes; an int acts on every axis after the first two.

    Returns
    -------
    array
        Shape ``(..., *output_size)``, the dtype of `x`.

    Raises
    ------
    TypeError
        If `x` is not an array or not of a real floating dtype, or a size is not an int.
    ValueError
        If a size is below 1, or the rank cannot be.

    See Also
    --------
    unpool_xp.adaptive_max_pool : The maximum instead of the mean; says which windows.

    Notes
    -----
    The rules are those of ``torch.nn.functional.adaptive_avg_pool2d``. Half precision is summed
    in float32.

    Examples
    --------
    >>> import array_api_strict as xp
    >>> from unpool_xp import adaptive_avg_pool
    >>> adaptive_avg_pool(xp.asarray([1.0, 5.0, 2.0, 4.0, 3.0]), (2,))
    Array([2.66666667, 3.        ], dtype=array_api_strict.float64)
    """
    return ready(_prepare_means, (x,), "adaptive_avg_pool", output_size)(x)


def fractional_max_pool(
    x: ArrayT,
    /,
    kernel_size: Sizes,
    *,
    output_size: Sizes | None = None,
    output_ratio: Scales | None = None,
    samples: Any = None,
    seed: int | None = None,
) -> MaxPooled[ArrayT]:
    """Take the maximum of regions whose places are drawn, for a size that is no divisor.

    Parameters
    ----------
    x : array
        Shape ``(..., *spatial)``, any real dtype.
    kernel_size : int or tuple of int
        The size of a region. A tuple of length d acts on the last d axes; an int acts on every
        axis after the first two.
    output_size : int or tuple of int, optional
        The number of regions along each spatial axis; or the full shape of the output, whose
        leading entries must be those of `x`.
    output_ratio : float or tuple of float, optional
        Output size over input size, below 1, instead of `output_size`.
    samples : array_like, optional
        Numbers in [0, 1) that place the regions, in the order of the axes: shape ``(d,)`` for the
        same regions in all planes, or ``(..., d)`` with the leading axes of `x`.
    seed : int, optional
        Draws the samples, for each plane its own. Without `samples` and `seed` each call draws
        other ones.

    Returns
    -------
    MaxPooled
        ``values`` and ``indices``, both of shape ``(..., *out)`` with `output_size` or
        ``out = floor(n * output_ratio)``.

    Raises
    ------
    TypeError
        If `x` is not an array, does not have a real dtype, or a size is not an int.
    ValueError
        If not exactly one of `output_size` and `output_ratio` is given, or a size, the rank or
        the samples cannot be.

    See Also
    --------
    unpool_xp.fractional_max_unpool : Brings the maxima back.

    Notes
    -----
    Graham 2014 (arXiv 1412.6071) in PyTorch's form: with ``a = (n - k) / (out - 1)`` region i
    starts at ``int((i + u) * a) - int(u * a)``, the last one at ``n - k``. The starts are found on
    the host in float64, so every library pools the same regions.

    Examples
    --------
    >>> import array_api_strict as xp
    >>> from unpool_xp import fractional_max_pool
    >>> x = xp.asarray([0.0, 3.0, 1.0, 2.0, 5.0])
    >>> fractional_max_pool(x, (2,), output_size=(3,), samples=[0.5]).indices
    Array([1, 3, 4], dtype=array_api_strict.int64)
    """
    sizes = (kernel_size, output_size, output_ratio)
    return ready(_prepare_region_maxima, (x,), *sizes)(x, samples, seed)


_REAL = ("integral", "real floating", "computed")


def _prepare_maxima(x: ArrayT, operation: str, *options: Any) -> Prepared[MaxPooled[ArrayT]]:
    info = inspect_inputs(operation, x=x)
    require_dtype(operation, info.xp, _REAL, "a real", x=x)
    plan_windows: Callable[..., MaxPoolPlan] = plan_adaptive_max_pool
    if operation == "max_pool":
        plan_windows, options = plan_max_pool, (*options, info.traits.symbolic_axes)
    plan = info.make_plan(plan_windows, operation, tuple(x.shape), *options)
    if info.traits.is_chunked:
        return plan, lambda x: MaxPooled(*chunked.max_pool(plan, x))
    pool = prepare_call(prepare_maxima, info, plan, x)
    return plan, lambda x: MaxPooled(*pool(x))


def _prepare_means(x: ArrayT, operation: str, *options: Any) -> Prepared[ArrayT]:
    info = inspect_inputs(operation, x=x)
    require_dtype(operation, info.xp, ("real floating",), "a real floating", x=x)
    plan_windows: Callable[..., AvgPoolPlan] = plan_adaptive_avg_pool
    if operation == "avg_pool":
        plan_windows, options = plan_avg_pool, (*options, info.traits.symbolic_axes)
    plan = info.make_plan(plan_windows, operation, tuple(x.shape), *options)
    if info.traits.is_chunked:
        return plan, lambda x: chunked.avg_pool(plan, x, operation)
    return plan, prepare_call(prepare_means, info, plan, x)


def _prepare_region_maxima(x: ArrayT, *options: Any) -> Prepared[MaxPooled[ArrayT]]:
    operation = "fractional_max_pool"
    info = inspect_inputs(operation, x=x)
    require_dtype(operation, info.xp, _REAL, "a real", x=x)
    sizes = info.make_plan(plan_fractional_sizes, operation, tuple(x.shape), *options)

    def pool(x: ArrayT, samples: Any, seed: int | None) -> MaxPooled[ArrayT]:
        plan = plan_regions(sizes, region_starts(info, operation, sizes, samples, seed))
        if info.traits.is_chunked:
            return MaxPooled(*chunked.fractional_max_pool(plan, x))
        return MaxPooled(*prepare_call(prepare_region_maxima, info, plan, x)(x))

    return sizes, pool
