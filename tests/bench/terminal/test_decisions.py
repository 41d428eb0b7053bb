"""The end of a sweep: what to use for each operation and size, and what a call comes to."""

from __future__ import annotations

import io
import re
from typing import Any

from rich.console import Console

from tests.support.rows import failed_row, native, timed
from tests.support.synthetic_rows import synthetic_rows
from unpool_xp.bench.rows.schema import Row
from unpool_xp.bench.terminal.decisions import print_decisions, print_time_models
from unpool_xp.bench.verdicts.decisions import decide
from unpool_xp.bench.verdicts.ranking import by_workload, rank
from unpool_xp.bench.verdicts.time_model import fit_times


def printed(rows: list[Row], width: int) -> str:
    console = Console(file=io.StringIO(), width=width)
    rankings = [rank(group) for group in by_workload(rows).values()]
    print_decisions(console, decide(rankings))
    print_time_models(console, fit_times(rankings))
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return text


def rows_of_a_series() -> list[Row]:
    rows: list[Row] = []
    more: dict[str, Any]
    for power in (16, 18, 20, 22, 24):
        size = 2**power
        more = {"bytes_moved": size, "shape": [1, 1, size, 1], "spread": 1e-4}
        more["operation"] = "fractional_max_unpool"
        rows += [
            timed("numpy", 9e-6 + size / 12e9, **more),
            native("jax:cpu", 2e-6 + size / 9e9, "reduce_window", mode="compiled", **more),
            timed("jax:cpu", 8e-6 + size / 6e9, mode="compiled", **more),
        ]
    odd = {"kernel": [3, 3], "bytes_moved": 2**16, "operation": "fractional_max_unpool"}
    return [*rows, timed("dask", 1e-3, **odd), failed_row("crash", operation="avg_pool")]


def test_an_operation_is_a_heading_and_each_size_a_row() -> None:
    text = printed(rows_of_a_series(), 80)
    assert max(map(len, text.splitlines())) <= 80
    assert re.search(r"1.00 to 16.0 MiB +numpy +\d", text)
    words = " ".join(text.split())
    for part in (
        *("fractional_max_unpool", "64.0 KiB", "kernel 3x3, stride 2x2"),
        *("portable:", "nothing has a time", "numpy 9.00 µs + 12.0 GB/s", "% "),
    ):
        assert part in words, part


def test_the_operation_is_said_once_and_few_sizes_are_named() -> None:
    text = printed(synthetic_rows(400, samples=6), 80)
    assert len(re.findall("^max_pool ", text, re.MULTILINE)) == 2  # one a dtype
    assert "fewer than 4 sizes, no fit: " in text
    assert printed([], 80) == ""
