"""Peak memory of a process that calls once."""

from __future__ import annotations

import gc

from unpool_xp.bench.catalog import SINGLE_OPERATIONS
from unpool_xp.bench.measure.memory import reset_peak

from ._cells import BACKEND_MODES, Panel


class PeakMemory(Panel):
    """The most that a process holds during a call, on the host: all of it, libraries included.

    The reference does nothing; what it shows is what interpreter, library and inputs take, and
    what is above it is the call's.
    """

    params = (tuple(SINGLE_OPERATIONS), ("large",), (2,), BACKEND_MODES)

    def setup(self, operation: str, size: str, stride: int, backend_mode: str) -> None:
        """Check the result, let go of all but the inputs, and count from here."""
        self._call = self.session(operation, size, stride, backend_mode).caller()
        gc.collect()
        reset_peak()

    def peakmem_call(self, operation: str, size: str, stride: int, backend_mode: str) -> None:
        """Call once, and wait for the output."""
        self._call()

    def peakmem_reference(self, operation: str, size: str, stride: int, backend_mode: str) -> None:
        """Do nothing."""

    peakmem_call.pretty_name = "Peak memory of a call"
    peakmem_reference.pretty_name = "Peak memory without a call"
    peakmem_reference.params = (("max_pool",), ("large",), (2,), BACKEND_MODES)
