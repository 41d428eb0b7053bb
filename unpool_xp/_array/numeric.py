"""Matrix products."""

from __future__ import annotations

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
