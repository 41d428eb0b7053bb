"""What the commands do with a library that is broken: its reason, and everything else goes on."""

from __future__ import annotations

import re
import time

import pytest

from tests.support.command import run
from unpool_xp import backends
from unpool_xp.cli import common

RAISES, HANGS = "fault:import-raise", "fault:start-hang"
WORDS = "FaultError: the library's own words \\x1b[31min red"

pytestmark = pytest.mark.usefixtures("fault_backends", "one_process")


def words(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "-o", "nearest_unpool"),
        ("choose", "nearest_unpool", "--shape", "1,2,4,4", "--scale", "2", "--budget", "5"),
    ],
    ids=["check", "choose"],
)
def test_what_is_broken_is_a_line_each_and_the_rest_goes_on(
    arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backends, "known", lambda: ["numpy", "cupy:cuda", RAISES, HANGS])
    shown = run(*arguments)
    assert shown.returncode == 0, shown.stderr
    assert "numpy" in shown.stdout
    assert f"left out: {WORDS}" in words(shown.stderr)
    assert f"left out: timed out: {HANGS} did not start;" in words(shown.stderr)
    assert "cupy" not in shown.stderr  # not here, but not broken either


def test_what_hangs_at_its_start_costs_the_others_no_time() -> None:
    start = time.monotonic()
    case = ("nearest_unpool", "--shape", "1,2,4,4", "--scale", "2", "--budget", "2")
    shown = run("choose", *case, "-b", "numpy", "-b", HANGS)
    assert time.monotonic() - start < 30  # a machine may be busy
    assert shown.returncode == 2
    assert re.search(r"^use numpy", shown.stdout, re.MULTILINE)
    assert f"timed out: {HANGS} did not start; it has done nothing" in words(shown.stdout)


@pytest.mark.parametrize(("columns", "width"), [("0", 20), ("5", 20), ("33", 33), ("", 20)])
def test_every_terminal_has_room_for_a_word(
    columns: str, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    assert common._console().width >= width
