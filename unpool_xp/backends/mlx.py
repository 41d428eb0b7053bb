"""MLX, whose arrays lie in memory that the CPU and the GPU of a Mac share."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from unpool_xp._array.compat import Array
from unpool_xp.backends.base import (
    Backend,
    BackendUnavailableError,
    CompileUnavailableError,
    DeviceFacts,
    as_tuple,
    cpu_name,
    host_memory,
)
from unpool_xp.backends.libraries import _import

# What MLX itself computes on where nothing is said.
DEFAULT_DEVICE = "gpu" if (platform.system(), platform.machine()) == ("Darwin", "arm64") else "cpu"


class _MLX(Backend):
    distribution = "mlx"

    @property
    def facts(self) -> DeviceFacts:
        told = self.xp.device_info(self.device)
        memory = told.get("memory_size") or host_memory()  # which they share
        on_linux = platform.system() == "Linux"
        # There one thread does all the work, products too; a Mac's BLAS does not tell.
        threads = 1 if self.device == self.xp.cpu and on_linux else None
        return DeviceFacts(str(told.get("device_name") or cpu_name()), memory, threads)

    def dtype(self, name: str) -> Any:
        if name == "float64" and self.device == self.xp.gpu:
            raise TypeError(f"{self.label} has no dtype float64: MLX has it on the CPU alone")
        return super().dtype("bool_" if name == "bool" else name)

    def asarray(self, array: np.ndarray[Any, Any]) -> Array:
        # Of float64 it would make float32; and it takes no negative strides.
        dtype = self.dtype(array.dtype.name)
        made = self.xp.array(np.asarray(array, order="C"), dtype=dtype)
        self.xp.eval(made)
        return made

    def to_numpy(self, array: Array) -> np.ndarray[Any, Any]:
        if array.dtype == self.xp.bfloat16:  # Python's buffers have none
            array = array.astype(self.xp.float32)
        return np.asarray(array)

    def synchronize(self, *arrays: Array) -> None:
        # Nothing is computed before; it returns once the device is done.
        self.xp.eval(*arrays)

    def free_memory(self) -> None:
        self.xp.clear_cache()

    def peak_meter(self) -> Callable[[], int]:
        self.xp.reset_peak_memory()
        start = self.xp.get_active_memory()
        return lambda: int(self.xp.get_peak_memory()) - int(start)

    def compile(self, function: Callable[..., Any]) -> Callable[..., Any]:
        # Without it MLX would compile nothing, and not say so.
        if self.device == self.xp.cpu and shutil.which("g++") is None:
            raise CompileUnavailableError(
                f"{self.label}: mlx.core.compile needs the C++ compiler g++ on the CPU; install it "
                "(Debian: g++, macOS: xcode-select --install)"
            )
        return self.xp.compile(function)  # type: ignore[no-any-return]

    def _differentiate(
        self, function: Callable[..., Any], wrt: Sequence[int], outputs: Sequence[int]
    ) -> Callable[..., tuple[Array, ...]]:
        mx = self.xp
        places = sorted(outputs)

        def call(*arrays: Array) -> tuple[Array, ...]:
            given = list(arrays[: -len(outputs)])
            arrived = dict(zip(outputs, arrays[-len(outputs) :], strict=True))

            def differentiated(*chosen: Array) -> list[Array]:
                traced = dict(zip(wrt, chosen, strict=True))
                results = as_tuple(function(*(traced.get(n, a) for n, a in enumerate(given))))
                # What passes no gradient on takes no cotangent.
                return [r if n in arrived else mx.stop_gradient(r) for n, r in enumerate(results)]

            results, gradients = mx.vjp(
                differentiated, [given[n] for n in wrt], [arrived[n] for n in places]
            )
            return (*results, *gradients)

        return call


def load_mlx(device: str) -> Backend:
    """Return MLX on "cpu" or "gpu", from now on the device of the process: its arrays have none."""
    label = f"mlx:{device}"
    mx = _import(
        label, "mlx.core", 'pip install "unpool-xp[mlx]" (on Linux or a Mac with Apple silicon)'
    )
    chosen = getattr(mx, device)
    if not mx.is_available(chosen):
        raise BackendUnavailableError(
            f"{label}: MLX finds no GPU; it needs a Mac with Apple silicon, or on Linux "
            'a CUDA device and pip install "mlx[cuda13]" or "mlx[cuda12]"'
        )
    mx.set_default_device(chosen)
    return _MLX(label, mx, chosen)
