"""What `backends` prints: within 80 columns, with a dash for what was not measured."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from unpool_xp.bench.terminal import backends as terminal

ROW = {
    "backend": "array_api_strict",
    "version": "2026.10.10",
    "threads": 1,
    "device": "Intel(R) Xeon(R) Platinum 8480C Processor",
    "copy_gb_s": 10.123,
    "product_gflop_s": 12345.67,
    "pool_threads": 128,
    "spin_s": 0.1064,
    "warm_s": 0.0005,
    "rested_s": 0.0155,
}
NO_POOL = dict.fromkeys(("spin_s", "warm_s", "rested_s"))


def printed(*rows: dict[str, Any], width: int = 80) -> list[str]:
    """Return the lines of the tables; none may be longer than the terminal is wide."""
    file = io.StringIO()
    terminal.print_backends(Console(file=file, width=width, highlight=False), rows)
    lines = file.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    return [" ".join(line.split()) for line in lines]


def test_rates_and_threads_are_in_two_tables() -> None:
    lines = printed(ROW)
    assert "array_api_strict 2026.10.10 1 10.1 12345.7 Intel Xeon Platinum 8480C" in lines
    assert lines[-1] == "array_api_strict 128 106 ms +15.0 ms (31.0x)"


@pytest.mark.parametrize(
    ("more", "line"),
    [
        (NO_POOL, "array_api_strict 128 - -"),
        ({**NO_POOL, "pool_threads": None}, "array_api_strict - - -"),
        ({"spin_s": 0.0, "rested_s": 0.0004}, "array_api_strict 128 0 ns no slower"),
    ],
)
def test_what_was_not_measured_is_a_dash(more: dict[str, Any], line: str) -> None:
    assert printed(ROW | more)[-1] == line


def test_without_measurements_there_is_one_table() -> None:
    facts = {name: ROW[name] for name in ("backend", "version", "threads", "device")}
    lines = printed(facts, {"backend": "cupy:cuda", "missing": "install [it]"})
    assert lines[-1] == "not here: cupy:cuda: install [it]"
    assert lines[2].startswith("array_api_strict 2026.10.10 1 - - Intel")
    assert not any("thread pool" in line for line in lines)


def test_what_failed_is_said() -> None:
    facts = {name: ROW[name] for name in ("backend", "version", "threads", "device")}
    assert "not measured: array_api_strict: too big" in printed(facts | {"not_measured": "too big"})


@pytest.mark.parametrize(
    ("quota", "limit", "others", "lines"),
    [
        (None, None, None, []),
        (4.0, None, 1.94, ["other programs keep 1.9 of 2 cores busy"]),
        (
            0.4,
            2**29,
            0.0,
            [
                "the container's limit: 0.4 of 2 cores",
                "the container's limit: 512 MiB of memory",
                "other programs keep 0.0 of 2 cores busy",
            ],
        ),
    ],
)
def test_the_machine_s_limits_and_load_are_said(
    monkeypatch: pytest.MonkeyPatch,
    quota: float | None,
    limit: int | None,
    others: float | None,
    lines: list[str],
) -> None:
    monkeypatch.setattr(terminal, "usable_cores", lambda: 2)
    monkeypatch.setattr(terminal, "cpu_quota", lambda: quota)
    monkeypatch.setattr(terminal, "memory_limit", lambda: limit)
    file = io.StringIO()
    terminal.print_machine(Console(file=file, width=80, highlight=False), others)
    assert file.getvalue().splitlines() == lines


@pytest.mark.parametrize("width", [40, 60, 80])
def test_other_libraries_have_a_table_of_what_was_tried_and_lines_of_what_they_lack(
    width: int,
) -> None:
    failed = {"outcome": "failed", "detail": "crashed: [it] ended", "lacks": []}
    tried = {"max_pool": failed, "max_unpool": failed | {"lacks": ["argsort", "take"]}}
    row = {"backend": "mine", "version": "1.2", "tried": tried}
    text = " ".join(printed(row, row | {"backend": "other"}, width=width))
    assert "no max_pool: crashed: [it] ended mine: no max_unpool: the library has no arg" in text
    table = {40: "mine version: 1.2; max_pool: no;", 60: "mine 1.2 no no", 80: "mine 1.2 no no"}
    assert table[width] in text
    assert "thread" not in text
