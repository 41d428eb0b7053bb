"""Each library's own transposed convolution, and what people write where it has none."""

from __future__ import annotations

import importlib
from dataclasses import replace
from typing import Any

import numpy as np

from unpool_xp.backends import Backend
from unpool_xp.bench.cases.case import Case
from unpool_xp.bench.cases.operation import (
    Function,
    Native,
    native_namespace,
    requires_batch,
    requires_image_shape,
    torch_native,
)

_TORCH = torch_native("conv_transpose{d}d", requires_image_shape)


def _torch_without_tf32(case: Case, backend: Backend) -> Function:
    torch = importlib.import_module("torch")
    if backend.label.endswith(":cuda"):
        # TF32 has three digits. For the whole process: a compiled call cannot set it.
        torch.backends.cudnn.allow_tf32 = False
    return _TORCH.build(case, backend)


def _jax_convolve(case: Case, backend: Backend) -> Function:
    lax = importlib.import_module("jax.lax")
    space = "DHW"[-case.rank :]
    options = {
        "strides": case.stride,
        # Of the input that is spread out, where ours crops the output.
        "padding": [
            (k - 1 - p, k - 1 - p)
            for k, (p, _) in zip(case.kernel or (), case.padding_pairs, strict=True)
        ],
        "dimension_numbers": (f"NC{space}", f"OI{space}", f"NC{space}"),
        "transpose_kernel": True,
        "precision": lax.Precision.HIGHEST,  # no TF32
    }
    return lambda x, weight: lax.conv_transpose(x, weight, **options)


def _slice_addition(case: Case, backend: Backend) -> Function:
    """Add each tap's share, of one matrix product, where it lands in the output."""
    xp, rank, kernel = native_namespace(backend), case.rank, case.kernel or ()
    sizes = list(zip(case.plane, kernel, case.stride or (), strict=True))
    shape = (*case.output_shape[:-rank], *((n - 1) * s + k for n, k, s in sizes))
    columns_shape = (*case.output_shape[:-rank], *kernel, *case.plane)
    crop = (
        ...,
        *(slice(p, n - p) for n, (p, _) in zip(shape[-rank:], case.padding_pairs, strict=True)),
    )

    def convolve(x: Any, weight: Any) -> Any:
        rows = weight.reshape(weight.shape[0], -1).T
        columns = (rows @ x.reshape(*case.lead, -1)).reshape(columns_shape)
        out = xp.zeros(shape, dtype=x.dtype)
        for tap in np.ndindex(*kernel):
            ends = zip(tap, sizes, strict=True)
            places = (..., *(slice(t, t + (n - 1) * s + 1, s) for t, (n, _, s) in ends))
            out[places] += columns[(..., *tap, *(slice(None) for _ in tap))]
        return out[crop]

    return convolve


CONV_TRANSPOSE_NATIVES: tuple[Native, ...] = (
    replace(_TORCH, build=_torch_without_tf32),
    Native("jax", "jax.lax.conv_transpose", _jax_convolve, requires_batch),
    Native("numpy", "numpy.matmul + slice addition", _slice_addition),
    Native("cupy", "cupy.matmul + slice addition", _slice_addition),
)
