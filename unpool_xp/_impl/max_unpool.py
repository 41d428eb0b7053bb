"""Values scattered to their positions in each plane."""

from __future__ import annotations

import math
from collections.abc import Callable

from unpool_xp._array.compat import Array
from unpool_xp._array.namespace import InputInfo
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

    def make_target(n_sentinel: int) -> Array:
        return zeros(info, (*lead, math.prod(plan.plane) + n_sentinel), values)

    place = ("max_unpool", plan.plane, make_target)
    return _scatter_checked(info, *place, values, indices, add=add, check=check)


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
    # Narrow or unsigned indices cannot count a whole plane, or tell what lies before it.
    if indices.dtype not in (xp.int64, xp.int32):
        indices = xp.astype(indices, info.index_dtype)
    shape = (*values.shape[:n_lead], math.prod(values.shape[n_lead:]))
    flat_values, flat_indices = xp.reshape(values, shape), xp.reshape(indices, shape)

    def _scatter(n_sentinel: int, *, inside: bool) -> Array:
        arrays = (make_target(n_sentinel), flat_values, flat_indices)
        scattered = scatter(info, *arrays, add=add, inside=inside, n_sentinel=n_sentinel)
        return reshape_tail(xp, scattered, n_lead, plane)

    if not check or not scatter_checks_bounds(info, values, add=add):
        inside = check and _check_inside(info, operation, indices, plane)
        return _scatter(0 if inside else sentinel_slots(info), inside=inside)
    try:
        return _scatter(0, inside=True)
    except (IndexError, RuntimeError):
        _check_inside(info, operation, indices, plane)  # says which
        raise


def _check_inside(info: InputInfo, operation: str, indices: Array, plane: Shape) -> bool:
    """Raise for an index outside the plane; return whether there was a look at the values."""
    xp, traits, cells = info.xp, info.traits, math.prod(plane)
    if not traits.is_concrete:  # but the indices alone may be
        traits = inspect_traits(traits.library, [indices])
    if 0 in indices.shape or not traits.is_concrete:
        return False
    wrong = concrete_bool(traits.library, any_outside(info, indices, cells))
    if not wrong:
        return wrong is False
    flat = xp.reshape(indices, (-1,))
    outside = (flat < 0) | (flat >= cells)
    count = int(xp.sum(xp.astype(outside, xp.int32)))
    first = int(xp.argmax(xp.astype(outside, xp.int32)))
    raise IndexError(
        f"{operation}: {count} of {flat.shape[0]} indices lie outside the output plane {plane}, "
        f"whose positions are 0 to {cells - 1}; the first is {int(flat[first])}, element {first} "
        f"of indices of shape {tuple(indices.shape)} in row-major order"
    )
