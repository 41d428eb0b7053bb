"""Values scattered to their positions in each plane."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from unpool_xp._array.compat import Array, Namespace, index_dtype
from unpool_xp._array.scatter import any_outside, cells_to_spare, scatter, scatter_refuses
from unpool_xp._array.traits import looked, readable
from unpool_xp._array.views import reshape_tail
from unpool_xp._plan.arguments import Shape


class _Put(NamedTuple):
    """Values put at their positions in each plane."""

    operation: str
    plane: Shape
    add: bool
    check: bool  # whether a position outside the plane is an error

    def __call__(
        self, xp: Namespace, target: Callable[[int], Array], values: Array, indices: Array
    ) -> Array:
        """Put the values of each plane at its indices in the flat target.

        It is made after the checks, with as many cells more at the end as it is asked for.
        """
        if not self.check or not scatter_refuses(values, add=self.add):
            inside = self.check and _check_inside(xp, self.operation, indices, self.plane)
            spare = 0 if inside else cells_to_spare(values)
            return self._put(xp, target(spare), values, indices, inside=inside, spare=spare)
        try:
            return self._put(xp, target(0), values, indices, inside=True)
        except (IndexError, RuntimeError):
            _check_inside(xp, self.operation, indices, self.plane)  # says which
            raise

    def _put(
        self,
        xp: Namespace,
        target: Array,
        values: Array,
        indices: Array,
        *,
        inside: bool,
        spare: int = 0,
    ) -> Array:
        keep = values.ndim - len(self.plane)
        flat = (math.prod(values.shape[keep:]),)
        values, indices = (reshape_tail(xp, a, keep, flat) for a in (values, indices))
        put = scatter(xp, target, values, indices, add=self.add, inside=inside, spare=spare)
        return reshape_tail(xp, put, keep, self.plane)


def _signed(xp: Namespace, indices: Array, place: Any) -> Array:
    # Narrow or unsigned indices cannot count a whole plane, or tell what lies before it.
    if indices.dtype in (xp.int64, xp.int32):
        return indices
    return xp.astype(indices, index_dtype(xp, place))


def _check_inside(xp: Namespace, operation: str, indices: Array, plane: Shape) -> bool:
    """Raise for an index outside the plane; return whether there was a look at the values."""
    if 0 in indices.shape or not readable(indices):
        return False
    cells = math.prod(plane)
    wrong = looked(any_outside(xp, indices, cells))  # JAX traces what is made of a constant, too
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
