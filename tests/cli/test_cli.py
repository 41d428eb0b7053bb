"""The commands as people type them."""

from __future__ import annotations

import csv
import io
import json
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.command import python, run
from tests.support.rows import make_row, write
from unpool_xp.bench.budget import BudgetedRun
from unpool_xp.bench.cases.case import Case
from unpool_xp.bench.choose import Choice, choose, scale_case
from unpool_xp.bench.report import charts
from unpool_xp.bench.rows.files import read_rows
from unpool_xp.bench.rows.schema import case_key
from unpool_xp.bench.terminal.choice_files import choice_as_json

pytestmark = pytest.mark.usefixtures("one_process", "decided_at_once")
BUDGET = ("--budget", "300")  # that no machine is too busy for


def test_backends_says_what_is_here_and_what_is_missing() -> None:
    shown = run("backends", "--quick")
    assert shown.returncode == 0
    for label in ("numpy", "torch:cpu", "jax:cpu", "dask", "array_api_strict"):
        assert re.search(rf"^{label} +\d", shown.stdout, re.MULTILINE), label
    (row,) = json.loads(run("backends", "--backend", "numpy", "--json").stdout)
    assert row["copy_gb_s"] > 0
    assert row["product_gflop_s"] > 0
    assert run("backends", "--backend", "nothing").returncode == 2


def test_version_and_help() -> None:
    assert run("--version").stdout.strip() == "0.1.0"
    shown = python("-m", "unpool_xp", "--help").stdout
    assert "Usage: python -m unpool_xp [OPTIONS]" in shown
    assert "choose" in shown


def test_without_the_extra_the_command_says_what_to_install() -> None:
    code = (
        "import runpy, sys; sys.modules['typer'] = None; "
        "runpy.run_module('unpool_xp', run_name='__main__')"
    )
    shown = python("-c", code)
    assert shown.returncode == 2
    assert shown.stderr == (
        'unpool-xp: typer is not installed; the commands need pip install "unpool-xp[bench]"\n'
    )


def test_choose_names_a_backend_with_intervals() -> None:
    arguments = ["choose", "max_unpool", "--shape", "2,8,28,28", "--kernel", "2"]
    shown = run(*arguments, *BUDGET, "--backend", "numpy", "--backend", "torch")
    assert shown.returncode == 0, shown.stderr
    assert re.search(r"^use (numpy|torch:cpu)", shown.stdout, re.MULTILINE)
    assert "95 % interval" in shown.stdout
    assert max(map(len, shown.stdout.splitlines())) <= 80


def test_choose_answers_scripts_in_json() -> None:
    arguments = ["choose", "nearest_unpool", "--shape", "1,4,16,16", "--scale", "2"]
    shown = run(*arguments, *BUDGET, "--backend", "numpy", "--json")
    answer = json.loads(shown.stdout)
    assert {name.partition(" ")[0] for name in answer["use"]} == {"numpy"}
    assert answer["portable"]["use"] == "numpy"
    assert {entry["implementation"] for entry in answer["ranking"]} == {"portable", "native"}
    assert answer["ranking"][0]["interval"][0] <= answer["ranking"][0]["seconds"]
    assert all(entry["function"].startswith("numpy.") for entry in answer["tax"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["upsample", "--shape", "1,2,4,4"], "unknown operation upsample; known: max_pool"),
        (["max_pool", "--shape", "1,2,a,4", "--kernel", "2"], "--shape '1,2,a,4' must be int"),
        (["max_pool", "--shape", "1,2,4,4"], "error: --kernel is missing: max_pool needs it"),
        (["max_pool", "--shape", "1,2,4,4", "--kernel", "9"], "spans 9 cells, more than the 4"),
        (
            ["max_pool", "--shape", "1,2,4,4", "--kernel", "2", "--scale", "2"],
            "--scale '2' is not for max_pool, which takes --kernel, --stride, --padding",
        ),
        (
            ["conv_transpose", "--shape", "1,2,4,4", "--kernel", "2"],
            "--out-channels is missing: conv_transpose needs it",
        ),
        (["max_pool", "--shape", "1,0,4,4", "--kernel", "2"], "error: --shape (1, 0, 4, 4) must"),
        (["max_pool", "--shape", "900000,900,999,999", "--kernel", "2"], "is too large: "),
        (
            ["max_pool", "--shape", "1,2,4,4", "--kernel", "2", "--dtype", "f4"],
            "unknown dtype 'f4'",
        ),
        ([], "give an operation and its --shape, or a decoder by --preset or --layers"),
        (["--preset", "quick"], "--preset 'quick' is not a decoder; known: segnet, unet"),
        (["--preset", "unet", "--shape", "1,2,4,4"], "--shape '1,2,4,4' is not for a decoder"),
        (["max_pool", "--preset", "unet"], "max_pool and a decoder: give only one of them"),
        (["--preset", "unet", "--layers", "a.toml"], "--preset and --layers: give only one"),
        (["--layers", "nowhere.toml"], "--layers nowhere.toml: No such file"),
        (["--preset", "unet", "--batch", "1,0"], "--batch 1,0: '0' is not a batch from 1 to"),
        (
            ["--preset", "unet", "--scale-channels", "0"],
            "--scale-channels 0.0 must be a number above 0",
        ),
        (["--preset", "unet", "--dtype", "float7"], "unknown dtype 'float7'"),
        (
            ["max_pool", "--shape", "1,2,4,4", "--kernel", "2", "--batch", "4"],
            "--batch '4' is for a decoder: add --preset or --layers",
        ),
        (
            ["max_pool", "--shape", "1,2,4,4", "--kernel", "2", "--pass", "backward"],
            "error: --pass backward: numpy has no gradients",
        ),
        (
            ["max_pool", "--shape=1,2,4,4", "--kernel=2", "--pass=backward", "--dtype=int8"],
            "error: --pass backward: max_pool of int8 has no gradient; only floating-point",
        ),
    ],
)
def test_choose_refuses_what_cannot_be_before_it_starts(arguments: list[str], message: str) -> None:
    shown = run("choose", *arguments, "--backend", "numpy")
    assert shown.returncode == 2
    assert message in " ".join(shown.stderr.split())


@pytest.mark.parametrize("text", ["0", "a", "1,,2", "1, 2", "-1", "1.5", "2x", "12345"])
def test_a_bad_number_of_threads_is_named(text: str) -> None:
    shown = run("sweep", f"--threads={text}", "--backend", "numpy")
    assert shown.returncode == 2
    assert f"--threads {text}:" in shown.stderr
    assert "is not a number of threads" in " ".join(shown.stderr.split())


@pytest.mark.parametrize(
    "command", [["choose", "max_pool", "--shape", "1,2,4,4", "--kernel", "2"], ["tax"], ["gpu"]]
)
def test_every_command_that_measures_takes_threads(command: list[str]) -> None:
    shown = run(*command, "--threads", "0")
    assert (shown.returncode, "--threads 0:" in shown.stderr) == (2, True)


def test_choose_compares_numbers_of_threads() -> None:
    arguments = ["choose", "nearest_unpool", "--shape", "1,4,16,16", "--scale", "2"]
    shown = run(*arguments, *BUDGET, "-b", "numpy", "--threads", "1,9999,1", "--json")
    ranking = json.loads(shown.stdout)["ranking"]
    assert {entry["threads_asked"] for entry in ranking} == {1, 9999}
    said = " ".join(shown.stderr.split())
    assert "--threads 9999: only" in said
    assert "cores can be used here" in said


def test_choose_measures_a_decoder_its_layers_and_its_batches(tmp_path: Path) -> None:
    file, table = tmp_path / "small.toml", tmp_path / "answer.csv"
    pool, unpool = "operation = 'max_pool'\nkernel = 2", "operation = 'max_unpool'"
    file.write_text(
        f"shape = [1, 2, 8, 8]\n[[layers]]\nname = 'pool'\n{pool}\n"
        f"[[layers]]\nindices = 'pool'\n{unpool}\n"
    )
    arguments = ["choose", "--layers", str(file), "--batch", "2,4", "--csv", str(table)]
    shown = run(*arguments, *BUDGET, "-b", "numpy", "--json")
    assert shown.returncode == 0, shown.stderr
    answer = json.loads(shown.stdout)
    assert (answer["decoder"], answer["case"]["shape"]) == ("small", [2, 2, 8, 8])
    assert all(name.startswith("numpy") for name in answer["use"])
    assert [layer["layer"] for layer in answer["layers"]] == ["pool", "2 max_unpool"]
    assert all(layer["seconds_with_winner"] > 0 for layer in answer["layers"])
    assert answer["sum_of_layers_s"] > 0
    assert [one["batch"] for one in answer["batches"]] == [2, 4]
    assert all(answer["peak_bytes"].values())
    parts = {line["part"] for line in csv.DictReader(io.StringIO(table.read_text("utf-8")))}
    assert parts == {"the whole small", "a batch of 4", "layer pool", "layer 2 max_unpool"}


def eager_run(*labels: str) -> BudgetedRun:
    return BudgetedRun(labels, lambda label: ("eager",), float(BUDGET[1]))


def test_a_choice_where_nothing_ran_says_so(fake_backends: None) -> None:
    case = Case("max_pool", (1, 2, 4, 4), kernel=(2, 2))
    choice = choose(case, eager_run("fake:wrong"))
    assert choice.ranking().best is None
    answer = choice_as_json(choice)
    assert answer["use"] == []
    assert answer["ranking"][0]["reason"]
    with pytest.raises(ValueError, match="labels=\\(\\) must name"):
        eager_run()


def test_a_device_that_answers_late_is_never_quicker(fake_backends: None) -> None:
    case = Case("nearest_unpool", (1, 2, 4, 4), scale=(2, 2))
    choice = choose(case, eager_run("numpy", "fake:async"))
    for copies in (False, True):
        (crossing,) = choice.device_crossovers(with_transfer=copies)
        assert crossing.label == "fake:async"
        assert 32 in crossing.verdicts
        assert crossing.wins_from is None


def test_the_answer_changes_with_size(monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case("max_pool", (1, 2, 8, 8), kernel=(2, 2))
    smaller, larger = scale_case(case, 0.5), scale_case(case, 2.0)
    assert smaller is not None
    assert larger is not None
    assert (smaller.shape, larger.shape) == ((1, 2, 4, 4), (1, 2, 16, 16))
    assert scale_case(case, 0.01) is None
    choice = choose(case, eager_run("numpy"))
    assert isinstance(choice, Choice)
    assert choice.crossovers()[0].winner.partition(" ")[0] == "numpy"
    assert 32 in choice.other_sizes


# --- sweep and report ----------------------------------------------------------------------------


def sweep(results: Path, *more: str) -> list[str]:
    arguments = ["--preset", "quick", "--operation", "nearest_unpool", "--backend", "numpy"]
    return ["sweep", *arguments, "--results", str(results), *more]


def test_a_sweep_leaves_rows_and_a_report_that_can_be_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(charts, "write_png", lambda spec, path, *words: path.touch() or path)
    shown = run(*sweep(tmp_path, "--report"))
    assert shown.returncode == 0, shown.stderr
    (path,) = tmp_path.glob("sweeps/*/*.jsonl")
    assert (path.parent / "machine.json").exists()
    rows = read_rows([path]).rows
    assert rows
    assert all(row.operation == "nearest_unpool" for row in rows)
    assert all(row.copy_gb_s and row.copy_gb_s > 0 for row in rows)
    assert "bytes of a call" in shown.stdout
    assert "nearest_unpool" in shown.stdout
    assert "95 % interval" not in shown.stdout  # that is in the rankings
    for name in ("report.html", "decisions.csv"):
        assert (tmp_path / "report" / name).exists()
    again = run("report", str(tmp_path / "sweeps"), "--to", str(tmp_path / "again"))
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "again" / "report.html").stat().st_size > 10_000
    resumed = run(*sweep(tmp_path, "--resume", "last", "--rankings"))
    assert "0 measured" in resumed.stderr
    assert resumed.stdout.count("95 % interval") == len({tuple(row.shape) for row in rows})
    assert len(read_rows([path]).rows) == len(rows)


def test_a_sweep_lists_what_it_would_measure(tmp_path: Path) -> None:
    shown = run(*sweep(tmp_path, "--list"))
    *cases, last = shown.stdout.splitlines()
    assert last.startswith(f"{len(cases)} cases, ")
    assert all(case.startswith("nearest_unpool-") for case in cases)
    assert not list(tmp_path.iterdir())
    refused = run(*sweep(tmp_path, "--list", "--scheduler", "tcp://127.0.0.1:1"))
    assert refused.returncode == 2


def test_a_damaged_line_is_named_and_the_good_rows_are_read(tmp_path: Path) -> None:
    path = write(tmp_path / "run.jsonl", make_row(), make_row(backend="torch:cpu"))
    with path.open("a", encoding="utf-8") as file:
        file.write('{"schema": 1, "torn')
    shown = run("report", str(path), "--to", str(tmp_path / "report"))
    assert shown.returncode == 0
    assert "run.jsonl:3" in shown.stderr.replace("\n", "")
    assert "2 rows" in shown.stderr
    assert run("report", str(tmp_path / "nowhere")).returncode == 2


@pytest.mark.usefixtures("ctrl_c_is_heard")
def test_ctrl_c_leaves_whole_rows_and_says_how_to_go_on(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "unpool_xp", *sweep(tmp_path)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 300
    while not any(p.stat().st_size for p in tmp_path.glob("sweeps/*/*.jsonl")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=300)
    (path,) = tmp_path.glob("sweeps/*/*.jsonl")
    read = read_rows([path])
    assert read.problems == []
    if process.returncode == 0:  # it had been done by then
        return
    assert process.returncode == 130
    assert f" cells measured; every row in {path} is whole" in said
    assert f"{shlex.join(sweep(tmp_path))} --resume {path.stem}" in said.splitlines()[-1]


def test_bad_sweeps_are_refused(tmp_path: Path) -> None:
    assert "known: quick" in run("sweep", "--preset", "huge").stderr
    assert "known: max_pool" in run("sweep", "--operation", "upsample").stderr
    shown = run(*sweep(tmp_path, "--resume", "last"))
    assert shown.returncode == 2
    assert "there is no run in" in " ".join(shown.stderr.split())


def test_a_sweep_on_a_full_disk_ends_with_whole_rows_and_goes_on_later(tmp_path: Path) -> None:
    limit = 9000  # bytes a file: some rows, not all
    # Within the new process: after a fork, what JAX has started here might hang.
    code = (
        "import resource, runpy, sys; import unpool_xp.bench.measure.sweep as s; s.PROCESSES = 1; "
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit})); "
        "runpy.run_module('unpool_xp', run_name='__main__', alter_sys=True)"
    )
    shown = python("-W", "ignore", "-c", code, *sweep(tmp_path))
    said = " ".join(shown.stderr.split())
    assert shown.returncode == 3, said
    assert said.count("File too large") == 1
    assert "Traceback" not in said
    (path,) = tmp_path.glob("sweeps/*/*.jsonl")
    assert f"{shlex.join(sweep(tmp_path))} --resume {path.stem}" in said
    before = read_rows([path])
    assert before.problems == []
    assert 0 < len(before.rows) < 16
    assert path.read_bytes().endswith(b"\n")
    assert run(*sweep(tmp_path, "--resume", path.stem)).returncode == 0
    after = read_rows([path])
    assert after.problems == []
    assert after.rows[: len(before.rows)] == before.rows
    assert len(after.rows) == len({case_key(row) for row in after.rows}) > len(before.rows)
