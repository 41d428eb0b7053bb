"""Going on with a sweep: what is measured again, what is not mixed, and what is no run."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import typer
from msgspec.structs import replace

from tests.support.command import run
from tests.support.rows import make_row, write
from unpool_xp.bench.cases.case import Case
from unpool_xp.bench.catalog.presets import preset
from unpool_xp.bench.measure.host.other_runs import other_runs
from unpool_xp.bench.measure.machine import read_machines
from unpool_xp.bench.measure.measurement import cells_of
from unpool_xp.bench.measure.sweep import case_fields, provenance_fields
from unpool_xp.bench.rows.files import read_rows
from unpool_xp.bench.rows.schema import Row, case_key, done_keys, failure_reason
from unpool_xp.cli.resuming import Run

pytestmark = pytest.mark.usefixtures("one_process")
SMALL = ("--operation", "adaptive_avg_pool", "--backend", "numpy")


def complete_run() -> list[Row]:
    """Return the rows of a run that could have been measured here and now."""
    origin = provenance_fields("run") | {"backend_version": np.__version__}
    cases = [case for case in preset("quick").cases if case.operation == SMALL[1]]
    return [
        make_row(**origin, **case_fields(case, cell))
        for case in cases
        for cell in cells_of(case, "numpy")
    ]


def failed(row: Row) -> Row:
    return replace(row, checked=False, error="crashed: x", samples_s=[])


def sweep(path: Path, *more: str) -> tuple[int, str]:
    """Go on with a run; return the exit code, and what was said, in one line."""
    results = path.parents[2]
    shown = run("sweep", *SMALL, "--results", str(results), "--resume", path.stem, *more)
    return shown.returncode, " ".join((shown.stdout + shown.stderr).split())


def test_a_backward_sweep_has_what_has_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unpool_xp.backends.known", lambda: ["numpy", "torch:cpu", "dask"])
    monkeypatch.setattr(
        "unpool_xp.bench.measure.pools.find_loadable",
        lambda names, keep: SimpleNamespace(found={n: n for n in names}, missing={}, broken=[]),
    )
    shown = run("sweep", "--preset", "full", "-o", "max_pool", "--pass", "backward", "--list")
    *listed, _ = shown.stdout.splitlines()
    assert shown.returncode == 0
    # Portable and native, eager and compiled, on torch alone.
    assert {line.partition("  ")[2] for line in listed} == {"4 cells"}
    assert all(line.partition("  ")[0].endswith("-backward") for line in listed)
    assert not any("uint8" in line for line in listed)
    said = " ".join(shown.stderr.split())
    assert "without gradients, so left out: numpy, dask" in said
    assert "left out: 1 case of integers, without a gradient" in said


def test_failed_rows_are_measured_again_on_request_alone(tmp_path: Path) -> None:
    good = complete_run()
    rows = [failed(good[0]), *good[1:]]
    path = write(tmp_path / "sweeps" / good[0].machine / "run.jsonl", *rows)
    with path.open("a") as file:
        file.write('{"torn": ')
    code, said = sweep(path)
    assert (code, "0 measured" in said) == (0, True)
    again = f"unpool-xp sweep {shlex.join(SMALL)} --results {tmp_path} --resume run --retry-failed"
    assert f"1 failed rows are left; to measure them again: {again}" in said
    code, said = sweep(path, "--retry-failed")
    assert (code, "1 measured, 0 without a time" in said) == (0, True)
    assert "failed rows" not in said
    after = read_rows([path]).rows
    assert after[:-1] == rows
    assert case_key(after[-1]) == case_key(rows[0])
    assert failure_reason(after[-1]) is None
    assert done_keys(after, retry_failed=True) == done_keys(rows)


def test_rows_of_something_else_are_mixed_by_force_alone(tmp_path: Path) -> None:
    here = complete_run()
    old = {
        "commit": "0123abc",
        "version": "0.0.1",
        "backend_version": "1.26.0",
        "machine": "other-2core-000000",
    }
    rows = [replace(row, **old) for row in here]
    other = write(tmp_path / "sweeps" / "other-2core-000000" / "run.jsonl", *rows[1:])
    code, said = sweep(other)
    assert code == 2
    for what, then in zip(("commit", "unpool_xp", "numpy", "machine"), old.values(), strict=True):
        assert f"{what}: {then} in the rows, " in said
    assert "--force continues" in said
    # A file holds the rows of one machine.
    code, said = sweep(other, "--force")
    assert (code, "1 measured, 0 without a time" in said) == (0, True)
    (new,) = read_rows([tmp_path / "sweeps" / here[0].machine]).rows
    assert case_key(new) == case_key(rows[0])
    assert (new.machine, new.commit) == (here[0].machine, here[0].commit)
    assert read_rows([other]).rows == rows[1:]


def test_what_is_measured_again_is_mixed_with_nothing(tmp_path: Path) -> None:
    run = Run("run", tmp_path, "m", (write(tmp_path / "m" / "run.jsonl", failed(make_row())),))
    run.check_unchanged({}, retry_failed=True, force=False)
    with pytest.raises(typer.Exit) as left:
        run.check_unchanged({}, retry_failed=False, force=False)
    assert left.value.exit_code == 2


@pytest.mark.parametrize("name", ["../../../x/mine", "a/b", "/x", "..", "a\\b", "."])
def test_a_run_has_a_name_not_a_path(tmp_path: Path, name: str) -> None:
    shown = run("sweep", *SMALL, "--results", str(tmp_path), "--resume", name)
    assert shown.returncode == 2
    assert "a run has a name, not a path" in " ".join(shown.stderr.split())


def test_what_a_function_is_not_made_for_is_not_tried_again() -> None:
    able = failed(make_row())
    unable = replace(failed(make_row(operation="max_pool")), error="f cannot do it: stride 2")
    assert done_keys([able, unable]) == {case_key(able), case_key(unable)}
    assert done_keys([able, unable], retry_failed=True) == {case_key(unable)}


@pytest.mark.parametrize("name", ["run", "last"])
def test_a_run_that_is_packed_is_named(tmp_path: Path, name: str) -> None:
    packed = tmp_path / "sweeps" / "m" / "run.jsonl.gz"
    packed.parent.mkdir(parents=True)
    packed.write_bytes(b"")
    shown = run("sweep", *SMALL, "--results", str(tmp_path), "--machine", "m", "--resume", name)
    assert shown.returncode == 2
    assert f"the run is compressed; first run gunzip {packed}" in shown.stderr


@pytest.mark.parametrize("option", ["--force", "--retry-failed"])
def test_a_new_run_has_nothing_to_retry_or_to_mix(option: str) -> None:
    shown = run("sweep", *SMALL, option)
    assert (shown.returncode, f"{option} is for --resume RUN" in shown.stderr) == (2, True)


# --- own cases -----------------------------------------------------------------------------------


def test_one_case_of_ones_own_on_a_machine_with_a_name_beside_another_run(tmp_path: Path) -> None:
    case = ["--operation", "max_pool", "--shape", "1,2,9,9", "--kernel", "3", "--stride", "2"]
    arguments = [*case, "--dtype", "float64", "--backend", "numpy", "--timeout", "60"]
    named = ["--results", str(tmp_path), "--machine", "My_host.2"]
    # Starts a worker, as a run does, and waits.
    code = (
        "import subprocess, sys; subprocess.run([sys.executable, '-c', 'input()', "
        "'unpool_xp.bench.worker'])"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE) as other:
        end = time.monotonic() + 30
        while other.pid not in other_runs() and time.monotonic() < end:
            time.sleep(0.05)
        shown = run("sweep", *arguments, *named)
        other.communicate(b"\n")
    assert shown.returncode == 0
    noted = r"another run of unpool-xp is under way on this machine, process (\d+, )*"
    assert re.search(rf"{noted}{other.pid}\b", " ".join(shown.stderr.split()))
    assert other.pid not in other_runs()
    (path,) = tmp_path.glob("sweeps/My_host.2/*.jsonl")
    row, *_ = read_rows([path]).rows
    assert (row.machine, row.shape, row.dtype) == ("My_host.2", [1, 2, 9, 9], "float64")
    assert row.parameters == {"kernel": [3, 3], "stride": [2, 2]}
    assert read_machines([path])[0]["My_host.2"].id == "My_host.2"


def test_a_decoder_in_a_file_is_measured_as_a_whole_and_by_its_layers(tmp_path: Path) -> None:
    file = tmp_path / "small.json"
    pool, unpool = {"operation": "max_pool", "kernel": 2}, {"operation": "nearest_unpool"}
    layers: list[dict[str, Any]] = [pool, unpool | {"scale": 2}, pool]
    file.write_text(json.dumps({"shape": [1, 2, 8, 8], "layers": layers}), encoding="utf-8")
    shown = run("sweep", "--layers", str(file), "--list", *SMALL[2:])
    whole, *parts = (line.split()[0] for line in shown.stdout.splitlines()[:-1])
    assert whole.startswith("decoder-1x2x8x8-small-3layers~")
    cases = [part.name for part in Case("decoder", (1, 2, 8, 8), name="x", layers=layers).parts]
    assert parts == cases[:2]
    changed = ("--batch", "2,3", "--dtype", "float16", "--scale-channels", "2")
    shown = run("sweep", "--layers", str(file), "--list", *SMALL[2:], *changed)
    for batch in (2, 3):
        assert f"max_pool-{batch}x4x8x8-k2x2-s2x2-float16" in shown.stdout
    shown = run("choose", "--check-layers", str(file))
    assert [line.split()[0] for line in shown.stdout.splitlines()[-4:]] == [
        *("max_pool", "nearest_unpool", "max_pool", "the")
    ]
    assert "1x2x4x4" in shown.stdout
    file.write_text(json.dumps({"shape": [1, 2, 8, 8], "layers": [pool, unpool]}), encoding="utf-8")
    shown = run("sweep", "--layers", str(file), "--list")
    assert shown.returncode == 2
    assert "small.json:1: layer 2 (nearest_unpool): scale" in " ".join(shown.stderr.split())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("--preset quick --shape 1,2,4,4", "--preset and --shape: give only one of them"),
        ("--layers a.toml --shape 1,2,4,4", "--layers and --shape: give only one of them"),
        ("--shape 1,2,4,4", "--shape describes one case: add --operation"),
        ("--out-channels 3", "--out-channels describes one case: add --shape"),
        ("--batch 2 --preset full", "is for a decoder: add --preset or --layers"),
        ("--dtype float16 --preset full", "--dtype describes one case"),
        ("-o max_pool --shape 1,2,x,4", "--shape '1,2,x,4' must be int"),
        ("-o max_pool --shape 1,2,4,4", "--kernel is missing: max_pool needs it"),
        ("-o max_pool --shape 1,2,4,4 --kernel 2 --dtype f4", "unknown dtype 'f4'"),
        ("--layers nowhere.toml", "--layers nowhere.toml: No such file or directory"),
        ("--layers .", "a file of layers ends with .toml or .json"),
        ("--machine ../x", "--machine ../x: a machine's name has"),
        ("--machine .hidden", "a machine's name has"),
        ("--machine a --scheduler tcp://127.0.0.1:1", "--machine is the name of this machine"),
        ("--timeout 0", "Invalid value for '--timeout'"),
    ],
)
def test_cases_that_cannot_be_are_refused_before_anything_starts(
    tmp_path: Path, arguments: str, said: str
) -> None:
    shown = run("sweep", *shlex.split(arguments), path=tmp_path)
    assert shown.returncode == 2
    assert said in " ".join(shown.stderr.split())
    assert not (tmp_path / "results").exists()
