"""Views and forms of arrays, by slices, and arrays that depend on a plan alone."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from unpool_xp._array.compat import Array, Namespace, library
from unpool_xp._array.namespace import InputInfo
from unpool_xp._array.traits import inspect_traits
from unpool_xp._plan.arguments import Shape
from unpool_xp._plan.cache import keep

if TYPE_CHECKING:
    from unpool_xp._plan.fractional import FractionalPoolSizes


def axis_slice(axis: int, chosen: slice) -> tuple[Any, ...]:
    """Return the index tuple that slices one (negative) axis and keeps the others whole."""
    return (..., chosen) + (slice(None),) * (-1 - axis)


def expand_to_axis(xp: Namespace, vector: Array, axis: int) -> Array:
    """Return a vector as an array that broadcasts along a negative axis."""
    return xp.reshape(vector, (-1,) + (1,) * (-1 - axis))


def pad(
    info: InputInfo, x: Array, before: Sequence[int], after: Sequence[int], value: float
) -> Array:
    """Return x with cells of one value before and after each of its last axes."""
    if not any(before) and not any(after):
        return x
    rank, traits = len(before), info.traits
    if traits.library == "torch" and not traits.is_torch_compiling:  # one call for all axes
        widths = [n for i in reversed(range(rank)) for n in (before[i], after[i])]
        return sys.modules["torch"].constant_pad_nd(x, widths, value)
    if traits.library == "numpy":
        sizes = zip(x.shape[-rank:], before, after, strict=True)
        shape = (*x.shape[:-rank], *(n + b + a for n, b, a in sizes))
        wide = info.xp.full(shape, value, dtype=x.dtype)
        wide[(..., *(slice(b, b + n) for n, b in zip(x.shape[-rank:], before, strict=True)))] = x
        return wide
    for i in range(rank):
        x = pad_axis(info, x, i - rank, before[i], after[i], value)
    return x


def pad_axis(
    info: InputInfo, x: Array, axis: int, before: int, after: int, value: float = 0
) -> Array:
    """Return x with cells of one value before and after along a negative axis."""
    if not before and not after:
        return x
    xp, traits = info.xp, info.traits
    # One call costs less than three; its compiler would compute what is padded again and again.
    if traits.library == "torch" and not traits.is_torch_compiling:
        widths = [0, 0] * (-1 - axis) + [before, after]
        return sys.modules["torch"].constant_pad_nd(x, widths, value)
    if traits.library == "jax":  # whose compiler looks through its own padding alone
        pairs = [(0, 0)] * x.ndim
        pairs[axis] = (before, after)
        return sys.modules["jax.numpy"].pad(x, pairs, constant_values=value)

    def cells(count: int) -> list[Array]:
        if not count:  # nothing, which not every library can put beside something
            return []
        shape = list(x.shape)
        shape[axis] = count
        if not value:
            return [zeros(info, tuple(shape), x)]
        return [xp.full(tuple(shape), value, dtype=x.dtype, device=info.device)]

    parts = [*cells(before), x, *cells(after)]
    padded = xp.concat(parts, axis=axis) if len(parts) > 1 else x
    # NumPy puts arrays together in the byte order of the machine.
    return padded if padded.dtype == x.dtype else xp.astype(padded, x.dtype)


def zeros(info: InputInfo, shape: Shape, like: Array) -> Array:
    """Return zeros of the dtype of another array."""
    return info.xp.zeros(shape, dtype=like.dtype, device=info.device)


def axis_first(xp: Namespace, x: Array, axis: int) -> Array:
    """Return x with a (non-negative) axis before all others."""
    others = [other for other in range(x.ndim) if other != axis]
    return xp.permute_dims(x, (axis, *others))  # vmap of torch.func has no moveaxis


def reshape_tail(xp: Namespace, x: Array, n_lead: int, tail: Shape) -> Array:
    """Return x with the axes after the first `n_lead` in another shape."""
    return xp.reshape(x, x.shape[:n_lead] + tail)


def as_line(info: InputInfo, x: Array) -> Array | None:
    """Return all elements of an array of NumPy or PyTorch as a view; None where they lie apart."""
    together = x.is_contiguous() if info.traits.library == "torch" else x.flags.c_contiguous
    return info.xp.reshape(x, (-1,)) if together else None


def ravel(point: Sequence[Array], sizes: Shape) -> Array:
    """Return the row-major positions of places along each axis."""
    flat = point[0]
    for position, n in zip(point[1:], sizes[1:], strict=True):
        flat = flat * n + position
    return flat


def interleave(info: InputInfo, parts: list[Array], axis: int) -> Array:
    """Interleave equally shaped parts along an axis: the first cell of each, then the second."""
    xp, factor, first = info.xp, len(parts), parts[0]
    if factor == 1:
        return first
    shape = list(first.shape)
    shape[axis] *= factor
    if info.traits.supports_setitem:
        output = xp.empty(tuple(shape), dtype=first.dtype, device=info.device)
        for number, part in enumerate(parts):
            output[axis_slice(axis, slice(number, None, factor))] = part
        return output
    stacked = xp.stack(parts, axis=axis)  # (..., length, factor, ...)
    n_lead = stacked.ndim - 1 + axis
    return reshape_tail(xp, stacked, n_lead, tuple(shape[n_lead:]))


# --- arrays that depend on a plan alone, kept on the device ---------------------------------------


def cached_array(
    info: InputInfo, arrays: dict[Any, Any], name: str, make: Callable[[], Array], *key: Any
) -> Array:
    """Return a constant array from the plan's cache `arrays`; make it on first use.

    The key holds what the array depends on besides the plan, the namespace and the device.
    """
    return prepare_cached_array(info, arrays, name, make, *key)()


def prepare_cached_array(
    info: InputInfo, arrays: dict[Any, Any], name: str, make: Callable[[], Array], *key: Any
) -> Callable[[], Array]:
    """Return what does the same in each call, as a function made ready must.

    To hold the array would keep one of an inference mode, or of a trace of JAX's.
    """
    if info.traits.is_traced:  # neither is a constant of a trace kept, nor a kept one traced
        return make
    key = (name, info.xp.__name__, info.device, *key)
    try:
        hash(key)
    except TypeError:  # CuPy's devices have no hash
        key = tuple(map(str, key))

    def find() -> Array:
        array = arrays.get(key)
        if array is None:
            array = make()
            if _is_cacheable(array):
                keep(arrays, key, array)
        return array

    return find


def _is_cacheable(x: Array) -> bool:
    """Return whether an array may be cached: not traced and not made in inference mode."""
    kind = library(x)
    if not inspect_traits(kind, [x]).is_concrete:
        return False
    if kind == "torch":
        return type(x) is sys.modules["torch"].Tensor and not x.is_inference()
    return kind in ("numpy", "cupy", "jax")


def region_starts(
    info: InputInfo, operation: str, sizes: FractionalPoolSizes, samples: Any, seed: int | None
) -> list[Any]:
    """Return for each spatial axis where its regions start: shape (out,) or (*lead, out).

    They are drawn on the host, into NumPy arrays. While PyTorch traces a leading axis whose size is
    a symbol, they are tensors that an operator of its own draws when the trace runs.
    """
    from unpool_xp._plan.fractional import draw_region_starts

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

    from unpool_xp._plan.fractional import draw_region_starts

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
