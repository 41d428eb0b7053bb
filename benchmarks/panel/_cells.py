"""What all benchmarks of the panel share: the parameters, the skips, the check."""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path
from typing import NoReturn

from unpool_xp import backends
from unpool_xp.bench.cases.case import BackendMode
from unpool_xp.bench.catalog import SINGLE_OPERATIONS, panel
from unpool_xp.bench.catalog.panel import HARNESS_VERSION, SIZES, STRIDES, panel_case
from unpool_xp.bench.measure.session import DeviceInputs, Session
from unpool_xp.capabilities import why_not

BACKEND_MODES = tuple(map(str, panel.BACKEND_MODES))  # asv keeps the texts of parameters
COMPILED = "UNPOOL_XP_ASV_COMPILED"
# Files of a driver: NVIDIA's, the same within WSL, AMD's.
_DRIVERS = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")


class Panel:
    """Parameters and version of a benchmark: the same whatever is installed.

    asv keeps the history when a value is added to a parameter, and loses it with a new parameter.
    """

    param_names = ("operation", "size", "stride", "how")
    params = (tuple(SINGLE_OPERATIONS), SIZES, STRIDES, BACKEND_MODES)
    version = HARNESS_VERSION
    timeout = 120.0
    rounds = 1

    def session(self, operation: str, size: str, stride: int, backend_mode: str) -> Session:
        """Return the checked session of a cell; a wrong result is an error, never a time."""
        backend = backend_of(operation, backend_mode)
        mode = BackendMode.parse(backend_mode).mode
        return prepare_checked(Session(backend, panel_case(operation, size, stride), mode))

    def inputs(self, operation: str, size: str, stride: int, backend_mode: str) -> DeviceInputs:
        """Return the inputs of a cell, settled on the device."""
        return DeviceInputs(
            backend_of(operation, backend_mode), panel_case(operation, size, stride)
        )


def prepare_checked(session: Session) -> Session:
    """Return a session once its result is right; raise where it is not."""
    if not session.prepare():
        raise RuntimeError(session.measured.error)
    return session


def backend_of(operation: str, backend_mode: str) -> backends.Backend:
    """Return the backend of a cell, or let asv skip the cell with the reason."""
    on = BackendMode.parse(backend_mode)
    reason = missing_reason(on.label) or why_not(operation, on.library, "float32")
    if backend_mode == "torch:cpu compiled" and not os.environ.get(COMPILED):
        reason = f"takes seconds to compile, each time; {COMPILED}=1 measures it"
    if reason is not None:
        skip(backend_mode, reason)
    try:
        backend = backends.load(on.label)
        if on.mode == "compiled":
            backend.compile(abs)
    except (backends.BackendUnavailableError, backends.CompileUnavailableError) as error:
        skip(backend_mode, str(error).removeprefix(f"{on.label}: "))
    return backend


def skip(backend_mode: str, reason: str) -> NoReturn:
    """Let asv skip the cell. It shows n/a, and the reason with --show-stderr."""
    raise NotImplementedError(f"{backend_mode}: {reason}")


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
