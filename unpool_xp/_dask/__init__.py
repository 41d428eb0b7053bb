"""The operations on Dask arrays: the same, chunk by chunk.

Imports `_impl`, `_array` and `_plan`; is imported by the operations alone, and its modules with the
first Dask array.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unpool_xp._dask.operations import (
        avg_pool,
        conv_transpose,
        convert_indices,
        fractional_max_pool,
        fractional_max_unpool,
        interpolate,
        max_pool,
        max_unpool,
        nearest_unpool,
    )

__all__ = [
    "avg_pool",
    "conv_transpose",
    "convert_indices",
    "fractional_max_pool",
    "fractional_max_unpool",
    "interpolate",
    "max_pool",
    "max_unpool",
    "nearest_unpool",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module("unpool_xp._dask.operations"), name)
