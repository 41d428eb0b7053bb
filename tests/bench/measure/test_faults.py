"""A backend that goes wrong costs itself alone: each way, at each moment, in real processes."""

from __future__ import annotations

import re
import sys
import time

import pytest

from tests.bench.measure.conftest import GOOD, Sweep
from tests.support.faults.faults import ACTS, STAGES
from unpool_xp.bench.measure.measurement import cells_of
from unpool_xp.bench.rows.schema import Row

WORDS = r"FaultError: the library's own words \\x1b\[31min red$"
# What the rows say; None where there are times all the same.
REASONS = {
    "raise": WORDS,
    "exit": r"^(fault:import-exit: )?it called sys\.exit\(3\)$",
    "abort": r"^crashed: fault:\S+ ended with signal SIGABRT",
    "hang": r"^timed out: fault:\S+ did not .*; it has done nothing for \d+ s$",
    "garbage": None,
    "slow": None,
}
# Before there is anything that answers, Python itself ends; what fails last has its times by then.
AT_START = {
    "raise": r"^crashed: fault:start-raise ended with exit code 1: faults\." + WORDS,
    "exit": r"^crashed: fault:start-exit ended with exit code (1: SystemExit: )?3$",
}
EVERY = [f"fault:{stage}-{act}" for stage in STAGES for act in ACTS]
SOME = [  # each stage and each act
    *("fault:start-raise", "fault:start-garbage", "fault:import-exit", "fault:prepare-abort"),
    *("fault:sample-hang", "fault:finish-slow"),
]


def reason_of(label: str) -> str | None:
    """Return what the rows of a label have to say, or None where they have to be whole."""
    stage, act = label.removeprefix("fault:").split("-")
    if stage == "finish":
        return None
    return AT_START.get(act, REASONS[act]) if stage == "start" else REASONS[act]


@pytest.mark.usefixtures("fault_backends")
@pytest.mark.parametrize(
    "labels",
    [
        pytest.param(SOME, id="some"),
        pytest.param(EVERY, id="every", marks=pytest.mark.every_fault),
    ],
)
def test_the_others_are_whole_and_the_reason_is_right(sweep: Sweep, labels: list[str]) -> None:
    start = time.monotonic()
    summary, rows = sweep([GOOD], ["numpy", *labels], timeout_s=20.0)
    assert time.monotonic() - start < 60 + 4 * len(labels)  # a machine may be busy
    assert summary.measured + summary.failed == len(rows)
    by_label: dict[str, list[Row]] = {}
    for row in rows:
        by_label.setdefault(row.backend, []).append(row)
    assert set(by_label) == {"numpy", *labels}
    assert all(row.checked and row.samples_s for row in by_label["numpy"])
    assert len(by_label["numpy"]) == len(cells_of(GOOD, "numpy"))
    wrong = {}
    for label in labels:
        for row in by_label[label]:
            print(f"{label:24} {len(row.samples_s)} samples {row.error}", file=sys.stderr)
            wanted, said = reason_of(label), row.error
            if wanted is None:
                right = said is None and row.checked and row.samples_s
            else:
                right = not row.samples_s and said is not None and re.search(wanted, said)
            if not right:
                wrong[label] = said
    assert wrong == {}
