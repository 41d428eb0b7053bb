"""The panel under pytest-benchmark: ``pytest benchmarks/ --backend torch:cpu --size small``."""

from __future__ import annotations

from typing import Any


def test_panel(panel_cell: Any, benchmark: Any) -> None:
    """Check a cell against the reference, then time it."""
    session = panel_cell.session()
    # Calls it, compiles it, checks it: all of that before pytest-benchmark's calibration.
    assert session.prepare(), session.measured.error
    benchmark.group = panel_cell.case.name
    benchmark.name = panel_cell.name
    benchmark.extra_info["row"] = panel_cell.row(session)
    benchmark(session.caller())
    session.finish()
