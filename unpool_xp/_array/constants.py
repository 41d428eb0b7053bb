"""Arrays that depend on a plan alone, kept on the device."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from unpool_xp._array.compat import Array, library
from unpool_xp._array.namespace import InputInfo
from unpool_xp._array.traits import inspect_traits
from unpool_xp._plan.arguments import Shape
from unpool_xp._plan.cache import count_array
from unpool_xp._plan.fractional import FractionalPoolSizes, draw_region_starts


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


def region_starts(
    info: InputInfo, operation: str, sizes: FractionalPoolSizes, samples: Any, seed: int | None
) -> list[Any]:
    """Return for each spatial axis where its regions start: shape (out,) or (*lead, out).

    They are drawn on the host, into NumPy arrays. While PyTorch traces a leading axis whose size is
    a symbol, they are tensors that an operator of its own draws when the trace runs.
    """
    if not any(info.traits.symbolic_axes[: len(sizes.lead)]):
        return draw_region_starts(operation, tuple(sizes), samples, seed)
    if samples is not None and all(isinstance(u, int | float | np.generic) for u in samples):
        return draw_region_starts(operation, ((), *sizes[1:]), samples, seed)
    if samples is not None or info.traits.library != "torch":
        raise ValueError(
            f"{operation}: samples must be given, one for each spatial axis, where a leading axis "
            f"is a symbol (array of shape {(*sizes.lead, *sizes.plane)}); got samples={samples!r}"
        )
    _define_draws()
    draw = sys.modules["torch"].ops.unpool_xp.draw_region_starts
    starts: list[Any] = draw(*sizes, seed)
    return starts


def _define_draws() -> None:
    """Define the operator of PyTorch that draws regions, if that is not done."""
    import torch

    if hasattr(torch.ops.unpool_xp, "draw_region_starts"):
        return

    def draw(
        lead: Sequence[int],
        plane: Sequence[int],
        kernel_size: Sequence[int],
        output: Sequence[int],
        seed: int | None,
    ) -> list[torch.Tensor]:
        sizes: list[Shape] = [tuple(part) for part in (lead, plane, kernel_size, output)]
        starts = draw_region_starts("fractional_max_pool", sizes, None, seed)
        return [torch.from_numpy(axis_starts).long() for axis_starts in starts]

    names = ("lead", "plane", "kernel_size", "output")
    schema = f"({', '.join([f'SymInt[] {name}' for name in names])}, int? seed) -> Tensor[]"
    operator = torch.library.custom_op(
        "unpool_xp::draw_region_starts", draw, mutates_args=(), schema=schema
    )

    @operator.register_fake
    def _shapes(
        lead: Sequence[int], plane: Any, kernel_size: Any, output: Sequence[int], seed: Any
    ) -> list[torch.Tensor]:
        return [torch.empty((*lead, n), dtype=torch.int64) for n in output]


# While torch.compile traces, this is done, not traced.
_define_draws._dynamo_marked_constant = True  # type: ignore[attr-defined]
