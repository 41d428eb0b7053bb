"""What all benchmarks of the panel share: the parameters, the skips, the check."""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path
from typing import NoReturn

from unpool_xp import backends
from unpool_xp.bench.catalog import OPERATIONS
from unpool_xp.bench.catalog.panel import (
    HARNESS_VERSION,
    HOWS,
    SIZES,
    STRIDES,
    panel_case,
    split_how,
)
from unpool_xp.bench.measure.session import DeviceInputs, Session
from unpool_xp.capabilities import why_not

COMPILED = "UNPOOL_XP_ASV_COMPILED"
# Files of a driver: NVIDIA's, the same within WSL, AMD's.
_DRIVERS = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")


class Panel:
    """Parameters and version of a benchmark: the same whatever is installed.

    asv keeps the history when a value is added to a parameter, and loses it with a new parameter.
    """

    param_names = ("operation", "size", "stride", "how")
    params = (tuple(OPERATIONS), SIZES, STRIDES, HOWS)
    version = HARNESS_VERSION
    timeout = 120.0
    rounds = 1

    def session(self, operation: str, size: str, stride: int, how: str) -> Session:
        """Return the checked session of a cell; a wrong result is an error, never a time."""
        mode = split_how(how)[1]
        session = Session(backend_of(operation, how), panel_case(operation, size, stride), mode)
        return prepare_checked(session)

    def inputs(self, operation: str, size: str, stride: int, how: str) -> DeviceInputs:
        """Return the inputs of a cell, settled on the device."""
        return DeviceInputs(backend_of(operation, how), panel_case(operation, size, stride))


def prepare_checked(session: Session) -> Session:
    """Return a session once its result is right; raise where it is not."""
    if not session.prepare():
        raise RuntimeError(session.error)
    return session


def backend_of(operation: str, how: str) -> backends.Backend:
    """Return the backend of a cell, or let asv skip the cell with the reason."""
    label, mode = split_how(how)
    library = label.partition(":")[0]
    reason = missing_reason(label) or why_not(operation, library, "float32")
    if how == "torch:cpu compiled" and not os.environ.get(COMPILED):
        reason = f"takes seconds to compile, each time; {COMPILED}=1 measures it"
    if reason is not None:
        skip(how, reason)
    try:
        backend = backends.load(label)
        if mode == "compiled":
            backend.compile(abs)
    except (backends.BackendUnavailableError, backends.CompileUnavailableError) as error:
        skip(how, str(error).removeprefix(f"{label}: "))
    return backend


def skip(how: str, reason: str) -> NoReturn:
    """Let asv skip the cell. It shows n/a, and the reason with --show-stderr."""
    raise NotImplementedError(f"{how}: {reason}")


def missing_reason(label: str) -> str | None:
    """Return why a backend cannot be here, where that shows without importing its library."""
    library, _, device = label.partition(":")
    if importlib.util.find_spec(library) is None:
        return f"{library} is not installed here"
    if device != "cuda":
        return None
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return "CUDA_VISIBLE_DEVICES hides every GPU"
    if any(Path(driver).exists() for driver in _DRIVERS) or shutil.which("nvidia-smi"):
        return None
    return "no driver of a GPU is here"
