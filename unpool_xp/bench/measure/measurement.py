"""A cell (what a case is measured with) and its measurement (the fields of a row that result)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from unpool_xp.bench.cases.case import Case
from unpool_xp.bench.measure.workers import Place
from unpool_xp.bench.rows.schema import Conditions


@dataclass(frozen=True)
class Cell:
    """What a case is measured with.

    Parameters
    ----------
    label : str
        The backend.
    mode : {"eager", "fused", "compiled"}
        How it runs.
    implementation : {"portable", "native"}
        Whether the function is unpool_xp's or the library's own.
    function : str
        Its name.
    threads : int, optional
        The number of threads. Default: as the library chooses.
    """

    label: str
    mode: str
    implementation: str
    function: str
    threads: int | None = None

    @property
    def runs_on(self) -> Place:
        """Where it is measured."""
        return Place(self.label, self.threads)

    @property
    def session(self) -> str:
        """The name of its session in its worker."""
        return f"{self.mode}/{self.function}"

    def request(self, case: Case) -> dict[str, Any]:
        """Return the arguments of the worker's commands "prepare" and "peak"."""
        return {
            "case": case.to_json(),
            "mode": self.mode,
            "implementation": self.implementation,
            "function": self.function,
        }


def cells_of(
    case: Case, label: str, modes: Sequence[str] = ("eager",), threads: int | None = None
) -> list[Cell]:
    """Return the cells of a case on a backend: the portable function, then the natives."""
    functions = [("portable", case.definition.title)]
    natives = case.natives(label.partition(":")[0])
    functions += [("native", native.name(case)) for native in natives]
    return [Cell(label, mode, *function, threads) for mode in modes for function in functions]


class Samples(msgspec.Struct, kw_only=True):
    """Seconds per call, and the conditions meanwhile; one entry per sample."""

    samples_s: list[float] = []
    device_samples_s: list[float] = []  # none where the device has no clock
    process: list[int] = []
    disturbed: list[bool] = []
    conditions: Conditions = msgspec.field(default_factory=Conditions)

    def extend(self, more: Samples, process: int = 0) -> None:
        """Append samples, taken in a process of that number."""
        self.samples_s += more.samples_s
        self.device_samples_s += more.device_samples_s
        self.process += [process] * len(more.samples_s)
        self.disturbed += more.disturbed
        self.conditions.extend(more.conditions)


class Measurement(Samples, kw_only=True):
    """One function on one case; the fields are those of `rows.schema.Row`.

    If the measurement failed, `error` says why, and there are no times.
    """

    checked: bool = False
    check_scope: str | None = None
    error: str | None = None
    calls_per_sample: int | None = None
    first_call_s: float | None = None
    cold_s: float | None = None
    copy_gb_s: float | None = None
    to_device_s: float | None = None
    from_device_s: float | None = None
    to_device_pinned_s: float | None = None
    from_device_pinned_s: float | None = None
    peak_bytes: int | None = None
    clock_mhz: int | None = None
    bytes_moved: int | None = None  # None: as the case says
    backend_version: str = ""  # empty where the backend never came up
    device: str = ""
    threads: int | None = None

    def failed(self, reason: str) -> Measurement:
        """Return the measurement after a failure, without any times."""
        return Measurement(error=reason, bytes_moved=self.bytes_moved)

    def describe(self, facts: Mapping[str, Any]) -> None:
        """Enter the facts that a worker reports about its backend."""
        self.backend_version = facts.get("version", "")
        self.device = facts.get("device", "")
        self.threads = facts.get("threads")
