"""Elementwise functions of views, each of which becomes one kernel on a GPU.

Such a function takes `info`, then views that broadcast, then settings by name: hashable values that
its form depends on, of which there are few. It returns an array or a tuple of them. As `cupy.fuse`
wants it, it decides on no value, and takes neither shapes, parts nor numbers: a constant is a view
of one element, since CuPy 13.3 and 13.4 do not find the dtype of a number beside an array.
"""

from __future__ import annotations

import functools
import sys
import types
from collections.abc import Callable, Sequence
from typing import Any

from unpool_xp._array.compat import Array
from unpool_xp._array.namespace import InputInfo
from unpool_xp.fusion import get_fusion

# CUDA hands a kernel so many bytes of parameters. For each array CuPy needs two numbers and two for
# each axis, and as many for the place that a thread is at.
_PARAMETER_BYTES = 4096


def is_fused(info: InputInfo, x: Array) -> bool:
    """Return whether elementwise functions of views of x become one kernel each."""
    traits = info.traits
    if traits.on_host:
        return False
    if traits.library == "cupy":
        # Of dtypes that NumPy does not know, such as bfloat16, cupy.fuse does not either.
        return x.dtype.kind in "biuf" and get_fusion() != "off"
    if traits.library != "torch" or traits.needs_grad:
        return False
    return bool(x.is_cuda) and get_fusion() == "auto"


def max_views(ndim: int) -> int:
    """Return how many arrays with so many axes a kernel takes, its outputs among them."""
    return _PARAMETER_BYTES // (16 + 16 * ndim) - 1


def elementwise(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return an elementwise function of views as one kernel of CuPy or PyTorch.

    It serves where `is_fused` is true of the first view. With `outputs`, which are views of an
    array to be made, it writes its results there.
    """

    @functools.wraps(function)
    def call(info: InputInfo, *views: Array, outputs: Sequence[Array] = (), **settings: Any) -> Any:
        first, kind = views[0], info.traits.library
        key = (function, kind, str(first.dtype), first.ndim, len(outputs), *settings.items())
        kernel = _kernels.get(key)
        if kernel is None:
            bound = _bind(function, info, settings)
            if kind == "cupy":
                kernel = _fuse_cupy(function.__name__, bound, len(outputs))
            else:
                kernel = _compile_torch(bound)
            _kernels[key] = kernel
        if kind == "cupy":  # a fused function may write to its arguments
            return kernel(*outputs, *views)
        results = kernel(*views)
        return _write(outputs, results) if outputs else results

    return call


_kernels: dict[Any, Callable[..., Any]] = {}


def _write(outputs: Sequence[Array], results: Sequence[Array]) -> None:
    for output, result in zip(outputs, results, strict=True):
        output[...] = result


def _bind(
    function: Callable[..., Any], info: InputInfo, settings: dict[str, Any]
) -> Callable[..., Any]:
    def bound(*views: Array) -> Any:
        return function(info, *views, **settings)

    return bound


def _fuse_cupy(name: str, bound: Callable[..., Any], n_outputs: int) -> Callable[..., Any]:
    """Return the function as one kernel of CuPy, which it makes at the first call."""

    def write(*arrays: Array) -> None:
        _write(arrays[:n_outputs], bound(*arrays[n_outputs:]))

    fuse = sys.modules["cupy"].fuse(kernel_name=f"unpool_xp_{name.lstrip('_')}")
    fused: Callable[..., Any] = fuse(write if n_outputs else bound)
    return fused


def _compile_torch(bound: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function compiled by PyTorch for all sizes.

    PyTorch limits how often it compiles a code object, so each kernel has one of its own.
    """
    own = types.FunctionType(bound.__code__.replace(), bound.__globals__, closure=bound.__closure__)
    compiled: Callable[..., Any] = sys.modules["torch"].compile(own, fullgraph=True, dynamic=True)
    return compiled
