"""Damaged files of rows, a few of those of `make fuzz-rows`; and the fuzzer finds what is broken."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fuzz.rows import fuzz
from unpool_xp.bench.rows import schema


def test_a_damaged_file_is_read_or_refused() -> None:
    assert fuzz(0, range(30), pages=0.3, charts=0) == 0


@pytest.mark.parametrize(
    ("name", "broken"),
    [("_printable_texts", lambda row: {}), ("_require_consistent", lambda row: None)],
)
def test_a_reader_broken_on_purpose_is_found(
    name: str, broken: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, name, broken)
    assert fuzz(0, range(60), pages=0) > 0
