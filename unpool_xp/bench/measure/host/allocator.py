"""Memory that is freed: kept for the next call, or given back to the system."""

from __future__ import annotations

import functools

import numpy as np

_LARGEST_BYTES = 31 * 2**20  # glibc adapts to blocks of up to 32 MiB


@functools.cache
def keep_freed_memory() -> None:
    """Let glibc keep what is freed, as it does once a program has freed a large array.

    Where it gives the memory back, each call pays for new pages, and whether it does depends on
    what the process has freed before (``M_MMAP_THRESHOLD`` in mallopt(3)).
    """
    np.empty(_LARGEST_BYTES, np.uint8)
