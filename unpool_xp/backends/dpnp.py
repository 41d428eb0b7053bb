"""dpnp, on a CPU through OpenCL and on Intel's GPUs."""

from __future__ import annotations

import importlib
import os
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import Any

import numpy as np

from unpool_xp._array.compat import Array
from unpool_xp.backends.base import Backend, BackendUnavailableError, DeviceFacts
from unpool_xp.backends.libraries import _import, own_words

# The runtime of a CPU, and where the loader of OpenCL looks besides what the system has registered.
_CPU_RUNTIME = "intel-opencl-rt"
_VARIABLE = "OCL_ICD_FILENAMES"
_NEEDS_ASPECT = {
    "float16": "has_aspect_fp16",
    "float64": "has_aspect_fp64",
    "complex128": "has_aspect_fp64",
}


class _Dpnp(Backend):
    distribution = "dpnp"
    eager_only = "dpnp has no compiler"

    @property
    def facts(self) -> DeviceFacts:
        found = self.device.sycl_device
        threads = int(found.max_compute_units) if found.is_cpu else None
        return DeviceFacts(found.name, int(found.global_mem_size), threads)

    def dtype(self, name: str) -> Any:
        found = super().dtype(name)
        # dpnp has the dtypes of NumPy, of which a device may compute none of 16 or 64 bits.
        aspect = _NEEDS_ASPECT.get(name)
        if aspect is not None and not getattr(self.device.sycl_device, aspect):
            raise TypeError(f"{self.label} has no {name}: this device does not compute with it")
        return found

    def to_numpy(self, array: Array) -> np.ndarray[Any, Any]:
        return array.asnumpy()  # type: ignore[no-any-return]

    def synchronize(self, *arrays: Array) -> None:
        # An array of another queue is waited for in its own.
        for array in (self.device, *arrays):
            array.sycl_queue.wait()

    @property
    def cache_bytes(self) -> int | None:
        found = self.device.sycl_device
        return None if found.is_cpu else int(found.global_mem_cache_size) or None


def load_dpnp(device: str) -> Backend:
    """Return dpnp on the CPU or the GPU that SYCL prefers.

    Parameters
    ----------
    device : {"cpu", "gpu"}
        What computes.

    Returns
    -------
    Backend
        Its arrays have one queue.

    Raises
    ------
    BackendUnavailableError
        If dpnp or the device is missing.
    """
    label = f"dpnp:{device}"
    runtime = _cpu_runtime() if device == "cpu" else None
    if runtime is not None:
        os.environ.setdefault(_VARIABLE, str(runtime))
    xp = _import(label, "dpnp", 'pip install "unpool-xp[dpnp]"')
    try:
        queue = importlib.import_module("dpctl").SyclQueue(device)
    except Exception as error:  # dpctl's own, which has no public name
        if device == "gpu":
            needs = "a GPU of Intel's and its driver, with Level Zero or OpenCL"
        elif runtime is None:
            needs = f"a CPU runtime of OpenCL: pip install {_CPU_RUNTIME}"
        else:
            needs = f"{_VARIABLE}={runtime} in the environment"
        reason = f"dpnp finds no {device} device; it needs {needs} ({own_words(error)})"
        raise BackendUnavailableError(f"{label}: {reason}") from error
    return _Dpnp(label, xp, xp.empty(1, sycl_queue=queue).device)


def _cpu_runtime() -> Path | None:
    """Return the CPU runtime of OpenCL from the package index, None where it is not installed.

    Its package registers it with conda alone, so nothing finds it where pip has installed it.
    """
    try:
        listed = files(_CPU_RUNTIME) or ()
    except PackageNotFoundError:
        return None
    names = ("libintelocl.so", "intelocl64.dll")
    found = (Path(str(file.locate())).resolve() for file in listed if file.name in names)
    return next((path for path in found if path.exists()), None)
