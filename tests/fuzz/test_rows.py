"""A few of the damaged files of `make fuzz-rows`; and the fuzzer finds a broken reader."""

from __future__ import annotations

import pytest

from tests.fuzz.rows import fuzz
from unpool_xp.bench.rows import schema
from unpool_xp.bench.verdicts.compare import Comparison


def test_a_damaged_file_is_read_or_refused() -> None:
    assert fuzz(0, range(30), pages=0) == 0


def test_rows_that_contradict_themselves_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    with_lists_of_unequal_length = [227, 245]
    assert fuzz(0, with_lists_of_unequal_length, pages=0) == 0
    monkeypatch.setattr(schema, "_require_consistent", lambda row: None)
    assert fuzz(0, with_lists_of_unequal_length, pages=0) > 0


def test_a_verdict_that_no_sample_bears_out_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Comparison, "exit_code", 1)
    assert fuzz(0, range(8), pages=0) > 0
