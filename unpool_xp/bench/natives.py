"""What we are held against: each library's own function for a case, or what people write."""

from __future__ import annotations

from unpool_xp.bench.cases import Case
from unpool_xp.bench.native import Native
from unpool_xp.bench.natives_pooling import POOLING_NATIVES
from unpool_xp.bench.natives_tuned import TUNED_NATIVES
from unpool_xp.bench.natives_unpooling import UNPOOLING_NATIVES

__all__ = ["NATIVES", "Native", "find", "natives"]

NATIVES: tuple[Native, ...] = (*POOLING_NATIVES, *UNPOOLING_NATIVES, *TUNED_NATIVES)


def natives(library: str, case: Case, *, tuned: bool = False) -> list[Native]:
    """Return the natives of a library for the operation of a case, suited or not.

    Those that are tuned by hand are among them only where they are asked for.
    """
    there = [n for n in NATIVES if n.library == library and n.operation == case.operation]
    return [native for native in there if tuned or not native.tuned]


def find(library: str, case: Case, name: str) -> Native:
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
    there = {native.name(case): native for native in natives(library, case, tuned=True)}
    if name not in there:
        known = ", ".join(there) or "none"
        raise ValueError(f"{library} has no native {name!r} for {case.operation}; known: {known}")
    return there[name]
