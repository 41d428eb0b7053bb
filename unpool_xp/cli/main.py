"""The command `unpool-xp`: thin; the work is done in `unpool_xp.bench`."""

from __future__ import annotations

from typing import Annotated

# isort: off
# First, so that where typer is missing a message says what to install.
from unpool_xp.cli.common import app, out
import typer

from unpool_xp import __version__

# In the order in which the help lists them; importing one registers it.
from unpool_xp.cli import backends, check, choose, sweep, tax, gpu, compare, gate, report, gallery
# isort: on

__all__ = ["app", "main"]

_COMMANDS = (backends, check, choose, sweep, tax, gpu, compare, gate, report, gallery)


@app.callback(invoke_without_command=True)
def main_options(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Choose an array library for pooling and unpooling, by measuring it here."""
    if version:
        out.print(__version__)
        raise typer.Exit


def main() -> None:
    """Run the command line."""
    app()
