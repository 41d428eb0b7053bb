"""Arithmetic that the libraries do each in their own way."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from unpool_xp._array.compat import Array, native
from unpool_xp._array.namespace import InputInfo
from unpool_xp._array.traits import is_autocast

_T = TypeVar("_T")


def item(info: InputInfo, x: Array) -> float:
    """Return the single value of an array as a Python float."""
    return float(x.item() if info.traits.library == "torch" else x)  # item asks for no gradient


def integer(info: InputInfo, x: Array) -> int:
    """Return the single value of an array of integers, also where it is beyond int64."""
    return int(x.item() if info.traits.library == "torch" else x)  # whose int() is of int64


def as_dtype(info: InputInfo, number: float, dtype: Any) -> float:
    """Return a Python float as a floating dtype of at least 32 bits has it."""
    return float(np.float32(number)) if info.xp.finfo(dtype).bits == 32 else number


def largest_weight(info: InputInfo, taps: Array, values: Array, weights: Array) -> Array:
    """Return along the first axis the largest weight of the taps that equal a value.

    The taps are used up. PyTorch compares in vector instructions only into the dtype that it
    compares, so there the weights may have that: see `weight_dtype`.
    """
    if info.traits.library != "torch" or weights.dtype != taps.dtype:
        return info.xp.max((taps == values) * weights, axis=0)
    largest = info.xp.max(taps.eq_(values).mul_(weights), axis=0)
    return largest.to(info.index_dtype)


def weight_dtype(info: InputInfo, dtype: Any) -> Any:
    """Return in which dtype `largest_weight` wants weights of 15 bits, for taps of a dtype."""
    # 2 bytes may not hold them, 8 bytes lose more in large arrays than small ones gain.
    is_own = info.traits.library == "torch" and dtype.itemsize == 4
    return dtype if is_own else info.xp.int16


def are_first_maxima(info: InputInfo, x: Array, maxima: Array) -> bool:
    """Return whether maxima of x, of a real floating dtype on the host, are each a first largest.

    None is NaN, nor a zero among zeros of both signs, of which a library may take either.
    """
    if info.traits.requires_grad:  # which is not asked for
        maxima = maxima.detach()
    smallest = item(info, info.xp.min(info.xp.abs(maxima)))
    return smallest > 0 or (smallest == 0 and not _has_negative_zero(info, x))


def _has_negative_zero(info: InputInfo, x: Array) -> bool:
    """Return whether an array of NumPy or PyTorch has a zero with a sign: the lowest integer."""
    if info.traits.library == "torch":
        bits = x.detach().view(getattr(sys.modules["torch"], f"int{8 * x.dtype.itemsize}"))
    elif x.dtype.itemsize <= 8:
        bits = x.view(x.dtype.str.replace("f", "i"))
    else:
        return bool((np.signbit(x) & (x == 0)).any())
    return bool(int(bits.min()) == info.xp.iinfo(bits.dtype).min)


def lowest_value(info: InputInfo, dtype: Any) -> float:
    """Return what no element of a real dtype is below: the lowest number where it has no infinity.

    Those are dtypes of 8 bits that JAX has from ml_dtypes.
    """
    xp = info.xp
    if xp.isdtype(dtype, "integral"):
        return int(xp.iinfo(dtype).min)
    if xp.finfo(dtype).bits > 8 or np.isinf(np.asarray(-np.inf).astype(dtype)):
        return -math.inf
    return float(xp.finfo(dtype).min)


def matmul(info: InputInfo, a: Array, b: Array) -> Array:
    """Return the matrix product of a (..., m, k) and b (..., k, n), k at least 1."""
    if info.traits.library != "torch":
        return info.xp.matmul(a, b)
    if not info.traits.on_host and info.xp.isdtype(a.dtype, "integral"):
        from unpool_xp._array.adapted.functions import matmul_by_sums

        return matmul_by_sums(a, b)
    if not is_autocast(a):
        return info.xp.matmul(a, b)
    # It would cast float32 to half precision.
    with sys.modules["torch"].autocast(a.device.type, enabled=False):
        return info.xp.matmul(a, b)


def require_one_dtype(operation: str, info: InputInfo, **arrays: Array) -> None:
    """Raise a TypeError where the arrays differ in more than their byte order.

    Under autocast, as for PyTorch's own functions, floats narrower than 64 bits count as one.
    """
    dtypes = [array.dtype for array in arrays.values()]
    if info.traits.library == "torch" and is_autocast(next(iter(arrays.values()))):
        torch = sys.modules["torch"]
        if all(dtype in (torch.float32, torch.float16, torch.bfloat16) for dtype in dtypes):
            return
    if any(native(dtype) != native(dtypes[0]) for dtype in dtypes[1:]):
        got = ", ".join(f"{name}: {array.dtype}" for name, array in arrays.items())
        raise TypeError(f"{operation}: all arrays must have one dtype, got {got}")


def without_float_errors(info: InputInfo, compute: Callable[..., _T]) -> Callable[..., _T]:
    """Return what computes the same where NumPy was told to raise, too: no other library does."""
    if not _is_loud(info):
        return compute
    again = quietly(info, compute)

    def compute_anyway(*arguments: Any) -> _T:
        try:
            return compute(*arguments)
        except FloatingPointError:
            return again(*arguments)

    return compute_anyway


def quietly(info: InputInfo, compute: Callable[..., _T]) -> Callable[..., _T]:
    """Return what lets NumPy compute with infinities and NaN without a word, as all others do."""
    if not _is_loud(info):
        return compute

    def compute_quietly(*arguments: Any) -> _T:
        with np.errstate(all="ignore"):
            return compute(*arguments)

    return compute_quietly


def _is_loud(info: InputInfo) -> bool:
    return info.traits.library in ("numpy", "")


def blend(low: Array, high: Array, weight: float) -> Array:
    """Return ``low * (1 - weight) + high * weight``: unlike a difference right at an infinity."""
    return low * (1 - weight) + high * weight


def blend_into(
    info: InputInfo, low: Array, high: Array, weight: float, output: Array, *, finite: bool
) -> None:
    """Set `output`, which is writable, to the blend; `finite` if all differences are.

    Then PyTorch does it in one pass, 1.1x to 3x as fast (one core of an Intel Xeon,
    ``linear_unpool`` by 2 from (1, 16, 64, 64) to (4, 64, 112, 112)).
    """
    if info.traits.library == "torch":
        torch = sys.modules["torch"]
        if finite:
            torch.lerp(low, high, weight, out=output)
        else:
            torch.add(low * (1 - weight), high, alpha=weight, out=output)
        return
    info.xp.add(low * (1 - weight), high * weight, out=output)


def differences_are_finite(info: InputInfo, x: Array) -> bool:
    """Return whether any two elements are known to have a finite difference, where it helps."""
    if info.traits.library != "torch" or not info.traits.is_eager_cpu:
        return False
    return math.isfinite(item(info, info.xp.max(x) - info.xp.min(x)))


def where_greater(info: InputInfo, old: Array, mask: Array, new: Array | int) -> Array:
    """Return integers `new`, larger than `old`, where chosen, and `old` elsewhere."""
    kind = info.traits.library
    if isinstance(new, int) and kind not in ("torch", "jax"):  # whose where takes numbers
        return info.xp.maximum(old, scale_mask(info, mask, new, old.dtype))
    if kind == "numpy":
        # NumPy's where branches per element; two passes without branches are 10x faster.
        return info.xp.maximum(old, new * mask)
    return info.xp.where(mask, new, old)


def scale_mask(info: InputInfo, mask: Array, factor: int, dtype: Any) -> Array:
    """Return the number where chosen and 0 elsewhere, in an integer dtype."""
    if info.traits.library == "numpy":
        return mask * np.dtype(dtype).type(factor)
    ones = info.xp.astype(mask, dtype)
    return ones if factor == 1 else ones * factor


def count_and_first(info: InputInfo, mask: Array) -> tuple[int, int]:
    """Return how many elements of a mask are true, and the row-major position of the first."""
    xp = info.xp
    flat = xp.astype(xp.reshape(mask, (-1,)), xp.int32)
    return int(xp.sum(flat)), int(xp.argmax(flat))
