"""Linear interpolation, axis by axis."""

from __future__ import annotations

import math

from unpool_xp._array.blocks import in_blocks, planes_at_once
from unpool_xp._array.compat import Array, Namespace, cast, computing_dtype, device
from unpool_xp._array.constants import constant
from unpool_xp._array.gather import take_known
from unpool_xp._array.numeric import blend_into, lerp_into
from unpool_xp._array.traits import at_hand, fuses_lookups, number, smooth, writable
from unpool_xp._array.views import along, at, interleaved, take_slices
from unpool_xp._plan.resize import AxisLinear, Interpolation, Phase


def interpolate(xp: Namespace, x: Array, plan: Interpolation) -> Array:
    """Return the linear interpolation of x along the axes of a plan."""
    if _weaves(xp, x, plan):
        return cast(xp, _woven(xp, cast(xp, x, computing_dtype(xp, x.dtype)), plan), x.dtype)

    def interpolated(x: Array) -> tuple[Array]:
        return (_interpolated(xp, x, plan),)

    return in_blocks(xp, interpolated, x, plan.rank, plan.growth)[0]


def _weaves(xp: Namespace, x: Array, plan: Interpolation) -> bool:
    """Return whether each phase can be written directly into the output."""
    return (
        len(plan.plane) > 0  # which the plan of a part has not
        and plan.growth > 1
        and all(axis.phases is not None and len(axis.around) == _WITH_ENDS for axis in plan.axes)
        and writable(x)
        and 0 not in x.shape
        and (not at_hand(x) or _pays_to_weave(xp, x, plan))
    )


def _pays_to_weave(xp: Namespace, x: Array, plan: Interpolation) -> bool:
    """Return whether writing in place is faster on a CPU, where reading values is free."""
    whole = x.dtype == computing_dtype(xp, x.dtype)
    return whole and not plan.small and _known_finite(xp, x, differences=True)


_WITH_ENDS = 3  # slices: the axis with one cell more at each end, so no part of an axis


def _woven(xp: Namespace, x: Array, plan: Interpolation) -> Array:
    """Interpolate some planes at a time; the last pass writes where the output lies."""
    lead, plane = x.shape[: x.ndim - plan.rank], x.shape[x.ndim - plan.rank :]
    x = xp.reshape(x, (math.prod(lead), *plane))
    output = xp.empty((x.shape[0], *plan.plane), dtype=x.dtype, device=device(x))
    step = planes_at_once(x, math.prod(plan.plane))
    for start in range(0, x.shape[0], step):
        part = x[start : start + step, ...]
        for axis in reversed(plan.axes):
            if axis is plan.axes[0]:
                wide = output[start : start + step, ...]
            else:
                shape = list(part.shape)
                shape[axis.axis] = axis.output
                wide = xp.empty(tuple(shape), dtype=x.dtype, device=device(x))
            _weave(xp, part, axis, wide)
            part = wide
    return xp.reshape(output, (*lead, *plan.plane))


def _weave(xp: Namespace, x: Array, axis: AxisLinear, output: Array) -> None:
    """Write the phases along an axis; a difference of neighbours, known to be finite, is faster."""
    phases, write = axis.phases or (), lerp_into if at_hand(x) else blend_into
    low, high = (x[at(axis.axis, side)] for side in (slice(None, -1), slice(1, None)))
    for r, phase in enumerate(phases):
        cells = output[at(axis.axis, slice(r, None, len(phases)))]
        if not phase.share:
            cells[...] = x
            continue
        # Where a neighbour is missing, the last element stands in for it.
        inner, end = (slice(1, None), slice(0, 1)) if phase.step else (slice(-1), slice(-1, None))
        write(xp, low, high, phase.share, cells[at(axis.axis, inner)])
        cells[at(axis.axis, end)] = x[at(axis.axis, end)] + 0.0  # no zero with a sign, as above


def _interpolated(xp: Namespace, x: Array, plan: Interpolation) -> Array:
    dtype = x.dtype
    x = cast(xp, x, computing_dtype(xp, dtype))
    small = plan.small
    finite = _known_finite(xp, x, differences=not small)
    # A chunk must give the same result as the whole array, so non-finite elements get another
    # formula individually.
    way = _sliced if small or smooth(x) or not at_hand(x) else _shifted if finite else _mended
    # The last axis first: what is read and written twice is then still small.
    for axis in reversed(plan.axes):
        if small and finite and axis.axis >= -2:
            x = _product(xp, x, axis)
        elif axis.phases is not None and not fuses_lookups(x):
            x = interleaved(xp, way(xp, x, axis, axis.phases), axis.axis)
        else:
            below = take_known(xp, x, axis.lower, axis.axis, axis.arrays, "lower")
            above = take_known(xp, x, axis.upper, axis.axis, axis.arrays, "upper")
            x = _between(xp, below, above, axis, "weights", axis.weights)
    return cast(xp, x, dtype)


def _known_finite(xp: Namespace, x: Array, *, differences: bool) -> bool:
    """Return whether all elements, and what lies between any two, are known to be finite."""
    if 0 in x.shape or not at_hand(x):
        return False
    total = xp.max(x) - xp.min(x) if differences else xp.sum(x)
    return math.isfinite(number(total))


def _product(xp: Namespace, x: Array, axis: AxisLinear) -> Array:
    def matrix() -> Array:
        weights = xp.asarray(axis.matrix(), dtype=x.dtype, device=device(x))
        return weights if axis.axis == -1 else xp.asarray(xp.matrix_transpose(weights), copy=True)

    weights = constant(axis.arrays, "matrix", matrix, xp.__name__, x.dtype, device(x))
    return xp.matmul(x, weights) if axis.axis == -1 else xp.matmul(weights, x)


def _shifted(xp: Namespace, x: Array, axis: AxisLinear, phases: tuple[Phase, ...]) -> list[Array]:
    """Return the phases of finite elements; a weight of 0 skips its element."""
    x = take_slices(xp, x, axis.around, axis.axis)
    n = axis.output // len(phases)
    views = [x[at(axis.axis, slice(start, start + n))] for start in range(3)]
    found = []
    for phase in phases:
        low, high = views[phase.step + 1 : phase.step + 3]
        found.append(low + (high - low) * phase.share if phase.share else low)
    return found


def _sliced(xp: Namespace, x: Array, axis: AxisLinear, phases: tuple[Phase, ...]) -> list[Array]:
    """Return the phases with every weight applied, because 0 times infinity is not 0."""
    return [
        _between(
            xp,
            take_slices(xp, x, phase.lower, axis.axis),
            take_slices(xp, x, phase.upper, axis.axis),
            axis,
            f"phase {number}",
            phase.weights,
        )
        for number, phase in enumerate(phases)
    ]


def _mended(xp: Namespace, x: Array, axis: AxisLinear, phases: tuple[Phase, ...]) -> list[Array]:
    """Return the phases: shifted where both neighbours are finite, sliced where not."""
    found = []
    shifted, sliced = (way(xp, x, axis, phases) for way in (_shifted, _sliced))
    for phase, one, other in zip(phases, shifted, sliced, strict=True):
        low, high = (take_slices(xp, x, side, axis.axis) for side in (phase.lower, phase.upper))
        found.append(xp.where(xp.isfinite(high - low), one, other))
    return found


def _between(
    xp: Namespace,
    below: Array,
    above: Array,
    axis: AxisLinear,
    name: str,
    weights: tuple[float, ...],
) -> Array:
    def make() -> Array:
        vector = xp.asarray(weights, dtype=below.dtype, device=device(below))
        return along(xp, vector, axis.axis)

    weight = constant(axis.arrays, name, make, xp.__name__, below.dtype, device(below))
    return below * (1 - weight) + above * weight
