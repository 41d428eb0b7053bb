"""Pooling, unpooling and transposed convolution for every array API library."""

from unpool_xp.convolution import conv_transpose
from unpool_xp.indices import convert_indices
from unpool_xp.pooling import (
    MaxPooled,
    adaptive_avg_pool,
    adaptive_max_pool,
    avg_pool,
    fractional_max_pool,
    max_pool,
)
from unpool_xp.resizing import cubic_unpool, linear_unpool, nearest_unpool
from unpool_xp.unpooling import fractional_max_unpool, max_unpool

__version__ = "0.1.0"

__all__ = [
    "MaxPooled",
    "__version__",
    "adaptive_avg_pool",
    "adaptive_max_pool",
    "avg_pool",
    "conv_transpose",
    "convert_indices",
    "cubic_unpool",
    "fractional_max_pool",
    "fractional_max_unpool",
    "linear_unpool",
    "max_pool",
    "max_unpool",
    "nearest_unpool",
]
