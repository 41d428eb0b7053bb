"""The command `unpool-xp`: run in a process of its own, or only parsed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import typer

from unpool_xp.cli import main

APP: Any = typer.main.get_command(main.app)


def run(*arguments: str, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = dict(os.environ) | ({"PYTHONPATH": str(path)} if path else {})
    return subprocess.run(
        [sys.executable, "-m", "unpool_xp", *arguments],
        capture_output=True,
        text=True,
        env=environment,
        cwd=path,
        check=False,
    )


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
