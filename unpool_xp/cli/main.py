"""The command `unpool-xp`: thin, all that it does lives in `unpool_xp.bench`."""

from __future__ import annotations

from typing import Annotated

# isort: off
# First, so that where typer is missing there is a word on what to install.
from unpool_xp.cli.common import app, out
import typer

from unpool_xp import __version__

# In the order in which the help lists them.
from unpool_xp.cli import gpu
# isort: on

__all__ = ["app", "gpu", "judge", "look", "main", "measure", "show"]


@app.callback(invoke_without_command=True)
def main_options(
    version: Annotated[bool, typer.Option("--version", help="Say the version.")] = False,
) -> None:
    """Choose an array library for pooling and unpooling, by measuring it here."""
    if version:
        out.print(__version__)
        raise typer.Exit


def main() -> None:
    """Run the command line."""
    app()
