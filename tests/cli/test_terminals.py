"""The options that all commands have, and help that is whole in a narrow terminal."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.command import APP, python, run
from tests.support.rows import make_row, write
from unpool_xp.cli import common

pytestmark = pytest.mark.usefixtures("one_process")


@pytest.mark.parametrize("width", [60, 80])
@pytest.mark.parametrize("command", APP.commands)
def test_help_names_every_option_in_full(
    command: str, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    shown = run(command, "--help").stdout
    assert max(map(len, shown.splitlines())) <= width
    words = set(re.split(r"[\s,]+", shown))
    for parameter in APP.commands[command].params:
        names = (name for name in parameter.opts if name.startswith("-"))
        assert words.issuperset(names)
        # Both names of a switch share a line, or each has one.
        assert all(name in re.split(r"[\s,/]+", shown) for name in parameter.secondary_opts)


@pytest.mark.parametrize("before", [True, False])
def test_quiet_leaves_answers_and_warnings(before: bool) -> None:
    arguments = ["backends", "-b", "numpy", "--quick"]
    arguments = ["--quiet", *arguments] if before else [*arguments, "--quiet"]
    shown = run(*arguments)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "numpy" in shown.stdout
    assert common.notes.quiet
    assert "error: unknown backend" in run("backends", "-b", "nothing", "--quiet").stderr
    run("--version")
    assert not common.notes.quiet


def test_a_terminal_of_another_encoding_gets_every_answer(tmp_path: Path) -> None:
    own = {"implementation": "native", "function": "torch.café_µ"}
    base, head = (
        write(tmp_path / f"{name}.jsonl", make_row(**own, samples_s=[seconds] * 6))
        for name, seconds in (("base", 1e-3), ("head", 2e-3))
    )
    terminal = {"PYTHONIOENCODING": "cp1252", "COLUMNS": "40", "FORCE_COLOR": "1"}
    command = ["-m", "unpool_xp", "compare", str(base), str(head), "--all", "--no-color"]
    shown = python(*command, **terminal)
    assert shown.stdout.isascii(), shown.stderr
    assert "torch.caf\\xe9_u" in shown.stdout
    assert "\x1b[" in shown.stdout  # bold
    assert not re.search(r"\x1b\[[\d;]*3\d", shown.stdout)  # a colour
