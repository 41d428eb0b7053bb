"""What each operation needs of the array API standard, and what a library lacks of it.

The table is traced: ``python -m tests.support.standard_functions`` prints it again, and a test
compares. Nothing outside the standard is needed.
"""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np

from unpool_xp.backends import Backend
from unpool_xp.capabilities import LIBRARIES


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


# Functions of the namespace, and methods of arrays, without which a trial of `check` fails on an
# array of real numbers, integers, booleans or complex numbers. For known libraries there are other
# ways, in `unpool_xp._array`.
NEEDS: dict[str, tuple[str, ...]] = {
    "max_pool": _names(
        "__add__ __floordiv__ __getitem__ __gt__ __lt__ __mul__ __ne__ __or__ __sub__ "
        "asarray astype finfo full iinfo isdtype maximum reshape where zeros zeros_like"
    ),
    "avg_pool": _names(
        "__add__ __floordiv__ __getitem__ __gt__ __lt__ __mul__ __rsub__ __sub__ __truediv__ "
        "asarray astype finfo full full_like isdtype reshape where zeros zeros_like"
    ),
    "adaptive_max_pool": _names(
        "__add__ __getitem__ __gt__ __ne__ __or__ asarray broadcast_to finfo full iinfo "
        "isdtype maximum permute_dims reshape where"
    ),
    "adaptive_avg_pool": _names(
        "__add__ __getitem__ __truediv__ asarray finfo isdtype permute_dims reshape where zeros"
    ),
    "fractional_max_pool": _names(
        "__add__ __gt__ __mul__ __ne__ __or__ asarray astype broadcast_to iinfo isdtype "
        "maximum where"
    ),
    "nearest_unpool": _names("asarray isdtype"),
    "max_unpool": _names(
        "__add__ __bool__ __eq__ __ge__ __getitem__ __lt__ __mul__ __or__ __sub__ asarray "
        "astype iinfo isdtype max min reshape where zeros zeros_like"
    ),
    "linear_unpool": _names("__add__ __getitem__ __mul__ asarray finfo full isdtype reshape zeros"),
    "cubic_unpool": _names("__add__ __getitem__ __mul__ asarray finfo isdtype"),
    "fractional_max_unpool": _names(
        "__add__ __bool__ __eq__ __ge__ __getitem__ __lt__ __mul__ __or__ __sub__ asarray "
        "astype finfo full iinfo isdtype max min reshape where zeros zeros_like"
    ),
    "conv_transpose": _names(
        "__add__ __getitem__ asarray finfo full isdtype matmul matrix_transpose reshape zeros"
    ),
    "convert_indices": _names(
        "__add__ __bool__ __ge__ __lt__ __mul__ __or__ asarray astype iinfo isdtype max min "
        "permute_dims reshape"
    ),
}


def lacking(backend: Backend, operation: str) -> tuple[str, ...]:
    """Return what an operation needs and a library does not have.

    Parameters
    ----------
    backend : Backend
        Of the library.
    operation : str
        A name in `unpool_xp.capabilities.OPERATIONS`.

    Returns
    -------
    tuple of str
        Names of functions and methods. Empty for the libraries in `unpool_xp.capabilities`, for
        which there are other ways.
    """
    if backend.library in LIBRARIES:
        return ()
    kinds: list[Any] = [backend.xp]
    with contextlib.suppress(Exception):  # a library that cannot make one fails by itself
        kinds.append(type(backend.asarray(np.zeros(1, "float32"))))
    wanted = [n for n in NEEDS[operation] if len(kinds) > 1 or not is_method(n)]
    return tuple(name for name in wanted if not any(hasattr(kind, name) for kind in kinds))


def is_method(name: str) -> bool:
    """Return whether a name of `NEEDS` is that of a method of arrays."""
    return name.startswith("__") and name != "__array_namespace_info__"
