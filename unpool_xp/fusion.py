"""Whether elementwise work on a GPU becomes one kernel, or is a kernel for each array call."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextvars import ContextVar

__all__ = ["get_fusion", "set_fusion"]

VARIABLE = "UNPOOL_XP_FUSION"
_CHOICES = ("auto", "off")

_chosen: ContextVar[str | None] = ContextVar("unpool_xp_fusion", default=None)


@contextlib.contextmanager
def set_fusion(fusion: str) -> Iterator[None]:
    """Choose whether elementwise work on a GPU is fused, within a ``with`` block of this thread.

    Parameters
    ----------
    fusion : {"auto", "off"}
        "auto" fuses it on CuPy and on CUDA tensors of PyTorch, "off" on neither.

    Raises
    ------
    TypeError
        If it is not a string.
    ValueError
        If it is another string.

    See Also
    --------
    get_fusion : Which is chosen.

    Notes
    -----
    What is fused are maxima and means of windows of up to 16 elements along each axis, all axes at
    once where those are no more than 16, and linear interpolation by whole factors: each is one
    kernel, where it is one for each array call without. CuPy makes it by ``cupy.fuse``, PyTorch by
    ``torch.compile`` of that function alone, where no gradient is asked for. Both compile at the
    first call for a dtype and a number of axes, PyTorch for seconds; so without a block it is fused
    on CuPy alone, or as the environment variable ``UNPOOL_XP_FUSION`` says. Other libraries and
    arrays of the CPU are not affected.

    No GPU has run this yet. The tests hold the fused functions to the rules of ``cupy.fuse``.

    Examples
    --------
    >>> import unpool_xp as ux
    >>> with ux.set_fusion("off"):
    ...     ux.get_fusion()
    'off'
    """
    token = _chosen.set(_check_choice("set_fusion: fusion", fusion))
    try:
        yield
    finally:
        _chosen.reset(token)


def get_fusion() -> str | None:
    """Return what is chosen in this thread.

    Returns
    -------
    {"auto", "off"} or None
        None where nothing is: then elementwise work is fused on CuPy alone.

    Raises
    ------
    ValueError
        If the environment variable ``UNPOOL_XP_FUSION`` is neither "auto" nor "off".

    See Also
    --------
    set_fusion : Choose.

    Examples
    --------
    >>> import unpool_xp as ux
    >>> with ux.set_fusion("auto"):
    ...     ux.get_fusion()
    'auto'
    """
    chosen = _chosen.get()
    if chosen is not None:
        return chosen
    text = os.environ.get(VARIABLE)
    return _check_choice(VARIABLE, text) if text else None


def _check_choice(name: str, fusion: str) -> str:
    if not isinstance(fusion, str):
        raise TypeError(f"{name}={fusion!r} must be a string, 'auto' or 'off'")
    if fusion not in _CHOICES:
        raise ValueError(f"{name}={fusion!r} must be 'auto' or 'off'")
    return fusion
