"""Results of asv as rows: ``<results>/<machine>/<commit>-<environment>.json``.

asv keeps one row per benchmark, with one list per entry, one item for each combination of its
parameters (in the order of `itertools.product`). A result is null where the call failed, NaN where
it was not made; samples are there only with ``--record-samples``. Parameters are written as their
`repr`, which is read as a literal and never evaluated.
"""

from __future__ import annotations

import ast
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from unpool_xp.bench.cases.case import BackendMode, Case
from unpool_xp.bench.cases.loading import operations
from unpool_xp.bench.rows.files import Problem
from unpool_xp.bench.rows.schema import ROW_SCHEMA, Row, row_of

BENCHMARK = "Time.time_call"  # of any module
RUN_PREFIX = "asv-"  # begins the run of each row from here
# Of the panel, and of what `asv_suite` makes; asv writes none of them beside the results.
_PARAMETERS = (("operation", "size", "stride", "how"), ("case", "how"))
_LONGEST_REPR = 200
_MOST_CELLS = 100_000


def is_asv(data: Any) -> bool:
    """Return whether what a JSON file holds has the shape of a result file of asv."""
    return isinstance(data, dict) and {"result_columns", "results", "params"} <= data.keys()


def rows_of_asv(
    path: Path, data: Mapping[str, Any], benchmarks: Any = None
) -> Iterator[Row | Problem]:
    """Yield a row for each combination of parameters of a benchmark of times that was run.

    `benchmarks` is what ``benchmarks.json`` holds: like asv, this takes no results of another
    version of the benchmark, and none that are not lists.
    """
    heads, results = data["result_columns"], data["results"]
    if not isinstance(heads, list) or not isinstance(results, dict):
        raise ValueError("result_columns must be a list, and results an object")
    found = [name for name in results if name == BENCHMARK or name.endswith("." + BENCHMARK)]
    if not found:
        raise ValueError(f"has no results of {BENCHMARK}")
    for name in found:
        try:
            yield from _rows_of_benchmark(path, data, name, benchmarks)
        except ValueError as error:
            yield Problem(path, 1, str(error))


def _rows_of_benchmark(
    path: Path, data: Mapping[str, Any], name: str, benchmarks: Any
) -> Iterator[Row | Problem]:
    columns = _columns(data, name)
    names = _parameter_names(benchmarks, name, columns)
    cells = list(_parameter_sets(columns, names))
    origin = _provenance(path, data, columns)
    for place, cell in enumerate(cells):
        try:
            median = _column_value(columns, "result", place)
            if isinstance(median, float) and math.isnan(median):  # skipped, or not selected
                continue
            yield row_of({**origin, **_fields(cell, columns, place, data)})
        except ValueError as error:
            shown = ", ".join(str(value) for value in cell.values())
            yield Problem(path, 1, f"{BENCHMARK}({shown}) {error}")


def _columns(data: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return what the file has of a benchmark, by column."""
    heads, values = data["result_columns"], data["results"][name]
    if not isinstance(values, list) or not all(isinstance(head, str) for head in heads):
        raise ValueError(f"{BENCHMARK} has no list of results")
    return dict(zip(heads, values, strict=False))  # asv cuts off nulls at the end


def _parameter_names(benchmarks: Any, name: str, columns: Mapping[str, Any]) -> tuple[str, ...]:
    entry = benchmarks.get(name) if isinstance(benchmarks, dict) else None
    params, version = columns.get("params"), columns.get("version")
    if not isinstance(entry, dict):
        number = len(params) if isinstance(params, list) else 0
        return next((known for known in _PARAMETERS if len(known) == number), _PARAMETERS[0])
    if version is not None and version != entry.get("version", version):
        raise ValueError(
            f"{BENCHMARK} is of another version than in benchmarks.json: what it timed has changed"
        )
    names = entry.get("param_names")
    if not isinstance(names, list) or sorted(map(str, names)) not in map(sorted, _PARAMETERS):
        known = " or ".join(", ".join(some) for some in _PARAMETERS)
        raise ValueError(f"{BENCHMARK} has the parameters {names}, not {known}")
    return tuple(names)


def _parameter_sets(columns: Mapping[str, Any], names: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield the parameters of each result."""
    params, results = columns.get("params"), columns.get("result")
    if not isinstance(params, list) or [type(values) for values in params] != [list] * len(names):
        raise ValueError(f"{BENCHMARK} has params={str(params)[:60]!r}, not one list per parameter")
    number = math.prod(len(values) for values in params)
    if number > _MOST_CELLS or (isinstance(results, list) and len(results) != number):
        there = len(results) if isinstance(results, list) else "no"
        raise ValueError(f"{BENCHMARK} has {there} results for {number} sets of parameters")
    literals = [[_literal(value) for value in values] for values in params]
    for values in itertools.product(*literals):
        yield dict(zip(names, values, strict=True))


def _literal(text: Any) -> str | int:
    """Return the string or the whole number that a `repr` is of."""
    try:
        if isinstance(text, str) and len(text) <= _LONGEST_REPR:
            value = ast.literal_eval(text)
            if type(value) in (str, int):
                return value  # type: ignore[no-any-return]
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        pass
    raise ValueError(f"{BENCHMARK} has the parameter {str(text)[:60]!r}, not a string or a number")


def _provenance(path: Path, data: Mapping[str, Any], columns: Mapping[str, Any]) -> dict[str, Any]:
    params = data["params"]
    machine = params.get("machine") if isinstance(params, dict) else None
    if not isinstance(machine, str) or not machine:
        raise ValueError("has no name of a machine")
    milliseconds = columns.get("started_at") or data.get("date")
    try:
        when = datetime.fromtimestamp(milliseconds / 1000, UTC)  # type: ignore[operator]
    except (TypeError, ValueError, OverflowError, OSError):
        raise ValueError(f"has the time {str(milliseconds)[:60]!r}, not milliseconds") from None
    commit = data.get("commit_hash")
    return {
        "schema": ROW_SCHEMA,
        "run": RUN_PREFIX + path.stem,
        "time": when.isoformat(timespec="seconds"),
        "commit": commit if isinstance(commit, str) and commit else None,
        "machine": machine,
    }


def _fields(
    cell: Mapping[str, Any], columns: Mapping[str, Any], place: int, data: Mapping[str, Any]
) -> dict[str, Any]:
    case = _case(cell)
    backend_mode = BackendMode.parse(str(cell["how"]))
    label, cpu = backend_mode.label, data["params"].get("cpu")
    samples, error = _samples(columns, place)
    number = _column_value(columns, "stats_number", place)
    unknown = ("threads", "check_scope", "first_call_s", "to_device_s", "from_device_s")
    return {
        **dict.fromkeys((*unknown, "copy_gb_s", "peak_bytes")),  # asv's is of the whole process
        "backend": label,
        "backend_version": _version(label, data.get("requirements")),
        "device": cpu if isinstance(cpu, str) and not label.endswith(":cuda") else "",
        "mode": backend_mode.mode,
        "implementation": "portable",
        "function": case.definition.title,
        **case.to_json(),
        # The suite checks each result against the reference before timing it, or fails.
        "checked": error is None,
        "error": error,
        "samples_s": samples,
        "calls_per_sample": number if samples and isinstance(number, int) else None,
        "bytes_moved": case.bytes_moved,
        "flops": case.flops,
    }


def _case(cell: Mapping[str, Any]) -> Case:
    """Return the case of a panel that parameters stand for: by size and stride, or by name."""
    key = (cell["size"], cell["stride"]) if "size" in cell else (cell["case"],)
    name = str(cell.get("operation", key[0])).partition("-")[0]
    if name not in operations():
        raise ValueError(f"unknown operation {name!r}; known: {', '.join(operations())}")
    operation = operations()[name]
    cases = operation.panel(operation)
    if key not in cases:
        raise ValueError(f"{name} has no case {', '.join(map(str, key))}")
    return cases[key]


def _samples(columns: Mapping[str, Any], place: int) -> tuple[list[Any], str | None]:
    """Return the samples, or the median alone, or why there is none."""
    median = _column_value(columns, "result", place)
    samples = _column_value(columns, "samples", place)
    if median is None:
        return [], "failed in asv, whose results do not say why"
    if samples is None:
        return [median], None
    if not isinstance(samples, list) or not samples:
        raise ValueError(f"has samples={str(samples)[:60]!r}, not a list of seconds")
    return samples, None


def _column_value(columns: Mapping[str, Any], name: str, place: int) -> Any:
    """Return an entry of a column; a column of nulls alone is written as null."""
    values = columns.get(name)
    if values is None:
        return None
    if not isinstance(values, list) or place >= len(values):
        raise ValueError(f"has no {name} at its place")
    return values[place]


def _version(label: str, requirements: Any) -> str:
    """Return the version of a library in asv's environment, or "" where it does not say."""
    library = label.partition(":")[0]
    for name, version in requirements.items() if isinstance(requirements, dict) else ():
        plain = name.removeprefix("pip+").partition("[")[0].replace("-", "_")
        if isinstance(version, str) and (plain == library or plain.startswith(f"{library}_cuda")):
            return version
    return ""
