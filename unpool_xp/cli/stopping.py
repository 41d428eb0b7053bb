"""Stopping a command: what it says, and the command line that goes on."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand

from unpool_xp.cli.common import PATHS_GIVEN, err, fail
from unpool_xp.cli.exits import ExitCode

_CHANGES = "unpool_xp.cli.stopping"  # of the context's meta
HIDDEN = "unpool_xp.cli.parameters"  # there, too: options that the command's function does not take


class StoppableCommand(TyperCommand):
    """A command that says how to go on where Ctrl-C, SIGTERM or a full disk ends it.

    Nothing that it takes can be empty: "" is a variable of a script that was not set.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Exit where an option or an argument is empty; then parse them all."""
        if not ctx.resilient_parsing:
            given, _, _ = self.make_parser(ctx).parse_args(list(args))
            for parameter in self.params:
                value = given.get(str(parameter.name))
                if "" in (value if isinstance(value, list | tuple) else [value]):
                    fail(f"{_name_of(parameter)} '' is empty")
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        PATHS_GIVEN.set(_paths_of(ctx.params))
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as stop:
            _say_how_to_go_on(ctx, *getattr(stop, "__notes__", ()))
            raise
        except OSError as error:
            from unpool_xp.bench.measure.sweep import SweepUnwritableError

            if not isinstance(error, SweepUnwritableError):
                raise
            _say_how_to_go_on(ctx, str(error))
            raise typer.Exit(ExitCode.FAULT) from None


class Stop:
    """Holds a Ctrl-C or SIGTERM back, so that a command can still print what is known so far.

    Examples
    --------
    >>> from unpool_xp.cli.stopping import Stop
    >>> known, stop = [], Stop()
    >>> with stop:
    ...     known.append("the first of two")
    ...     raise KeyboardInterrupt
    >>> print(*known)
    the first of two
    >>> stop.raise_again()  # doctest: +SKIP
    """

    def __init__(self) -> None:
        self._error: BaseException | None = None

    def __enter__(self) -> Stop:
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> bool:
        if isinstance(error, KeyboardInterrupt):
            self._error = error
        return self._error is not None

    def raise_again(self, note: str = "") -> None:
        """Raise what was held back, if anything was, with a note on how far the command came."""
        if self._error is not None:
            if note:
                self._error.add_note(note)
            raise self._error


def go_on_with(ctx: typer.Context, command: str | None = None, **values: Any) -> None:
    """Set what goes on where this command is stopped: another one, or other values."""
    ctx.meta[_CHANGES] = (command, values)


def _paths_of(values: Mapping[str, Any]) -> list[Path]:
    return [
        one
        for value in values.values()
        for one in (value if isinstance(value, list | tuple) else [value])
        if isinstance(one, Path)
    ]


def _say_how_to_go_on(ctx: typer.Context, *notes: str) -> None:
    for note in notes:
        err.print(note, style="yellow", markup=False, soft_wrap=True)
    how = "go on" if _CHANGES in ctx.meta else "run it again"
    err.print(f"stopped; to {how}:", style="yellow")
    print_command(command_line(ctx))


def print_command(line: str) -> None:
    """Print a command on standard error, unbroken however narrow the terminal is."""
    err.print(line, markup=False, soft_wrap=True)


def command_line(ctx: typer.Context, **values: Any) -> str:
    """Return the command line of a context again, with all options that were given.

    Parameters
    ----------
    ctx : typer.Context
        Of the command.
    **values
        Parameters that differ from those given. They come on top of those of `go_on_with`.

    Returns
    -------
    str
        A line for a shell.

    Examples
    --------
    >>> from unpool_xp.cli.stopping import command_line
    >>> from unpool_xp.cli.main import load_commands
    >>> group = load_commands()
    >>> root = group.make_context("unpool-xp", ["sweep", "--results", "my results"])
    >>> command = group.get_command(root, "sweep")
    >>> ctx = command.make_context("sweep", ["--results", "my results"], parent=root)
    >>> command_line(ctx, resume="last")
    "unpool-xp sweep --results 'my results' --resume last"
    """
    name, changes = ctx.meta.get(_CHANGES, (None, {}))
    values = {**changes, **values}
    command, parent = ctx.command, ctx.parent
    words: list[str] = []
    if parent is not None:
        if name is not None:
            command = parent.command.get_command(parent, name)  # type: ignore[attr-defined]
        words += str(parent.info_name).split()
        words += _words(parent.command.params, _given(parent), parent.params)
    words += (name or str(ctx.info_name)).split()
    hidden = ctx.meta.get(HIDDEN, {})
    given = _given(ctx) | set(values) | set(hidden)
    words += _words(command.get_params(ctx), given, {**ctx.params, **hidden, **values})
    return shlex.join(words)


def _given(ctx: Any) -> set[str]:
    """Return the names of the parameters that are not left at their defaults."""
    sources = {name: ctx.get_parameter_source(name) for name in ctx.params}
    return {n for n, source in sources.items() if source and source.name != "DEFAULT"}


def _words(params: Sequence[Any], given: set[str], values: dict[str, Any]) -> Iterator[str]:
    """Yield the arguments of a command, then its options."""
    for parameter in sorted(params, key=lambda one: one.param_type_name):
        value = values.get(parameter.name)
        if parameter.name not in given or value is None:
            continue
        several = value if isinstance(value, list | tuple) else [value]
        if parameter.param_type_name == "argument":
            yield from map(_text, several)
            continue
        option = _name_of(parameter)
        for one in several:
            if isinstance(one, bool):
                if one:
                    yield option
                elif parameter.secondary_opts:
                    yield max(parameter.secondary_opts, key=len)
            elif (text := _text(one)).startswith("-"):
                yield f"{option}={text}"
            else:
                yield from (option, text)


def _name_of(parameter: Any) -> str:
    """Return the long name of an option, or the name of an argument."""
    return str(max(parameter.opts, key=len))


def _text(value: object) -> str:
    """Return a value as it is typed."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
