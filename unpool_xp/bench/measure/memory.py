"""The most memory that one call takes, on the host or on a device."""

from __future__ import annotations

import contextlib
import ctypes
import gc
from pathlib import Path

from unpool_xp.backends import Backend
from unpool_xp.backends.base import as_tuple
from unpool_xp.bench.cases.case import Case
from unpool_xp.bench.measure.session import DeviceInputs, Session

_M_MMAP_THRESHOLD = -3  # of malloc.h


def peak_bytes(
    backend: Backend,
    case: Case,
    mode: str = "eager",
    implementation: str = "portable",
    function: str | None = None,
) -> int | None:
    """Return the most memory that one call adds to what its inputs hold.

    Call it in a process of its own. It is what the library's allocator has handed out, on a GPU
    and with MLX; else resident memory, as Linux counts it.

    Parameters
    ----------
    backend, case, mode, implementation, function
        As for `Session`.

    Returns
    -------
    int or None
        None where it cannot be measured here.

    Raises
    ------
    Exception
        Whatever the call raises.
    """
    with contextlib.suppress(OSError, AttributeError, TypeError):  # not glibc
        # What is freed goes back at once, instead of serving the next call unseen.
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, 2**20)
    call, _ = Session(backend, case, mode, implementation, function).build_call()
    arrays = DeviceInputs(backend, case).device
    backend.synchronize(*as_tuple(call(*arrays)))  # imports, compiles
    gc.collect()
    meter = backend.peak_meter()
    if meter is None:
        on_host = backend.label.partition(":")[2] in ("", "cpu")
        if not on_host or not reset_peak():
            return None  # an allocator that is not asked, or a peak that could not be reset
        start = _status_bytes("VmRSS")

        def meter() -> int:
            return _status_bytes("VmHWM") - start

    output = call(*arrays)
    backend.synchronize(*as_tuple(output))
    peak = meter()
    del output
    return max(peak, 0)


def reset_peak() -> bool:
    """Give back what the allocator keeps, and let the kernel count the peak from here.

    Returns
    -------
    bool
        Whether that can be done here: on Linux, with glibc.
    """
    try:
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except (OSError, AttributeError, TypeError):  # not Linux, or not glibc
        return False
    return True


def _status_bytes(field: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))
