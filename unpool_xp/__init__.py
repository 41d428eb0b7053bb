"""Pooling, unpooling and transposed convolution for every array API library."""

from unpool_xp.pooling import MaxPooled, max_pool
from unpool_xp.unpooling import max_unpool, nearest_unpool

__version__ = "0.1.0"

__all__ = ["MaxPooled", "__version__", "max_pool", "max_unpool", "nearest_unpool"]
