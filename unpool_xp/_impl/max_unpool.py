"""Values scattered to their positions in each plane."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from unpool_xp._array.compat import Array, cast, compute_dtype
from unpool_xp._array.namespace import InputInfo
from unpool_xp._array.numeric import count_and_first, without_float_errors
from unpool_xp._array.scatter import (
    Outside,
    any_outside,
    prepare_row_scatter,
    scatter_checks_bounds,
    sentinel_slots,
)
from unpool_xp._array.traits import concrete_bool, inspect_traits
from unpool_xp._array.views import pad_axis, reshape_tail
from unpool_xp._impl.interpolation import prepare_interpolation
from unpool_xp._plan.arguments import Shape
from unpool_xp._plan.resize import InterpolationPlan
from unpool_xp._plan.transposed import MaxUnpoolPlan


def prepare_scatter(
    info: InputInfo, plan: MaxUnpoolPlan, values: Array, indices: Array, *, add: bool, check: bool
) -> Callable[[Array, Array], Array]:
    """Return what puts each value at its index into planes of zeros; `check` if all lie inside."""
    xp, plane, dtype = info.xp, plan.plane, values.dtype
    lead = tuple(values.shape[: values.ndim - len(plane)])
    if min(plane) == 0:  # PyTorch takes any index there
        return lambda values, _: xp.reshape(values[..., :0], (*lead, *plane))
    wide, cells = compute_dtype(xp, dtype) if add else dtype, math.prod(plane)

    def make_target(_: Array, n_sentinel: int) -> Array:
        return xp.zeros((*lead, cells + n_sentinel), dtype=wide, device=info.device)

    where = ("max_unpool", plane, make_target)
    put = _prepare_put(info, *where, values, indices, add=add, check=check)
    if not add:
        return put

    def put_sums(values: Array, indices: Array) -> Array:
        return cast(xp, put(cast(xp, values, wide), indices), dtype)

    return without_float_errors(info, put_sums)


def prepare_interpolated_scatter(
    info: InputInfo, plan: InterpolationPlan, values: Array, indices: Array | None
) -> Callable[..., Array]:
    """Return what interpolates values linearly, with each value at its index if these are given."""
    interpolate = prepare_interpolation(info, plan, values)
    if indices is None:
        return lambda values, _: interpolate(values)
    n_lead, cells = values.ndim - plan.rank, math.prod(plan.plane)

    def make_target(values: Array, n_sentinel: int) -> Array:
        target = reshape_tail(info.xp, interpolate(values), n_lead, (cells,))
        return pad_axis(info, target, -1, 0, n_sentinel)

    where = ("fractional_max_unpool", plan.plane, make_target)
    return _prepare_put(info, *where, values, indices, add=False, check=True)


def _prepare_put(
    info: InputInfo,
    operation: str,
    plane: Shape,
    make_target: Callable[[Array, int], Array],
    values: Array,
    indices: Array,
    *,
    add: bool,
    check: bool,
) -> Callable[[Array, Array], Array]:
    """Return what puts the values of each plane at its indices in the flat target.

    That is made of the values, with as many sentinel cells at the end as it is asked for.
    """
    xp, n_lead = info.xp, values.ndim - len(plane)
    sizes = tuple(values.shape)
    target_shape = (*sizes[:n_lead], math.prod(plane))
    dtype = _position_dtype(info, operation, indices, plane)

    def prepare(outside: Outside) -> Callable[[Array, Array], Array]:
        count = math.prod(sizes[n_lead:])
        scatter = prepare_row_scatter(info, target_shape, count, add=add, outside=outside)
        n_sentinel = sentinel_slots(info, add=add, outside=outside)

        def put_into_target(values: Array, positions: Array) -> Array:
            scattered = scatter(make_target(values, n_sentinel), values, positions)
            return reshape_tail(xp, scattered, n_lead, plane)

        return put_into_target

    if check and scatter_checks_bounds(info, values, add=add):
        put_or_raise = prepare("raise")

        def put(values: Array, indices: Array) -> Array:
            positions = cast(xp, indices, dtype)
            try:
                return put_or_raise(values, positions)
            except (IndexError, RuntimeError):
                _check_inside(info, operation, indices, positions, plane)  # says which
                raise

        return put
    put_all, put_those_inside = prepare("never"), prepare("drop")

    def look_and_put(values: Array, indices: Array) -> Array:
        positions = cast(xp, indices, dtype)
        inside = check and _check_inside(info, operation, indices, positions, plane)
        return (put_all if inside else put_those_inside)(values, positions)

    return look_and_put


def _position_dtype(info: InputInfo, operation: str, indices: Array, plane: Shape) -> Any:
    """Return a signed integer dtype that can count the cells of a plane.

    Indices of 64 bits without a sign that are too large become negative, which no cell is, either.
    """
    xp, dtype = info.xp, indices.dtype
    if dtype == xp.int64 or (dtype == xp.int32 and math.prod(plane) < 2**31):
        return dtype
    index_dtype = info.index_dtype
    if xp.iinfo(dtype).bits > xp.iinfo(index_dtype).bits:  # what is too large must stay so
        index_dtype = xp.int64
    if math.prod(plane) > xp.iinfo(index_dtype).max:
        raise ValueError(f"{operation}: {index_dtype} cannot count a plane of shape {plane}")
    return index_dtype


def _check_inside(
    info: InputInfo, operation: str, indices: Array, positions: Array, plane: Shape
) -> bool:
    """Raise for an index outside the plane; return whether there was a look at the values."""
    xp, traits, cells = info.xp, info.traits, math.prod(plane)
    if not traits.is_concrete:  # but the indices alone may be
        traits = inspect_traits(traits.library, [indices])
    if not traits.is_concrete or 0 in indices.shape:
        return False
    wrong = concrete_bool(traits.library, any_outside(info, positions, cells))
    if not wrong:
        return wrong is False
    flat = xp.reshape(positions, (-1,))
    count, first = count_and_first(info, (flat < 0) | (flat >= cells))
    value = int(flat[first])
    if value < 0 and xp.isdtype(indices.dtype, "unsigned integer"):
        value += 2 ** xp.iinfo(positions.dtype).bits
    raise IndexError(
        f"{operation}: {count} of {flat.shape[0]} indices lie outside the output plane {plane}, "
        f"whose positions are 0 to {cells - 1}; the first is {value}, element {first} "
        f"of indices of shape {tuple(indices.shape)} in row-major order"
    )
