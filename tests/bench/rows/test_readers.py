"""Results of sweeps, asv and pytest-benchmark, as those tools write them, and damaged."""

from __future__ import annotations

import copy
import functools
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import asdict

from tests.support.rows import failed_row, make_row, write
from unpool_xp.bench.catalog.panel import panel_case
from unpool_xp.bench.rows.files import ReadResult, read_rows
from unpool_xp.bench.rows.names import case_of
from unpool_xp.bench.rows.readers import read_results
from unpool_xp.bench.rows.schema import failure_reason, row_of

# --- what the tools write ------------------------------------------------------------------------

SUITE = """
import time

class Time:
    params = (["max_pool"], ["small"], [2, 3], ["numpy", "torch:cpu compiled", "cupy:cuda"])
    param_names = ("operation", "size", "stride", "how")
    number, repeat, rounds, warmup_time = 1, 6, 1, 0

    def setup(self, operation, size, stride, how):
        if how == "cupy:cuda":
            raise NotImplementedError("not here")
        if how != "numpy" and stride == 3:
            raise RuntimeError("wrong result")

    def time_call(self, operation, size, stride, how):
        time.sleep(0.001)
"""
BENCHMARK = """
import json, pathlib

def test_panel(benchmark):
    benchmark.extra_info["row"] = json.loads(pathlib.Path("row.json").read_text())
    benchmark.pedantic(lambda: sum(range(1000)), rounds=7, iterations=3)

def test_foreign(benchmark):
    benchmark.pedantic(lambda: None, rounds=2)
"""


def in_folder(folder: Path, *command: str) -> str:
    # Within pytest-xdist its variables would turn pytest-benchmark off.
    ours = ("GIT_", "PYTEST_")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
    environment |= {"HOME": str(folder), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode in (0, 2), done.stdout + done.stderr  # asv: 2 where a benchmark failed
    return done.stdout.strip()


@pytest.fixture(scope="session")
def asv_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The result file of a run of asv with samples."""
    folder = tmp_path_factory.mktemp("asv")
    (folder / "suite").mkdir()
    (folder / "suite" / "__init__.py").touch()
    (folder / "suite" / "operations.py").write_text(SUITE)
    where = {"repo": ".", "benchmark_dir": "suite", "results_dir": "results", "env_dir": "env"}
    config = {"version": 1, "project": "toy", "branches": ["HEAD"], **where}
    (folder / "asv.conf.json").write_text(json.dumps({**config, "environment_type": "virtualenv"}))
    machine = {"machine": "toy", "cpu": "A CPU", "num_cpu": "2", "os": "", "arch": "", "ram": ""}
    (folder / ".asv-machine.json").write_text(json.dumps({"toy": machine, "version": 1}))
    git = ("git", "-c", "user.name=n", "-c", "user.email=e@example.org")
    in_folder(folder, *git, "init", "-q")
    in_folder(folder, *git, "commit", "-q", "--allow-empty", "--no-verify", "-m", "one")
    commit = f"--set-commit-hash={in_folder(folder, *git, 'rev-parse', 'HEAD')}"
    asv = (sys.executable, "-m", "asv", "run", "--machine=toy", "--python=same", commit)
    in_folder(folder, *asv, "--record-samples")
    (file,) = (folder / "results" / "toy").glob("[!m]*.json")  # beside machine.json
    return file


@pytest.fixture(scope="session")
def pytest_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of pytest-benchmark with a benchmark of the panel, and one of something else."""
    folder = tmp_path_factory.mktemp("pytest-benchmark")
    row = asdict(make_row())
    del row["samples_s"], row["calls_per_sample"]
    (folder / "row.json").write_text(json.dumps(row))
    (folder / "test_toy.py").write_text(BENCHMARK)
    plugins = ("-p", "pytest_benchmark.plugin", "-p", "no:cacheprovider")
    pytest_ = (sys.executable, "-m", "pytest", "-q", *plugins)
    in_folder(folder, *pytest_, "--rootdir=.", "--benchmark-json=times.json", "test_toy.py")
    return folder / "times.json"


# --- asv -----------------------------------------------------------------------------------------


def test_a_run_of_asv_gives_a_row_for_each_set_of_parameters(asv_file: Path) -> None:
    found = read_results([asv_file.parents[1], asv_file])
    assert found.problems == []
    first, second, *_ = found.rows
    case = panel_case("max_pool", "small", 2)
    assert case_of(first) == case
    assert (first.backend, first.mode) == ("numpy", "eager")
    assert (second.backend, second.mode) == ("torch:cpu", "compiled")
    assert (first.implementation, first.function) == ("portable", "unpool_xp.max_pool")
    assert (first.machine, first.device, first.backend_version) == ("toy", "A CPU", "")
    assert first.commit == json.loads(asv_file.read_text())["commit_hash"]
    assert (first.calls_per_sample, len(first.samples_s)) == (1, 6)
    assert all(sample > 1e-3 for sample in first.samples_s)  # it slept
    assert (first.bytes_moved, first.flops) == (case.bytes_moved, case.flops)
    assert first.time > "2024-01-01T00:00:00+00:00"
    # What it failed at is a row with the reason, what it skipped none.
    reasons = [(row.parameters["stride"], row.backend, failure_reason(row)) for row in found.rows]
    assert reasons == [
        ([2, 2], "numpy", None),
        ([2, 2], "torch:cpu", None),
        ([3, 3], "numpy", None),
        ([3, 3], "torch:cpu", "failed in asv, whose results do not say why"),
    ]


def changed(source: Path, target: Path, **columns: Any) -> Path:
    """Write a result file of asv again, with these columns in place of its own."""
    data = json.loads(source.read_text())
    (values,) = data["results"].values()
    for name, value in columns.items():
        values[data["result_columns"].index(name)] = value
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(data))
    return target


def test_asv_without_samples_gives_the_median_alone(asv_file: Path, tmp_path: Path) -> None:
    rows = read_results([changed(asv_file, tmp_path / "a.json", samples=None)]).rows
    assert [len(row.samples_s) for row in rows] == [1, 1, 1, 0]


@pytest.mark.parametrize(
    ("columns", "rows", "reason"),
    [
        ({"result": None, "samples": None}, 6, None),  # asv writes a column of nulls as null
        ({"result": [1.0]}, 0, "1 results for 6 sets"),
        ({"samples": [[-1.0]] * 6}, 1, ">= 1e-15 - at `$.samples_s[0]`"),
        ({"samples": [[float("nan")]] * 6}, 1, "`$.samples_s[0]`"),
        ({"samples": [["1"]] * 6}, 1, "`$.samples_s[0]`"),
        ({"samples": [[]] * 6}, 1, "not a list of seconds"),
        ({"samples": [[1.0]]}, 1, "has no samples at its place"),
        ({"params": None}, 0, "not one list per parameter"),
        ({"params": [["'max_pool'"]]}, 0, "not one list per parameter"),
        ({"params": [["__import__('os').abort()"], ["'small'"], ["2"], ["''"] * 6]}, 0, "abort"),
        ({"params": [["("], ["'small'"], ["2"], ["''"] * 6]}, 0, "'('"),
        ({"params": [["'gone'"], ["'small'"], ["2"], ["'numpy'"] * 6]}, 0, "unknown operation"),
        (
            {"params": [["'max_pool'"], ["'huge'"], ["2"], ["'numpy'"] * 6]},
            0,
            "max_pool has no case huge, 2",
        ),
        ({"params": [["1"] * 10**4] * 4, "result": None}, 0, "no results for 1" + "0" * 16),
        ({"started_at": float("nan")}, 0, "has the time 'nan'"),
        ({"started_at": "now"}, 0, "has the time 'now'"),
    ],
)
def test_damaged_columns_of_asv_are_problems(
    asv_file: Path, tmp_path: Path, columns: dict[str, Any], rows: int, reason: str | None
) -> None:
    found = read_results([changed(asv_file, tmp_path / "a.json", **columns)])
    assert len(found.rows) == rows
    if reason is None:
        assert found.problems == []
        assert all(failure_reason(row) for row in found.rows)
    else:
        assert reason in found.problems[0].reason


def test_results_of_another_version_of_the_benchmark_are_left_out(
    asv_file: Path, tmp_path: Path
) -> None:
    benchmarks = asv_file.parents[1] / "benchmarks.json"
    (tmp_path / "benchmarks.json").write_bytes(benchmarks.read_bytes())
    changed(asv_file, tmp_path / "toy" / "old.json", version="another")
    found = read_results([tmp_path])
    assert found.rows == []
    assert "another version" in found.problems[0].reason
    (tmp_path / "benchmarks.json").write_text("{torn")
    assert len(read_results([tmp_path]).rows) == 4


def test_a_suite_in_a_folder_of_the_suite_is_found(asv_file: Path, tmp_path: Path) -> None:
    data = json.loads(changed(asv_file, tmp_path / "a.json", samples=None).read_text())
    data["results"] = {f"panel.{name}": value for name, value in data["results"].items()}
    data["requirements"] = {"numpy": "2.1", "torch": "", "pip+cupy-cuda12x": "13.6"}
    (values,) = data["results"].values()
    values[data["result_columns"].index("result")] = [1.0] * 6
    (tmp_path / "a.json").write_text(json.dumps(data))
    rows = read_results([tmp_path]).rows
    versions = {row.backend: row.backend_version for row in rows}
    assert versions == {"numpy": "2.1", "torch:cpu": "", "cupy:cuda": "13.6"}
    assert {row.device for row in rows if row.backend == "cupy:cuda"} == {""}
    data["results"] = {"foreign.Times.time_call": []}
    (tmp_path / "a.json").write_text(json.dumps(data))
    assert "has no results of" in read_results([tmp_path]).problems[0].reason


# --- pytest-benchmark ----------------------------------------------------------------------------


def test_a_run_of_pytest_benchmark_gives_the_rows_in_its_extra_info(pytest_file: Path) -> None:
    found = read_results([pytest_file])
    (row,) = found.rows
    assert (len(row.samples_s), row.calls_per_sample) == (7, 3)
    original = make_row()
    for name in set(asdict(original)) - {"samples_s", "calls_per_sample", "run"}:
        assert getattr(row, name) == getattr(original, name)
    assert row.run == f"pytest-{original.run}"
    (problem,) = found.problems
    assert "test_foreign" in problem.reason


def test_pytest_benchmark_without_data_gives_the_median_alone(
    pytest_file: Path, tmp_path: Path
) -> None:
    data = json.loads(pytest_file.read_text())
    for benchmark in data["benchmarks"]:
        del benchmark["stats"]["data"]
    (tmp_path / "times.json").write_text(json.dumps(data))
    (row,) = read_results([tmp_path]).rows
    medians = [benchmark["stats"]["median"] for benchmark in data["benchmarks"]]
    assert row.samples_s[0] in medians


# --- any damage ----------------------------------------------------------------------------------

VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=4,
)


def places(data: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if at:
        yield at
    if isinstance(data, list):
        data = dict(enumerate(data))
    if isinstance(data, dict):
        for key, value in data.items():
            yield from places(value, (*at, key))


def replaced(data: Any, at: tuple[Any, ...], value: Any) -> Any:
    data = copy.deepcopy(data)
    functools.reduce(lambda part, key: part[key], at[:-1], data)[at[-1]] = value
    return data


def read_whole(path: Path) -> ReadResult:
    """Read a file that may be damaged: each row is one, and what is not says why."""
    found = read_results([path])
    assert all(row_of(asdict(row)) == row for row in found.rows)
    assert all(problem.reason and problem.path == path for problem in found.problems)
    return found


@pytest.mark.parametrize("tool", ["asv", "pytest"])
@given(data=st.data())
def test_no_value_in_a_file_raises(
    tool: str, asv_file: Path, pytest_file: Path, tmp_path_factory: Any, data: Any
) -> None:
    source = asv_file if tool == "asv" else pytest_file
    original = json.loads(source.read_text())
    kept = {k: v for k, v in original.items() if k not in ("machine_info", "commit_info")}
    at = data.draw(st.sampled_from(list(places(kept))))
    path = tmp_path_factory.mktemp("damaged") / "a.json"
    path.write_text(json.dumps(replaced(original, at, data.draw(VALUES))))
    read_whole(path)


@given(data=st.data())
def test_no_cut_and_no_bytes_raise(
    asv_file: Path, pytest_file: Path, tmp_path_factory: Any, data: Any
) -> None:
    source = data.draw(st.sampled_from([asv_file, pytest_file]))
    whole = source.read_bytes()
    cut = data.draw(st.integers(0, len(whole) - 2))
    path = tmp_path_factory.mktemp("torn") / "a.json"
    path.write_bytes(whole[:cut] + data.draw(st.binary(max_size=4)))
    assert len(read_whole(path).problems) == 1


# --- files and folders ---------------------------------------------------------------------------


def test_all_formats_in_one_folder_are_told_apart(
    asv_file: Path, pytest_file: Path, tmp_path: Path
) -> None:
    write(tmp_path / "sweeps" / "m" / "run.jsonl", make_row(), failed_row("crash"))
    (tmp_path / "sweeps" / "m" / "machine.json").write_text("{}")
    (tmp_path / "asv.json").write_bytes(asv_file.read_bytes())
    (tmp_path / "p.json").write_bytes(pytest_file.read_bytes())
    (tmp_path / "notes.txt").write_text("no result")
    (tmp_path / "other.json").write_text('{"a": 1}')
    (tmp_path / "torn.json").write_text('{\n"a": ')
    found = read_results([tmp_path])
    assert len(found.rows) == 2 + 4 + 1
    problems = {problem.path.name: problem for problem in found.problems}
    assert set(problems) == {"p.json", "other.json", "torn.json"}
    assert "is not a result" in problems["other.json"].reason
    assert "not readable as JSON" in problems["torn.json"].reason
    assert problems["torn.json"].line == 2


@pytest.mark.parametrize("rows", [1, 2])
def test_rows_under_another_name_are_read(tmp_path: Path, rows: int) -> None:
    path = write(tmp_path / "run.json", *[make_row()] * rows)
    assert len(read_results([path]).rows) == rows


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe{}", b"[" * 100_000, b"null", b"[1]", b'"a"', b"9" * 5000, b"{}"]
)
def test_a_file_of_no_kind_is_one_problem(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(content)
    found = read_whole(path)
    assert (found.rows, len(found.problems)) == ([], 1)


def test_a_file_that_may_not_be_read_costs_only_itself(
    pytest_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = Path.read_bytes

    def refuse(path: Path) -> bytes:
        if path.name == "run.jsonl":
            raise PermissionError(13, "Permission denied")
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", refuse)
    found = read_results([write(tmp_path / "run.jsonl", make_row()), pytest_file])
    assert len(found.rows) == 1
    assert found.problems[0].reason == "cannot be read: Permission denied"


@pytest.mark.parametrize("read", [read_rows, read_results])
def test_folders_are_searched_and_no_file_is_read_twice(read: Any, tmp_path: Path) -> None:
    assert read([tmp_path]) == ReadResult([], [])
    inner = write(tmp_path / "machine" / "run.jsonl", make_row())
    (tmp_path / "notes.txt").write_text("no rows")
    assert read([tmp_path, inner, tmp_path / "machine"]) == ReadResult([make_row()], [])
    with pytest.raises(FileNotFoundError, match="nowhere"):
        read([tmp_path / "nowhere"])
    with pytest.raises(TypeError, match="must be a list"):
        read(str(tmp_path))
