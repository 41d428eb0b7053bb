"""What ``pytest --benchmark-json`` writes as rows: times there, all else in ``extra_info``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from unpool_xp.bench.rows.files import Problem
from unpool_xp.bench.rows.schema import Row, row_of

RUN_PREFIX = "pytest-"  # begins the run of each row from here


def is_pytest_benchmark(data: Any) -> bool:
    """Return whether what a JSON file holds has the shape of pytest-benchmark's."""
    shape = isinstance(data, dict) and {"machine_info", "commit_info"} <= data.keys()
    return shape and isinstance(data.get("benchmarks"), list)


def rows_of_pytest_benchmark(path: Path, data: Mapping[str, Any]) -> Iterator[Row | Problem]:
    """Yield a row for each benchmark whose ``extra_info["row"]`` has the other fields of one."""
    for number, benchmark in enumerate(data["benchmarks"], start=1):
        name = f"benchmark {number}"
        try:
            if not isinstance(benchmark, dict):
                raise ValueError("is not an object")
            name = f"{name}, {str(benchmark.get('fullname'))[:200]},"
            yield row_of(_row(benchmark))
        except ValueError as error:
            yield Problem(path, 1, f"{name} {error}")


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
