"""The reference: every operation as slow and simple loops over NumPy arrays, to check ours against.

Imports nothing else of the package.

The loops run over the cells of the output and the taps of the kernel, for any number of spatial
axes; only the leading axes go together. Arguments come normalised: tuples with one int per spatial
axis, padding as (before, after) pairs. What is computed is float64; what is only moved keeps its
dtype.
"""

from unpool_xp.reference.convolution import conv_transpose
from unpool_xp.reference.indices import convert_indices
from unpool_xp.reference.pooling import (
    adaptive_avg_pool,
    adaptive_max_pool,
    avg_pool,
    fractional_max_pool,
    max_pool,
)
from unpool_xp.reference.resizing import cubic_unpool, linear_unpool, nearest_unpool
from unpool_xp.reference.unpooling import fractional_max_unpool, is_candidate, max_unpool

__all__ = [
    "adaptive_avg_pool",
    "adaptive_max_pool",
    "avg_pool",
    "conv_transpose",
    "convert_indices",
    "cubic_unpool",
    "fractional_max_pool",
    "fractional_max_unpool",
    "is_candidate",
    "linear_unpool",
    "max_pool",
    "max_unpool",
    "nearest_unpool",
]
