"""The exit code of every command in every situation; what each means is in docs/commands.rst."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.command import python, run
from tests.support.rows import failed_row, make_row, write
from unpool_xp import backends
from unpool_xp.bench.measure import pools, workers
from unpool_xp.bench.rows import readers
from unpool_xp.cli import main
from unpool_xp.cli.exits import ExitCode

CHOOSE = ("choose", "nearest_unpool", "--shape", "1,2,4,4", "--scale", "2", "--budget", "1")
SWEEP = ("sweep", "--operation", "nearest_unpool")
COMMANDS = {
    "backends": ("backends", "--quick"),
    "check": ("check", "-o", "nearest_unpool"),
    "choose": CHOOSE,
    "sweep": SWEEP,
    "sweep runs list": ("sweep", "runs", "list"),
    "sweep runs rm": ("sweep", "runs", "rm", "nowhere"),
    "tax": ("tax", "-o", "nearest_unpool"),
    "gpu": ("gpu",),
    "compare": ("compare", "rows.jsonl", "rows.jsonl"),
    "gate": ("gate", "HEAD"),
    "report": ("report", "rows.jsonl"),
    "gallery": ("gallery",),
}
BROKEN = "fault:import-raise"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with rows that say *same* and a file where a folder ought to be."""
    monkeypatch.chdir(tmp_path)
    times = [1e-3 * (1 + number % 3 / 1000) for number in range(30)]
    write(tmp_path / "rows.jsonl", make_row(samples_s=times, process=[n // 10 for n in range(30)]))
    slower = [2 * time for time in times]
    write(tmp_path / "slow.jsonl", make_row(samples_s=slower, process=[n // 10 for n in range(30)]))
    write(tmp_path / "failed.jsonl", failed_row("too large"))
    for name in ("empty.jsonl", "file"):
        (tmp_path / name).touch()
    return tmp_path


@pytest.fixture
def no_work(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was started: it has to stay empty."""
    started: list[str] = []
    monkeypatch.setattr(workers.Worker, "__init__", lambda *place: started.append(str(place)))
    monkeypatch.setattr(pools, "start_worker", lambda place: started.append(str(place)))
    return started


def test_the_table_has_every_command() -> None:
    assert set(COMMANDS) == set(main.load_commands().commands)


# --- 2: wrong use, and no answer -----------------------------------------------------------------

WRONG_USE = [
    *((*command, "--nonsense") for command in COMMANDS.values()),
    ("nonsense",),
    ("choose", "upsample", "--shape", "1,2,4,4"),
    ("choose", "max_pool", "--shape", "1,2,4,4", "--kernel", "9"),
    (*CHOOSE, "--against", "not-there"),
    (*CHOOSE, "--against", "empty.jsonl"),
    (*CHOOSE, "--budget", "0"),
    ("check", "-o", "upsample"),
    ("sweep", "--preset", "huge"),
    ("tax", "-o", "convert_indices"),
    ("gate", "HEAD", "--size", "huge"),
    *((*COMMANDS[name], "--threads", "0") for name in ("choose", "sweep", "tax", "gpu")),
]


@pytest.mark.parametrize("arguments", WRONG_USE, ids=" ".join)
def test_wrong_use_is_2(arguments: tuple[str, ...], folder: Path, no_work: list[str]) -> None:
    shown = run(*arguments)
    assert (shown.returncode, no_work) == (ExitCode.CANNOT_TELL, [])
    assert "error" in shown.stderr.lower()
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        ["empty.jsonl", "failed.jsonl", "file", "rows.jsonl", "slow.jsonl"]
    )


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("command", COMMANDS)
def test_an_empty_value_is_2_and_is_named(command: str, no_work: list[str]) -> None:
    of_command = main.load_commands().commands[command].params
    names = [max(one.opts, key=len) for one in of_command if not getattr(one, "is_flag", False)]
    arguments = [name for name in names if not name.startswith("-")]
    for name in names:
        if name in arguments:
            shown = run(*command.split(), *arguments[: arguments.index(name)], "")
        else:
            shown = run(*COMMANDS[command], name, "")
        assert (shown.returncode, no_work) == (ExitCode.CANNOT_TELL, [])
        assert f"error: {name} '' is empty" in shown.stderr


@pytest.mark.parametrize("mode", ["fast", "Eager"])
def test_an_unknown_mode_is_2_and_is_named(mode: str, no_work: list[str]) -> None:
    shown = run("tax", "--mode", mode)
    assert (shown.returncode, no_work) == (ExitCode.CANNOT_TELL, [])
    assert f"unknown mode {mode!r}; known: eager, compiled" in shown.stderr


NAMED = ("backends", "check", "choose", "sweep", "tax", "gpu", "gate", "gallery")


@pytest.mark.usefixtures("folder", "no_work")
@pytest.mark.parametrize("command", NAMED)
def test_an_unknown_backend_is_2(command: str) -> None:
    shown = run(*COMMANDS[command], "-b", "numpty")
    assert shown.returncode == ExitCode.CANNOT_TELL
    assert "numpty" in shown.stderr


@pytest.mark.usefixtures("fault_backends", "folder")
@pytest.mark.parametrize("command", ["backends", "check", "sweep", "gpu", "gate"])
def test_a_named_backend_that_is_broken_is_2(command: str) -> None:
    shown = run(*COMMANDS[command], "-b", BROKEN)
    assert shown.returncode == ExitCode.CANNOT_TELL
    assert "the library's own words" in " ".join((shown.stdout + shown.stderr).split())


@pytest.mark.usefixtures("fault_backends", "folder")
@pytest.mark.parametrize("command", ["check", "choose", "sweep", "tax", "gpu"])
def test_no_library_at_all_is_2(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "known", lambda: ["nothing"])
    assert run(*COMMANDS[command]).returncode == ExitCode.CANNOT_TELL


@pytest.mark.usefixtures("fake_backends", "one_process", "folder")
def test_nothing_measured_is_2() -> None:
    assert run(*SWEEP, "-b", "fake:wrong").returncode == ExitCode.CANNOT_TELL


@pytest.mark.usefixtures("fake_backends", "folder")
def test_a_process_that_is_lost_while_checking_is_2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unpool_xp.bench.check.run.DTYPES", ("float32",))  # a process each
    shown = run("check", "-o", "max_pool", "-b", "fake:crash")
    assert shown.returncode == ExitCode.CANNOT_TELL
    assert "crashed: fake:crash" in " ".join(shown.stdout.split())


@pytest.mark.parametrize(
    "arguments",
    [
        ("compare", "rows.jsonl", "slow.jsonl", "--markdown", "rows.jsonl"),
        ("compare", "rows.jsonl", "slow.jsonl", "--markdown", "./slow.jsonl"),
        (*CHOOSE, "--markdown", "new.txt", "--csv", "new.txt"),
    ],
    ids=" ".join,
)
def test_a_file_that_an_output_would_replace_is_2(
    arguments: tuple[str, ...], folder: Path, no_work: list[str]
) -> None:
    before = {path: path.read_bytes() for path in folder.iterdir()}
    shown = run(*arguments)
    assert (shown.returncode, no_work) == (ExitCode.CANNOT_TELL, [])
    assert "another option already names this file" in shown.stderr
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize(
    "arguments",
    [
        ("report", "nowhere"),
        ("report", "empty.jsonl"),
        ("report", "file"),
        ("compare", "nowhere", "rows.jsonl"),
        ("compare", "rows.jsonl", "empty.jsonl"),
        ("compare", "empty.jsonl", "empty.jsonl"),
        ("compare", "rows.jsonl", "failed.jsonl", "--config", "nowhere"),
        ("gallery", "nowhere.png"),
        COMMANDS["sweep runs list"],
        COMMANDS["sweep runs rm"],
    ],
    ids=" ".join,
)
def test_an_input_that_is_missing_or_empty_is_2(arguments: tuple[str, ...], folder: Path) -> None:
    page = folder / "results" / "report" / "report.html"
    page.parent.mkdir(parents=True)
    page.write_text("a good page")
    shown = run(*arguments)
    assert shown.returncode == ExitCode.CANNOT_TELL
    assert "Traceback" not in shown.stderr
    assert page.read_text() == "a good page"


# --- 0 and 1 -------------------------------------------------------------------------------------


@pytest.mark.usefixtures("folder")
def test_only_what_is_slower_or_broken_is_1() -> None:
    assert run("compare", "rows.jsonl", "rows.jsonl").returncode == ExitCode.DONE
    assert run("compare", "rows.jsonl", "slow.jsonl").returncode == ExitCode.DIFFERS
    assert run("compare", "rows.jsonl", "failed.jsonl").returncode == ExitCode.DIFFERS
    assert run("--help").returncode == ExitCode.DONE


# --- 3: outputs that cannot be written, and our own faults ---------------------------------------


UNWRITABLE = [
    (("check",), "--junit"),
    (("check",), "--markdown"),
    (CHOOSE, "--markdown"),
    (CHOOSE, "--csv"),
    (("tax",), "--markdown"),
    (("gate", "HEAD"), "--markdown"),
    (("compare", "rows.jsonl", "slow.jsonl"), "--markdown"),
]
FOLDERS = [
    (("tax",), "--results"),
    (("sweep",), "--results"),
    (("sweep", "--report"), "--results"),
    (("gpu",), "--results"),
    (("gate", "HEAD"), "--folder"),
    (("report", "rows.jsonl"), "--to"),
    (("gallery",), "--to"),
]


@pytest.mark.parametrize(
    ("arguments", "option", "path"),
    [
        *(
            (*entry, path)
            for entry in UNWRITABLE
            for path in ("file/x.md", "none/x.md", ".", "n" * 300)
        ),
        *((*entry, path) for entry in FOLDERS for path in ("file", "file/x")),
    ],
    ids=lambda value: value[:9] if isinstance(value, str) else " ".join(value),
)
def test_an_unwritable_output_is_3_before_the_work(
    arguments: tuple[str, ...], option: str, path: str, folder: Path, no_work: list[str]
) -> None:
    before = sorted(folder.iterdir())
    shown = run(*arguments, option, path)
    assert (shown.returncode, no_work) == (ExitCode.FAULT, [])
    assert f"error: {option}: cannot write {path}" in shown.stderr.replace("\n", "")
    assert shown.stdout == ""
    assert sorted(folder.iterdir()) == before


@pytest.mark.usefixtures("folder")
def test_a_summary_replaces_the_old_one_at_the_end(folder: Path) -> None:
    summary, link = folder / "new" / "summary.md", folder / "link.md"
    summary.parent.mkdir()
    arguments = ("compare", "rows.jsonl", "slow.jsonl", "--markdown")
    assert run(*arguments, str(summary)).returncode == ExitCode.DIFFERS
    good = summary.read_text()
    assert "slower" in good
    summary.chmod(0o640)
    link.symlink_to(summary)
    assert run("compare", "rows.jsonl", "nowhere", "--markdown", str(link)).returncode == 2
    assert summary.read_text() == good
    assert run(*arguments, str(link)).returncode == ExitCode.DIFFERS
    assert link.is_symlink()
    assert summary.stat().st_mode & 0o777 == 0o640
    assert [path.name for path in summary.parent.iterdir()] == ["summary.md"]


@pytest.mark.usefixtures("folder")
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux")
def test_a_full_disk_is_3_and_the_answer_is_there() -> None:
    shown = run("compare", "rows.jsonl", "slow.jsonl", "--markdown", "/dev/full")
    assert shown.returncode == ExitCode.FAULT
    assert "--markdown: cannot write /dev/full: No space left" in shown.stderr
    assert "slower (1)" in shown.stdout


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    "error",
    [ZeroDivisionError("division"), SystemExit(1), MemoryError()],
)
def test_an_unexpected_exception_is_3(
    error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(readers, "read_results", fail)
    shown = run(*COMMANDS["compare"])
    assert shown.returncode == ExitCode.FAULT
    assert f"{type(error).__name__}" in shown.stderr
    assert shown.stderr.splitlines()[-1].startswith("error: this is a fault of unpool-xp")


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ImportError("no shared object", name="x"), "does not import: no shared object"),
        (ModuleNotFoundError("No module", name="x.y"), "x is not installed; the commands need"),
    ],
)
def test_a_library_that_the_commands_lack_is_2(
    error: ImportError, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(readers, "read_results", fail)
    shown = run(*COMMANDS["compare"])
    assert (shown.returncode, said in shown.stderr) == (ExitCode.CANNOT_TELL, True)


@pytest.mark.parametrize("error", ["ImportError", "RuntimeError"])
def test_a_library_that_raises_on_import_is_2(error: str, tmp_path: Path) -> None:
    (tmp_path / "numpy.py").write_text(f"raise {error}('no BLAS')", encoding="utf-8")
    path = os.pathsep.join([str(tmp_path), *sys.path])
    shown = python("-m", "unpool_xp", "backends", PYTHONPATH=path)
    assert (shown.returncode, shown.stdout) == (ExitCode.CANNOT_TELL, "")
    assert "a library that the commands need does not import: " in shown.stderr
    assert shown.stderr.endswith("no BLAS\n")


# --- stopped -------------------------------------------------------------------------------------


@pytest.mark.usefixtures("folder", "ctrl_c_is_heard")
@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGINT, ExitCode.INTERRUPTED),
        (signal.SIGTERM, ExitCode.TERMINATED),
        (getattr(signal, "SIGHUP", signal.SIGTERM), ExitCode.TERMINATED),  # a closed terminal
    ],
)
@pytest.mark.parametrize("command", ["compare", "gate"])
def test_a_signal_has_its_code(
    command: str, number: int, code: ExitCode, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        signal.raise_signal(number)

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(readers, "read_results", stop)
    monkeypatch.setattr("unpool_xp.bench.gate.build.find_source", stop)
    monkeypatch.setattr("unpool_xp.bench.gate.run.available_backend_modes", lambda: ([], []))
    assert run(*COMMANDS[command]).returncode == code
    assert signal.getsignal(signal.SIGTERM) == before


STREAMS = {
    "| true; exit ${PIPESTATUS[0]}": (ExitCode.CLOSED_PIPE, ""),
    ">&- 2>&- <&-": (ExitCode.DONE, ""),
    "> /dev/full": (ExitCode.FAULT, "error: cannot write: No space left on device\n"),
}


@pytest.mark.usefixtures("folder")
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux")
@pytest.mark.parametrize(("streams", "ending"), STREAMS.items(), ids=map(str, STREAMS))
def test_closed_and_full_streams(streams: str, ending: tuple[int, str]) -> None:
    command = f"{sys.executable} -m unpool_xp compare rows.jsonl rows.jsonl --all {streams}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == ending
