"""One reader of all results: rows of sweeps, results of asv, files of pytest-benchmark.

The format is detected from the content. A damaged or unknown file is reported as a problem, not
raised, and everything readable is read. Nothing from a file is ever evaluated.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from unpool_xp.bench.rows.asv import is_asv, rows_of_asv
from unpool_xp.bench.rows.files import Problem, ReadResult, read_files, read_lines
from unpool_xp.bench.rows.pytest_benchmark import is_pytest_benchmark, rows_of_pytest_benchmark
from unpool_xp.bench.rows.schema import Row

# Beside results, and no results.
_NOT_RESULTS = ("machine.json", "benchmarks.json", "asv.conf.json", ".asv-machine.json")


def read_results(paths: Iterable[str | Path]) -> ReadResult:
    """Read rows from files and folders of any of the formats.

    Parameters
    ----------
    paths : iterable of str or Path
        Files, or folders, which are searched to the bottom for ``*.jsonl`` and ``*.json``.

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
    return read_files("read_results", paths, _may_hold_rows, _read_any)


def _may_hold_rows(path: Path) -> bool:
    return path.suffix in (".json", ".jsonl") and path.name not in _NOT_RESULTS and path.is_file()


def _read_any(path: Path) -> Iterator[Row | Problem]:
    """Yield what a file of any format holds; a file that cannot be read is a problem."""
    try:
        yield from _read_file(path)
    except OSError as error:
        yield Problem(path, 1, f"cannot be read: {error.strerror or error}")
    except ValueError as error:
        yield Problem(path, 1, str(error))


def _read_file(path: Path) -> Iterable[Row | Problem]:
    if path.suffix == ".jsonl":
        return read_lines(path)
    try:
        data = _read_json(path)
    except ValueError as error:
        if _starts_with_row(path):  # of a sweep, under another name
            return read_lines(path)
        line = error.lineno if isinstance(error, json.JSONDecodeError) else 1
        return [Problem(path, line, f"not readable as JSON: {error}")]
    if is_asv(data):
        return rows_of_asv(path, data, _asv_benchmarks(path))
    if is_pytest_benchmark(data):
        return rows_of_pytest_benchmark(path, data)
    if isinstance(data, dict) and "schema" in data:  # one row
        return read_lines(path)
    raise ValueError("is no result of a sweep, of asv or of pytest-benchmark")


def _read_json(path: Path) -> Any:
    """Load a JSON file; raise a ValueError if it is invalid."""
    try:
        data = json.loads(path.read_bytes().decode("utf-8-sig"))
        # JSON can spell half a character ("\\ud800"), which nothing can be written with.
        return json.loads(json.dumps(data, ensure_ascii=False).encode("utf-8", "replace"))
    except RecursionError as error:
        raise ValueError(str(error)) from error


def _starts_with_row(path: Path) -> bool:
    return path.read_bytes().partition(b"\n")[0].lstrip().startswith(b'{"schema"')


def _asv_benchmarks(path: Path) -> Any:
    """Return what asv has written of its benchmarks, above its results."""
    try:
        return _read_json(path.parent.parent / "benchmarks.json")
    except (OSError, ValueError):
        return None
