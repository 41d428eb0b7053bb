"""The backward of a case: what arrives at its outputs, and what that gives for its inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from unpool_xp.backends.base import as_tuple
from unpool_xp.bench.cases.inputs import NDArray, numpy_dtype
from unpool_xp.capabilities import kind_of

if TYPE_CHECKING:
    from unpool_xp.bench.cases.operation import Arrays, Layout

_STEP = 1e-6  # relative to the largest value: far above what rounds, far below what curves


def floating_positions(layout: Layout) -> tuple[int, ...]:
    """Return which arrays have floating-point values: those that a gradient can be of."""
    dtypes = (dtype for _, dtype in layout.values())
    return tuple(n for n, dtype in enumerate(dtypes) if kind_of(dtype) == "f")


def gradient_layout(inputs: Layout) -> Layout:
    """Return the layout of the gradients by the floating-point inputs."""
    return {f"{name}_gradient": kind for name, kind in _floating(inputs).items()}


def cotangent_layout(outputs: Layout) -> Layout:
    """Return the layout of what arrives at the floating-point outputs."""
    floating = _floating(outputs)
    several = len(floating) > 1
    return {f"{name}_cotangent" if several else "cotangent": floating[name] for name in floating}


def _floating(layout: Layout) -> Layout:
    names = list(layout)
    return {names[n]: layout[names[n]] for n in floating_positions(layout)}


def make_cotangents(layout: Layout) -> Arrays:
    """Return cotangents, the same each time, no two elements alike."""
    rng = np.random.default_rng(1)
    return {
        name: rng.standard_normal(shape, dtype=np.float32).astype(numpy_dtype(dtype))
        for name, (shape, dtype) in layout.items()
    }


def directional_derivative(
    function: Callable[..., Any], arrays: Arrays, along: Arrays, cotangents: Mapping[int, NDArray]
) -> float:
    """Return how much the outputs, weighted by their cotangents, change along a direction.

    Parameters
    ----------
    function : callable
        From the arrays, in float64, to one output or a tuple of them.
    arrays : dict of str to ndarray
        Where the derivative is taken.
    along : dict of str to ndarray
        The direction; what it does not name keeps its place.
    cotangents : mapping of int to ndarray
        By the number of the output.
    """
    largest = max(float(np.abs(arrays[name]).max(initial=0)) for name in along) or 1.0
    step = _STEP * largest
    ends = []
    for sign in (1, -1):
        moved = {name: arrays[name] + sign * step * towards for name, towards in along.items()}
        ends.append(as_tuple(function(*(arrays | moved).values())))
    high, low = ends
    changes = (np.vdot(given, high[n] - low[n]) for n, given in cotangents.items())
    return float(sum(changes)) / (2 * step)
