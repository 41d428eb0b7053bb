"""Transposed convolution: unpooling with weights."""

from __future__ import annotations

from typing import Any

from unpool_xp import _dask as chunked
from unpool_xp._array.adapted.calls import prepare_call
from unpool_xp._array.compat import ArrayT
from unpool_xp._array.namespace import Prepared, inspect_inputs, ready, require_dtype
from unpool_xp._array.numeric import require_one_dtype
from unpool_xp._impl.conv_transpose import prepare_conv_transpose
from unpool_xp._plan.arguments import Padding, Sizes
from unpool_xp._plan.transposed import plan_conv_transpose

__all__ = ["conv_transpose"]


def conv_transpose(
    x: ArrayT,
    weight: ArrayT,
    bias: ArrayT | None = None,
    /,
    *,
    stride: Sizes = 1,
    padding: Padding = 0,
    output_padding: Sizes = 0,
    output_size: Sizes | None = None,
    groups: int = 1,
    dilation: Sizes = 1,
) -> ArrayT:
    """Spread each element over the output, weighted by the kernel, and add up what overlaps.

    Parameters
    ----------
    x : array
        Shape ``(..., Cin, *spatial)``, any numeric dtype.
    weight : array
        Shape ``(Cin, Cout / groups, *kernel)``, the dtype of `x`.
    bias : array, optional
        Shape ``(Cout,)``, the dtype of `x`; added to each channel.
    stride : int or tuple of int, optional
        The step in the output from one element of `x` to the next.
    padding : int or tuple of int or tuple of (int, int) or {"same", "same_lower"}, optional
        Cells cropped before and after each spatial axis of the output, as many as there are. "same"
        crops to ``n * stride`` cells, or to `output_size`, an odd cell at the end, "same_lower" at
        the start.
    output_padding : int or tuple of int, optional
        Cells more at the end of each spatial axis; smaller than the stride or the dilation.
    output_size : int or tuple of int, optional
        The size of the output's spatial axes, instead of `output_padding`; or a full shape, whose
        leading entries must be those of the output or of `x`.
    groups : int, optional
        Into how many groups the channels are split, each with weights of its own.
    dilation : int or tuple of int, optional
        The step in the output from one tap of the kernel to the next.

    Returns
    -------
    array
        Shape ``(..., Cout, *out)`` with ``out = (n - 1) * stride - before - after +
        dilation * (kernel - 1) + output_padding + 1``, the dtype of `x`.

    Raises
    ------
    TypeError
        If an argument is not an array or has another dtype, or a size is not an int.
    ValueError
        If the channels, the groups or the shapes do not fit, or a size or the padding cannot be.

    See Also
    --------
    unpool_xp.nearest_unpool : Unpooling without weights.

    Notes
    -----
    The gradient of a convolution with respect to its input: relation 14 of Dumoulin and Visin
    (arXiv 1603.07285). PyTorch's ``conv_transpose{1,2,3}d`` has the same arguments and the same
    layout of the weights. Half precision is summed in float32. Under ``torch.autocast`` dtypes may
    differ, and the result has that of `x`.

    Examples
    --------
    >>> import array_api_strict as xp
    >>> from unpool_xp import conv_transpose
    >>> x, weight = xp.asarray([[[1.0, 2.0]]]), xp.asarray([[[1.0, 10.0, 100.0]]])
    >>> conv_transpose(x, weight, stride=2)
    Array([[[  1.,  10., 102.,  20., 200.]]], dtype=array_api_strict.float64)
    """
    arrays = (x, weight, bias)
    options = (stride, padding, output_padding, output_size, groups, dilation)
    return ready(_prepare, arrays, *options)(*arrays)


def _prepare(x: ArrayT, weight: ArrayT, bias: ArrayT | None, *options: Any) -> Prepared[ArrayT]:
    operation = "conv_transpose"
    named = {"x": x, "weight": weight} | ({} if bias is None else {"bias": bias})
    info = inspect_inputs(operation, **named)
    require_dtype(operation, info.xp, ("numeric", "computed"), "a numeric", **named)
    require_one_dtype(operation, info, **named)
    shapes = (tuple(x.shape), tuple(weight.shape), None if bias is None else tuple(bias.shape))
    plan = info.make_plan(plan_conv_transpose, operation, *shapes, *options)
    if info.traits.is_chunked:
        return plan, lambda *_: chunked.conv_transpose(plan, *named.values())
    return plan, prepare_call(prepare_conv_transpose, info, plan, x, weight, bias)
