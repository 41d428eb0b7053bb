"""Steady-state times of the whole panel."""

from __future__ import annotations

from unpool_xp.bench.suites import asv

from ._cells import Panel


class Time(Panel, asv.Time):
    """Seconds per call, from the call until its own output is ready on the device."""
