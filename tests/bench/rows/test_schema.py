"""Rows: written whole, read back whole, and a bad line costs only itself."""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.rows import failed_row, make_row, write
from unpool_xp.bench.rows import files, provenance, schema
from unpool_xp.bench.rows.files import RowWriter, read_rows
from unpool_xp.bench.rows.schema import Row

REQUIRED = [field.name for field in msgspec.structs.fields(Row) if field.required]


OBJECTS = ("conditions", "parameters")


def as_line(row: Row, **fields: Any) -> bytes:
    """Return a row as a line of JSON, with these fields in place of its own."""
    return json.dumps(msgspec.to_builtins(row) | fields).encode() + b"\n"


def test_fields_that_older_rows_lack_may_be_missing_but_not_be_wrong(tmp_path):
    new = json.loads(as_line(make_row()))
    old = {name: value for name, value in new.items() if name in {"schema", *REQUIRED}}
    assert old.keys() == {"schema", *REQUIRED}
    path = tmp_path / "run.jsonl"
    path.write_bytes(json.dumps(old).encode() + b"\n" + as_line(make_row(), clock_mhz=1500))
    assert read_rows([path]) == files.ReadResult([make_row(), make_row(clock_mhz=1500)], [])
    with pytest.raises(ValueError, match=r"`\$.device_samples_s`"):
        write(tmp_path / "other.jsonl", make_row(device_samples_s="x"))


# --- writing and reading -------------------------------------------------------------------------


def test_rows_come_back_as_they_were_written(tmp_path):
    rows = [make_row(), failed_row('no "compiler" ✗\nsecond line', backend="jax:cpu")]
    path = write(tmp_path / "new" / "folder" / "run.jsonl", *rows)
    assert read_rows([path]) == files.ReadResult(rows, [])
    assert path.read_bytes().count(b"\n") == 2


def test_a_row_is_on_the_disk_before_the_writer_is_closed(tmp_path, monkeypatch):
    whole_lines = []  # in the file, each time that it is forced to the disk
    path = tmp_path / "run.jsonl"
    monkeypatch.setattr(os, "fsync", lambda _: whole_lines.append(path.read_bytes().count(b"\n")))
    with RowWriter(path) as writer:
        writer.write(make_row())
        assert whole_lines == [1]
        writer.write(make_row(backend="dask"))
        assert whole_lines == [1, 2]


@pytest.mark.parametrize(("torn", "kept"), [(1, ["first", "last"]), (40, ["first"])])
def test_a_torn_last_line_costs_at_most_itself(tmp_path, torn, kept):
    path = write(tmp_path / "run.jsonl", make_row(backend="first"), make_row(backend="last"))
    path.write_bytes(path.read_bytes()[:-torn])
    write(path, make_row(backend="after"))
    found = read_rows([path])
    assert [row.backend for row in found.rows] == [*kept, "after"]
    assert [(p.path, p.line, "JSON" in p.reason) for p in found.problems] == (
        [(path, 2, True)] if len(kept) == 1 else []
    )


def test_a_corrupt_file_gives_its_good_rows_and_a_problem_for_each_bad_line(tmp_path):
    good = as_line(make_row()).rstrip()
    rubbish = [b"\xff\xfe\x00", b"", b"[" * 100_000, b"null", b"[1, 2]", b"{}"]
    lines = [good, *rubbish, good, b"9" * 5000]
    path = tmp_path / "run.jsonl"
    path.write_bytes(b"\r\n".join(lines))
    found = read_rows([path])
    assert len(found.rows) == 2
    assert [problem.line for problem in found.problems] == [2, 4, 5, 6, 7, 9]
    assert all(problem.reason for problem in found.problems)


@given(st.binary(max_size=80), st.integers(0, 900))
def test_no_bytes_keep_the_next_row_from_being_read(tmp_path_factory, rubbish, cut):
    path = tmp_path_factory.mktemp("rows") / "run.jsonl"
    path.write_bytes(as_line(make_row())[:cut] + rubbish)
    write(path, make_row(backend="after"))
    assert read_rows([path]).rows[-1].backend == "after"


@pytest.mark.parametrize("name", REQUIRED)
def test_a_missing_field_is_a_problem_that_names_it(tmp_path, name):
    row = json.loads(as_line(make_row()))
    del row[name]
    path = tmp_path / "run.jsonl"
    path.write_text(json.dumps(row) + "\n")
    found = read_rows([path])
    assert not found.rows
    assert f"`{name}`" in found.problems[0].reason


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, [] if name in OBJECTS else {}) for name in Row.__struct_encode_fields__),
        ("threads", True),
        ("threads", 10**400),
        ("shape", [1, "2"]),
        *(("samples_s", [value]) for value in (0.0, -1.0, math.nan, math.inf)),
        ("schema", 0),
    ],
)
def test_a_wrong_field_is_a_problem_that_names_it(tmp_path, name, value):
    path = tmp_path / "run.jsonl"
    path.write_bytes(as_line(make_row(), **{name: value}))
    found = read_rows([path])
    assert not found.rows
    assert name in found.problems[0].reason or "JSON" in found.problems[0].reason  # has no NaN
    with pytest.raises(ValueError, match=name), RowWriter(tmp_path / "new.jsonl") as writer:
        writer.write(make_row(**{name: value}))
    assert (tmp_path / "new.jsonl").read_bytes() == b""


def test_a_newer_schema_is_a_problem_that_says_so(tmp_path):
    path = tmp_path / "run.jsonl"
    path.write_text(json.dumps({"schema": 3, "unknown": []}) + "\n")
    assert "schema 3" in read_rows([path]).problems[0].reason


OLD = {"kernel": [2, 2], "stride": [2, 2], "padding": None, "scale": None, "out_channels": None}


def as_old_line(**fields: Any) -> bytes:
    """Return a row of schema 1 as a line."""
    row = {**msgspec.to_builtins(make_row()), **OLD, "schema": 1, **fields}
    return json.dumps({k: v for k, v in row.items() if k not in ("parameters", "pass")}).encode()


def test_a_row_of_schema_1_is_read_with_its_settings_as_parameters(tmp_path):
    path = tmp_path / "run.jsonl"
    path.write_bytes(as_old_line() + b"\n" + as_old_line(scale=[2, 1.5]) + b"\n")
    assert read_rows([path]) == files.ReadResult([make_row(), make_row(scale=[2, 1.5])], [])


@pytest.mark.parametrize("name", OLD)
def test_a_wrong_setting_of_schema_1_is_named(tmp_path, name):
    lacks_it = json.loads(as_old_line())
    del lacks_it[name]
    path = tmp_path / "run.jsonl"
    path.write_bytes(as_old_line(**{name: {}}) + b"\n" + json.dumps(lacks_it).encode())
    found = read_rows([path])
    assert [name in problem.reason for problem in found.problems] == [True, True]


def test_half_a_character_does_not_come_in(tmp_path):
    path = write(tmp_path / "run.jsonl", failed_row("\ud800 bad"))
    assert read_rows([path]).rows[0].error == "? bad"
    path.write_bytes(as_line(failed_row("\ud800 bad")) + as_line(make_row()))
    found = read_rows([path])
    assert (found.rows, len(found.problems)) == ([make_row()], 1)


# --- keys ----------------------------------------------------------------------------------------


def test_rows_that_measure_the_same_thing_have_the_same_key():
    parameters = {"stride": [2, 2], "kernel": [2, 2]}  # in another order
    later = {"run": "other", "time": "2026-01-01T00:00:00+00:00", "samples_s": [1.0]}
    again = make_row(**later, parameters=parameters)
    assert schema.case_key(make_row()) == schema.case_key(again)
    assert hash(schema.case_key(again))


BACKEND = ("backend", "mode", "implementation", "function")
WORKLOAD = ("operation", "shape", "kernel", "stride", "parameters", "dtype", "pass_")


@pytest.mark.parametrize("name", BACKEND + WORKLOAD)
def test_rows_that_measure_another_thing_have_another_key(name):
    row, other = make_row(), make_row(**{name: "another"})
    assert schema.case_key(row) != schema.case_key(other)
    assert (schema.workload_key(row) == schema.workload_key(other)) is (name in BACKEND)


def test_failures_count_as_done():
    rows = [make_row(), failed_row("crash", backend="dask")]
    assert schema.done_keys(rows) == {schema.case_key(row) for row in rows}


def test_the_latest_row_of_a_case_counts_on_each_machine():
    old = make_row(time="2025-01-01T00:00:00+00:00")
    new = make_row(time="2025-01-02T00:00:00+00:00", run="another")
    elsewhere = make_row(machine="other")
    assert schema.latest([new, old, elsewhere]) == [new, elsewhere]


def test_of_the_rows_of_a_run_the_last_counts_whatever_the_clock_said():
    ahead = make_row(time="2099-01-01T00:00:00+00:00", samples_s=[1.0])
    later = make_row(time="2025-01-01T00:00:00+00:00", samples_s=[3.0])
    assert schema.latest([ahead, later]) == [later]


def test_what_was_not_checked_has_no_time_that_counts():
    assert schema.failure_reason(make_row()) is None
    assert schema.failure_reason(make_row(checked=False)) == "not checked"
    assert schema.failure_reason(make_row(samples_s=[])) == "no samples"
    assert schema.failure_reason(failed_row("crash")) == "crash"


# --- run, commit ---------------------------------------------------------------------------------


def test_run_ids_differ():
    assert provenance.run_id() != provenance.run_id()
    assert re.fullmatch(r"\d{8}T\d{6}Z-[0-9a-f]{6}", provenance.run_id())


def test_the_commit_is_of_the_folder_and_says_dirty(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "of-a-hook"))
    assert provenance.git_commit(tmp_path) is None
    monkeypatch.delenv("GIT_DIR")
    package, outside = tmp_path / "package", tmp_path / "site-packages"
    package.mkdir()
    outside.mkdir()
    (package / "module.py").write_text("1\n")

    def git(*arguments: str) -> str:
        identity = ["-c", "user.name=n", "-c", "user.email=e@example.org"]
        command = ["git", "-C", str(tmp_path), *identity, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "-q")
    git("add", "package")
    git("commit", "-q", "-m", "first", "--no-verify")
    head = git("rev-parse", "HEAD")
    (tmp_path / "results.jsonl").write_text("{}\n")
    assert provenance.git_commit(package) == head
    assert provenance.git_commit(outside) is None  # somebody else's repository
    (package / "module.py").write_text("2\n")
    assert provenance.git_commit(package) == f"{head}+dirty"


def test_threads_that_were_chosen_are_part_of_what_is_measured_and_others_are_not():
    default, other_default = make_row(threads=2), make_row(threads=8)
    chosen = [make_row(threads=1, threads_asked=1), make_row(threads=None, threads_asked=2)]
    assert schema.case_key(default) == schema.case_key(other_default)
    assert schema.latest([default, *chosen, other_default]) == [other_default, *chosen]
