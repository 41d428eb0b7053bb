"""One reader of all results: rows of sweeps, results of asv, files of pytest-benchmark.

The format is detected from the content. A damaged or unknown file is reported as a problem, not
raised, and everything readable is read. Nothing from a file is ever evaluated.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from unpool_xp.bench.rows.asv import is_asv, rows_of_asv
from unpool_xp.bench.rows.files import (
    Problem,
    ReadResult,
    is_row_file,
    read_files,
    read_json,
    rows_of_lines,
)
from unpool_xp.bench.rows.pytest_benchmark import is_pytest_benchmark, rows_of_pytest_benchmark
from unpool_xp.bench.rows.schema import Row

# Beside results, and no results.
_NOT_RESULTS = ("machine.json", "benchmarks.json", "asv.conf.json", ".asv-machine.json")


def read_results(paths: Iterable[str | Path]) -> ReadResult:
    """Read rows from files and folders of any of the formats.

    Parameters
    ----------
    paths : iterable of str or Path
        Files, or folders, which are searched to the bottom for ``*.jsonl`` and ``*.json``,
        gzipped or not.

    Returns
    -------
    ReadResult
        The rows, in the order of the files, and a problem for all that could not be read.

    Raises
    ------
    FileNotFoundError
        If a path is not there; the message names it.
    TypeError
        If `paths` is one path instead of several.

    Examples
    --------
    >>> import tempfile
    >>> from unpool_xp.bench.rows.readers import read_results
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     read_results([folder])
    ReadResult(rows=[], problems=[])
    """
    return read_files(paths, _may_hold_rows, _rows_of_any)


def _may_hold_rows(name: str) -> bool:
    return name.endswith((".json", ".jsonl")) and name not in _NOT_RESULTS


def _rows_of_any(path: Path, data: bytes) -> Iterable[Row | Problem]:
    """Return what a file of any format holds; raise a ValueError if it is of none."""
    if is_row_file(path.name.removesuffix(".gz")):
        return rows_of_lines(path, data)
    try:
        known = read_json(data)
    except ValueError as error:
        if data.lstrip().startswith(b'{"schema"'):  # of a sweep, under another name
            return rows_of_lines(path, data)
        line = error.lineno if isinstance(error, json.JSONDecodeError) else 1
        return [Problem(path, line, f"not readable as JSON: {error}")]
    if is_asv(known):
        return rows_of_asv(path, known, _asv_benchmarks(path))
    if is_pytest_benchmark(known):
        return rows_of_pytest_benchmark(path, known)
    if isinstance(known, dict) and "schema" in known:  # one row
        return rows_of_lines(path, data)
    raise ValueError("is not a result of a sweep, asv or pytest-benchmark")


def _asv_benchmarks(path: Path) -> Any:
    """Return what asv has written of its benchmarks, above its results."""
    try:
        return read_json((path.parent.parent / "benchmarks.json").read_bytes())
    except (OSError, ValueError):
        return None
