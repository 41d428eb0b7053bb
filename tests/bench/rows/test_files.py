"""Files of rows: on a full disk, packed, encoded, damaged and hostile."""

from __future__ import annotations

import errno
import gzip
import json
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.support.rows import failed_row, make_row, write
from unpool_xp.bench.rows import files
from unpool_xp.bench.rows.files import RowWriter, read_rows
from unpool_xp.bench.rows.readers import read_results
from unpool_xp.bench.rows.schema import latest


def test_a_full_disk_takes_back_what_was_written_of_a_row(tmp_path: Path, monkeypatch: Any) -> None:
    path = tmp_path / "run.jsonl"
    with RowWriter(path) as writer:
        writer.write(make_row())
        good = path.read_bytes()
        file, left = writer._file, [100]

        class Full:
            """A file with room for 100 bytes."""

            def __getattr__(self, name: str) -> Any:
                return getattr(file, name)

            def write(self, data: bytes) -> int:
                if not left[0]:
                    raise OSError(errno.ENOSPC, "No space left on device")
                part, left[0] = data[: left[0]], 0
                return file.write(part)

        monkeypatch.setattr(writer, "_file", Full())
        with pytest.raises(OSError, match="No space left"):
            writer.write(make_row(backend="dask"))
        assert path.read_bytes() == good
        left[0] = 10**6
        writer.write(make_row(backend="dask"))
    assert [row.backend for row in read_rows([path]).rows] == ["numpy", "dask"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_the_device_that_is_always_full_is_an_error_of_one_line() -> None:
    with RowWriter("/dev/full") as writer, pytest.raises(OSError, match="No space left"):
        writer.write(make_row())


# --- packed, encoded, damaged --------------------------------------------------------------------


def line_of(**fields: Any) -> bytes:
    return json.dumps(msgspec.to_builtins(make_row()) | fields).encode() + b"\n"


@pytest.mark.parametrize(
    "packed",
    [
        gzip.compress(line_of() + line_of(backend="dask")),
        gzip.compress(line_of()) + b"\0" * 40 + gzip.compress(line_of(backend="dask")),
        (line_of() + line_of(backend="dask")).decode().encode("utf-8-sig"),
        (line_of() + line_of(backend="dask")).decode().encode("utf-16"),
        b"\xfe\xff" + (line_of() + line_of(backend="dask")).decode().encode("utf-16-be"),
        (line_of() + line_of(backend="dask")).decode().encode("utf-32"),
        gzip.compress((line_of() + line_of(backend="dask")).decode().encode("utf-16")),
        gzip.compress(line_of()) + line_of(backend="dask"),
        (line_of() + line_of(backend="dask")).replace(b"\n", b"\r\n"),
    ],
)
def test_rows_are_read_whatever_they_are_packed_and_encoded_in(
    tmp_path: Path, packed: bytes
) -> None:
    (tmp_path / "run.jsonl.gz").write_bytes(packed)
    for read in (read_rows, read_results):
        found = read([tmp_path])
        assert [row.backend for row in found.rows] == ["numpy", "dask"]
        assert found.problems == []


def test_of_a_torn_gzip_file_the_rows_before_the_end_are_read(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl.gz"
    path.write_bytes(gzip.compress(line_of() + line_of(run=os.urandom(400).hex()))[:-200])
    found = read_rows([tmp_path])
    assert found.rows == [make_row()]
    assert [problem.line for problem in found.problems] == [2, 2]
    assert "JSON" in found.problems[0].reason
    assert found.problems[1].reason == "gzip: cut off, the rest is lost"


@pytest.mark.parametrize(
    ("data", "reason"),
    [(b"\x1f\x8b\x08no", "JSON"), (gzip.compress(b"\n" * 10**6), "more than 1000 bytes")],
)
def test_what_cannot_be_unpacked_is_a_problem(
    tmp_path: Path, data: bytes, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_MOST_BYTES", 1000)
    path = tmp_path / "run.jsonl"
    path.write_bytes(data)
    assert reason in read_rows([path]).problems[0].reason


@pytest.mark.parametrize(
    ("time", "reason"),
    [
        *((time, "is not ISO 8601") for time in ("yesterday", "", "2026-02-30T00:00:00Z")),
        *((time, "has no time zone") for time in ("2026-01-01T00:00:00", "2026-01-01")),
        *((f"{year}-01-02T00:00:00Z", "1970 to 2099") for year in ("0001", "1969", "2100", "9999")),
    ],
)
def test_a_time_that_is_none_is_a_problem(tmp_path: Path, time: str, reason: str) -> None:
    path = tmp_path / "run.jsonl"
    path.write_bytes(line_of() + line_of(time=time))
    found = read_rows([path])
    assert len(found.rows) == 1
    assert found.problems[0].line == 2
    assert reason in found.problems[0].reason


def test_times_of_other_zones_are_read_in_utc(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    path.write_bytes(line_of(time="2026-01-01T01:30:00+02:00") + line_of(time="20260101T000000Z"))
    times = [row.time for row in read_rows([path]).rows]
    assert times == ["2025-12-31T23:30:00+00:00", "2026-01-01T00:00:00+00:00"]


def test_a_clock_that_was_set_back_is_told_and_the_later_line_counts(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    ahead = {"time": "2099-01-01T00:00:00+00:00", "samples_s": [1.0]}
    path.write_bytes(line_of(**ahead) + line_of(backend="dask") + line_of(samples_s=[3.0]))
    found = read_rows([path])
    assert [(problem.line, "before line 1" in problem.reason) for problem in found.problems] == [
        (3, True)
    ]
    assert next(iter(latest(found.rows))).samples_s == [3.0]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"process": [0]}, "1 entries of process for 6 of samples_s"),
        ({"disturbed": [True] * 7}, "7 entries of disturbed for 6"),
        ({"conditions": {"switches": [1]}}, "1 entries of switches for 6"),
        ({"shape": [2**40] * 2}, "more than 2**63 elements"),
        ({"shape": [-1]}, "$.shape"),
        ({"shape": [1] * 65}, "$.shape"),
        ({"machine": "x" * 1001}, "$.machine"),
        ({"bytes_moved": -1}, "$.bytes_moved"),
        ({"bytes_moved": 2**63}, "$.bytes_moved"),
        ({"copy_gb_s": 1e300}, "$.copy_gb_s"),
        *(({"samples_s": [value]}, "$.samples_s[0]") for value in (5e-324, 1e308, True, "1")),
        ({"samples_s": [1.0] * 100_001}, "$.samples_s"),
    ],
)
def test_what_no_measurement_can_be_is_a_problem(
    tmp_path: Path, fields: dict[str, Any], reason: str
) -> None:
    path = tmp_path / "run.jsonl"
    path.write_bytes(line_of(**fields))
    assert reason in read_rows([path]).problems[0].reason


def test_no_control_character_comes_in(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    text = "\x1b[31ma\x00\u202eb"
    path.write_bytes(line_of(device=text, error=f"{text}\n{text}\r\a"))
    (row,) = read_rows([path]).rows
    assert row.device == "?[31ma??b"
    assert row.error == "?[31ma??b\n?[31ma??b\n?"


def test_a_reason_that_is_longer_than_a_page_is_cut(tmp_path: Path) -> None:
    (row,) = read_rows([write(tmp_path / "run.jsonl", failed_row("x" * 10**6))]).rows
    assert row.error == "x" * 10_000


def test_a_loop_of_links_and_a_folder_named_as_a_file_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "loop.jsonl").symlink_to(tmp_path / "loop.jsonl")
    write(tmp_path / "folder.jsonl" / "run.jsonl", make_row())
    for read in (read_rows, read_results):
        assert len(read([tmp_path]).rows) == 1
