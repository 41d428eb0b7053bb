"""The panel: a few fixed cases that commits are compared on.

The asv suite, the pytest-benchmark suite and the gate all measure these. A history of times is
worth nothing once a case behind a name changes, so a case is added or dropped, never edited.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from itertools import product

from unpool_xp.bench.cases.case import Case
from unpool_xp.bench.cases.operation import Operation, Panel
from unpool_xp.bench.catalog.families import (
    adaptive_cases,
    conv_transpose_case,
    cubic_case,
    fractional_cases,
    pool_cases,
)

SIZES = ("small", "large")
STRIDES = (2, 3)
# The larger side of the pooling or unpooling: within a cache, and beyond it.
_FEATURE_MAPS = {"small": (1, 16, 36, 36), "large": (4, 32, 192, 192)}
# Of a transposed convolution, the smaller side; its kernels overlap for one of the strides.
_CONV_TRANSPOSE_INPUTS = {"small": ((1, 32, 16, 16), 16), "large": ((4, 64, 32, 32), 32)}
_KERNELS = {2: (4, 1), 3: (3, 0)}  # stride -> kernel, padding


def panel_case(operation: str, size: str, stride: int) -> Case:
    """Return a case of the panel.

    Parameters
    ----------
    operation : str
        One of ours of one call.
    size : {"small", "large"}
        Whether its arrays fit into a cache.
    stride : {2, 3}
        Output size over input size, or the other way round.

    Returns
    -------
    Case
        In float32.

    Raises
    ------
    ValueError
        If an argument is unknown; the message names it and the known ones.

    Examples
    --------
    >>> from unpool_xp.bench.catalog.panel import panel_case
    >>> panel_case("max_pool", "small", 2).name
    'max_pool-1x16x36x36-k2x2-s2x2-float32'
    """
    for name, value, known in (("size", size, SIZES), ("stride", stride, STRIDES)):
        if value not in known:
            raise ValueError(_unknown(name, value, known))
    cases = _cases(size, stride)
    if operation not in cases:
        raise ValueError(_unknown("operation", operation, cases))
    return cases[operation]


def _unknown(name: str, value: object, known: Iterable[object]) -> str:
    return f"panel_case: unknown {name} {value!r}; known: {', '.join(map(str, known))}"


@functools.cache
def _cases(size: str, stride: int) -> dict[str, Case]:
    shape = _FEATURE_MAPS[size]
    channels, out_channels = _CONV_TRANSPOSE_INPUTS[size]
    kernel, padding = _KERNELS[stride]
    cases = (
        *pool_cases(shape, stride),
        cubic_case(shape, stride),
        *adaptive_cases(shape, 0.9 / stride),  # to sizes that do not divide that of the input
        *fractional_cases(shape, 1 / stride),
        conv_transpose_case(channels, out_channels, kernel, stride, padding),
    )
    return {case.operation: case for case in cases}


def panel_of(operation: Operation) -> Panel:
    """Return the cases of an operation by size and stride."""
    return {key: panel_case(operation.name, *key) for key in product(SIZES, STRIDES)}
