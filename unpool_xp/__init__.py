"""Pooling, unpooling and transposed convolution for every array API library."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unpool_xp.convolution import conv_transpose
    from unpool_xp.fusion import get_fusion, set_fusion
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
    from unpool_xp.workers import get_workers, set_workers

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
    "get_fusion",
    "get_workers",
    "linear_unpool",
    "max_pool",
    "max_unpool",
    "nearest_unpool",
    "set_fusion",
    "set_workers",
]

# Imported on first use: importing one function loads no other.
_NAMES = {
    "capabilities": (),
    "convolution": ("conv_transpose",),
    "fusion": ("get_fusion", "set_fusion"),
    "indices": ("convert_indices",),
    "pooling": (
        "MaxPooled",
        "adaptive_avg_pool",
        "adaptive_max_pool",
        "avg_pool",
        "fractional_max_pool",
        "max_pool",
    ),
    "resizing": ("cubic_unpool", "linear_unpool", "nearest_unpool"),
    "unpooling": ("fractional_max_unpool", "max_unpool"),
    "workers": ("get_workers", "set_workers"),
}


def __getattr__(name: str) -> Any:
    for module, names in _NAMES.items():
        if name == module or name in names:
            home = importlib.import_module(f"{__name__}.{module}")
            globals()[name] = found = home if name == module else getattr(home, name)
            return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_NAMES})
