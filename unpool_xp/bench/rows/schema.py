"""Rows and the files that they are kept in: one JSON object a line, one line a measurement."""

from __future__ import annotations

import contextlib
import math
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

ROW_SCHEMA = 1

# No field needs more, and nothing that counts with them can overflow.
Int = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Float = Annotated[float, Meta(ge=-sys.float_info.max, le=sys.float_info.max)]
Seconds = Annotated[float, Meta(gt=0, le=sys.float_info.max)]


class Conditions(msgspec.Struct, kw_only=True):
    """What else went on while samples were taken; one entry a sample."""

    other_cpus: list[Float] = []  # processors that other programs kept busy
    steal_cpus: list[Float] = []  # processors that the hypervisor gave to others
    switches: list[Int] = []  # involuntary context switches of the process
    wall_over_cpu: list[Float] = []  # seconds by the clock over CPU seconds of the process

    def extend(self, more: Conditions) -> None:
        """Append those of more samples."""
        for name in self.__struct_fields__:
            getattr(self, name).extend(getattr(more, name))


class Row(msgspec.Struct, kw_only=True, frozen=True):
    """One measurement of one case: schema version 1."""

    schema: Literal[1] = 1
    run: str
    time: str  # ISO 8601, UTC
    commit: str | None
    machine: str  # the id of a `unpool_xp.bench.measure.machine.Machine`
    backend: str
    backend_version: str
    device: str
    threads: Int | None
    mode: Literal["eager", "compiled"]
    implementation: Literal["portable", "native"]
    function: str
    operation: str
    shape: list[Int]  # of the operation's first array
    kernel: list[Int] | None
    stride: list[Int] | None
    padding: list[Int] | None
    scale: list[Int | Float] | None
    out_channels: Int | None
    dtype: str
    checked: bool
    check_scope: str | None
    error: str | None
    samples_s: list[Seconds]  # seconds per call, one entry per sample
    calls_per_sample: Int | None
    first_call_s: Float | None
    to_device_s: Float | None
    from_device_s: Float | None
    peak_bytes: Int | None
    bytes_moved: Int
    flops: Int
    # What a plain copy of `bytes_moved` reached, half read, half written, in the same processes; in
    # rows without `process`, one of 256 MiB.
    copy_gb_s: Float | None
    # Older rows lack these.
    device_samples_s: list[Float] = []  # like samples_s, by the device clock if there is one
    clock_mhz: Int | None = None  # of a GPU's processors, right after the samples
    process: list[Int] = []  # which process each sample is of
    # Whether other programs, the hypervisor or a quota got in the way of each sample.
    disturbed: list[bool] | None = None
    conditions: Conditions | None = None
    cold_s: Float | None = None  # a call after a rest, with thread pools asleep
    # What `threads` was to be, where that was chosen; `threads` is then null if it is not.
    threads_asked: Int | None = None
    version: str | None = None  # of unpool_xp


Key = tuple[Any, ...]
WORKLOAD = ("operation", "shape", "kernel", "stride", "padding", "scale", "out_channels", "dtype")
_CASE = ("backend", "mode", "threads_asked", "implementation", "function", *WORKLOAD)


def case_key(row: Row) -> Key:
    """Return what a row measures; two rows of equal keys measured the same thing."""
    return _key(getattr(row, name) for name in _CASE)


def fields_key(fields: Mapping[str, Any]) -> Key:
    """Return the `case_key` of a row that has these fields."""
    return _key(fields[name] for name in _CASE)


def workload_key(row: Row) -> Key:
    """Return the workload of a row without its backend: rows with equal keys are comparable."""
    return _key(getattr(row, name) for name in WORKLOAD)


def _key(values: Iterable[Any]) -> Key:
    return tuple(tuple(value) if isinstance(value, list) else value for value in values)


def elements(row: Row) -> int:
    """Return how many elements the operation's first array has."""
    return math.prod(row.shape)


def failure_reason(row: Row) -> str | None:
    """Return why a row has no valid time, or None if it has one."""
    if row.checked and row.samples_s:
        return None
    return row.error or ("no samples" if row.checked else "not checked")


class _Version(msgspec.Struct):
    schema: int


def parse_row(line: bytes) -> Row:
    """Parse a line of JSON as a row; raise a ValueError that says why it is invalid."""
    return _valid_row(msgspec.json.decode, line)


def row_of(fields: Mapping[str, Any]) -> Row:
    """Return the row that has these fields; raise a ValueError that says why they are no row."""
    return _valid_row(msgspec.convert, fields)


def _valid_row(read: Callable[..., Any], data: object) -> Row:
    try:
        row: Row = read(data, type=Row)
    except msgspec.ValidationError as error:
        with contextlib.suppress(msgspec.ValidationError):
            version = read(data, type=_Version).schema
            if version != ROW_SCHEMA:
                newer = ": take a newer one" if version > ROW_SCHEMA else ""
                raise ValueError(
                    f"has schema {version}; this version reads schema {ROW_SCHEMA}{newer}"
                ) from error
        raise ValueError(f"is not valid: {error}") from error
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not readable as JSON: {error}") from error
    return row


def latest(rows: Iterable[Row]) -> list[Row]:
    """Keep the newest row of each case on each machine.

    Parameters
    ----------
    rows : iterable of Row
        Of any runs.

    Returns
    -------
    list of Row
        In the order in which the cases first came.
    """
    newest: dict[Key, Row] = {}
    for row in rows:
        key = (row.machine, case_key(row))
        if key not in newest or row.time >= newest[key].time:
            newest[key] = row
    return list(newest.values())


def done_keys(rows: Iterable[Row], *, retry_failed: bool = False) -> set[Key]:
    """Return the keys that a resumed sweep can skip, as `case_key` gives them.

    With `retry_failed` a case is measured again if its newest row has no valid time.
    """
    newest = {case_key(row): row for row in sorted(rows, key=lambda row: row.time)}
    return {key for key, row in newest.items() if not (retry_failed and failure_reason(row))}
