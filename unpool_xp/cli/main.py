"""The command `unpool-xp`: thin; the work is done in `unpool_xp.bench`."""

from __future__ import annotations

import os
from typing import Annotated

# isort: off
# First, so that where typer is missing a message says what to install.
from unpool_xp.cli.common import app, err, notes, out
import typer

from unpool_xp import __version__
from unpool_xp.bench.terminal.streams import prepare_streams

# In the order in which the help lists them; importing one registers it.
from unpool_xp.cli import backends, check, choose, sweep, tax, gpu, compare, gate, report, gallery
# isort: on

__all__ = ["app", "main"]

_COMMANDS = (backends, check, choose, sweep, tax, gpu, compare, gate, report, gallery)


@app.callback(invoke_without_command=True)
def main_options(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    ascii_only: Annotated[
        bool,
        typer.Option("--ascii", help="Print ASCII only, as is done where UTF-8 cannot be shown."),
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", help="Print answers and warnings only: no progress.")
    ] = False,
    no_color: Annotated[
        bool, typer.Option("--no-color", help="Print without colours; or set NO_COLOR.")
    ] = False,
) -> None:
    """Choose an array library for pooling and unpooling, by measuring it here.

    --ascii, --quiet and --no-color may stand before or after the command.
    """
    prepare_streams(ascii_only=ascii_only)
    notes.quiet = quiet
    for console in (out, err, notes):
        console.no_color = no_color or bool(os.environ.get("NO_COLOR"))
    if version:
        out.print(__version__)
        raise typer.Exit


def main() -> None:
    """Run the command line."""
    prepare_streams()
    app()
