"""CuPy, on NVIDIA's GPUs."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np

from unpool_xp._array.compat import Array
from unpool_xp.backends import cuda
from unpool_xp.backends.base import Backend, BackendUnavailableError, DeviceClock, DeviceFacts
from unpool_xp.backends.libraries import _import, _numbered_label, own_words


class _CuPy(Backend):
    distribution = "cupy"
    eager_only = (
        "CuPy has no compiler of whole functions, but cupy.fuse, which its eager calls use already"
    )

    @property
    def version(self) -> str:
        return importlib.import_module("cupy").__version__  # type: ignore[no-any-return]

    @property
    def facts(self) -> DeviceFacts:
        cupy = importlib.import_module("cupy")
        properties = cupy.cuda.runtime.getDeviceProperties(self.device.id)
        return DeviceFacts(properties["name"].decode(), properties["totalGlobalMem"], None)

    def asarray(self, array: np.ndarray[Any, Any]) -> Array:
        with self.device:
            return importlib.import_module("cupy").array(array)

    def to_numpy(self, array: Array) -> np.ndarray[Any, Any]:
        return array.get()  # type: ignore[no-any-return]

    def pinned(self, array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        cupyx = importlib.import_module("cupyx")
        target: np.ndarray[Any, Any] = cupyx.empty_pinned(array.shape, array.dtype)
        target[...] = array
        return target

    def to_pinned(self, array: Array, target: np.ndarray[Any, Any]) -> None:
        array.get(out=target)

    def synchronize(self, *arrays: Array) -> None:
        # The whole device, not the current stream: an operation may have used another.
        self.device.synchronize()

    def free_memory(self) -> None:
        importlib.import_module("cupy").get_default_memory_pool().free_all_blocks()

    @property
    def cache_bytes(self) -> int | None:
        return int(self.device.attributes["L2CacheSize"])

    def device_clock(self) -> DeviceClock:
        return cuda.cupy_events()

    def peak_meter(self) -> Callable[[], int]:
        return cuda.cupy_peak()


def load_cupy(number: int = 0) -> Backend:
    """Return CuPy on a GPU.

    Parameters
    ----------
    number : int, optional
        Which of those that it finds. Default: the first.

    Returns
    -------
    Backend
        Ready for use.

    Raises
    ------
    BackendUnavailableError
        If CuPy or the device is missing; the message says what to do.
    """
    label = "cupy:cuda"
    install = 'pip install "unpool-xp[cupy12]" or "unpool-xp[cupy13]", as your CUDA is'
    cupy = _import(label, "cupy", install)
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except Exception as error:  # of the driver's, or of the runtime's
        reason = str(error).partition(":")[2].strip() or own_words(error)
        raise BackendUnavailableError(
            f"{label}: cupy finds no CUDA device ({reason}); check the driver with nvidia-smi"
        ) from error
    if not count:
        raise BackendUnavailableError(f"{label}: cupy finds no CUDA device")
    label = _numbered_label(label, number, count)
    device = cupy.cuda.Device(number)
    device.use()  # CuPy computes where it is told to, not where the arrays are
    return _CuPy(label, importlib.import_module("array_api_compat.cupy"), device)
