"""The command `unpool-xp`: thin; the work is done in `unpool_xp.bench`.

However a command ends, its exit code is made here.
"""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import time
from collections.abc import Sequence
from typing import Any, NoReturn

# No more: what is missing, and Ctrl-C while it loads, must be met by `main`.
from unpool_xp.cli import exits
from unpool_xp.cli.streams import prepare_streams

_COMPLETION = "_UNPOOL_XP_COMPLETE"  # set by a shell that asks how a line goes on


@functools.cache
def load_commands() -> Any:
    """Return the command line, with every command."""
    import typer

    from unpool_xp.cli.common import app

    # In the order in which the help lists them; importing one registers it.
    # isort: off
    from unpool_xp.cli.commands import backends, check, choose, sweep, runs, tax, gpu  # noqa: F401
    from unpool_xp.cli.commands import compare, gate, report, gallery  # noqa: F401

    # isort: on
    return typer.main.get_command(app)


def main(arguments: Sequence[str] | None = None, program: str = "unpool-xp") -> NoReturn:
    """Run the command line, and exit with a code of `exits.ExitCode`, whatever happens."""
    prepare_streams()
    try:
        with exits.termination_raises():
            code = run(sys.argv[1:] if arguments is None else arguments, program)
            exits.flush_streams()
    except BaseException as error:
        code = exits.explain(error)
    exits.drop_unwritten()
    sys.exit(int(code))


def run(arguments: Sequence[str], program: str) -> int:
    """Run a command; return the code it chose, or that of wrong use."""
    import typer

    started = time.monotonic()
    with exits.broken_libraries_named():
        commands = load_commands()
    if _COMPLETION in os.environ:
        with contextlib.suppress(SystemExit):
            commands.main(prog_name=program)
        return exits.ExitCode.DONE
    wrong_use: Any = typer.BadParameter.__base__  # click's, or that of typer's own click
    try:
        with commands.make_context(program, list(arguments)) as context:
            context.meta["unpool_xp.started"] = started
            commands.invoke(context)
    except typer.Exit as chosen:
        return chosen.exit_code
    except wrong_use as error:
        error.show()
        return exits.ExitCode.CANNOT_TELL
    return exits.ExitCode.DONE
