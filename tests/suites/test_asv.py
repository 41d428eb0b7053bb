"""The suite that asv runs: all of it is of the panel, checked, and of one version."""

from __future__ import annotations

import importlib
import itertools
import json
import math
import os
import re
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest
from asv.config import Config
from asv_runner.discovery import disc_benchmarks

from tests.support.command import python
from tests.support.injected_regression import git
from tests.support.script import load_script
from unpool_xp.bench.cases.expected import ExpectedOutputs, MismatchError
from unpool_xp.bench.catalog import SINGLE_OPERATIONS
from unpool_xp.bench.catalog.panel import SIZES, STRIDES
from unpool_xp.bench.measure.machine import this_machine
from unpool_xp.bench.suites.asv import BACKEND_MODES, HARNESS_VERSION

ROOT = Path(__file__).parents[2]
SUITE = ROOT / "benchmarks" / "panel"
RUNNER = ROOT / "benchmarks" / "asv_run.py"
SAME = ("--quick", "--python=same", "--set-commit-hash", "HEAD")


@pytest.fixture
def benchmarks(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Every benchmark, by name, as asv finds them."""
    monkeypatch.syspath_prepend(SUITE.parent)
    return {found.name: found for found in disc_benchmarks(str(SUITE))}


@pytest.fixture
def runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """``make asv``, as a module, at work in another folder."""
    module = load_script(RUNNER)
    monkeypatch.setattr(module, "_WORK", tmp_path / "work")
    monkeypatch.setenv("HOME", str(tmp_path))  # asv keeps the names of machines there
    return module


def test_the_environment_has_the_versions_that_ci_tested() -> None:
    conf = Config.load(str(ROOT / "asv.conf.json"))
    tested = dict(
        line.split("==")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if "==" in line
    )
    assert {name: [tested[name]] for name in conf.matrix["req"]} == conf.matrix["req"]
    assert {"numpy", "torch", "jax", "dask"} < conf.matrix["req"].keys()
    assert conf.launch_method == "spawn"
    assert ROOT / conf.benchmark_dir == SUITE


def test_the_panel_imports_no_more_than_the_environment_has() -> None:
    wanted = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"])
    matrix = Config.load(str(ROOT / "asv.conf.json")).matrix["req"]
    assert {re.split("[>=]", name)[0] for name in wanted} | {"msgspec", "psutil"} <= matrix.keys()
    others = "altair cpuinfo jinja2 matplotlib rich threadpoolctl typer vl_convert"
    code = f"""
import sys
sys.modules |= dict.fromkeys("{others}".split())
sys.path.insert(0, {str(SUITE.parent)!r})
from asv_runner.discovery import get_benchmark_from_name
assert not get_benchmark_from_name({str(SUITE)!r}, "operations.Time.time_call-0").do_setup()
"""
    done = python("-c", code)
    assert done.returncode == 0, done.stderr


def test_benchmarks_for_another_harness_are_not_run(
    benchmarks: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unpool_xp.bench.suites.asv.HARNESS_VERSION", "0")
    with pytest.raises(ImportError, match="this commit's harness is version 0"):
        importlib.reload(importlib.import_module("panel"))


def test_the_times_are_of_the_whole_panel(benchmarks: dict[str, Any]) -> None:
    time = benchmarks["operations.Time.time_call"]
    assert time.param_names == ["operation", "size", "stride", "how"]
    panel = (tuple(SINGLE_OPERATIONS), SIZES, STRIDES, map(str, BACKEND_MODES))
    assert time.params == [[repr(value) for value in values] for values in panel]


def test_the_others_have_the_same_parameters_and_fewer_values(benchmarks: dict[str, Any]) -> None:
    assert len(benchmarks) == 9
    time = benchmarks["operations.Time.time_call"]
    for name, found in benchmarks.items():
        assert found.version == HARNESS_VERSION, name
        assert found.pretty_name, name
        if found.params:
            assert found.param_names == time.param_names
            for values, known in zip(found.params, time.params, strict=True):
                assert set(values) <= set(known)


def test_each_benchmark_gives_a_number(benchmarks: dict[str, Any]) -> None:
    for name, found in benchmarks.items():
        if name.startswith("imports"):
            timed, before = found.func()
            assert python("-c", f"{before}\n{timed}").returncode == 0
            continue
        cells = [cell for cell in itertools.product(*found._params) if cell[-1] == "numpy"]
        found._current_params = cells[0]
        assert not found.do_setup(), name
        if found.type == "track":
            assert found.do_run() > 0, name
        else:
            found.func(*cells[0])


def test_a_wrong_result_is_an_error_and_never_a_time(
    benchmarks: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(*args: Any, **options: Any) -> str:
        raise MismatchError("y[0] is 1, not 2")

    monkeypatch.setattr(ExpectedOutputs, "check", wrong)
    for name in ("operations.Time.time_call", "first_call.FirstCall.track_first_call"):
        benchmarks[name]._current_params = ("max_pool", "small", 2, "numpy")
        with pytest.raises(RuntimeError, match=r"wrong result: y\[0\] is 1, not 2"):
            benchmarks[name].do_setup()


@pytest.mark.parametrize(
    ("backend_mode", "reason"),
    [
        ("torch:cpu compiled", "UNPOOL_XP_ASV_COMPILED=1 measures it"),
        ("torch:cuda", "CUDA_VISIBLE_DEVICES hides every GPU"),
        ("cupy:cuda", "CUDA_VISIBLE_DEVICES hides every GPU"),
        ("jax:cuda compiled", "CUDA_VISIBLE_DEVICES hides every GPU"),
    ],
)
def test_what_cannot_be_measured_is_skipped_with_its_reason(
    benchmarks: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    backend_mode: str,
    reason: str,
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.delenv("UNPOOL_XP_ASV_COMPILED", raising=False)
    time = benchmarks["operations.Time.time_call"]
    time._current_params = ("max_pool", "small", 2, backend_mode)
    assert time.do_setup()
    assert reason in capsys.readouterr().out


# --- make asv ------------------------------------------------------------------------------------


def test_asv_measures_what_is_here_and_says_why_not_the_rest(tmp_path: Path) -> None:
    blocked = tmp_path / "blocked" / "dask"
    blocked.mkdir(parents=True)
    missing = "raise ModuleNotFoundError(name='dask')"  # as where it is not installed
    (blocked / "__init__.py").write_text(missing)
    pattern = "operations.*'nearest_unpool', 'small', 2, '(numpy|cupy:cuda|dask)'"
    options = ("--results", tmp_path / "results", *SAME, "--bench", pattern)
    paths = f"{blocked.parent}{os.pathsep}{ROOT}"
    variables = {"HOME": str(tmp_path), "CUDA_VISIBLE_DEVICES": "", "ASV_PYTHONPATH": paths}
    done = python(RUNNER, *options, **variables)
    assert done.returncode == 0, done.stderr
    assert "1 measured, 2 skipped, 0 failed" in done.stdout
    assert 'skipped: dask: dask is not installed here; pip install "unpool-xp[dask]"' in done.stdout
    assert "skipped: cupy:cuda: CUDA_VISIBLE_DEVICES hides every GPU" in done.stdout

    (path,) = (tmp_path / "results" / this_machine().id).glob("*-existing-*.json")
    data = json.loads(path.read_text())
    entry = dict(
        zip(data["result_columns"], data["results"]["operations.Time.time_call"], strict=False)
    )
    times = [x for x in entry["result"] if isinstance(x, float) and not math.isnan(x)]
    samples = [x for x in entry["samples"] if x]
    assert entry["version"] == HARNESS_VERSION
    assert len(times) == len(samples) == 1
    assert times[0] > 0


def _cells(*values: float | None) -> dict[str, Any]:
    cells = [repr(f"cell {n}") for n in range(len(values))]
    row = [list(values), [cells], HARNESS_VERSION, 5000]
    columns = ["result", "params", "version", "started_at"]
    return {"result_columns": columns, "results": {"a.B.time_c": row}}


def test_cells_are_counted_as_they_ended(runner: Any, tmp_path: Path) -> None:
    (tmp_path / "machine").mkdir()
    path = tmp_path / "machine" / "commit.json"
    path.write_text(json.dumps(_cells(1.0, math.nan, None, 2.0)))
    assert str(runner.count(tmp_path, 5000, [])) == "2 measured, 1 skipped, 1 failed"
    assert str(runner.count(tmp_path, 5000, ["cell [12]"])) == "0 measured, 1 skipped, 1 failed"
    assert str(runner.count(tmp_path, 9000, [])) == "0 measured, 0 skipped, 0 failed"


def _pretend_asv(monkeypatch: pytest.MonkeyPatch, runner: Any, *parts: str) -> None:
    """Let each part of a run leave this text where asv writes its results."""

    def asv(stage: Path, machine: str, arguments: list[str]) -> str:
        path = stage / machine / "commit.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(arguments[0])
        return ""

    monkeypatch.setattr(runner, "_asv", asv)
    named = [(f"part {number}", [text]) for number, text in enumerate(parts)]
    monkeypatch.setattr(runner, "parts_of", lambda given: named)


def test_nothing_measured_is_no_success(
    runner: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    _pretend_asv(monkeypatch, runner, json.dumps(_cells(math.nan)))
    assert runner.main(["--results", str(tmp_path / "results")]) == 1
    assert "no cell was measured" in capsys.readouterr().err


def test_a_part_that_is_done_stays_when_the_next_one_fails(
    runner: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    results = tmp_path / "results"
    whole = json.dumps(_cells(1.0))
    _pretend_asv(monkeypatch, runner, whole, '{"half', whole)  # what asv leaves on a full disk
    assert runner.main(["--results", str(results)]) == 1
    said = capsys.readouterr()
    assert "[1/3] part 0: " in said.out
    assert "[2/3]" not in said.out
    assert "stopped: asv left half a file" in said.err
    assert (results / this_machine().id / "commit.json").read_text() == whole
    assert not [path for path in results.rglob(".*") if path.is_file()]


def test_a_full_disk_is_named_before_asv_is_run_and_after(
    runner: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    def asv(stage: Path, machine: str, arguments: list[str]) -> str:
        raise OSError(28, "No space left on device", str(stage))

    monkeypatch.setattr(runner, "_asv", asv)
    assert runner.main(["--results", str(tmp_path / "results")]) == 1
    assert "No space left on device" in capsys.readouterr().err
    monkeypatch.setattr(runner, "_ROOM", 2**62)
    assert runner.main(["--results", str(tmp_path / "results")]) == 1
    assert re.search(r"stopped: the disk of .*results is full", capsys.readouterr().err)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--machine=mine"], "--machine=mine is not for here: it is the harness's own name"),
        (["--skip-existing"], "a benchmark that is there in part"),
        (["--dry-run"], "it saves nothing"),
        (["--python=same"], "--python saves nothing without --set-commit-hash"),
    ],
)
def test_arguments_that_would_mislead_are_refused(
    runner: Any, capsys: Any, arguments: list[str], message: str
) -> None:
    assert runner.main(arguments) == 1
    assert message in capsys.readouterr().err


def test_code_is_filed_as_what_it_is(
    runner: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setenv("ASV_PYTHONPATH", str(tmp_path))
    package = tmp_path / "unpool_xp" / "__init__.py"
    package.parent.mkdir()
    package.write_text("x = 1\n")
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "README.md").touch()
    git(tmp_path, "init", "--quiet")
    for message in ("first", "second"):
        git(tmp_path, "add", "--all")
        git(tmp_path, "commit", "--quiet", "--allow-empty", "-m", message)
    same = ["--python=same", "--set-commit-hash", "HEAD"]
    assert runner.main(same) == 1  # the code is not that of this checkout
    assert f"imports unpool_xp from {package.parent}, not from" in capsys.readouterr().err
    monkeypatch.setattr(runner, "ROOT", tmp_path)
    assert runner.file_as_its_own(same) == same
    assert runner.file_as_its_own(["HEAD"]) == ["HEAD"]
    assert runner.main(["-E", "existing", "--set-commit-hash=HEAD~1"]) == 1
    assert "--set-commit-hash HEAD~1 is" in capsys.readouterr().err
    package.write_text("x = 2\n")
    *_, filed = runner.file_as_its_own(same)
    snapshot = filed.removeprefix("--set-commit-hash=")
    assert git(tmp_path, "show", f"{snapshot}:unpool_xp/__init__.py") == "x = 2"
    assert git(tmp_path, "rev-parse", f"{snapshot}^") == git(tmp_path, "rev-parse", "HEAD")
    assert runner.file_as_its_own(same)[-1] == filed  # the same files, the same commit
    assert f"filed under {snapshot[:10]}" in capsys.readouterr().out
    assert git(tmp_path, "branch", "--contains", snapshot) == ""


def test_the_parts_are_the_whole_suite_and_share_nothing(
    runner: Any, benchmarks: dict[str, Any]
) -> None:
    patterns = [arguments[1] for _, arguments in runner.parts_of(["HEAD"])]
    for name, found in benchmarks.items():
        for cell in itertools.product(*found.params):
            full = f"{name}({', '.join(cell)})" if cell else name
            assert sum(bool(re.search(pattern, full)) for pattern in patterns) == 1, full
    assert runner.parts_of(["-b", "x"]) == [("the chosen", [])]


def test_an_update_of_the_system_is_no_other_machine(runner: Any) -> None:
    here = this_machine()
    later = msgspec.structs.replace(here, os=f"{here.os}.1", memory_bytes=here.memory_bytes + 2**20)
    assert runner.facts(later) == runner.facts(here)
    assert runner.facts(here)["machine"] == here.id
