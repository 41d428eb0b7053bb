"""The parameters that all benchmarks of the panel share, and the case that they stand for."""

from __future__ import annotations

from unpool_xp.bench.cases.case import Case
from unpool_xp.bench.catalog import SINGLE_OPERATIONS
from unpool_xp.bench.catalog.panel import SIZES, STRIDES, panel_case
from unpool_xp.bench.suites import asv

BACKEND_MODES = asv.Benchmark.params[-1]  # asv keeps the texts of parameters


class Panel(asv.Benchmark):
    """A benchmark of our own operations, at two sizes and two strides."""

    param_names = ("operation", "size", "stride", "how")
    params = (tuple(SINGLE_OPERATIONS), SIZES, STRIDES, BACKEND_MODES)

    def case(self, operation: str, size: str, stride: int) -> Case:
        """Return the case of the panel."""
        return panel_case(operation, size, stride)
