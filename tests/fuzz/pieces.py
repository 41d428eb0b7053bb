"""A call of an operation, and the pieces that calls are drawn from."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

import numpy as np

import unpool_xp as ux
from tests.fuzz.arrays import Array, made
from unpool_xp.capabilities import DTYPES, OPERATIONS, kind_of

Ints = tuple[int, ...]
Pairs = tuple[tuple[int, int], ...]

FILLS = {"f": ("ties", "normal", "special", "nan", "zeros", "ends"), "c": ("ties", "normal")}
# Sums of the largest numbers overflow in one order and not in another, and products of zeros and
# infinities are NaN wherever a library forms them.
SUMS = ("special", "nan", "ends")
UNFIT = {"avg_pool": ("ends",), "adaptive_avg_pool": ("ends",), "cubic_unpool": ("ends",)}
UNFIT |= {"conv_transpose": SUMS}
LAYOUTS = ("F", "channels_last", "strided", "reversed", "broadcast", "swapped")
INDEX_DTYPES = ("int64", "int64", "int64", "int32", "int16", "uint8", "uint64", "uint32")


@dataclass
class Call:
    """A call as it is made, and what its options come to on each axis."""

    operation: str
    arrays: tuple[Array, ...]
    options: dict[str, Any]
    plain: dict[str, Any] = field(default_factory=dict)
    mistake: bool = False  # was put into the options: there must be an error
    odd: bool = False  # was put there too: whether there is one, all libraries must agree

    @property
    def function(self) -> Callable[..., Any]:
        return getattr(ux, self.operation)  # type: ignore[no-any-return]

    @property
    def data(self) -> list[np.ndarray]:
        return [array.data for array in self.arrays]

    @property
    def dtype(self) -> str:
        return self.arrays[0].data.dtype.newbyteorder("=").name

    @property
    def text(self) -> str:
        arrays = ", ".join(array.text for array in self.arrays)
        return f"{self.operation!r}, [{arrays}], {self.options!r}"


@functools.cache
def parameters(operation: str) -> Any:
    return inspect.signature(getattr(ux, operation)).parameters


def resized(n: int, scale: float) -> int:
    """Return floor(n * scale), where a product within 4 ulp of a whole number is that number."""
    product = n * float(scale)
    if not math.isfinite(product):
        return -1
    near = round(product)
    return near if abs(product - near) <= 4 * math.ulp(product) else math.floor(product)


_LENGTHS = {1: (1, 2, 3, 4, 5, 7, 8, 16, 33, 100, 257), 2: (1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 33)}


def a_plane(rng: Random, rank: int) -> Ints:
    lengths = _LENGTHS.get(rank, (1, 2, 3, 4, 5, 6))
    return tuple(0 if rng.random() < 0.005 else rng.choice(lengths) for _ in range(rank))


def a_lead(rng: Random) -> Ints:
    number = rng.choice((2, 2, 2, 2, 2, 1, 0, 3))
    return tuple(rng.choice((1, 1, 2, 2, 3)) if rng.random() > 0.03 else 0 for _ in range(number))


def a_rank(rng: Random) -> int:
    return rng.choice((1, 1, 2, 2, 2, 3))


def some_sizes(rng: Random, rank: int, *choices: int) -> Ints:
    """Return one number for all axes or one for each."""
    if rng.random() < 0.4:
        return (rng.choice(choices),) * rank
    return tuple(rng.choice(choices) for _ in range(rank))


def a_kernel(rng: Random, plane: Ints) -> Ints:
    """Return mostly kernels that fit, now and then as long as the axis, or longer."""
    if rng.random() < 0.4 and min(plane) > 1:
        return (rng.randint(1, min(3, *plane)),) * len(plane)
    return tuple(
        rng.choice((1, 2, 2, 3, 3, 5, max(n, 1), n + 1, n + 4))
        if rng.random() < 0.15
        else rng.randint(1, min(max(n, 1), 4))
        for n in plane
    )


def as_given(rng: Random, entries: Ints, *, alone: bool = True) -> Any:
    """Return sizes as people write them; `alone` where one int may stand for all."""
    if alone and len(set(entries)) == 1 and rng.random() < 0.6:
        return entries[0] if rng.random() < 0.9 else np.int32(entries[0])
    if rng.random() < 0.1:
        return list(entries)
    return tuple(np.int64(n) for n in entries) if rng.random() < 0.05 else entries


def an_array(rng: Random, shape: Ints, operation: str) -> Array:
    kinds = OPERATIONS[operation].kinds
    able = [d for d in DTYPES if kind_of(d) in kinds]
    dtype = rng.choice(able) if rng.random() < 0.4 else rng.choice(("float32", "float64"))
    return filled(rng, shape, dtype, none=UNFIT.get(operation, ()))


def filled(rng: Random, shape: Ints, dtype: str, none: tuple[str, ...] = ()) -> Array:
    """Return an array with one of the fills but those of `none`."""
    fills = FILLS.get(kind_of(dtype), ("ties", "ends"))
    fill = rng.choice([fill for fill in fills if fill not in none])
    layout = "C"
    if rng.random() < 0.25:
        layout = rng.choice(LAYOUTS)
        few = {"channels_last": 3, "F": 0, "swapped": 0}.get(layout, 1)
        if len(shape) < few or (dtype == "bfloat16" and layout == "swapped"):
            layout = "C"
    return made(shape, dtype, rng.getrandbits(16), fill, layout)


def some_pads(rng: Random, extents: Ints, kernel: Ints) -> Pairs:
    """Return padding: none, what PyTorch takes, any that fits, or beyond the kernel."""
    chance = rng.random()
    if chance < 0.35:
        return ((0, 0),) * len(kernel)
    if chance < 0.7:
        return tuple((p, p) for p in (rng.randint(0, k // 2) for k in kernel))
    if chance < 0.95:
        return tuple((rng.randint(0, e - 1), rng.randint(0, e - 1)) for e in extents)
    return tuple((p, p) for p in (rng.randint(0, e + 2) for e in extents))


def padding_given(rng: Random, pads: Pairs) -> Any:
    if all(before == after for before, after in pads) and rng.random() < 0.8:
        return as_given(rng, tuple(before for before, _ in pads))
    return pads if rng.random() < 0.8 else [list(pair) for pair in pads]


def same_pads(plane: Ints, extents: Ints, stride: Ints, mode: str) -> Pairs:
    """Return ONNX's SAME_UPPER or SAME_LOWER of a pooling, as pairs."""
    pads = []
    for n, extent, s in zip(plane, extents, stride, strict=True):
        total = max((math.ceil(n / s) - 1) * s + extent - n, 0)
        pads.append((total // 2, total - total // 2))
    return tuple(pads) if mode == "same" else tuple(pair[::-1] for pair in pads)


def a_window(rng: Random, lead: Ints, plane: Ints) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the options of a window as given, and as one entry for each axis."""
    rank = len(plane)
    kernel = a_kernel(rng, plane)
    dilation = some_sizes(rng, rank, 1, 2, 3) if rng.random() < 0.25 else (1,) * rank
    extents = tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))
    options: dict[str, Any] = {"kernel_size": as_given(rng, kernel, alone=len(lead) == 2)}
    stride = kernel
    if rng.random() < 0.6:
        stride = some_sizes(rng, rank, 1, 1, 2, 2, 3, 5)
        options["stride"] = as_given(rng, stride)
    pads = some_pads(rng, extents, kernel)
    if any(pads):
        options["padding"] = padding_given(rng, pads)
    if SAME and rng.random() < 0.08:
        options["padding"] = rng.choice(("same", "same_lower"))
        pads = same_pads(plane, extents, stride, options["padding"])
    if set(dilation) != {1} or rng.random() < 0.1:
        options["dilation"] = as_given(rng, dilation)
    plain = {"kernel": kernel, "stride": stride, "pads": pads, "dilation": dilation}
    return options, plain


SAME = "same" in (ux.max_pool.__doc__ or "")  # until it is there
