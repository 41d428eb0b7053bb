"""CUDA timers and peak-memory meters, through each library's own API."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any


class EventClock:
    """Two events in the device's queue, before and after a call.

    Parameters
    ----------
    event : callable
        Makes an event that has ``record()`` and ``synchronize()``.
    milliseconds : callable
        From the first event to the second.
    *stream : object, optional
        The queue, if it is not that of the library's current device.
    """

    def __init__(
        self, event: Callable[[], Any], milliseconds: Callable[[Any, Any], float], *stream: Any
    ) -> None:
        self._first, self._second, self._milliseconds = event(), event(), milliseconds
        self._stream = stream

    def start(self) -> None:
        """Record the first; the host does not wait."""
        self._first.record(*self._stream)

    def stop(self) -> None:
        """Record the second; the host does not wait."""
        self._second.record(*self._stream)

    def seconds(self) -> float:
        """Wait for the second; return the time between the two on the device."""
        self._second.synchronize()
        return self._milliseconds(self._first, self._second) / 1e3


def torch_events(device: Any) -> EventClock:
    """Return events of a device's current stream of PyTorch."""
    cuda = importlib.import_module("torch").cuda
    return EventClock(
        lambda: cuda.Event(enable_timing=True),
        lambda a, b: a.elapsed_time(b),
        cuda.current_stream(device),
    )


def cupy_events() -> EventClock:
    """Return events of CuPy's current stream."""
    cuda = importlib.import_module("cupy").cuda
    return EventClock(cuda.Event, cuda.get_elapsed_time)


def torch_peak(device: Any) -> Callable[[], int]:
    """Reset PyTorch's peak counter; return a function giving the peak above the current use."""
    cuda = importlib.import_module("torch").cuda
    cuda.reset_peak_memory_stats(device)
    start = cuda.memory_allocated(device)
    return lambda: int(cuda.max_memory_allocated(device)) - start


def cupy_peak() -> Callable[[], int]:
    """Track the peak of CuPy's pool; return a function that stops and gives the peak."""

    class Peak(importlib.import_module("cupy").cuda.MemoryHook):  # type: ignore[misc]
        name = "unpool_xp peak"
        now = most = 0

        def malloc_postprocess(self, *, mem_size: int, mem_ptr: int, **_: Any) -> None:
            if mem_ptr:  # 0 where there was no memory
                self.now += mem_size
                self.most = max(self.most, self.now)

        def free_postprocess(self, *, mem_size: int, **_: Any) -> None:
            self.now -= mem_size

    hook = Peak()
    hook.__enter__()

    def peak() -> int:
        hook.__exit__(None, None, None)
        return int(hook.most)

    return peak


def jax_peak(device: Any) -> Callable[[], int] | None:
    """Return a function giving JAX's peak memory above the current use.

    JAX cannot reset its peak, so earlier, larger work in the same process would be counted.
    """
    start = (device.memory_stats() or {}).get("bytes_in_use")
    if start is None:
        return None
    return lambda: int(device.memory_stats()["peak_bytes_in_use"]) - int(start)


def disable_tf32_torch() -> None:
    """Keep float32 products and convolutions of PyTorch in float32: TF32 has ten bits."""
    torch = importlib.import_module("torch")
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False


def disable_tf32_jax() -> None:
    """Keep float32 products and convolutions of JAX in float32: TF32 has ten bits."""
    jax = importlib.import_module("jax")
    jax.config.update("jax_default_matmul_precision", "float32")
