"""Our own operations as the suite sees them, the functions that they compare with, and presets.

Imports `cases`, the operations, `reference`, `_plan` and `backends`. A new operation is one entry
in a table here.
"""

from __future__ import annotations

from unpool_xp.bench.cases.case import Case
from unpool_xp.bench.cases.operation import Native, Operation
from unpool_xp.bench.catalog.convolution import CONVOLUTION
from unpool_xp.bench.catalog.native_convolution import CONVOLUTION_NATIVES
from unpool_xp.bench.catalog.native_pooling import POOLING_NATIVES
from unpool_xp.bench.catalog.native_unpooling import UNPOOLING_NATIVES
from unpool_xp.bench.catalog.pooling import POOLING
from unpool_xp.bench.catalog.unpooling import UNPOOLING

__all__ = ["NATIVES", "OPERATIONS", "find_native", "natives_for"]

OPERATIONS: dict[str, Operation] = {**POOLING, **UNPOOLING, **CONVOLUTION}
NATIVES: tuple[Native, ...] = (*POOLING_NATIVES, *UNPOOLING_NATIVES, *CONVOLUTION_NATIVES)


def natives_for(library: str, case: Case, *, tuned: bool = False) -> list[Native]:
    """Return the natives of a library for the operation of a case, suited or not.

    Those that are tuned by hand are among them only where they are asked for.
    """
    matching = [n for n in NATIVES if n.library == library and n.operation == case.operation]
    return [native for native in matching if tuned or not native.tuned]


def find_native(library: str, case: Case, name: str) -> Native:
    """Return the native of that name.

    Parameters
    ----------
    library : str
        The library's part of a backend's label.
    case : Case
        The case it is for.
    name : str
        As `Native.name` gives it.

    Returns
    -------
    Native
        The native.

    Raises
    ------
    ValueError
        If there is none; the message lists those there are.
    """
    by_name = {native.name(case): native for native in natives_for(library, case, tuned=True)}
    if name not in by_name:
        known = ", ".join(by_name) or "none"
        raise ValueError(f"{library} has no native {name!r} for {case.operation}; known: {known}")
    return by_name[name]
