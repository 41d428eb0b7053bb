"""Check the size arguments and expand them to one entry per spatial axis.

Imports no array library but NumPy, for its scalars.
"""

from __future__ import annotations

import math
import numbers
import operator
from collections.abc import Sequence
from typing import Any, Literal, NoReturn, SupportsFloat, TypeAlias, TypeGuard

import numpy as np

Sizes: TypeAlias = int | Sequence[int]
Padding: TypeAlias = int | Sequence[int | tuple[int, int]] | Literal["same", "same_lower"]
Scales: TypeAlias = float | Sequence[float]
Shape: TypeAlias = tuple[int, ...]
Coordinates: TypeAlias = Literal[
    "asymmetric", "half_pixel", "align_corners", "half_pixel_symmetric", "pytorch_half_pixel"
]
Rounding: TypeAlias = Literal["floor", "ceil", "round_prefer_floor", "round_prefer_ceil"]


def check_choice(operation: str, argument: str, value: object, known: Sequence[str]) -> None:
    """Raise a ValueError that lists the known values."""
    if not isinstance(value, str) or value not in known:  # an array compares entry by entry
        raise ValueError(f"{operation}: {argument}={value!r} is not one of {', '.join(known)}")


def check_bool(operation: str, argument: str, value: object) -> None:
    """Raise a TypeError if the value is not a bool."""
    if not isinstance(value, bool):
        raise TypeError(f"{operation}: {argument} must be a bool, got {value!r}")


def fail(operation: str, argument: str, value: object, shape: Sequence[int], rule: str) -> NoReturn:
    """Raise a ValueError that names the argument, its value and the array's shape."""
    raise ValueError(f"{operation}: {argument}={value!r} {rule} (array of shape {tuple(shape)})")


def spatial_rank(operation: str, shape: Shape, **sizes: Any) -> int:
    """Return the number of spatial axes, which the first size that is given decides.

    A tuple of length d acts on the last d axes, an int on every axis after the first two.
    """
    name = next((name for name, size in sizes.items() if size is not None), next(iter(sizes)))
    size = sizes[name]
    if isinstance(size, tuple | list):
        rank = len(size)
        if not 1 <= rank <= len(shape):
            fail(operation, name, size, shape, f"acts on {rank} axes, out of {len(shape)}")
    else:
        rank = len(shape) - 2
        if rank < 1:
            fail(
                operation,
                name,
                size,
                shape,
                "is an int, which acts on every axis after the first two, and there is none; "
                "give a tuple with one entry for each spatial axis",
            )
    empty = [axis for axis in range(len(shape) - rank, len(shape)) if not shape[axis]]
    if empty:
        raise ValueError(f"{operation}: spatial axis {empty[0]} is empty (array of shape {shape})")
    return rank


def without_lead(
    operation: str, output_size: Any, shape: Shape, rank: int, *leads: Shape
) -> Sizes | None:
    """Return the spatial part of an output_size that may be the full shape.

    Its leading entries must be one of `leads`; by default those of `shape`.
    """
    n_lead = len(shape) - rank
    if not isinstance(output_size, tuple | list) or not rank < len(output_size) == len(shape):
        return output_size  # type: ignore[no-any-return]
    lead = tuple([as_int(operation, "output_size", n, shape) for n in output_size[:n_lead]])
    leads = leads or (shape[:n_lead],)
    if not any(lead == known for known in leads):  # not `in`, which torch.compile gets wrong
        rule = f"is a full shape, whose leading entries must be {' or '.join(map(str, leads))}"
        fail(operation, "output_size", output_size, shape, rule)
    return output_size[n_lead:]


def as_int(operation: str, argument: str, value: object, shape: Shape) -> int:
    """Return value as an int; floats, bools and 0-d arrays are not sizes."""
    # For PyTorch and JAX an index has one value; a symbol keeps all of them. While torch.compile
    # traces, its type is int.
    if type(value) is int or type(value).__name__ in ("SymInt", "_DimExpr"):
        return value  # type: ignore[return-value]
    size = as_index(value)
    if size is None:
        raise TypeError(
            f"{operation}: {argument} must be an int or a tuple of ints, got {value!r} "
            f"(array of shape {shape})"
        )
    return size


def as_index(value: object) -> int | None:
    """Return an integer as an int; None for anything else, floats, bools and 0-d arrays too."""
    if not is_scalar(value):
        return None
    try:
        return operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        return None


def is_scalar(value: object) -> bool:
    """Return whether a value is a Python or NumPy scalar, but no bool and no 0-d array."""
    if isinstance(value, int | float):  # also a size that torch.compile takes for a symbol
        return not isinstance(value, bool)
    if isinstance(value, np.generic):
        return not isinstance(value, np.bool_)
    return not hasattr(value, "shape")


def _entries(operation: str, argument: str, value: Any, rank: int, shape: Shape) -> Sequence[Any]:
    """Return the entries of a tuple, which has one for each spatial axis, or copies of a number."""
    if not isinstance(value, tuple | list):
        return (value,) * rank
    if len(value) != rank:
        full = f", or {len(shape)} as a full shape" if argument == "output_size" else ""
        rule = f"must be one number or have {rank} entries, one for each spatial axis{full}"
        fail(operation, argument, value, shape, rule)
    return value


def per_axis(
    operation: str, argument: str, value: Any, rank: int, shape: Shape, *, minimum: int
) -> Shape:
    """Return one int for each spatial axis, each at least `minimum`."""
    entries = _entries(operation, argument, value, rank, shape)
    sizes = tuple([as_int(operation, argument, entry, shape) for entry in entries])
    if min(sizes) < minimum:
        fail(operation, argument, value, shape, f"must be >= {minimum} on every axis")
    return sizes


def padding_pairs(
    operation: str,
    value: Any,
    rank: int,
    shape: Shape,
    extents: Shape,
    excess: Shape = (),
    *,
    limited: bool = True,
) -> tuple[tuple[int, int], ...]:
    """Return the (before, after) padding of each spatial axis.

    If it is `limited`, each is smaller than its extent, so that every window meets an element.
    `excess` is how many cells the windows that "same" pads for span beyond those of each axis; an
    odd one goes last, or first with "same_lower".
    """
    if isinstance(value, str):
        check_choice(operation, "padding", value, ("same", "same_lower"))
        is_lower = value == "same_lower"
        totals = [max(total, 0) for total in excess]
        value = tuple([((n + is_lower) // 2, (n + (not is_lower)) // 2) for n in totals])
    result = []
    for entry in _entries(operation, "padding", value, rank, shape):
        pair = entry if isinstance(entry, tuple | list) else (entry, entry)
        if len(pair) != 2:
            fail(operation, "padding", value, shape, "has an entry that is no (before, after) pair")
        before, after = (as_int(operation, "padding", side, shape) for side in pair)
        result.append((before, after))
    for (before, after), extent in zip(result, extents, strict=True):
        if min(before, after) < 0 or (limited and max(before, after) >= extent):
            rule = "must be >= 0" + limited * (
                f" and smaller than the effective kernel dilation*(k-1)+1 = {extent}"
            )
            fail(operation, "padding", value, shape, rule)
    return tuple(result)


def is_real(value: object) -> TypeGuard[SupportsFloat]:
    """Return whether a scalar is a real number, as a Decimal is, which `numbers` has apart."""
    is_number = isinstance(value, numbers.Number) and not isinstance(value, numbers.Complex)
    return is_number or isinstance(value, numbers.Real)


def as_float(value: object) -> float | None:
    """Return a real scalar as a float, infinity where it has none; None for anything else."""
    if not is_scalar(value) or not is_real(value):
        return None
    try:
        return float(value)
    except (OverflowError, ValueError):  # a Fraction beyond the floats, a signalling NaN
        return math.inf


def factors_per_axis(
    operation: str, argument: str, value: Any, rank: int, shape: Shape
) -> tuple[float, ...]:
    """Return one float for each spatial axis, each positive and finite."""
    factors = []
    for entry in _entries(operation, argument, value, rank, shape):
        factor = as_float(entry)
        if factor is None:
            raise TypeError(
                f"{operation}: {argument} must be a number or a tuple of numbers, got {value!r} "
                f"(array of shape {shape})"
            )
        if not (factor > 0 and math.isfinite(factor)):
            fail(operation, argument, value, shape, "must be positive and finite")
        factors.append(factor)
    return tuple(factors)
