"""Check the size arguments and expand them to one entry per spatial axis.

Imports no array library.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any, Literal, NoReturn, TypeAlias

Sizes: TypeAlias = int | Sequence[int]
Padding: TypeAlias = int | Sequence[int | tuple[int, int]]
Scales: TypeAlias = float | Sequence[float]
Shape: TypeAlias = tuple[int, ...]
Coordinates: TypeAlias = Literal[
    "asymmetric", "half_pixel", "align_corners", "half_pixel_symmetric", "pytorch_half_pixel"
]
Rounding: TypeAlias = Literal["floor", "ceil", "round_prefer_floor", "round_prefer_ceil"]


def check_choice(operation: str, argument: str, value: object, known: Sequence[str]) -> None:
    """Raise a ValueError that lists the known values."""
    if value not in known:
        raise ValueError(f"{operation}: {argument}={value!r} is not one of {', '.join(known)}")


def fail(operation: str, argument: str, value: object, shape: Sequence[int], rule: str) -> NoReturn:
    """Raise a ValueError that names the argument, its value and the array's shape."""
    raise ValueError(f"{operation}: {argument}={value!r} {rule} (array of shape {tuple(shape)})")


def spatial_rank(operation: str, shape: Shape, **sizes: Any) -> int:
    """Return the number of spatial axes.

    A tuple of length d applies to the last d axes. If all sizes are ints, they apply to every
    axis after the first two.
    """
    lengths = {name: len(size) for name, size in sizes.items() if isinstance(size, tuple | list)}
    if len(set(lengths.values())) > 1:
        given = ", ".join(f"{name}={sizes[name]!r}" for name in lengths)
        raise ValueError(
            f"{operation}: {given} are tuples of different lengths; a tuple has one entry for each "
            f"spatial axis and is never broadcast (array of shape {shape})"
        )
    if lengths:
        name, rank = next(iter(lengths.items()))
        if not 1 <= rank <= len(shape):
            fail(operation, name, sizes[name], shape, f"acts on {rank} axes, out of {len(shape)}")
    else:
        rank = len(shape) - 2
        if rank < 1:
            name = next(name for name, size in sizes.items() if size is not None)
            fail(
                operation,
                name,
                sizes[name],
                shape,
                "is an int, which acts on every axis after the first two, and there is none; "
                "give a tuple with one entry for each spatial axis",
            )
    empty = [axis for axis in range(len(shape) - rank, len(shape)) if not shape[axis]]
    if empty:
        raise ValueError(f"{operation}: spatial axis {empty[0]} is empty (array of shape {shape})")
    return rank


def as_int(operation: str, argument: str, value: object, shape: Shape) -> int:
    """Return value as an int; floats and bools are not sizes."""
    if not isinstance(value, bool):
        try:
            return operator.index(value)  # type: ignore[arg-type]
        except TypeError:
            pass
    raise TypeError(
        f"{operation}: {argument} must be an int or a tuple of ints, got {value!r} "
        f"(array of shape {shape})"
    )


def per_axis(
    operation: str, argument: str, value: Any, rank: int, shape: Shape, *, minimum: int
) -> Shape:
    """Return one int for each spatial axis, each at least `minimum`."""
    entries = value if isinstance(value, tuple | list) else (value,) * rank
    sizes = tuple(as_int(operation, argument, entry, shape) for entry in entries)
    if min(sizes) < minimum:
        fail(operation, argument, value, shape, f"must be >= {minimum} on every axis")
    return sizes


def padding_pairs(
    operation: str, value: Any, rank: int, shape: Shape, extents: Shape
) -> tuple[tuple[int, int], ...]:
    """Return the (before, after) padding of each spatial axis, each smaller than its extent."""
    result = []
    for entry in value if isinstance(value, tuple | list) else (value,) * rank:
        pair = entry if isinstance(entry, tuple | list) else (entry, entry)
        if len(pair) != 2:
            fail(operation, "padding", value, shape, "has an entry that is no (before, after) pair")
        before, after = (as_int(operation, "padding", side, shape) for side in pair)
        result.append((before, after))
    for (before, after), extent in zip(result, extents, strict=True):
        if min(before, after) < 0 or max(before, after) >= extent:
            rule = f"must be >= 0 and smaller than the effective kernel dilation*(k-1)+1 = {extent}"
            fail(operation, "padding", value, shape, rule)
    return tuple(result)


def factors_per_axis(
    operation: str, argument: str, value: Any, rank: int, shape: Shape
) -> tuple[float, ...]:
    factors = []
    for entry in value if isinstance(value, tuple | list) else (value,) * rank:
        if isinstance(entry, bool | str | bytes) or not hasattr(entry, "__float__"):
            raise TypeError(
                f"{operation}: {argument} must be a number or a tuple of numbers, got {value!r} "
                f"(array of shape {shape})"
            )
        factor = float(entry)
        if not (factor > 0 and math.isfinite(factor)):
            fail(operation, argument, value, shape, "must be positive and finite")
        factors.append(factor)
    return tuple(factors)
