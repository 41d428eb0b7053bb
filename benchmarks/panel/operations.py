"""Steady-state times of the whole panel."""

from __future__ import annotations

from ._cells import Panel


class Time(Panel):
    """Seconds a call, from the call until its own output is ready on the device."""

    repeat = (3, 10, 0.5)  # samples: at least, at most, and seconds after which it is enough
    warmup_time = 0.05
    _call = None

    def setup(self, operation: str, size: str, stride: int, backend_mode: str) -> None:
        """Check the result, once; asv asks again before every call."""
        if self._call is None:
            session = self.session(operation, size, stride, backend_mode)
            self.number = session.measured.calls_per_sample
            self._call = session.caller()

    def time_call(self, operation: str, size: str, stride: int, backend_mode: str) -> None:
        """Call once, and wait for the output."""
        self._call()

    time_call.pretty_name = "Time of a call"
