"""Between two arrays, written where it belongs."""

from __future__ import annotations

import sys

from unpool_xp._compat import Array, Namespace, library


def lerp_into(xp: Namespace, low: Array, high: Array, share: float, output: Array) -> None:
    """Set `output`, which is writable, to ``low + (high - low) * share``, as PyTorch rounds it."""
    if library(low) == "torch":
        sys.modules["torch"].lerp(low, high, share, out=output)
        return
    between = high - low
    between *= share
    xp.add(low, between, out=output)
