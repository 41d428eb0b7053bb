"""For each operation calls that go through all of its branches: arrays and options."""

from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np
import pytest

import unpool_xp as ux
from tests.support.strategies import real_values

X = real_values((2, 4, 6, 9), 0, "float32")
POOLED = ux.max_pool(X, 3, stride=2, padding=1)
APART = ux.max_pool(X, 2)  # no index twice, of which any value may stay
CALLS: list[tuple[Any, tuple[np.ndarray, ...], dict[str, Any]]] = [
    (ux.max_pool, (X,), {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True}),
    (ux.max_pool, (X.astype(np.int32),), {"kernel_size": (1, 2), "dilation": 2}),
    (ux.avg_pool, (X,), {"kernel_size": 3, "stride": 2, "padding": 1}),
    (ux.avg_pool, (X,), {"kernel_size": 3, "padding": 1, "count_include_pad": False}),
    (ux.adaptive_max_pool, (X,), {"output_size": (4, 3)}),
    (ux.adaptive_avg_pool, (X,), {"output_size": (None, 4)}),
    (ux.fractional_max_pool, (X,), {"kernel_size": 2, "output_size": 4, "samples": (0.2, 0.7)}),
    (ux.fractional_max_pool, (X,), {"kernel_size": 2, "output_size": 4, "seed": 1}),
    (ux.nearest_unpool, (X,), {"scale_factor": 2}),
    (ux.nearest_unpool, (X,), {"scale_factor": 1.5, "coordinates": "half_pixel"}),
    (ux.linear_unpool, (X,), {"output_size": (13, 5), "coordinates": "align_corners"}),
    (ux.linear_unpool, (X,), {"scale_factor": 2, "coordinates": "half_pixel"}),
    (ux.nearest_unpool, (X,), {"output_size": (4, 13), "rounding": "ceil"}),
    (ux.linear_unpool, (X,), {"scale_factor": (0.4, 1.5), "antialias": True}),
    (ux.cubic_unpool, (X,), {"scale_factor": (2, 0.7)}),
    (ux.cubic_unpool, (X,), {"output_size": (2, 14), "antialias": True, "coefficient": -0.5}),
    (ux.max_unpool, APART, {"output_size": (6, 9)}),
    (ux.max_unpool, POOLED, {"output_size": (6, 9), "duplicates": "sum"}),
    (ux.max_unpool, APART, {"output_size": (6, 9), "check_indices": False}),
    (ux.fractional_max_unpool, APART, {"output_size": (6, 9)}),
    (ux.fractional_max_unpool, APART[:1], {"scale_factor": 1.7}),
    (
        ux.conv_transpose,
        (X, real_values((4, 3, 3, 2), 1, "float32"), real_values((6,), 2, "float32")),
        {"stride": (2, 3), "padding": 1, "output_padding": 1, "groups": 2},
    ),
    (ux.convert_indices, POOLED[1:], {"source": "torch", "target": "tensorflow_batch"}),
    (ux.convert_indices, POOLED[1:], {"source": "torch", "target": "chainer"}),
]
for _function, _, _options in CALLS:
    if _function is ux.convert_indices:
        _options |= {"input_shape": X.shape, "kernel_size": 3, "stride": 2, "padding": 1}

every_call = pytest.mark.parametrize(
    "call", CALLS, ids=[f"{f.__name__}-{i}" for i, (f, _, _) in enumerate(CALLS)]
)


def outputs(result: Any) -> tuple[Any, ...]:
    return tuple(result) if isinstance(result, tuple) else (result,)


def chunked(arrays: Any, sizes: Any) -> list[Any]:
    """Return the maps in chunks; weights and biases stay whole."""
    return [
        da.from_array(a, chunks=sizes[: a.ndim] if a.shape[:2] == (2, 4) else a.shape)
        for a in arrays
    ]
