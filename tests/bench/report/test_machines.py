"""Machines side by side."""

from __future__ import annotations

from pathlib import Path

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


def test_machines_stand_side_by_side_over_the_cases_that_all_have(tmp_path: Path) -> None:
    rows = [*on_machine("slow", 3.0, 60), *on_machine("fast", 1.0, 40)]
    view = report_view(rows, [], {})
    lines = view["side_by_side"]
    assert [machine["id"] for machine in view["machines"]] == ["fast", "slow"]
    assert lines
    for line in lines:
        fast, slow = line["cells"]
        assert fast["first"]
        assert (slow["first"], slow["ratio"]) == (False, "3.00x")
    portable = [row for row in on_machine("fast", 1.0, 40) if row.implementation == "portable"]
    assert sum(line["cases"] for line in lines) == len(portable)
    page = report(tmp_path, rows)
    assert "no time is compared with one of another machine" in page.text
    assert ("select", {"id": "machine"}) in page.tags
    assert [min(machine["rows"]["place"]) for machine in page.data["machines"]] == [1, 1]
    assert "## Machines side by side" in page.summary
    assert page.summary.count("fastest |") == len(lines)
    assert page.words.count("3.00x (") >= len(lines)
    alone = report_view(on_machine("slow", 1.0, 40), [], {})
    assert alone["side_by_side"] == []
