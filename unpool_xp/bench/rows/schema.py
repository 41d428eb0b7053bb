"""Rows and the files that they are kept in: one JSON object a line, one line a measurement."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta
from msgspec.structs import asdict, replace

from unpool_xp.bench.cases.formatting import printable

ROW_SCHEMA = 2
MOST_SAMPLES, MOST_PROCESSES = 100_000, 1000
MOST_ELEMENTS = 2**63 - 1
_LONGEST_REASON = 10_000  # characters
YEARS = range(1970, 2100)  # of the clock of a machine that has one, and of one that has none

# No field needs more, and nothing that counts with them can overflow.
Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Number = Annotated[float, Meta(ge=0, le=1e15)]
Seconds = Annotated[float, Meta(ge=1e-15, le=1e15)]
Text = Annotated[str, Meta(max_length=1000)]
Sizes = Annotated[list[Count], Meta(max_length=64)]
Samples = Annotated[list[Seconds], Meta(max_length=MOST_SAMPLES)]
Numbers = Annotated[list[Number], Meta(max_length=MOST_SAMPLES)]
Counts = Annotated[list[Count], Meta(max_length=MOST_SAMPLES)]
_Real = Annotated[float, Meta(ge=-1e15, le=1e15)]
_FEW = Meta(max_length=10_000)
# Counters of an operating system may go backwards.
Observed = Annotated[list[_Real], Meta(max_length=MOST_SAMPLES)]


class Conditions(msgspec.Struct, kw_only=True):
    """What else went on while samples were taken; one entry a sample."""

    other_cpus: Observed = []  # processors that other programs kept busy
    steal_cpus: Observed = []  # processors that the hypervisor gave to others
    switches: Observed = []  # involuntary context switches of the process
    wall_over_cpu: Observed = []  # seconds by the clock over CPU seconds of the process

    def extend(self, more: Conditions) -> None:
        """Append those of more samples."""
        for name in self.__struct_fields__:
            getattr(self, name).extend(getattr(more, name))


# What JSON holds, three levels deep.
_Scalar = None | bool | Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | _Real | Text
_Shallow = _Scalar | Annotated[list[_Scalar], _FEW] | Annotated[dict[Text, _Scalar], _FEW]
_Deep = _Scalar | Annotated[list[_Shallow], _FEW] | Annotated[dict[Text, _Shallow], _FEW]
Parameters = Annotated[
    dict[Text, _Scalar | Annotated[list[_Deep], _FEW] | Annotated[dict[Text, _Deep], _FEW]], _FEW
]


class Row(msgspec.Struct, kw_only=True, frozen=True, rename={"pass_": "pass"}):
    """One measurement of one case: schema version 2."""

    schema: Literal[2] = 2
    run: Text
    time: Text  # ISO 8601, UTC
    commit: Text | None
    machine: Text  # the id of a `unpool_xp.bench.measure.machine.Machine`
    backend: Text
    backend_version: Text
    device: Text
    threads: Count | None
    mode: Literal["eager", "fused", "compiled"]
    implementation: Literal["portable", "native"]
    function: Text
    operation: Text
    shape: Sizes  # of the operation's first array
    parameters: Parameters  # of the operation
    dtype: Text
    checked: bool
    check_scope: Text | None
    error: str | None
    samples_s: Samples  # seconds per call, one entry per sample
    calls_per_sample: Count | None
    first_call_s: Number | None
    to_device_s: Number | None
    from_device_s: Number | None
    peak_bytes: Count | None
    bytes_moved: Count
    flops: Count
    # What a plain copy of `bytes_moved` reached, half read, half written, in the same processes; in
    # rows without `process`, one of 256 MiB.
    copy_gb_s: Number | None
    # Older rows lack these.
    pass_: Literal["forward", "backward"] = "forward"
    device_samples_s: Numbers = []  # like samples_s, by the device clock if there is one
    clock_mhz: Count | None = None  # of a GPU's processors, right after the samples
    process: Counts = []  # which process each sample is of
    # Whether other programs, the hypervisor or a quota got in the way of each sample.
    disturbed: Annotated[list[bool], Meta(max_length=MOST_SAMPLES)] | None = None
    conditions: Conditions | None = None
    # The copies from and to page-locked memory of the host; those above use ordinary memory.
    to_device_pinned_s: Number | None = None
    from_device_pinned_s: Number | None = None
    cold_s: Number | None = None  # a call after a rest, with thread pools asleep
    # What `threads` was to be, where that was chosen; `threads` is then null if it is not.
    threads_asked: Count | None = None
    version: Text | None = None  # of unpool_xp


Key = tuple[Any, ...]
WORKLOAD = ("operation", "shape", "parameters", "dtype", "pass_")
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
    return tuple(map(_hashable, values))


def _hashable(value: Any) -> Any:
    if isinstance(value, Mapping):
        return tuple((name, _hashable(one)) for name, one in sorted(value.items()))
    return tuple(map(_hashable, value)) if isinstance(value, list | tuple) else value


def elements(row: Row) -> int:
    """Return how many elements the operation's first array has."""
    return math.prod(row.shape)


WRONG_OPERATION = "wrong Operation: "  # before a reason that is its definition's
UNSUPPORTED = " cannot do it: "  # in the reason of a function that is not made for such a case


def failure_reason(row: Row) -> str | None:
    """Return why a row has no valid time, or None if it has one."""
    if row.checked and row.samples_s:
        return None
    return row.error or ("no samples" if row.checked else "not checked")


class _Parameters1(msgspec.Struct):
    """The parameters that rows of schema 1 had, each as a field of the row."""

    kernel: Sizes | None
    stride: Sizes | None
    padding: Sizes | None
    scale: Annotated[list[Count | Number], Meta(max_length=64)] | None
    out_channels: Count | None


def parse_row(line: bytes) -> Row:
    """Parse a line of JSON as a row; raise a ValueError that says why it is invalid."""
    try:
        fields = msgspec.json.decode(line)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not readable as JSON: {error}") from error
    return row_of(fields)


def row_of(fields: Any) -> Row:
    """Return the row that has these fields; raise a ValueError that says why they are not one."""
    schema = fields.get("schema", ROW_SCHEMA) if isinstance(fields, Mapping) else ROW_SCHEMA
    if type(schema) is int and schema not in (1, ROW_SCHEMA):
        newer = ": take a newer one" if schema > ROW_SCHEMA else ""
        raise ValueError(f"has schema {schema}; this version reads schema 1 to {ROW_SCHEMA}{newer}")
    try:
        row = msgspec.convert(_in_schema_2(fields) if schema == 1 else fields, Row)
    except msgspec.ValidationError as error:
        raise ValueError(f"is not valid: {error}") from error
    _require_consistent(row)
    return replace(row, **_printable_texts(row) | {"time": _in_utc(row.time)})


def _in_schema_2(fields: Mapping[str, Any]) -> dict[str, Any]:
    parameters = asdict(msgspec.convert(fields, _Parameters1))
    others = {name: value for name, value in fields.items() if name not in parameters}
    given = {name: value for name, value in parameters.items() if value is not None}
    return {**others, "schema": ROW_SCHEMA, "parameters": given}


def _require_consistent(row: Row) -> None:
    """Raise a ValueError where the fields of a row contradict each other."""
    samples = len(row.samples_s)
    conditions = asdict(row.conditions) if row.conditions else {}
    for name, one_each in {
        "process": row.process,
        "disturbed": row.disturbed,
        **conditions,
    }.items():
        if one_each and len(one_each) != samples:
            raise ValueError(f"has {len(one_each)} entries of {name} for {samples} of samples_s")
    if len(set(row.process)) > MOST_PROCESSES:
        raise ValueError(f"has samples of more than {MOST_PROCESSES} processes")
    if elements(row) > MOST_ELEMENTS:
        raise ValueError(f"has the shape {row.shape}, of more than 2**63 elements")


def _in_utc(text: str) -> str:
    """Return a time in UTC: as text, times can then be compared."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"has the time {text[:60]!r}, which is not ISO 8601") from None
    if time.tzinfo is None:
        raise ValueError(f"has the time {text!r}, which has no time zone")
    if time.year not in YEARS:
        raise ValueError(f"has the time {text!r}, not in the years {YEARS[0]} to {YEARS[-1]}")
    return time.astimezone(UTC).isoformat()


def _printable_texts(row: Row) -> dict[str, str]:
    """Return the texts that hold control characters, without; why a row failed keeps its lines."""
    texts = {name: text for name, text in asdict(row).items() if isinstance(text, str)}
    reason = texts.pop("error", "")[:_LONGEST_REASON]  # compilers print all that they were given
    found = {name: printable(text) for name, text in texts.items() if not text.isprintable()}
    return found | {"error": "\n".join(map(printable, reason.splitlines()))} if reason else found


def latest(rows: Iterable[Row]) -> list[Row]:
    """Keep the newest row of each case on each machine.

    A file is appended to, so of the rows of one run the last is the newest, whatever the clock
    said; rows of different runs are ordered by their time.

    Parameters
    ----------
    rows : iterable of Row
        Of any runs, those of a run in the order in which they were written.

    Returns
    -------
    list of Row
        In the order in which the cases first came.
    """
    last = {((row.machine, case_key(row)), row.run): row for row in rows}
    newest: dict[Key, Row] = {}
    for (key, _), row in last.items():
        if key not in newest or row.time >= newest[key].time:
            newest[key] = row
    return list(newest.values())


def done_keys(rows: Iterable[Row], *, retry_failed: bool = False) -> set[Key]:
    """Return the keys that a resumed sweep can skip, as `case_key` gives them.

    With `retry_failed` a case is measured again if its newest row has no valid time, unless the
    library's own function cannot do the case at all.
    """
    newest = {case_key(row): row for row in sorted(rows, key=lambda row: row.time)}

    def is_done(row: Row) -> bool:
        reason = failure_reason(row) if retry_failed else None
        return reason is None or UNSUPPORTED in reason

    return {key for key, row in newest.items() if is_done(row)}
