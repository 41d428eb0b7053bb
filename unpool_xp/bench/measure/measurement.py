"""What measuring a case with one function gives: the fields of its row that depend on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec


class Measurement(msgspec.Struct, kw_only=True):
    """One function on one case; the fields are those of `rows.schema.Row`.

    Without an answer it says in `error` why there is none, and has no times.
    """

    checked: bool = False
    check_scope: str | None = None
    error: str | None = None
    samples_s: list[float] = []
    device_samples_s: list[float] = []
    calls_per_sample: int | None = None
    first_call_s: float | None = None
    to_device_s: float | None = None
    from_device_s: float | None = None
    peak_bytes: int | None = None
    clock_mhz: int | None = None
    bytes_moved: int | None = None  # None: as the case says
    backend_version: str = ""  # empty where the backend never came up
    device: str = ""
    threads: int | None = None

    def failed(self, reason: str) -> Measurement:
        """Return what is left of it after a failure: no time of what is not checked."""
        return Measurement(error=reason, bytes_moved=self.bytes_moved)

    def describe(self, facts: Mapping[str, Any]) -> None:
        """Enter what a worker says of its backend."""
        self.backend_version = facts.get("version", "")
        self.device = facts.get("device", "")
        self.threads = facts.get("threads")
