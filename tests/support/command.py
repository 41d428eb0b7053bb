"""Programs in a process of their own, and the command `unpool-xp`, there, here, or only parsed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import typer
from click.testing import Result
from typer.testing import CliRunner

from unpool_xp.cli import main

APP: Any = typer.main.get_command(main.app)


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
        timeout=300,
        check=False,
    )


def run(*arguments: str, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    variables = {"PYTHONPATH": str(path)} if path else {}
    return python("-m", "unpool_xp", *arguments, cwd=path, **variables)


def invoke(*arguments: str) -> Result:
    """Run the command in this process, which is quicker."""
    return CliRunner().invoke(main.app, arguments)


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
