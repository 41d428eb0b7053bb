"""What may be done with an array of this library, here and now."""

from __future__ import annotations

import sys
from typing import Any

from unpool_xp._array.compat import Array, library


def readable(x: Array) -> bool:
    """Return whether the values of an array can be looked at: not while tracing, not if lazy."""
    kind = library(x)
    if kind == "torch":
        return _readable_tensor(sys.modules["torch"], x)
    if kind == "jax":
        return not isinstance(x, sys.modules["jax"].core.Tracer)
    return kind != "dask"


def _readable_tensor(torch: Any, x: Array) -> bool:
    if torch.compiler.is_compiling() or x.is_meta:
        return False
    return not torch._C._functorch.is_functorch_wrapped_tensor(x)  # under vmap or func.grad


def _may_carry_tangents(torch: Any) -> bool:
    # Within dual_level a tensor may, and nothing else says so.
    return bool(torch.autograd.forward_ad._current_level >= 0)


def looked(x: Array) -> bool | None:
    """Return the truth of one value, the one wait for a device; None where it cannot be told."""
    if not readable(x):
        return None
    if library(x):
        return bool(x)
    try:  # a library that nobody has heard of, which may be lazy
        return bool(x)
    except Exception:
        return None


def at_hand(x: Array) -> bool:
    """Return whether a look at the values waits for no device and builds no graph."""
    kind = library(x)
    return kind == "numpy" or (kind == "torch" and bool(x.is_cpu) and readable(x))


def number(x: Array) -> float:
    """Return the one value of an array as a number of Python."""
    return float(x.item() if library(x) == "torch" else x)  # item asks for no gradient


def smooth(x: Array) -> bool:
    """Return whether somebody may ask for the gradient of what is made of x."""
    kind = library(x)
    if kind == "torch":
        if x.requires_grad or not readable(x):
            return True
        return _may_carry_tangents(sys.modules["torch"])
    return kind == "jax" and not readable(x)


def writable(x: Array) -> bool:
    """Return whether what is made of x may be set by index."""
    kind = library(x)
    return kind in ("numpy", "cupy") or (kind == "torch" and not smooth(x))


def fuses_lookups(x: Array) -> bool:
    """Return whether a compiler looks elements up as it needs them, and keeps no slices woven."""
    if library(x) != "torch" or x.requires_grad:  # the gradient of slices is the faster one
        return False
    return bool(sys.modules["torch"].compiler.is_compiling())


def plain(x: Array) -> bool:
    """Return whether x is at hand, and nobody asks for a gradient: what most small calls have."""
    kind = library(x)
    if kind != "torch":
        return kind == "numpy"
    torch = sys.modules["torch"]
    if not x.is_cpu or x.requires_grad or not _readable_tensor(torch, x):
        return False
    return not _may_carry_tangents(torch)


def in_chunks(x: Array) -> bool:
    """Return whether an array lies in chunks that do not come together."""
    return library(x) == "dask"
