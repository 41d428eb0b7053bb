"""Convert max-pooling indices between the conventions of other libraries."""

from __future__ import annotations

from typing import Any

from unpool_xp import _dask as chunked
from unpool_xp._array.adapted.calls import prepare_call
from unpool_xp._array.compat import ArrayT
from unpool_xp._array.namespace import Prepared, inspect_inputs, ready, require_dtype
from unpool_xp._impl.index_conventions import prepare_conversion
from unpool_xp._plan.arguments import Padding, Shape, Sizes
from unpool_xp._plan.index_conventions import Convention, plan_convert_indices

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
    padding : int or tuple of int or tuple of (int, int) or {"same", "same_lower"}, optional
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
    IndexError
        If an index cannot be in its convention: outside the plane, of another plane or channel, in
        the padding of its window, or outside the window that "chainer" counts in.
    TypeError
        If `indices` is not an array or not of an integer dtype, or a size is not an int.
    ValueError
        If a convention is unknown, the shapes do not fit, the kernel is missing, a size or the
        padding cannot be, or the library's indices cannot count so far.

    Warnings
    --------
    Where the values of `indices` cannot be looked at (under ``jax.jit`` or ``torch.compile``, or
    in a lazy array), an index that cannot exist is not an error, and gives some other position.

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
    options = (source, target, input_shape, kernel_size, stride, padding, dilation)
    return ready(_prepare, (indices,), *options)(indices)


def _prepare(
    indices: ArrayT, source: str, target: str, input_shape: Any, *sizes: Any
) -> Prepared[ArrayT]:
    operation = "convert_indices"
    info = inspect_inputs(operation, indices=indices)
    require_dtype(operation, info.xp, ("integral",), "an integer", indices=indices)
    given = (source, target, tuple(indices.shape), input_shape, *sizes)
    plan = info.make_plan(plan_convert_indices, operation, *given)
    if info.traits.is_chunked:
        return plan, lambda indices: chunked.convert_indices(info, plan, indices)
    return plan, prepare_call(prepare_conversion, info, plan, indices, dtype=info.index_dtype)
