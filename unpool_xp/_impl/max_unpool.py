"""Values scattered to their positions in each plane."""

from __future__ import annotations

import math
from collections.abc import Callable

from unpool_xp._array.compat import Array, cast, compute_dtype
from unpool_xp._array.namespace import InputInfo
from unpool_xp._array.numeric import count_and_first, without_float_errors
from unpool_xp._array.scatter import any_outside, scatter, scatter_checks_bounds, sentinel_slots
from unpool_xp._array.traits import concrete_bool, inspect_traits
from unpool_xp._array.views import pad_axis, reshape_tail, zeros
from unpool_xp._impl.interpolation import interpolate
from unpool_xp._plan.arguments import Shape
from unpool_xp._plan.resize import InterpolationPlan
from unpool_xp._plan.transposed import MaxUnpoolPlan


def scatter_maxima(
    info: InputInfo, plan: MaxUnpoolPlan, values: Array, indices: Array, *, add: bool, check: bool
) -> Array:
    """Return planes of zeros with each value at its index; `check` whether all lie inside."""
    lead = tuple(values.shape[: values.ndim - len(plan.plane)])
    if min(plan.plane) == 0:  # PyTorch takes any index there
        return info.xp.reshape(values[..., :0], (*lead, *plan.plane))

    def put(values: Array) -> Array:
        def make_target(n_sentinel: int) -> Array:
            return zeros(info, (*lead, math.prod(plan.plane) + n_sentinel), values)

        where = ("max_unpool", plan.plane, make_target)
        return _scatter_checked(info, *where, values, indices, add=add, check=check)

    def put_sums(info: InputInfo, values: Array) -> Array:
        wide = compute_dtype(info.xp, values.dtype)
        return cast(info.xp, put(cast(info.xp, values, wide)), values.dtype)

    return without_float_errors(put_sums, info, values) if add else put(values)


def scatter_into_interpolation(
    info: InputInfo, plan: InterpolationPlan, values: Array, indices: Array | None
) -> Array:
    """Return the linear interpolation of the values, with each value at its index if given."""
    if indices is None:
        return interpolate(info, plan, values)

    def make_target(n_sentinel: int) -> Array:
        target = interpolate(info, plan, values)
        n_lead = values.ndim - plan.rank
        target = reshape_tail(info.xp, target, n_lead, (math.prod(plan.plane),))
        return pad_axis(info, target, -1, 0, n_sentinel)

    place = ("fractional_max_unpool", plan.plane, make_target)
    return _scatter_checked(info, *place, values, indices, add=False, check=True)


def _scatter_checked(
    info: InputInfo,
    operation: str,
    plane: Shape,
    make_target: Callable[[int], Array],
    values: Array,
    indices: Array,
    *,
    add: bool,
    check: bool,
) -> Array:
    """Put the values of each plane at its indices in the flat target.

    It is made after the checks, with as many sentinel cells at the end as it is asked for.
    """
    xp, n_lead = info.xp, values.ndim - len(plane)
    positions = _as_positions(info, operation, indices, plane)
    sizes = tuple(values.shape)
    shape = (*sizes[:n_lead], math.prod(sizes[n_lead:]))
    flat_values, flat_positions = xp.reshape(values, shape), xp.reshape(positions, shape)

    def _scatter(*, inside: bool) -> Array:
        n_sentinel = sentinel_slots(info, add=add, inside=inside)
        arrays = (make_target(n_sentinel), flat_values, flat_positions)
        scattered = scatter(info, *arrays, add=add, inside=inside, n_sentinel=n_sentinel)
        return reshape_tail(xp, scattered, n_lead, plane)

    if not check or not scatter_checks_bounds(info, values, add=add):
        inside = check and _check_inside(info, operation, indices, positions, plane)
        return _scatter(inside=inside)
    try:
        return _scatter(inside=True)
    except (IndexError, RuntimeError):
        _check_inside(info, operation, indices, positions, plane)  # says which
        raise


def _as_positions(info: InputInfo, operation: str, indices: Array, plane: Shape) -> Array:
    """Return indices as signed integers that can count the cells of a plane.

    Those of 64 bits without a sign that are too large become negative, which no cell is, either.
    """
    xp, dtype = info.xp, indices.dtype
    if dtype == xp.int64 or (dtype == xp.int32 and math.prod(plane) < 2**31):
        return indices
    index_dtype = info.index_dtype
    if xp.iinfo(dtype).bits > xp.iinfo(index_dtype).bits:  # what is too large must stay so
        index_dtype = xp.int64
    if math.prod(plane) > xp.iinfo(index_dtype).max:
        raise ValueError(f"{operation}: {index_dtype} cannot count a plane of shape {plane}")
    return xp.astype(indices, index_dtype)


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
