"""Backends that misbehave, cases that make them, and a short sweep."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from unpool_xp.bench.cases.case import Case
from unpool_xp.bench.measure.sweep import SweepSummary, run_sweep
from unpool_xp.bench.rows.files import read_rows
from unpool_xp.bench.rows.schema import Row

GOOD = Case("max_pool", (1, 2, 4, 4), kernel=2)
FATAL = Case("max_pool", (3, 2, 4, 4), kernel=2)
OTHER = Case("nearest_unpool", (1, 2, 3, 3), scale=2)

QUICKLY: dict[str, Any] = {"rounds": 2, "cell_s": 0.0, "processes": 1}

Sweep = Callable[..., tuple[SweepSummary, list[Row]]]


@pytest.fixture(autouse=True)
def _fakes(fake_backends: None) -> None:
    """Every test here may load them."""


@pytest.fixture
def sweep(tmp_path: Path) -> Sweep:
    """Sweep quickly; return the summary, and all rows of the file so far."""

    def run(
        cases: Sequence[Case], labels: Sequence[str], **options: Any
    ) -> tuple[SweepSummary, list[Row]]:
        out = tmp_path / "run.jsonl"
        summary = run_sweep(cases, labels, out=out, **(QUICKLY | options))
        return summary, read_rows([out]).rows

    return run
