"""What decides how arrays may be processed, looked at once per call."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import NamedTuple

from unpool_xp._array.compat import Array


class ArrayTraits(NamedTuple):
    """What the inputs of a call, and all arrays derived from them, have in common."""

    library: str  # "numpy", "torch", "jax", "cupy" or "dask"; "" for any other
    is_concrete: bool = True  # no input is traced or lazy
    on_host: bool = False  # known to lie in the memory of the CPU
    requires_grad: bool = False  # an input of PyTorch takes part in a gradient
    is_torch_compiling: bool = False

    @property
    def is_eager_cpu(self) -> bool:
        """Whether values can be read without waiting for a device or building a graph."""
        return self.on_host and self.is_concrete

    @property
    def needs_grad(self) -> bool:
        """Whether an input may take part in a gradient or is being traced."""
        return self.requires_grad or (not self.is_concrete and self.library in ("torch", "jax"))

    @property
    def fast_path(self) -> bool:
        """Whether the inputs are eager CPU arrays without gradient, the common case."""
        return self.on_host and self.is_concrete and not self.requires_grad

    @property
    def supports_setitem(self) -> bool:
        """Whether new arrays derived from the inputs support item assignment."""
        if self.library == "torch":
            return self.is_concrete and not self.requires_grad
        return self.library in ("numpy", "cupy")

    @property
    def is_chunked(self) -> bool:
        """Whether the inputs are Dask arrays."""
        return self.library == "dask"


def inspect_traits(library: str, arrays: Iterable[Array]) -> ArrayTraits:
    """Return what arrays of one library have in common."""
    if library == "torch":
        return _tensor_traits(arrays)
    if library == "jax":
        tracer = sys.modules["jax"].core.Tracer
        return ArrayTraits(library, is_concrete=not any(isinstance(x, tracer) for x in arrays))
    return ArrayTraits(library, is_concrete=library != "dask", on_host=library == "numpy")


def _tensor_traits(tensors: Iterable[Array]) -> ArrayTraits:
    torch = sys.modules["torch"]
    is_compiling = torch.compiler.is_compiling()
    on_host, is_concrete, requires_grad = True, not is_compiling, False
    for x in tensors:
        on_host = on_host and x.is_cpu
        requires_grad = requires_grad or x.requires_grad
        # Wrapped: under vmap or func.grad.
        if is_concrete and (x.is_meta or torch._C._functorch.is_functorch_wrapped_tensor(x)):
            is_concrete = False
    # Within dual_level a tensor may carry a tangent, and nothing else says so.
    if is_concrete and torch.autograd.forward_ad._current_level >= 0:
        requires_grad = True
    return ArrayTraits("torch", is_concrete, on_host, requires_grad, is_compiling)


def concrete_bool(library: str, x: Array) -> bool | None:
    """Return a scalar derived from concrete arrays as a bool, or None if it has no value.

    This is the only place that waits for a device.
    """
    if library == "jax" and isinstance(x, sys.modules["jax"].core.Tracer):
        return None  # JAX traces what is made of a constant, too
    if library:
        return bool(x)
    try:  # an unknown library, which may be lazy
        return bool(x)
    except Exception:
        return None
