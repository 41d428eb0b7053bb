"""Properties of an array that decide how it may be processed."""

from __future__ import annotations

import sys
from typing import Any

from unpool_xp._array.compat import Array, library


def is_concrete(x: Array) -> bool:
    """Return whether the array has concrete values: not traced and not lazy."""
    kind = library(x)
    if kind == "torch":
        return _is_concrete_tensor(sys.modules["torch"], x)
    if kind == "jax":
        return not isinstance(x, sys.modules["jax"].core.Tracer)
    return kind != "dask"


def _is_concrete_tensor(torch: Any, x: Array) -> bool:
    if torch.compiler.is_compiling() or x.is_meta:
        return False
    return not torch._C._functorch.is_functorch_wrapped_tensor(x)  # under vmap or func.grad


def _may_carry_tangents(torch: Any) -> bool:
    # Within dual_level a tensor may, and nothing else says so.
    return bool(torch.autograd.forward_ad._current_level >= 0)


def concrete_bool(x: Array) -> bool | None:
    """Return a scalar array as a bool, or None if it has no concrete value.

    This is the only place that waits for a device.
    """
    if not is_concrete(x):
        return None
    if library(x):
        return bool(x)
    try:  # an unknown library, which may be lazy
        return bool(x)
    except Exception:
        return None


def is_eager_cpu(x: Array) -> bool:
    """Return whether values can be read without waiting for a device or building a graph."""
    kind = library(x)
    return kind == "numpy" or (kind == "torch" and bool(x.is_cpu) and is_concrete(x))


def item(x: Array) -> float:
    """Return the single value of an array as a Python float."""
    return float(x.item() if library(x) == "torch" else x)  # item asks for no gradient


def needs_grad(x: Array) -> bool:
    """Return whether x may take part in a gradient or is being traced."""
    kind = library(x)
    if kind == "torch":
        if x.requires_grad or not is_concrete(x):
            return True
        return _may_carry_tangents(sys.modules["torch"])
    return kind == "jax" and not is_concrete(x)


def supports_setitem(x: Array) -> bool:
    """Return whether new arrays derived from x support item assignment."""
    kind = library(x)
    return kind in ("numpy", "cupy") or (kind == "torch" and not needs_grad(x))


def is_torch_compiling(x: Array) -> bool:
    """Return whether torch.compile is tracing x, and indexing beats interleaved slices."""
    if library(x) != "torch" or x.requires_grad:  # the gradient of slices is the faster one
        return False
    return bool(sys.modules["torch"].compiler.is_compiling())


def fast_path(x: Array) -> bool:
    """Return whether x is an eager CPU array without gradient, the common case."""
    kind = library(x)
    if kind != "torch":
        return kind == "numpy"
    torch = sys.modules["torch"]
    if not x.is_cpu or x.requires_grad or not _is_concrete_tensor(torch, x):
        return False
    return not _may_carry_tangents(torch)


def is_dask_array(x: Array) -> bool:
    """Return whether x is a Dask array."""
    return library(x) == "dask"
