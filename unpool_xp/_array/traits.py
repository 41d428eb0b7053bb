"""What decides how arrays may be processed, looked at once per call."""

from __future__ import annotations

import sys
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from unpool_xp._array.compat import Array, library
from unpool_xp.fusion import get_fusion


class ArrayTraits(NamedTuple):
    """What the inputs of a call, and all arrays derived from them, have in common."""

    library: str  # "numpy", "torch", "jax", "cupy" or "dask"; "" for any other
    is_concrete: bool = True  # no input is traced or lazy
    on_host: bool = False  # known to lie in the memory of the CPU
    # An input of PyTorch takes part in a gradient, or is of a subclass: both are lost where results
    # are written into new arrays.
    requires_grad: bool = False
    is_torch_compiling: bool = False
    is_traced: bool = False  # what is done is recorded, to be done later with other values
    # Whether each size of the first input is a symbol, which must decide nothing; () where none is.
    symbolic_axes: tuple[bool, ...] = ()
    is_chunked: bool = False  # the inputs are Dask arrays

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


def find_kinds(arrays: Sequence[Array]) -> Hashable:
    """Return what decides about a call besides its options; None where nothing may be kept.

    An array that is not given is None.
    """
    cls = type(arrays[0])
    if cls is np.ndarray:
        kinds: list[Any] = ["numpy"]
        for x in arrays:
            if type(x) is cls:
                kinds += (x.dtype, x.shape)
            elif x is not None:
                return None
        return tuple(kinds)
    kind = library(arrays[0])
    if kind == "torch":
        return _tensor_kinds(arrays)
    given = [x for x in arrays if x is not None]
    if any(type(x) is not cls for x in given):
        return None
    if kind == "jax" and not has_tracer(given):
        x64 = sys.modules["jax"].config.x64_enabled  # which decides on the dtype of indices
        return ("jax", x64, *[(x.dtype, x.shape, x.device) for x in given])
    if kind == "cupy":
        return ("cupy", get_fusion(), *[(x.dtype, x.shape, x.device.id) for x in given])
    return None


def _tensor_kinds(tensors: Sequence[Array]) -> Hashable:
    if may_be_recorded():
        return None
    torch = sys.modules["torch"]
    kinds: list[Any] = ["torch"]
    for x in tensors:
        if type(x) is torch.Tensor or type(x) is torch.nn.Parameter:
            if x.is_nested:  # which may have no shape
                return None
            kinds += (x.dtype, x.shape, x.device, x.layout, x.requires_grad)
        elif x is not None:  # a subclass, which may have a way of its own
            return None
    first = tensors[0]
    return (*kinds, is_autocast(first), None if first.is_cpu else get_fusion())


def inspect_traits(library: str, arrays: Iterable[Array]) -> ArrayTraits:
    """Return what arrays of one library have in common."""
    if library == "torch":
        return _tensor_traits(arrays)
    if library == "jax":
        is_traced = has_tracer(arrays)
        symbols = _symbolic_axes(arrays, lambda n: isinstance(n, int)) if is_traced else ()
        return ArrayTraits(library, not is_traced, is_traced=is_traced, symbolic_axes=symbols)
    is_dask = library == "dask"
    # Cubed's arrays, like Dask's, would compute their graph each time that a value is asked for.
    lazy = is_dask or (not library and any(hasattr(x, "compute") for x in arrays))
    return ArrayTraits(library, not lazy, on_host=library == "numpy", is_chunked=is_dask)


def may_be_recorded() -> bool:
    """Return whether PyTorch may trace or transform what is done, as far as is known."""
    torch = sys.modules["torch"]
    return (
        torch.compiler.is_compiling()
        or torch._C._get_tracing_state() is not None
        or torch.utils._python_dispatch.is_in_torch_dispatch_mode()
        or torch._C._functorch.peek_interpreter_stack() is not None
        or torch.autograd.forward_ad._current_level >= 0
    )


def is_autocast(x: Array) -> bool:
    """Return whether PyTorch's autocast is on for the device of a tensor."""
    torch = sys.modules["torch"]
    if not torch._C._is_any_autocast_enabled():
        return False
    device = x.device.type
    return bool(torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device))


def has_tracer(arrays: Iterable[Array]) -> bool:
    """Return whether JAX traces one of these arrays."""
    tracer = sys.modules["jax"].core.Tracer
    return any(isinstance(x, tracer) for x in arrays)


def _tensor_traits(tensors: Iterable[Array]) -> ArrayTraits:
    torch = sys.modules["torch"]
    is_compiling = torch.compiler.is_compiling()
    is_traced = (
        is_compiling
        or torch._C._get_tracing_state() is not None
        or (torch.utils._python_dispatch.is_in_torch_dispatch_mode() and _mode_records(torch))
    )
    in_transform = not is_traced and torch._C._functorch.peek_interpreter_stack() is not None
    on_host, is_concrete, requires_grad = True, not is_traced, False
    for x in tensors:
        on_host = on_host and x.is_cpu
        requires_grad = requires_grad or x.requires_grad
        if not is_concrete:
            continue
        if type(x) is not torch.Tensor:
            if _has_no_values(x):
                is_traced, is_concrete = True, False
                continue
            requires_grad = requires_grad or type(x) is not torch.nn.Parameter
        # Wrapped: under vmap or func.grad.
        if x.is_meta or (in_transform and torch._C._functorch.is_functorch_wrapped_tensor(x)):
            is_concrete = False
    # Within dual_level a tensor may carry a tangent, and nothing else says so.
    if is_concrete and torch.autograd.forward_ad._current_level >= 0:
        requires_grad = True
    symbols: tuple[bool, ...] = ()
    if is_traced and not torch.jit.is_tracing():
        # While torch.compile traces, even the type of a symbol is int. Only this function tells,
        # which PyTorch has not always had.
        symbolic_shapes = sys.modules.get("torch.fx.experimental.symbolic_shapes")
        has_static_value = getattr(symbolic_shapes, "has_static_value", None)
        if has_static_value is not None:
            symbols = _symbolic_axes(tensors, has_static_value)
    return ArrayTraits(
        "torch", is_concrete, on_host, requires_grad, is_compiling, is_traced, symbols
    )


def _symbolic_axes(arrays: Iterable[Array], is_static: Callable[[Any], bool]) -> tuple[bool, ...]:
    symbols = tuple([not is_static(n) for n in next(iter(arrays)).shape])
    return symbols if any(symbols) else ()


def _mode_records(torch: Any) -> bool:
    """Return whether a mode such as FakeTensorMode or that of make_fx sees each call.

    A mode that counts or logs leaves the values as they are.
    """
    keys = torch._C._TorchDispatchModeKey
    find, find_before_dispatch = (
        torch._C._get_dispatch_mode,
        torch._ops._get_dispatch_mode_pre_dispatch,
    )
    return (
        any(find(key) is not None for key in (keys.FAKE, keys.PROXY, keys.FUNCTIONAL))
        or find_before_dispatch(keys.PROXY) is not None
        or find_before_dispatch(keys.FUNCTIONAL) is not None
    )


def _has_no_values(x: Array) -> bool:
    """Return whether a tensor of a subclass, such as a FakeTensor, has no values."""
    from torch._subclasses.fake_tensor import FakeTensor
    from torch._subclasses.functional_tensor import FunctionalTensor

    return isinstance(x, FakeTensor | FunctionalTensor)


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
