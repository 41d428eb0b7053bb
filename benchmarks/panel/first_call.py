"""What the first call costs: tracing, compiling, the library's own start."""

from __future__ import annotations

from ._cells import BACKEND_MODES, Panel


class FirstCall(Panel):
    """The first call in a new process. There is one a process, so this is one sample."""

    params = (("max_pool", "max_unpool", "conv_transpose"), ("small",), (2,), BACKEND_MODES)
    unit = "s"

    def setup(self, operation: str, size: str, stride: int, backend_mode: str) -> None:
        """Call for the first time, and check the result."""
        self._session = self.session(operation, size, stride, backend_mode)

    def track_first_call(self, operation: str, size: str, stride: int, backend_mode: str) -> float:
        """Return the seconds from the first call until its output was ready."""
        return self._session.measured.first_call_s

    track_first_call.pretty_name = "First call"
