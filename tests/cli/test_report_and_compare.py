"""`report` and `compare` of files that hold nothing, lie, or attack."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.support.command import run
from tests.support.reports import without_charts
from tests.support.rows import ATTACK, in_processes, make_row, write
from unpool_xp.bench.report.write import write_report
from unpool_xp.bench.rows.schema import Row


def with_time(row: Row, time: str) -> bytes:
    return json.dumps(msgspec.to_builtins(row) | {"time": time}).encode() + b"\n"


@pytest.mark.parametrize("content", [None, b"", b"\n\n", b'{"schema": 3}\n', b"\xff" * 9])
def test_a_report_of_nothing_is_refused_and_leaves_the_page(
    tmp_path: Path, content: bytes | None
) -> None:
    rows, page = tmp_path / "rows", tmp_path / "report" / "report.html"
    rows.mkdir()
    page.parent.mkdir()
    page.write_text("a good page")
    if content is not None:
        (rows / "run.jsonl").write_bytes(content)
    done = run("report", str(rows), "--to", str(page.parent))
    assert done.returncode == 2
    assert "nothing was written" in " ".join(done.stderr.split())
    assert [path.name for path in page.parent.iterdir()] == ["report.html"]
    assert page.read_text() == "a good page"


def test_a_report_that_fails_leaves_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    page = tmp_path / "report.html"
    page.write_text("a good page")
    monkeypatch.setattr("unpool_xp.bench.report.write._write_csv", fail)
    with pytest.raises(OSError, match="No space left"), without_charts():
        write_report([make_row()], [], tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    assert page.read_text() == "a good page"


def test_no_text_of_a_file_is_obeyed_by_a_terminal_or_a_spreadsheet(tmp_path: Path) -> None:
    attacks = ("\x1b[2J", "\u202egnp", "a\rb", "=cmd|' /C calc'!A0", "@SUM(A1)", f"|{ATTACK}")
    texts = ("machine", "device", "backend", "function", "run", "commit", "backend_version")
    path, page = tmp_path / "run.jsonl", tmp_path / "report"
    path.write_bytes(
        b"".join(
            json.dumps(msgspec.to_builtins(make_row()) | dict.fromkeys(texts, attack)).encode()
            + b"\n"
            for attack in attacks
        )
        + b'{"schema": "\\u001b[2J"}\n'
    )
    with without_charts():
        done = run("report", str(path), "--to", str(page))
    assert done.returncode == 0
    shown = [done.stderr, *(run("compare", str(path), str(path), "--all")).stdout.splitlines()]
    shown += [file.read_text("utf-8") for file in page.iterdir() if file.suffix != ".png"]
    for text in shown:
        assert all(letter.isprintable() or letter in "\n\t" for letter in text)
    with (page / "report.csv").open(encoding="utf-8", newline="") as file:
        cells = [cell for line in csv.DictReader(file) for cell in line.values()]
    assert "'=cmd|' /C calc'!A0" in cells
    assert "'@SUM(A1)" in cells
    assert not any(cell.startswith(("=", "@")) for cell in cells)


# --- compare -------------------------------------------------------------------------------------


@pytest.mark.parametrize("lie", ["yesterday", "2099-01-01T00:00:00+00:00", "9999-12-31"])
def test_a_time_that_lies_does_not_decide(tmp_path: Path, lie: str) -> None:
    row, slower = in_processes("numpy"), in_processes("numpy", 9e-3, 9e-3, 9e-3)
    base = write(tmp_path / "base.jsonl", row)
    head = tmp_path / "head.jsonl"
    head.write_bytes(with_time(row, lie))
    write(head, slower)
    done = run("compare", str(base), str(head))
    assert done.returncode == 1
    assert "head.jsonl:" in done.stderr


def test_a_head_that_lost_most_of_base_says_so_first(tmp_path: Path) -> None:
    names = ("numpy", "dask", "torch:cpu", "jax:cpu")
    base = write(tmp_path / "base.jsonl", *map(in_processes, names))
    head = write(tmp_path / "head.jsonl", in_processes("numpy"))
    done = run("compare", str(base), str(head))
    assert done.returncode == 2
    assert done.stdout.splitlines()[0] == "3 of 4 cases of base are missing in head"
    assert run("compare", str(base), str(head), "--strict").returncode == 1
    write(head, in_processes("dask"), in_processes("torch:cpu"))
    done = run("compare", str(base), str(head))
    assert done.returncode == 0
    assert "missing in head" not in done.stdout
