"""Peak memory of a process that calls once."""

from __future__ import annotations

from unpool_xp.bench.catalog import SINGLE_OPERATIONS
from unpool_xp.bench.suites import asv

from ._cells import BACKEND_MODES, Panel


class PeakMemory(Panel, asv.PeakMemory):
    """The most that a process holds during a call, on the host; the reference for one operation."""

    params = (tuple(SINGLE_OPERATIONS), ("large",), (2,), BACKEND_MODES)

    def peakmem_reference(self, operation: str, size: str, stride: int, backend_mode: str) -> None:
        """Do nothing."""

    peakmem_reference.pretty_name = "Peak memory without a call"
    peakmem_reference.params = (("max_pool",), ("large",), (2,), BACKEND_MODES)
