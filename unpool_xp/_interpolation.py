"""Linear interpolation, axis by axis."""

from __future__ import annotations

import math

from unpool_xp._compat import Array, Namespace, cast, computing_dtype, device
from unpool_xp._primitives import (
    along,
    at,
    at_hand,
    constant,
    in_blocks,
    interleaved,
    number,
    smooth,
    take_known,
    take_slices,
)
from unpool_xp._resize import AxisLinear, Interpolation, Phase


def interpolate(xp: Namespace, x: Array, plan: Interpolation) -> Array:
    """Return the linear interpolation of x along the axes of a plan."""

    def interpolated(x: Array) -> tuple[Array]:
        return (_interpolated(xp, x, plan),)

    return in_blocks(xp, interpolated, x, plan.rank, plan.growth)[0]


def _interpolated(xp: Namespace, x: Array, plan: Interpolation) -> Array:
    dtype = x.dtype
    x = cast(xp, x, computing_dtype(xp, dtype))
    small = plan.small
    finite = _known_finite(xp, x, differences=not small)
    # Parts of an array must be what they are in the whole, so where something is not finite, the
    # formula changes for it alone.
    way = _sliced if small or smooth(x) or not at_hand(x) else _shifted if finite else _mended
    # The last axis first: what is read and written twice is then still small.
    for axis in reversed(plan.axes):
        if small and finite and axis.axis >= -2:
            x = _product(xp, x, axis)
        elif axis.phases is not None:
            x = interleaved(xp, way(xp, x, axis, axis.phases), axis.axis)
        else:
            below, above = (take_known(xp, x, s, axis.axis) for s in (axis.lower, axis.upper))
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
    """Return the phases of finite elements, which weights of 0 leave out."""
    x = take_slices(xp, x, axis.around, axis.axis)
    n = axis.output // len(phases)
    views = [x[at(axis.axis, slice(start, start + n))] for start in range(3)]
    found = []
    for phase in phases:
        low, high = views[phase.step + 1 : phase.step + 3]
        found.append(low + (high - low) * phase.share if phase.share else low)
    return found


def _sliced(xp: Namespace, x: Array, axis: AxisLinear, phases: tuple[Phase, ...]) -> list[Array]:
    """Return the phases, in which no weight is left out: 0 times infinity is not 0."""
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
