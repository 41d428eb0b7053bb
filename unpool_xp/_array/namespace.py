"""What the arrays of a call have in common: looked at once for all calls of a kind."""

from __future__ import annotations

import functools
import importlib
import sys
import types
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias, TypeVar, TypeVarTuple, Unpack

import array_api_compat
import numpy as np
from array_api_compat import array_namespace as namespace

from unpool_xp._array.compat import (
    Array,
    Namespace,
    default_index_dtype,
    find_compute_dtype,
    get_device,
    library,
)
from unpool_xp._array.traits import ArrayTraits, find_kinds, inspect_traits
from unpool_xp._plan.cache import PlanFactory, cached, cached_function, checked, uncached

_T = TypeVar("_T")
_Ts = TypeVarTuple("_Ts")


class InputInfo(NamedTuple):
    """What the inputs of a call have in common, and how to make a plan for them."""

    xp: Namespace
    device: Any  # None where an input is traced by JAX
    traits: ArrayTraits
    make_plan: PlanFactory
    operation: str = ""  # for the errors of a library without a name

    @property
    def index_dtype(self) -> Any:
        """The default index dtype of the library."""
        known = getattr(self.xp, "indexing_dtype", None)  # of one that is fast or adapted
        return known or default_index_dtype(self.xp, self.device)

    @property
    def takes_host_index(self) -> bool:
        """Whether `take` of the library wants an index as a NumPy array."""
        return bool(getattr(self.xp, "takes_host_index", False))  # of one that is adapted

    def as_index(self, places: Any) -> Array:
        """Return places that are known on the host as an index for `take`."""
        if self.takes_host_index:
            return np.asarray(places)
        return self.xp.asarray(places, dtype=self.index_dtype, device=self.device)


Prepared: TypeAlias = tuple[Any, Callable[..., _T]]  # a plan, and what is done by it


def ready(
    prepare: Callable[..., Prepared[_T]],
    arrays: Sequence[Array],
    *options: Any,
) -> Callable[..., _T]:
    """Return the function that `prepare` makes, beside its plan, of arrays and options.

    It is kept for arrays of the same kinds, so that a call like one before does no more than look
    it up. It must hold nothing that follows from the values of an array, or from what a program
    may switch between two calls and `find_kinds` does not name.
    """
    kinds = find_kinds(arrays)
    if kinds is None:
        return prepare(*arrays, *options)[1]
    return cached_function(kinds, prepare, arrays, options)


def inspect_inputs(operation: str, **arrays: Array) -> InputInfo:
    """Look at the named arguments, which must share one library and one device."""
    kinds = {library(array) for array in arrays.values()}
    kind = kinds.pop() if len(kinds) == 1 else ""
    if kind == "numpy":
        return _numpy_info()
    traits = inspect_traits(kind, arrays.values())
    make_plan: PlanFactory = cached
    if traits.is_traced:
        make_plan = uncached if kind == "torch" else checked
    if kind == "torch":
        if traits.is_torch_compiling:
            import array_api_compat.torch as xp
        else:
            xp = _fast_namespace_torch()
            if traits.is_traced and sys.modules["torch"].jit.is_tracing():
                make_plan = _plan_of_traced_sizes
        strided = sys.modules["torch"].strided
        for name, array in arrays.items():
            if array.is_nested:  # which may have no shape to name
                raise TypeError(f"{operation}: {name} must be a dense tensor, got a nested one")
            if type(array).__name__ == "MaskedTensor":
                raise TypeError(
                    f"{operation}: {name} must be a plain tensor, got a MaskedTensor of shape "
                    f"{tuple(array.shape)}"
                )
            if array.layout != strided:
                raise TypeError(
                    f"{operation}: {name} must be a dense tensor, got one with the layout "
                    f"{array.layout} and shape {tuple(array.shape)}"
                )
        first, *others = [array.device for array in arrays.values()]
        if all(device == first for device in others):
            return InputInfo(xp, first, traits, make_plan)
    else:
        for name, array in arrays.items():
            if not array_api_compat.is_array_api_obj(array):
                raise TypeError(
                    f"{operation}: {name} must be an array of an array API library, "
                    f"got {type(array).__name__}: {_short_repr(array)}"
                )
            held = getattr(array, "_meta", array)  # Dask's chunks are like this one
            if library(held) == "numpy.ma":
                raise TypeError(
                    f"{operation}: {name} must be a plain array, got {_type_name(held)} of shape "
                    f"{tuple(array.shape)}"
                )
        try:
            xp = namespace(*arrays.values())
        except TypeError as error:
            got = ", ".join(f"{n}: {_type_name(a)}" for n, a in arrays.items())
            raise TypeError(f"{operation}: all arrays must be of one library, got {got}") from error
        for name, array in arrays.items():
            if any(n is None or n != n for n in array.shape):
                raise ValueError(
                    f"{operation}: {name} has axes of unknown size (shape {array.shape}); find "
                    "them first, on Dask with compute_chunk_sizes()"
                )
    devices = {name: get_device(array) for name, array in arrays.items()}
    # A JAX tracer has no device; it follows the other arrays. Some libraries have none at all.
    known = [device for device in devices.values() if device is not None]
    if any(device != known[0] for device in known[1:]):
        got_devices = ", ".join(f"{name}: {device}" for name, device in devices.items())
        raise ValueError(f"{operation}: all arrays must be on one device, got {got_devices}")
    device = known[0] if len(known) == len(devices) else None
    if kind:
        return InputInfo(xp, device, traits, make_plan)
    from unpool_xp._array.adapted.adapt import adapt  # with the first such library

    return InputInfo(adapt(operation, xp, device, arrays), device, traits, make_plan, operation)


def _plan_of_traced_sizes(make_plan: Callable[[Unpack[_Ts]], _T], /, *args: *_Ts) -> _T:
    """Make a plan, uncached, while torch.jit.trace takes each size of a tensor for a tensor."""

    def as_numbers(value: Any) -> Any:
        if isinstance(value, tuple | list):
            return tuple([as_numbers(entry) for entry in value])
        return plain_size(value)

    return make_plan(*map(as_numbers, args))


def plain_size(size: Any) -> Any:
    """Return a size as a number where torch.jit.trace takes it for a tensor."""
    if isinstance(size, int) or not hasattr(size, "item"):
        return size
    torch = sys.modules["torch"]
    state = torch._C._get_tracing_state()
    torch._C._set_tracing_state(None)  # else it warns that a value is looked at
    try:
        return size.item()
    finally:
        torch._C._set_tracing_state(state)


@functools.cache
def _numpy_info() -> InputInfo:
    return InputInfo(_fast_namespace_numpy(), "cpu", inspect_traits("numpy", ()), cached)


# Call these PyTorch functions directly: the wrapper promotes dtypes, which already agree here, and
# costs as much as a small operation.
_TORCH_FUNCTIONS = ("matmul", "maximum", "min", "minimum", "reshape", "where", "zeros")

# Call these NumPy methods directly: the dispatch of the functions costs as much as a small call. An
# array of no axes becomes a scalar, which has other methods.
_NUMPY_METHODS = ("all", "astype", "max", "min", "repeat", "reshape", "sum", "take")

# Pure functions of dtypes, cached.
_CACHED_FUNCTIONS = ("finfo", "iinfo", "isdtype")


@functools.cache
def _fast_namespace_numpy() -> Namespace:
    # From 2.1 on NumPy has all of the standard, and array_api_compat's copy of it costs more: 70 ms
    # to import, and a function in between for each call.
    xp = np if hasattr(np, "unstack") else importlib.import_module("array_api_compat.numpy")
    return _fast_namespace(xp, **{name: getattr(np.ndarray, name) for name in _NUMPY_METHODS})


@functools.cache
def _fast_namespace_torch() -> Namespace:
    import array_api_compat.torch
    import torch

    def largest(x: Array, axis: int | None = None) -> Array:
        return torch.max(x) if axis is None else torch.amax(x, axis)

    native = {name: getattr(torch, name) for name in _TORCH_FUNCTIONS}
    return _fast_namespace(
        array_api_compat.torch,
        matrix_transpose=lambda x: x.transpose(-2, -1),
        max=largest,
        **native,
    )


def _fast_namespace(xp: Namespace, **overrides: Any) -> Namespace:
    """Return a copy of the namespace with less overhead per call."""
    fast = types.ModuleType(xp.__name__)
    vars(fast).update(vars(xp))
    vars(fast).update({name: functools.cache(getattr(xp, name)) for name in _CACHED_FUNCTIONS})
    vars(fast).update(
        overrides,
        has_kind=functools.cache(functools.partial(_has_kind, xp)),
        compute_dtype=functools.cache(functools.partial(find_compute_dtype, xp)),
    )
    vars(fast).update(indexing_dtype=default_index_dtype(xp))
    return fast


def require_dtype(
    operation: str, xp: Namespace, kinds: tuple[str, ...], expected: str, **arrays: Array
) -> None:
    """Raise a TypeError that names the first argument whose dtype is not of these kinds.

    Among the kinds, "computed" stands for none, but asks for more than copies of elements.
    """
    has_kind = getattr(xp, "has_kind", None) or functools.partial(_has_kind, xp)
    for name, array in arrays.items():
        if not has_kind(array.dtype, kinds):
            stored = str(array.dtype).startswith(_STORED_ONLY + _COPIED_ONLY)
            rule = f"{expected} dtype" + stored * " that its library computes with"
            raise TypeError(f"{operation}: {name} must have {rule}, got {array.dtype}")


def _has_kind(xp: Namespace, dtype: Any, kinds: tuple[str, ...]) -> bool:
    """Return whether a dtype is of these kinds, and more than a way to store numbers."""
    try:
        known = bool(xp.isdtype(dtype, tuple([kind for kind in kinds if kind != "computed"])))
    except TypeError:  # those of ml_dtypes in NumPy, which knows nothing of them
        return False
    unknown = _STORED_ONLY + _COPIED_ONLY if "computed" in kinds else _STORED_ONLY
    return known and not str(dtype).startswith(unknown)


# PyTorch compares, scatters and multiplies none of these.
_COPIED_ONLY = ("torch.uint16", "torch.uint32", "torch.uint64")
# PyTorch has no arithmetic for these; that of JAX has no zero.
_STORED_ONLY = ("torch.float8", "torch.float4", "torch.complex32", "float8_e8m0fnu")


def require_indices(operation: str, info: InputInfo, values: Array, indices: Array) -> None:
    """Raise for indices that are not integers of the shape of the values."""
    shape, indices_shape = values.shape, indices.shape
    if info.traits.is_traced:  # in plain numbers
        shape, indices_shape = info.make_plan(tuple, (tuple(shape), tuple(indices_shape)))
    if shape != indices_shape:
        raise ValueError(
            f"{operation}: values of shape {tuple(shape)} and indices of shape "
            f"{tuple(indices_shape)} must have the same shape"
        )
    require_dtype(operation, info.xp, ("integral",), "an integer", indices=indices)


def _type_name(array: Array) -> str:
    return f"{type(array).__module__.partition('.')[0]}.{type(array).__name__}"


def _short_repr(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
