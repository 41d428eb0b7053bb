"""Plans for the conversion of max-pooling indices between conventions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from unpool_xp._plan.arguments import Padding, Shape, Sizes, as_int, check_choice
from unpool_xp._plan.windows import PoolAxis, plan_windows

Convention: TypeAlias = Literal[
    "torch", "onnx", "onnx_column_major", "tensorflow", "tensorflow_batch", "chainer", "matlab"
]
CONVENTIONS = get_args(Convention)
CHANNELS_LAST = ("tensorflow", "tensorflow_batch")
COLUMN_MAJOR = ("onnx_column_major", "matlab")


@dataclass(frozen=True)
class IndexPlan:
    """Plan of the conversion of indices."""

    source: Convention
    target: Convention
    shape: Shape  # (N, C, *spatial) of what was pooled
    output: Shape  # (N, C, *out) of the indices
    windows: tuple[PoolAxis, ...] | None  # which only "chainer" needs

    @property
    def largest_index(self) -> int:
        """The largest index of both conventions."""
        return max(_largest_index(name, self.shape) for name in (self.source, self.target))


def _largest_index(convention: Convention, shape: Shape) -> int:
    if convention in ("onnx", "onnx_column_major", "tensorflow_batch"):
        return math.prod(shape) - 1
    if convention == "tensorflow":
        return math.prod(shape[1:]) - 1
    return math.prod(shape[2:]) - (0 if convention == "matlab" else 1)


def plan_convert_indices(
    operation: str,
    source: Convention,
    target: Convention,
    indices_shape: Shape,
    input_shape: Shape,
    kernel_size: Sizes | None,
    stride: Sizes | None,
    padding: Padding,
    dilation: Sizes,
) -> IndexPlan:
    """Plan the conversion of indices of a shape."""
    check_choice(operation, "source", source, CONVENTIONS)
    check_choice(operation, "target", target, CONVENTIONS)
    if not isinstance(input_shape, tuple | list):
        raise TypeError(
            f"{operation}: input_shape must be a tuple of ints, got {input_shape!r} "
            f"(indices of shape {indices_shape})"
        )
    shape = tuple([as_int(operation, "input_shape", n, indices_shape) for n in input_shape])
    if len(shape) != len(indices_shape) or len(shape) < 3:
        raise ValueError(
            f"{operation}: input_shape={input_shape!r} must be (N, C, *spatial), with as many axes "
            f"as indices of shape {indices_shape}"
        )
    if any(n < 0 for n in shape) or 0 in shape[2:]:  # not min: sizes may be symbols
        raise ValueError(
            f"{operation}: input_shape={input_shape!r} has no negative entries and no empty "
            f"spatial axis (indices of shape {indices_shape})"
        )
    output = indices_shape
    if source in CHANNELS_LAST:
        output = (output[0], output[-1], *output[1:-1])
    if output[:2] != shape[:2]:
        raise ValueError(
            f"{operation}: indices of shape {indices_shape} ({source}) and input_shape="
            f"{input_shape!r} must agree in N and C"
        )
    windows = None
    if "chainer" in (source, target):
        if kernel_size is None:
            raise ValueError(f"{operation}: kernel_size must be given for the convention chainer")
        sizes = (kernel_size, stride, padding, dilation)
        windows = _plan_windows(operation, shape, output, *sizes)
    return IndexPlan(source, target, shape, output, windows)


def _plan_windows(
    operation: str,
    shape: Shape,
    output: Shape,
    kernel_size: Sizes,
    stride: Sizes | None,
    padding: Padding,
    dilation: Sizes,
) -> tuple[PoolAxis, ...]:
    """Return the windows that were pooled, with or without ceil mode."""
    sizes = (kernel_size, stride, padding, dilation)
    rounded_up, *_ = tried = [plan_windows(operation, shape, *sizes, True)]
    if tuple([axis.count for axis in rounded_up]) != output[2:]:
        tried.append(plan_windows(operation, shape, *sizes, False))
    maps = [tuple([axis.count for axis in windows]) for windows in tried]
    if maps[-1] == output[2:]:
        return tried[-1]
    raise ValueError(
        f"{operation}: windows of kernel_size={kernel_size!r}, stride={stride!r}, padding="
        f"{padding!r}, dilation={dilation!r} on input_shape={shape} give a map of {maps[0]}, "
        f"but indices have {output[2:]}"
    )
