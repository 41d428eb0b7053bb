"""A command line printed anew is read as the one that was typed."""

from __future__ import annotations

import shlex
from typing import Any

import pytest

from tests.support.command import APP
from unpool_xp.cli.stopping import StoppableCommand, command_line, go_on_with


def context(*words: str) -> Any:
    """Return the context of a command, of which nothing is run."""
    root = APP.make_context("unpool-xp", list(words))
    name, command, rest = APP.resolve_command(root, list(words))
    return command.make_context(name, rest, parent=root)


@pytest.mark.parametrize(
    "line",
    [
        "sweep",
        "sweep --preset segnet --backend numpy --backend torch:cpu --threads 1,2 --results 'a b'",
        "sweep --operation max_pool --memory --report --no-rankings --patience 2.5",
        "sweep --results=-odd --scheduler tcp://10.0.0.1:8786 --share",
        "choose max_pool --shape 1,2,4,4 --kernel 2 --budget 20 --torch-compiled --json",
        "compare 'my base.jsonl' head.jsonl --all --config 'it'\"'\"'s.toml'",
        "gpu --minutes 0.5 --no-report",
        "gate main --head '$x' --size small",
        "gallery --stride 2 --stride 2.5",
    ],
)
def test_a_command_line_is_that_which_was_typed(line: str) -> None:
    typed = context(*shlex.split(line))
    printed = command_line(typed)
    assert printed == f"unpool-xp {line}"
    assert context(*shlex.split(printed)[1:]).params == typed.params


def test_short_names_and_defaults_that_are_typed_are_printed_too() -> None:
    printed = command_line(context("sweep", "-b", "numpy", "-o", "max_pool", "--preset", "quick"))
    assert printed == ("unpool-xp sweep --preset quick --operation max_pool --backend numpy")


def test_what_goes_on_may_be_another_command() -> None:
    ctx = context("gpu", "--minutes", "3", "--results", "here", "--threads", "2")
    go_on_with(ctx, "sweep", preset="gpu", backend=["torch:cuda", "numpy"], resume="a-run")
    assert command_line(ctx) == (
        "unpool-xp sweep --preset gpu --backend torch:cuda --backend numpy --threads 2 "
        "--results here --resume a-run"
    )
    assert command_line(ctx, retry_failed=True).endswith(" --resume a-run --retry-failed")


def test_every_command_says_how_to_go_on() -> None:
    assert all(isinstance(command, StoppableCommand) for command in APP.commands.values())
