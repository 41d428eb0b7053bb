"""Between two arrays, written where it belongs."""

from __future__ import annotations

import sys

from unpool_xp._array.compat import Array, Namespace, library


def lerp_into(xp: Namespace, low: Array, high: Array, share: float, output: Array) -> None:
    """Set `output`, which is writable, to ``low + (high - low) * share``, as PyTorch rounds it."""
    if library(low) == "torch":
        sys.modules["torch"].lerp(low, high, share, out=output)
        return
    between = high - low
    between *= share
    xp.add(low, between, out=output)


def blend_into(xp: Namespace, low: Array, high: Array, share: float, output: Array) -> None:
    """Set `output`, which is writable, to ``low * (1 - share) + high * share``.

    Unlike a difference it is right next to an infinity.
    """
    if library(low) == "torch":
        sys.modules["torch"].add(low * (1 - share), high, alpha=share, out=output)
        return
    xp.add(low * (1 - share), high * share, out=output)
