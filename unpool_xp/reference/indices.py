"""The reference for `convert_indices`: each convention as NumPy's own numbering of a shape.

NumPy only, and nothing of unpool_xp.
"""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np

NDArray: TypeAlias = np.ndarray[Any, Any]
Sizes: TypeAlias = tuple[int, ...]
Pairs: TypeAlias = tuple[tuple[int, int], ...]

CONVENTIONS = (
    "torch",
    "onnx",
    "onnx_column_major",
    "tensorflow",
    "tensorflow_batch",
    "chainer",
    "matlab",
)
_CHANNELS_LAST = ("tensorflow", "tensorflow_batch")


def convert_indices(
    indices: NDArray,
    source: str,
    target: str,
    input_shape: Sizes,
    kernel: Sizes = (),
    stride: Sizes = (),
    padding: Pairs = (),
    dilation: Sizes = (),
) -> NDArray:
    """Rewrite the indices of a max pooling from one convention to another.

    Parameters
    ----------
    indices : ndarray
        Shape ``(N, C, *out)``, or ``(N, *out, C)`` in one of TensorFlow's conventions.
    source, target : str
        Two of `CONVENTIONS`.
    input_shape : tuple of int
        The shape ``(N, C, *spatial)`` of what was pooled.
    kernel, stride, padding, dilation : tuple, optional
        One entry a spatial axis; "chainer" needs them all.

    Returns
    -------
    ndarray
        Shape ``(N, C, *out)``, or ``(N, *out, C)`` in one of TensorFlow's conventions, int64.
    """
    for name in (source, target):
        if name not in CONVENTIONS:
            raise ValueError(f"convention {name!r} must be one of {', '.join(CONVENTIONS)}")
    indices = indices.astype(np.int64)
    if source in _CHANNELS_LAST:
        indices = np.moveaxis(indices, -1, 1)
    n, c, *plane = input_shape
    # For each entry: its batch, its channel, and its window along each axis.
    batch, channel, *window = np.indices(indices.shape)
    start = (batch * c + channel) * math.prod(plane)  # the number of its plane's first cell
    corner = [w * s - before for w, s, (before, _) in zip(window, stride, padding, strict=False)]

    position: Any  # of the maximum, along each spatial axis
    match source:
        case "torch":
            position = np.unravel_index(indices, plane)
        case "onnx":
            _, _, *position = np.unravel_index(indices, (n, c, *plane))
        case "onnx_column_major":
            position = np.unravel_index(indices - start, plane, order="F")
        case "tensorflow":
            *position, _ = np.unravel_index(indices, (*plane, c))
        case "tensorflow_batch":
            _, *position, _ = np.unravel_index(indices, (n, *plane, c))
        case "chainer":
            taps = np.unravel_index(indices, kernel)
            position = [p + t * d for p, t, d in zip(corner, taps, dilation, strict=True)]
        case "matlab":
            position = np.unravel_index(indices - 1, plane, order="F")

    position = tuple(position)
    match target:
        case "torch":
            result = np.ravel_multi_index(position, plane)
        case "onnx":
            result = np.ravel_multi_index((batch, channel, *position), input_shape)
        case "onnx_column_major":  # what onnxruntime gives: column-major in the plane alone
            result = start + np.ravel_multi_index(position, plane, order="F")
        case "tensorflow":
            result = np.ravel_multi_index((*position, channel), (*plane, c))
        case "tensorflow_batch":
            result = np.ravel_multi_index((batch, *position, channel), (n, *plane, c))
        case "chainer":
            taps = tuple(
                (p - first) // d for p, first, d in zip(position, corner, dilation, strict=True)
            )
            result = np.ravel_multi_index(taps, kernel)
        case "matlab":
            result = 1 + np.ravel_multi_index(position, plane, order="F")
    return np.moveaxis(result, 1, -1) if target in _CHANNELS_LAST else result
