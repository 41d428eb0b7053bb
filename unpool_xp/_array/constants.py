"""Arrays that depend on a plan alone, kept on the device."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from unpool_xp._array.compat import Array, library
from unpool_xp._array.namespace import InputInfo
from unpool_xp._array.traits import inspect_traits
from unpool_xp._plan.cache import count_array


def cached_array(
    info: InputInfo, arrays: dict[Any, Any], name: str, make: Callable[[], Array], *key: Any
) -> Array:
    """Return a constant array from the plan's cache `arrays`; make it on first use.

    The key holds what the array depends on besides the plan, the namespace and the device.
    """
    if info.traits.is_traced:  # neither is a constant of a trace kept, nor a kept one traced
        return make()
    key = (name, info.xp.__name__, info.device, *key)
    try:
        array = arrays.get(key)
    except TypeError:  # CuPy's devices have no hash
        key = tuple(map(str, key))
        array = arrays.get(key)
    if array is None:
        array = make()
        if _is_cacheable(array):
            arrays[key] = array
            count_array(arrays, array)
    return array


def _is_cacheable(x: Array) -> bool:
    """Return whether an array may be cached: not traced and not made in inference mode."""
    kind = library(x)
    if kind == "torch":
        import torch

        concrete = inspect_traits(kind, [x]).is_concrete
        return type(x) is torch.Tensor and concrete and not x.is_inference()
    return kind in ("numpy", "cupy")
