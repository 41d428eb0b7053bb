"""What ``pytest --benchmark-json`` writes as rows: times there, all else in ``extra_info``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unpool_xp.bench.rows.files import Problem, ReadResult
from unpool_xp.bench.rows.schema import row_of

RUN_PREFIX = "pytest-"  # begins the run of each row from here
_MEASURED = ("samples_s", "calls_per_sample")


def is_pytest_benchmark(data: Any) -> bool:
    """Return whether what a JSON file holds has the shape of pytest-benchmark's."""
    return (
        isinstance(data, dict)
        and {"machine_info", "commit_info"} <= data.keys()
        and isinstance(data.get("benchmarks"), list)
    )


def rows_of_pytest_benchmark(path: Path, data: Mapping[str, Any]) -> ReadResult:
    """Return the rows of a file of pytest-benchmark.

    Parameters
    ----------
    path : Path
        The file, for the problems.
    data : mapping
        What is in it.

    Returns
    -------
    ReadResult
        A row for each benchmark whose ``extra_info["row"]`` has the other fields of one.
    """
    found = ReadResult([], [])
    for number, benchmark in enumerate(data["benchmarks"], start=1):
        name = f"benchmark {number}"
        try:
            if not isinstance(benchmark, dict):
                raise ValueError("is no object")
            name = f"{name}, {str(benchmark.get('fullname'))[:200]},"
            found.rows.append(row_of(_row(benchmark)))
        except ValueError as error:
            found.problems.append(Problem(path, 1, f"{name} {error}"))
    return found


def _row(benchmark: Mapping[str, Any]) -> Any:
    extra = benchmark.get("extra_info")
    row = extra.get("row") if isinstance(extra, dict) else None
    if not isinstance(row, dict):
        raise ValueError("has no row in its extra_info: it is not one of the panel's")
    stats = benchmark.get("stats")
    if not isinstance(stats, dict):
        raise ValueError("has no stats")
    # Without --benchmark-save-data what --benchmark-save writes has no samples.
    samples = stats.get("data", [stats.get("median")])
    run = str(row.get("run"))
    return {
        **row,
        "run": run if run.startswith(RUN_PREFIX) else RUN_PREFIX + run,
        "samples_s": samples,
        "calls_per_sample": stats.get("iterations"),
    }
