"""The largest of a few and which it was."""

from __future__ import annotations

import sys

from unpool_xp._compat import Array, Namespace, library

_FEW = 2**17  # elements: with more, passes over all of them share the threads better


def first_largest(x: Array) -> tuple[Array, Array] | None:
    """Return the maxima over the first axis, and where each is first, NaN before all.

    None where one call for both is not the fastest way; x is at hand.
    """
    if library(x) == "torch" and x.numel() <= _FEW:
        return sys.modules["torch"].max(x, 0)  # type: ignore[no-any-return]
    return None


def extremes(xp: Namespace, x: Array) -> tuple[float, float]:
    """Return the least and the largest element of what is at hand; NaN where there is one."""
    if library(x) == "torch":
        least, most = sys.modules["torch"].aminmax(x)
        return least.item(), most.item()
    return float(xp.min(x)), float(xp.max(x))


def looked_up(xp: Namespace, table: Array, index: Array) -> Array:
    """Return the entries of a short table, in the shape of the index."""
    if library(index) == "torch":
        return sys.modules["torch"].take(table, index)
    return xp.reshape(xp.take(table, xp.reshape(index, (-1,))), index.shape)
