"""Matrix products."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from unpool_xp._array.compat import Array, Namespace, library


def product(xp: Namespace, a: Array, b: Array) -> Array:
    """Return the matrix product of a (..., m, k) and b (..., k, n), k at least 1."""
    if library(a) == "torch" and not a.is_cpu and xp.isdtype(a.dtype, "integral"):
        return summed_products(a, b)
    return xp.matmul(a, b)


def summed_products(a: Array, b: Array) -> Array:
    """Return it without a matrix product, which PyTorch on CUDA has for no integers."""
    total = a[..., :, :1] * b[..., :1, :]
    for k in range(1, a.shape[-1]):
        total += a[..., :, k : k + 1] * b[..., k : k + 1, :]
    return total


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


def raised(xp: Namespace, old: Array, chosen: Array, new: Array | int) -> Array:
    """Return integers `new`, larger than `old`, where chosen, and `old` elsewhere."""
    kind = library(old)
    if isinstance(new, int) and kind not in ("torch", "jax"):  # whose where takes numbers
        return xp.maximum(old, times(xp, chosen, new, old.dtype))
    if kind == "numpy":
        # NumPy's where branches per element; two passes without branches are 10x faster.
        return xp.maximum(old, new * chosen)
    return xp.where(chosen, new, old)


def times(xp: Namespace, chosen: Array, number: int, dtype: Any) -> Array:
    """Return the number where chosen and 0 elsewhere, in an integer dtype."""
    if library(chosen) == "numpy":
        return chosen * np.dtype(dtype).type(number)
    ones = xp.astype(chosen, dtype)
    return ones if number == 1 else ones * number
