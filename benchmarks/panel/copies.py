"""What it costs to bring arrays to the device and back."""

from __future__ import annotations

from unpool_xp.bench.cases.case import BackendMode

from ._cells import BACKEND_MODES, Panel


class Copies(Panel):
    """A copy of the largest input; on a CPU that is a copy within its memory."""

    params = (
        ("max_pool",),
        ("large",),
        (2,),
        tuple(text for text in BACKEND_MODES if BackendMode.parse(text).mode == "eager"),
    )
    repeat = (3, 10, 0.6)
    number = 1
    warmup_time = 0.05
    _device = None

    def setup(self, operation: str, size: str, stride: int, backend_mode: str) -> None:
        """Make the array, once; asv asks again before every call."""
        if self._device is None:
            inputs = self.inputs(operation, size, stride, backend_mode)
            self._backend = inputs.backend
            self._host, self._device = next(iter(inputs.host.values())), inputs.device[0]
        # New each time: some libraries keep what they have copied once.
        self._device = self._backend.asarray(self._host)
        self._backend.synchronize(self._device)

    def time_to_device(self, operation: str, size: str, stride: int, backend_mode: str) -> None:
        """Copy there, and wait for it."""
        self._backend.synchronize(self._backend.asarray(self._host))

    def time_from_device(self, operation: str, size: str, stride: int, backend_mode: str) -> None:
        """Copy back."""
        self._backend.to_numpy(self._device)

    time_to_device.pretty_name = "Copy to the device"
    time_from_device.pretty_name = "Copy back from the device"
