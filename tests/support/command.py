"""Python in a process of its own, and the command `unpool-xp` in this one, or only parsed."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from unpool_xp.bench.measure.measurement import Cell, Measurement
from unpool_xp.cli import main

APP: Any = main.load_commands()


def python(
    *arguments: str | Path, cwd: Path | None = None, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run Python, with these variables in its environment."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )


def run(*arguments: str, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run unpool-xp, in a folder: here, as another process takes seconds to start."""
    with (
        contextlib.chdir(path or Path.cwd()),
        contextlib.redirect_stdout(io.StringIO()) as out,
        contextlib.redirect_stderr(io.StringIO()) as err,
        pytest.raises(SystemExit) as left,
    ):
        main.main(arguments)
    code = left.value.code or 0
    return subprocess.CompletedProcess(arguments, int(code), out.getvalue(), err.getvalue())


def decide_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """End a run with a budget once each candidate was sampled, however long that takes here."""

    def unsampled(measured: Mapping[Cell, Measurement], *_: object) -> list[Cell]:
        return [cell for cell, one in measured.items() if not one.samples_s]

    monkeypatch.setattr("unpool_xp.bench.budget._contenders", unsampled)


def problem(arguments: list[str]) -> str | None:
    """Return what is wrong with the arguments of unpool-xp, or None; nothing is run."""
    try:
        APP.make_context("unpool-xp", arguments)
        if not arguments or arguments[0].startswith("-"):
            return None
        name, command, rest = APP.resolve_command(APP.context_class(APP), arguments)
        command.make_context(name, rest)
    except SystemExit as left:  # --help, --version
        return None if not left.code else f"exit code {left.code}"
    except Exception as error:  # of typer's own, which are not public
        if type(error).__name__ == "Exit":
            return None
        return f"{type(error).__name__}: {error}"
    return None
