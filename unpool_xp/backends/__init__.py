"""From a label such as "torch:cuda" to a namespace, a device, and how to wait for it.

Imports `_array`. Other libraries plug in through the entry point group ``unpool_xp.backends``: the
name is the label, the object a callable without arguments that returns a `Backend`. So do files.
"""

from unpool_xp.backends.base import (
    Backend,
    BackendBrokenError,
    BackendUnavailableError,
    CompileUnavailableError,
    DeviceClock,
    DeviceFacts,
    GradientsUnavailableError,
)
from unpool_xp.backends.registry import available, full_label, known, load, unlisted

__all__ = [
    "Backend",
    "BackendBrokenError",
    "BackendUnavailableError",
    "CompileUnavailableError",
    "DeviceClock",
    "DeviceFacts",
    "GradientsUnavailableError",
    "available",
    "full_label",
    "known",
    "load",
    "unlisted",
]
