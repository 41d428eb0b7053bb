"""Rows and the files that they are kept in: one JSON object a line, one line a measurement."""

from __future__ import annotations

import contextlib
import json
import math
import os
import secrets
import subprocess
import types
import typing
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TypedDict, Union

ROW_SCHEMA = 1


class _Later(TypedDict, total=False):
    """The fields that rows of before do not have."""

    device_samples_s: list[float]  # as samples_s, by the clock of the device, where it has one
    clock_mhz: int | None  # of a GPU's processors, right after the samples


class Row(_Later):
    """One measurement of one case: schema version 1."""

    schema: int
    run: str
    time: str  # ISO 8601, UTC
    commit: str | None
    machine: str  # the id of a `unpool_xp.bench.machine.Machine`
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
    samples_s: list[float]  # seconds a call, one entry a sample
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


@dataclass(frozen=True)
class Problem:
    """A line that could not be read.

    Attributes
    ----------
    path : Path
        The file.
    line : int
        Its number, from 1.
    reason : str
        What is wrong with it.
    """

    path: Path
    line: int
    reason: str


@dataclass(frozen=True)
class ReadResult:
    """What files of rows hold.

    Attributes
    ----------
    rows : list of Row
        Those that could be read.
    problems : list of Problem
        Those that could not.
    """

    rows: list[Row]
    problems: list[Problem]


def case_key(row: Row) -> Key:
    """Return what a row measures; two rows of equal keys measured the same thing."""
    return _key(row, _CASE)


def workload_key(row: Row) -> Key:
    """Return the question that a row answers, whatever the backend: what may be compared."""
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
    """Return why a row has no time that counts, or None where it has one."""
    if row["checked"] and row["samples_s"]:
        return None
    return row["error"] or ("no samples" if row["checked"] else "not checked")


class RowWriter:
    """Append rows to a file, each on the disk before the next is measured.

    Parameters
    ----------
    path : str or Path
        The file; it and its folders are made. What it holds stays, and so does a torn last line:
        the next row starts on a line of its own.

    Examples
    --------
    >>> from unpool_xp.bench.results import RowWriter, read_rows
    >>> def copy(source, target):
    ...     with RowWriter(target) as writer:
    ...         for row in read_rows([source]).rows:
    ...             writer.write(row)
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # No buffer: what could not be written must not be tried again on closing.
        self._file = self.path.open("a+b", buffering=0)

    def __enter__(self) -> RowWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(self, row: Row) -> None:
        """Append a row.

        Parameters
        ----------
        row : Row
            The measurement.

        Raises
        ------
        ValueError
            If it is no row of this schema; the message names the field. Nothing is written.
        OSError
            If the disk is full, or the like. The rows before it are whole, and it is not there.
        """
        fault = row_fault(row)
        if fault is not None:
            raise ValueError(f"RowWriter.write: row {fault}")
        line = json.dumps(row, allow_nan=False).encode() + b"\n"
        size = self._file.seek(0, os.SEEK_END)
        try:
            self._append(line if self._ends_whole(size) else b"\n" + line)
            os.fsync(self._file.fileno())
        except OSError:
            with contextlib.suppress(OSError):  # what is wrong is said once
                self._file.truncate(size)  # needs no room, unlike the rest of a row
            raise

    def _append(self, data: bytes) -> None:
        while data:  # a disk that is nearly full takes a part
            data = data[self._file.write(data) :]

    def _ends_whole(self, size: int) -> bool:
        if size == 0:
            return True
        self._file.seek(-1, os.SEEK_END)
        return self._file.read(1) == b"\n"

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read_rows(paths: Iterable[str | Path]) -> ReadResult:
    """Read rows from files, and from all ``*.jsonl`` in folders.

    Parameters
    ----------
    paths : iterable of str or Path
        Files, or folders, which are searched to the bottom.

    Returns
    -------
    ReadResult
        The rows, in the order of the files, and a problem for each line that is no row.

    Raises
    ------
    FileNotFoundError
        If a path is not there; the message names it.
    TypeError
        If `paths` is one path instead of several.
    """
    if isinstance(paths, str | Path):
        raise TypeError(f"read_rows: paths={str(paths)!r} must be a list of paths, not one")
    result = ReadResult([], [])
    for path in dict.fromkeys(file for given in paths for file in _files(Path(given))):
        # Bytes, not text: a line that is not UTF-8 must not take the others with it.
        for number, line in enumerate(path.read_bytes().split(b"\n"), start=1):
            if line.strip():
                try:
                    result.rows.append(parse_row(line))
                except ValueError as error:
                    result.problems.append(Problem(path, number, str(error)))
    return result


def _files(path: Path) -> Iterator[Path]:
    if not path.exists():
        raise FileNotFoundError(f"read_rows: there is no file or folder {str(path)!r}")
    yield from (f.resolve() for f in (sorted(path.rglob("*.jsonl")) if path.is_dir() else [path]))


def parse_row(line: bytes) -> Row:
    """Return the row that a line of JSON holds; a ValueError that says why where it is none."""
    try:
        row = json.loads(line.decode("utf-8"))
        # JSON can spell half a character ("\\ud800"), which no file can be written with.
        row = json.loads(json.dumps(row, ensure_ascii=False).encode("utf-8", "replace"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not readable as JSON: {error}") from error
    fault = row_fault(row)
    if fault is not None:
        raise ValueError(fault)
    return typing.cast("Row", row)


def row_fault(row: Any) -> str | None:
    """Return what keeps an object from being a row, or None where it is one."""
    if not isinstance(row, dict):
        return f"is a {type(row).__name__}, not an object"
    schema = row.get("schema")
    if isinstance(schema, int) and schema > ROW_SCHEMA:
        return f"has schema {schema}; this version reads schema {ROW_SCHEMA}: take a newer one"
    missing = [name for name in _HINTS if name in Row.__required_keys__ and name not in row]
    if missing:
        return "lacks the field " + ", ".join(map(repr, missing))
    for name, hint in _HINTS.items():
        if name in row and not _fits(row[name], hint):
            return f"has {name}={_short(row[name])}, which is not {_spelled(hint)}"
    if schema != ROW_SCHEMA:
        return f"has schema {schema}; this version reads schema {ROW_SCHEMA}"
    if not all(sample > 0 for sample in row["samples_s"]):
        return f"has samples_s={_short(row['samples_s'])}, which are not all > 0"
    return None


def _fits(value: Any, hint: Any) -> bool:
    """Return whether a value read from JSON is of a type of `Row`."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (Union, types.UnionType):
        return any(_fits(value, argument) for argument in arguments)
    if origin is Literal:
        return value in arguments if isinstance(value, str) else False
    if origin is list:
        return isinstance(value, list) and all(_fits(item, arguments[0]) for item in value)
    if hint in (int, float):
        if isinstance(value, bool) or not isinstance(value, int | hint):
            return False
        # No field needs more, and nothing that counts with them can overflow.
        return abs(value) < 2**63 if isinstance(value, int) else math.isfinite(value)
    return isinstance(value, hint)


def _spelled(hint: Any) -> str:
    return hint.__name__ if isinstance(hint, type) else str(hint).replace("typing.", "")


def _short(value: Any) -> str:
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
    """Return what a resumed sweep need not measure again.

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


def run_id() -> str:
    """Return a new name for a run, which sorts by time, such as "20250131T120000Z-1a2b3c"."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"


def git_commit(folder: str | Path | None = None) -> str | None:
    """Return the commit that the files of a folder are of.

    Parameters
    ----------
    folder : str or Path, optional
        Only what changed in here makes it dirty. Default: the folder of this package.

    Returns
    -------
    str or None
        The hash, with "+dirty" behind it where the files differ from it; None where git does
        not know the folder, even if it lies within somebody's repository.
    """
    here = Path(__file__).parents[1] if folder is None else Path(folder)
    # Within a git hook these name the repository of the hook.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}

    def git(*arguments: str) -> str | None:
        command = ["git", "-C", str(here), *arguments]
        try:
            answer = subprocess.run(command, capture_output=True, text=True, env=environment)
        except OSError:  # there is no git
            return None
        return answer.stdout.strip() if answer.returncode == 0 else None

    head = git("rev-parse", "HEAD")
    if not head or not git("ls-files", "--", "."):
        return None
    return f"{head}+dirty" if git("status", "--porcelain", "--", ".") else head
