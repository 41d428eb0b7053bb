"""The natives of MLX, whose layers have the channels last: the lines move them there and back."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

from unpool_xp.bench.cases.case import Case
from unpool_xp.bench.cases.native import (
    Native,
    first_reason,
    reason_unless,
    requires_batch,
    requires_exact_scale,
    requires_integer_scale,
)
from unpool_xp.bench.catalog.gradients import may_repeat
from unpool_xp.bench.catalog.native_pooling import LOOKED_UP, lowest, max_of_windows, offsets
from unpool_xp.bench.catalog.native_unpooling import repeat

_CHANNELS_LAST = "mx.moveaxis(x, 1, -1)"


def _layer(make: Callable[[Case], str], case: Case) -> list[str]:
    return [f"y = mx.moveaxis(mlx.nn.{make(case)}({_CHANNELS_LAST}), -1, 1)"]


def _pool(kind: str, case: Case) -> str:
    padding = case.padding or (0,) * case.rank
    return f"{kind}Pool{case.rank}d({case.kernel}, {case.stride}, {padding})"


def _upsample(mode: str, case: Case) -> str:
    return f"Upsample({case.scale}, {mode!r})"


def _strided_max(case: Case) -> list[str]:
    """Take argmax over all windows, which are a view of the padded input."""
    lines, source, plane = [], "x", case.plane
    if case.padding:
        pad = [*((0, 0) for _ in case.lead), *case.padding_pairs]
        lines, source = [f"padded = mx.pad(x, {pad}, constant_values={lowest(case)})"], "padded"
        axes = zip(case.plane, case.padding_pairs, strict=True)
        plane = tuple(before + n + after for n, (before, after) in axes)
    shape = (*case.lead, *plane)
    strides = tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))
    lead, taps = strides[: -case.rank], strides[-case.rank :]
    steps = tuple(n * step for n, step in zip(taps, case.stride, strict=True))
    view = f"{(*case.output_shape, *case.kernel)}, {(*lead, *steps, *taps)}"
    return [
        *lines,
        f"windows = mx.as_strided({source}, {view}).reshape({(*case.output_shape, -1)})",
        "place = mx.stop_gradient(windows.argmax(-1))",
        *max_of_windows("mx", LOOKED_UP)[1:],
    ]


def _put_along_axis(case: Case) -> list[str]:
    shape, n, cells = case.output_shape, math.prod(case.plane), math.prod(case.output_plane)
    lead = shape[: -case.rank]
    return [
        f"y = mx.zeros({(*lead, cells)}, values.dtype)",
        f"flat, places = values.reshape({(*lead, n)}), indices.reshape({(*lead, n)})",
        f"y = mx.put_along_axis(y, places, flat, -1).reshape({shape})",
    ]


def _convolve(case: Case) -> list[str]:
    taps = tuple(range(2, 2 + case.rank))
    one_axis = case.rank == 1  # of which it takes numbers alone
    stride, padding = case.stride, case.padding or (0,) * case.rank
    options = f"stride={stride[0] if one_axis else stride}, "
    options += f"padding={padding[0] if one_axis else padding}"
    return [
        f"kernels = weight.transpose{(1, *taps, 0)}",
        f"y = mx.conv_transpose{case.rank}d({_CHANNELS_LAST}, kernels, {options})",
        "y = mx.moveaxis(y, -1, 1)",
    ]


_requires_single = reason_unless(
    lambda case: case.dtype == "float32", "it computes in float32, not in {case.dtype}"
)
_requires_convolvable = reason_unless(
    lambda case: case.dtype in ("float16", "bfloat16", "float32"), "it takes no {case.dtype}"
)

MLX_NATIVES: dict[str, tuple[Native, ...]] = {
    "max_pool": (
        Native(
            "mlx",
            "mlx.nn.MaxPool{d}d",
            partial(_layer, partial(_pool, "Max")),
            first_reason(
                requires_batch,
                reason_unless(
                    lambda case: not case.backward,
                    "of equal values in a window each gets a share of the gradient",
                ),
            ),
            values_only=True,
        ),
        Native("mlx", "mlx.core.as_strided + argmax", _strided_max, once=partial(offsets, "mx")),
    ),
    "avg_pool": (
        Native("mlx", "mlx.nn.AvgPool{d}d", partial(_layer, partial(_pool, "Avg")), requires_batch),
    ),
    "max_unpool": (
        Native(
            "mlx",
            "mlx.core.put_along_axis",
            _put_along_axis,
            reason_unless(
                lambda case: not case.backward or not may_repeat(case),
                "of several values in one cell all get its gradient, not only the one there; "
                "stride {case.stride} lets windows of {case.kernel} overlap",
            ),
        ),
    ),
    "nearest_unpool": (
        Native(
            "mlx",
            "mlx.nn.Upsample",
            partial(_layer, partial(_upsample, "nearest")),
            first_reason(requires_batch, requires_integer_scale),
        ),
        Native("mlx", "mlx.core.repeat", partial(repeat, "mx"), requires_integer_scale),
    ),
    **{
        f"{mode}_unpool": (
            Native(
                "mlx",
                "mlx.nn.Upsample",
                partial(_layer, partial(_upsample, mode)),
                first_reason(requires_batch, requires_exact_scale, _requires_single),
            ),
        )
        for mode in ("linear", "cubic")
    },
    "conv_transpose": (
        Native(
            "mlx",
            "mlx.core.conv_transpose{d}d",
            _convolve,
            first_reason(requires_batch, _requires_convolvable),
        ),
    ),
}
