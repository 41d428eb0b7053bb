"""Machines two by two."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.support.reports import report
from tests.support.synthetic_rows import synthetic_rows
from unpool_xp.bench.report.view import report_view
from unpool_xp.bench.rows.schema import Row


def on_machine(machine: str, factor: float, count: int) -> list[Row]:
    return [
        replace(row, machine=machine, samples_s=[factor * s for s in row.samples_s])
        for row in synthetic_rows(count)
    ]


def test_two_machines_are_compared_over_the_cases_that_both_have(tmp_path: Path) -> None:
    # The third has one case alone: it takes nothing from what the other two have in common.
    rows = [*on_machine("slow", 3.0, 60), *on_machine("fast", 1.0, 40), *on_machine("third", 2, 3)]
    view = report_view(rows, [], {})
    assert [machine["id"] for machine in view["machines"]] == ["fast", "slow", "third"]
    pairs = {(pair.first, pair.second): pair.lines for pair in view["pairs"]}
    portable = [row for row in on_machine("fast", 1.0, 40) if row.implementation == "portable"]
    for (first, second), ratio in {(0, 1): 3.0, (0, 2): 2.0, (1, 2): 2 / 3}.items():
        lines = pairs[first, second]
        assert [line.ratio.estimate for line in lines] == pytest.approx([ratio] * len(lines))
        for line in lines:
            assert line.ratio.low < line.ratio.estimate < line.ratio.high
            assert line.second_seconds / line.first_seconds == pytest.approx(ratio)
    assert sum(line.cases for line in pairs[0, 1]) == len(portable)
    page = report(tmp_path, rows)
    assert "no time is compared with one of another machine" in page.text
    assert ("select", {"id": "machine"}) in page.tags
    assert [min(machine["rows"]["place"]) for machine in page.data["machines"]] == [1, 1, 1]
    assert "## fast (fast) and slow (slow)" in page.summary
    for text in (page.summary, page.words):
        assert text.count("3.00x (") == len(pairs[0, 1])
    assert report_view(on_machine("slow", 1.0, 40), [], {})["pairs"] == []
