"""Values scattered to their positions in each plane."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from unpool_xp._array.compat import Array, Namespace, index_dtype
from unpool_xp._array.scatter import any_outside, scatter, scatter_checks_bounds, sentinel_slots
from unpool_xp._array.traits import concrete_bool, is_concrete
from unpool_xp._array.views import reshape_tail
from unpool_xp._plan.arguments import Shape


class _ScatterMax(NamedTuple):
    """Values put at their positions in each plane."""

    operation: str
    plane: Shape
    add: bool
    check: bool  # whether a position outside the plane is an error

    def __call__(
        self, xp: Namespace, make_target: Callable[[int], Array], values: Array, indices: Array
    ) -> Array:
        """Put the values of each plane at its indices in the flat target.

        It is made after the checks, with as many cells more at the end as it is asked for.
        """
        if not self.check or not scatter_checks_bounds(values, add=self.add):
            inside = self.check and _check_inside(xp, self.operation, indices, self.plane)
            n_sentinel = 0 if inside else sentinel_slots(values)
            return self._scatter(
                xp, make_target(n_sentinel), values, indices, inside=inside, n_sentinel=n_sentinel
            )
        try:
            return self._scatter(xp, make_target(0), values, indices, inside=True)
        except (IndexError, RuntimeError):
            _check_inside(xp, self.operation, indices, self.plane)  # says which
            raise

    def _scatter(
        self,
        xp: Namespace,
        target: Array,
        values: Array,
        indices: Array,
        *,
        inside: bool,
        n_sentinel: int = 0,
    ) -> Array:
        n_lead = values.ndim - len(self.plane)
        flat = (math.prod(values.shape[n_lead:]),)
        values, indices = (reshape_tail(xp, a, n_lead, flat) for a in (values, indices))
        scattered = scatter(
            xp, target, values, indices, add=self.add, inside=inside, n_sentinel=n_sentinel
        )
        return reshape_tail(xp, scattered, n_lead, self.plane)


def _to_index_dtype(xp: Namespace, indices: Array, device: Any) -> Array:
    # Narrow or unsigned indices cannot count a whole plane, or tell what lies before it.
    if indices.dtype in (xp.int64, xp.int32):
        return indices
    return xp.astype(indices, index_dtype(xp, device))


def _check_inside(xp: Namespace, operation: str, indices: Array, plane: Shape) -> bool:
    """Raise for an index outside the plane; return whether there was a look at the values."""
    if 0 in indices.shape or not is_concrete(indices):
        return False
    cells = math.prod(plane)
    wrong = concrete_bool(
        any_outside(xp, indices, cells)
    )  # JAX traces what is made of a constant, too
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
