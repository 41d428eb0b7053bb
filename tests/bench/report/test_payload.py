"""What a page carries: every row, in little room."""

from __future__ import annotations

import base64
import gzip
import json

import msgspec
import pytest
from msgspec.structs import replace

from tests.support.reports import report
from tests.support.synthetic_rows import synthetic_rows
from unpool_xp.bench.report import payload
from unpool_xp.bench.report import write as report_module
from unpool_xp.bench.report.payload import pack_rows
from unpool_xp.bench.rows.schema import Conditions, Row

SAMPLED = ("samples_s", "process", "disturbed")  # an entry a sample


def are_slower(samples: list[float], row: Row) -> list[bool]:
    return [float(f"{sample:.4g}") > 1.01 * min(row.samples_s) for sample in samples]


def in_processes(row: Row) -> Row:
    """Return a row of two processes, the second of which is slower, and disturbed."""
    slower = are_slower(row.samples_s, row)
    return replace(
        row,
        process=list(map(int, slower)),
        disturbed=slower,
        conditions=Conditions(other_cpus=[0.0] * len(slower)),
    )


def test_rows_are_packed_into_less_and_less_room():
    rows, room, seen = [in_processes(row) for row in synthetic_rows(40, samples=30)], 10**9, []
    while not seen or seen[-1] != "left out":
        packed = pack_rows(rows, room)
        seen.append(packed.samples)
        lines = gzip.decompress(base64.b64decode(packed.text)).splitlines()
        assert len(lines) == packed.count == len(rows)
        assert len(packed.text) <= room or seen[-1] == "left out"
        for row, line in zip(rows, lines, strict=True):
            kept = json.loads(line)
            samples, process, disturbed = (kept.pop(name) for name in SAMPLED)
            left_out = {*SAMPLED, "conditions"}
            assert kept.pop("conditions") is None
            fields = msgspec.to_builtins(row).items()
            assert kept == {k: v for k, v in fields if k not in left_out}
            assert disturbed == are_slower(samples, row)
            assert process == list(map(int, disturbed))
            if samples:
                assert min(samples) == pytest.approx(min(row.samples_s), rel=1e-3)
                assert max(samples) == pytest.approx(max(row.samples_s), rel=1e-3)
        room = len(packed.text) - 1
    assert seen == [
        "as they were read",
        "rounded to four digits",
        "nine a row, evenly from the smallest to the largest",
        "five a row, evenly from the smallest to the largest",
        "left out",
    ]


def test_a_page_of_many_rows_stays_small_and_keeps_every_row(tmp_path, monkeypatch):
    rows, part = synthetic_rows(500), 100  # of the 50,000 that fit into 10 MB
    alone = len(report(tmp_path / "alone", rows[:1]).html)
    assert alone < 600_000  # the code, and Vega's
    room = payload.RAW_BYTES // part
    monkeypatch.setattr(report_module, "pack_rows", lambda rows: pack_rows(rows, room))
    page = report(tmp_path, rows)
    assert len(page.html) - alone < 9_000_000 / part
    assert len(page.rows) == len(rows)
    assert "to keep the page small" in page.words
    assert len(page.tags) < 2_500
