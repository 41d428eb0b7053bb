"""A sweep goes on, whatever a backend does, and a killed one loses the case in flight at most."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from unpool_xp.bench.cases.case import Case
from unpool_xp.bench.measure import rounds, sweep
from unpool_xp.bench.measure.rounds import Cell, cells_of, measure_case
from unpool_xp.bench.measure.sweep import Progress, SweepInterrupted, run_sweep
from unpool_xp.bench.measure.workers import Pool
from unpool_xp.bench.rows import files
from unpool_xp.bench.rows.files import read_rows
from unpool_xp.bench.rows.schema import Row, case_key

GOOD = Case("max_pool", (1, 2, 4, 4), kernel=2)
FATAL = Case("max_pool", (3, 2, 4, 4), kernel=2)
OTHER = Case("nearest_unpool", (1, 2, 3, 3), scale=2)
QUICKLY: dict[str, Any] = {"rounds": 2, "cell_s": 0.0}

pytestmark = pytest.mark.usefixtures("fake_backends")


def rows_of(path: Path) -> list[Row]:
    found = read_rows([path])
    assert found.problems == []
    return found.rows


def by_backend(path: Path, case: Case) -> dict[tuple[str, str], Row]:
    shape = list(case.shape)
    return {(r.backend, r.mode): r for r in rows_of(path) if r.shape == shape}


def test_each_cell_leaves_a_row_with_a_checked_time_or_a_reason(tmp_path: Path) -> None:
    out = tmp_path / "run.jsonl"
    labels = ["fake:async", "fake:wrong", "fake:crash", "fake:hang", "fake:missing", "nobody"]
    seen: list[Progress] = []
    summary = run_sweep(
        [GOOD, FATAL],
        labels,
        out=out,
        modes=lambda label: ("eager", "compiled") if label == "fake:crash" else ("eager",),
        progress=seen.append,
        timeout_s=2,
        **QUICKLY,
    )
    assert (summary.measured, summary.failed, summary.skipped) == (4, 10, 0)
    assert [p.done for p in seen] == [7, 14]
    good, fatal = by_backend(out, GOOD), by_backend(out, FATAL)
    assert len(good) == len(fatal) == 7

    for row in rows_of(out):
        assert row.checked == bool(row.samples_s)
        assert row.checked == (row.error is None)
        assert (row.first_call_s is None) == (not row.checked)
    for row in (good["fake:async", "eager"], fatal["fake:async", "eager"]):
        assert len(row.samples_s) >= 2
        assert min(row.samples_s) >= 0.05  # the fake library's delay
        assert row.check_scope == "all"
        assert row.device == "fake device"
    reasons = {key: row.error or "" for key, row in fatal.items()}
    assert "exit code 7: the fake library's last words" in reasons["fake:crash", "eager"]
    assert "timed out" in reasons["fake:hang", "eager"]
    assert "wrong result" in reasons["fake:wrong", "eager"]
    assert "pip install the missing part" in reasons["fake:missing", "eager"]
    assert "unknown backend 'nobody'" in reasons["nobody", "eager"]
    # The compiled function crashes once it is timed: the eager one keeps its place.
    assert "exit code 7" in (good["fake:crash", "compiled"].error or "")
    assert len(good["fake:crash", "eager"].samples_s) >= 2
    assert len(good["fake:hang", "eager"].samples_s) >= 2


def test_rows_say_what_was_measured_and_where(tmp_path: Path) -> None:
    out = tmp_path / "a-run.jsonl"
    run_sweep([OTHER], ["numpy"], out=out, memory=True, **QUICKLY)
    rows = rows_of(out)
    assert {r.function for r in rows} == {
        "unpool_xp.nearest_unpool",
        "numpy.repeat",
        "numpy.kron",
        "numpy.broadcast_to",
        "numpy.repeat, last axis first",
    }
    for row in rows:
        assert row.run == "a-run"
        assert Case.from_json({name: getattr(row, name) for name in OTHER.to_json()}) == OTHER
        assert row.bytes_moved == OTHER.bytes_moved
        assert row.peak_bytes is not None or not sys.platform.startswith("linux")
        assert row.calls_per_sample is not None
    assert (tmp_path / "machine.json").exists()


def test_resume_measures_what_is_missing_once(tmp_path: Path) -> None:
    out = tmp_path / "run.jsonl"
    run_sweep([GOOD], ["fake:async"], out=out, **QUICKLY)
    with pytest.raises(ValueError, match="exists; resume it, or name another file"):
        run_sweep([GOOD], ["fake:async"], out=out, **QUICKLY)
    with out.open("a") as file:
        file.write('{"torn": ')
    labels = ["fake:async", "fake:noisy"]
    summary = run_sweep([GOOD, OTHER], labels, out=out, resume=True, **QUICKLY)
    assert (summary.measured, summary.skipped) == (3, 1)
    found = read_rows([out])
    assert len(found.problems) == 1
    assert set(Counter(map(case_key, found.rows)).values()) == {1}
    assert len(found.rows) == 4
    assert run_sweep([GOOD, OTHER], labels, out=out, resume=True, **QUICKLY).skipped == 4


def test_the_order_is_shuffled_and_the_same_for_a_seed() -> None:
    cases = [Case("nearest_unpool", (1, n, 2, 2), scale=2) for n in range(1, 9)]

    def order(seed: int) -> list[Case]:
        grid, _ = sweep.build_grid(
            cases, ["numpy"], lambda _: ("eager",), set(), sweep.random.Random(seed)
        )
        return [case for case, _ in grid]

    assert order(1) == order(1) != order(2)
    assert sorted(order(1), key=str) == sorted(cases, key=str)
    assert order(1) != cases


def test_what_does_not_fit_is_refused_before_it_is_allocated(tmp_path: Path) -> None:
    huge = Case("nearest_unpool", (1, 2**20, 2**10, 2**10), scale=2)
    out = tmp_path / "run.jsonl"
    summary = run_sweep([huge, OTHER], ["fake:async", "fake:noisy"], out=out, **QUICKLY)
    assert (summary.measured, summary.failed) == (2, 2)
    for row in by_backend(out, huge).values():
        assert f"2 processes need about {2 * huge.needed_bytes} bytes" in (row.error or "")


def test_what_the_container_has_left_is_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case("nearest_unpool", (1, 2, 4, 4), scale=2)
    cells = [Cell(label, "eager", "portable", "nearest_unpool") for label in ("numpy", "dask")]
    monkeypatch.setattr(sweep, "available_memory", lambda: 2 * case.needed_bytes)
    assert sweep.memory_shortfall(case, cells) is None
    monkeypatch.setattr(sweep, "available_memory", lambda: 2 * case.needed_bytes - 1)
    assert f"{2 * case.needed_bytes - 1} are available" in (
        sweep.memory_shortfall(case, cells) or ""
    )


def test_nothing_to_measure_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"cases=\[\] and labels=\['numpy'\]"):
        run_sweep([], ["numpy"], out=tmp_path / "run.jsonl")


def test_rounds_go_to_and_fro(monkeypatch: pytest.MonkeyPatch) -> None:
    order = []
    sample = rounds.Interleaver.sample

    def watched(self: Any, cell: Cell, seconds: float) -> None:
        order.append(cell.function)
        sample(self, cell, seconds)

    monkeypatch.setattr(rounds.Interleaver, "sample", watched)
    with Pool(["numpy"]) as pool:
        cells = cells_of(OTHER, "numpy")
        measured = measure_case(pool, OTHER, cells, rounds=3, cell_s=1.0)
    names = [cell.function for cell in cells]
    assert len(names) == 5
    assert order == [*names, *reversed(names), *names]
    assert all(len(measured[cell].samples_s) >= 3 for cell in cells)


def test_a_budget_that_ran_out_leaves_a_reason() -> None:
    with Pool() as pool:
        cells = cells_of(OTHER, "numpy")
        measured = measure_case(pool, OTHER, cells, budget_s=0.0)
    assert {one.error for one in measured.values()} == {"not measured: out of time"}


SWEEP = """
import sys
from unpool_xp.bench.cases.case import Case
from unpool_xp.bench.measure.sweep import SweepInterrupted, run_sweep
cases = [Case("max_pool", (1, n, 4, 4), kernel=2) for n in range(1, 5)]
try:
    run_sweep(cases, ["fake:async", "fake:noisy"], out=sys.argv[1], rounds=4, cell_s=0.3,
              resume=True, progress=lambda p: print(p.done, flush=True))
except SweepInterrupted as said:
    print(said, flush=True)
    sys.exit(130)
"""
LENGTH = 4 * 2


def start(out: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", SWEEP, str(out)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    process.stdout.readline()  # the first case is done, the second under way
    return process


def workers_of(pid: int) -> list[int]:
    import psutil

    return [child.pid for child in psutil.Process(pid).children(recursive=True)]


def finish(out: Path) -> files.ReadResult:
    subprocess.run([sys.executable, "-c", SWEEP, str(out)], check=True, capture_output=True)
    found = read_rows([out])
    assert set(Counter(map(case_key, found.rows)).values()) == {1}
    assert len(found.rows) == LENGTH
    assert all(row.checked for row in found.rows)
    return found


def test_a_killed_sweep_loses_the_case_in_flight_and_resumes(tmp_path: Path) -> None:
    out = tmp_path / "run.jsonl"
    with start(out) as process:
        workers = workers_of(process.pid)
        process.kill()
    before = read_rows([out]).rows
    assert 2 <= len(before) < LENGTH
    assert len(workers) == 2
    for pid in workers:
        for _ in range(600):
            if not alive(pid):
                break
            time.sleep(0.1)
        assert not alive(pid)
    assert finish(out).rows[: len(before)] == before


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_an_interrupted_sweep_keeps_whole_rows_and_says_how_to_go_on(tmp_path: Path) -> None:
    out = tmp_path / "run.jsonl"
    with start(out) as process:
        workers = workers_of(process.pid)
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=60)
        assert process.returncode == 130
    assert "--resume" in said.splitlines()[-1]
    assert not any(alive(pid) for pid in workers)
    lines = out.read_text().splitlines()
    assert lines
    assert [json.loads(line)["checked"] for line in lines] == [True] * len(lines)


def test_an_interrupt_is_still_an_interrupt() -> None:
    assert issubclass(SweepInterrupted, KeyboardInterrupt)
