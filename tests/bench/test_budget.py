"""The time of a run goes to every case, where each could do with less than its share."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from unpool_xp.bench import budget
from unpool_xp.bench.budget import BudgetedRun
from unpool_xp.bench.cases.case import Case
from unpool_xp.bench.rows.schema import Row

CASES = [Case("max_pool", (1, 1, size, size), kernel=2) for size in (2, 4, 6, 8)]


@pytest.mark.parametrize(
    ("least", "late", "measured"),
    [
        (0.0, 0.2, 4),  # all of its share and a little more
        (9.0, 0.0, 1),  # nothing is begun that the time left is far too short for
        (3.0, 0.0, 3),
    ],
)
def test_cases_take_their_shares_until_the_time_is_up(
    least: float, late: float, measured: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimpleNamespace(now=0.0, monotonic=lambda: clock.now)
    monkeypatch.setattr(budget, "time", clock)
    run = BudgetedRun(["numpy"], lambda label: ("eager",), 10.5)
    found: list[Case] = []

    def measure(case: Case, cells: Sequence[Any], seconds: float) -> list[Row]:
        found.append(case)
        clock.now += max(seconds, least) + late
        return []

    monkeypatch.setattr(run, "_measure", measure)
    run.measure_in_turn(CASES, [], lambda case: None)
    assert found == CASES[:measured]
