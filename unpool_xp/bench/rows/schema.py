"""Rows and the files that they are kept in: one JSON object a line, one line a measurement."""

from __future__ import annotations

import json
import math
import types
import typing
from collections.abc import Iterable, Sequence
from typing import Any, Literal, TypedDict, Union

ROW_SCHEMA = 1


class _Later(TypedDict, total=False):
    """Fields that older rows lack."""

    device_samples_s: list[float]  # like samples_s, by the device clock if there is one
    clock_mhz: int | None  # of a GPU's processors, right after the samples


class Row(_Later):
    """One measurement of one case: schema version 1."""

    schema: int
    run: str
    time: str  # ISO 8601, UTC
    commit: str | None
    machine: str  # the id of a `unpool_xp.bench.measure.machine.Machine`
    backend: str
    backend_version: str
    device: str
    threads: int | None
    mode: Literal["eager", "compiled"]
    implementation: Literal["portable", "native"]
    function: str
    operation: str
    shape: list[int]  # of the operation's first array
    kernel: list[int] | None
    stride: list[int] | None
    padding: list[int] | None
    scale: list[float] | None
    out_channels: int | None
    dtype: str
    checked: bool
    check_scope: str | None
    error: str | None
    samples_s: list[float]  # seconds per call, one entry per sample
    calls_per_sample: int | None
    first_call_s: float | None
    to_device_s: float | None
    from_device_s: float | None
    peak_bytes: int | None
    bytes_moved: int
    flops: int
    copy_gb_s: float | None  # what a plain copy reached on the device, in this very process


Key = tuple[Any, ...]
_WORKLOAD = (
    *("operation", "shape", "kernel", "stride", "padding", "scale", "out_channels", "dtype"),
)
_CASE = ("backend", "mode", "implementation", "function", *_WORKLOAD)
_HINTS = typing.get_type_hints(Row)


def case_key(row: Row) -> Key:
    """Return what a row measures; two rows of equal keys measured the same thing."""
    return _key(row, _CASE)


def workload_key(row: Row) -> Key:
    """Return the workload of a row without its backend: rows with equal keys are comparable."""
    return _key(row, _WORKLOAD)


def _key(row: Row, names: Sequence[str]) -> Key:
    values = (row[name] for name in names)  # type: ignore[literal-required]
    return tuple(tuple(value) if isinstance(value, list) else value for value in values)


def label(row: Row) -> str:
    """Return the backend, the mode and the implementation of a row in a few words."""
    return f"{row['backend']} {row['mode']} {row['implementation']}"


def elements(row: Row) -> int:
    """Return how many elements the operation's first array has."""
    return math.prod(row["shape"])


def failure_reason(row: Row) -> str | None:
    """Return why a row has no valid time, or None if it has one."""
    if row["checked"] and row["samples_s"]:
        return None
    return row["error"] or ("no samples" if row["checked"] else "not checked")


def parse_row(line: bytes) -> Row:
    """Parse a line of JSON as a row; raise a ValueError that says why it is invalid."""
    try:
        row = json.loads(line.decode("utf-8"))
        # JSON can spell half a character ("\\ud800"), which no file can be written with.
        row = json.loads(json.dumps(row, ensure_ascii=False).encode("utf-8", "replace"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not readable as JSON: {error}") from error
    fault = row_error(row)
    if fault is not None:
        raise ValueError(fault)
    return typing.cast("Row", row)


def row_error(row: Any) -> str | None:
    """Return why an object is not a valid row, or None if it is."""
    if not isinstance(row, dict):
        return f"is a {type(row).__name__}, not an object"
    schema = row.get("schema")
    if isinstance(schema, int) and schema > ROW_SCHEMA:
        return f"has schema {schema}; this version reads schema {ROW_SCHEMA}: take a newer one"
    missing = [name for name in _HINTS if name in Row.__required_keys__ and name not in row]
    if missing:
        return "lacks the field " + ", ".join(map(repr, missing))
    for name, hint in _HINTS.items():
        if name in row and not _matches_type(row[name], hint):
            return f"has {name}={_short_repr(row[name])}, which is not {_type_text(hint)}"
    if schema != ROW_SCHEMA:
        return f"has schema {schema}; this version reads schema {ROW_SCHEMA}"
    if not all(sample > 0 for sample in row["samples_s"]):
        return f"has samples_s={_short_repr(row['samples_s'])}, which are not all > 0"
    return None


def _matches_type(value: Any, hint: Any) -> bool:
    """Return whether a value read from JSON is of a type of `Row`."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (Union, types.UnionType):
        return any(_matches_type(value, argument) for argument in arguments)
    if origin is Literal:
        return value in arguments if isinstance(value, str) else False
    if origin is list:
        return isinstance(value, list) and all(_matches_type(item, arguments[0]) for item in value)
    if hint in (int, float):
        if isinstance(value, bool) or not isinstance(value, int | hint):
            return False
        # No field needs more, and nothing that counts with them can overflow.
        return abs(value) < 2**63 if isinstance(value, int) else math.isfinite(value)
    return isinstance(value, hint)


def _type_text(hint: Any) -> str:
    return hint.__name__ if isinstance(hint, type) else str(hint).replace("typing.", "")


def _short_repr(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


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
        key = (row["machine"], case_key(row))
        if key not in newest or row["time"] >= newest[key]["time"]:
            newest[key] = row
    return list(newest.values())


def done_keys(rows: Iterable[Row], *, retry_failed: bool = False) -> set[Key]:
    """Return the keys that a resumed sweep can skip.

    Parameters
    ----------
    rows : iterable of Row
        What there is.
    retry_failed : bool, optional
        Whether rows without a checked result are to be tried again.

    Returns
    -------
    set of tuple
        Keys, as `case_key` gives them.
    """
    return {case_key(row) for row in rows if not (retry_failed and failure_reason(row))}
