"""A sweep goes on, whatever a backend does, and a killed one loses the case in flight at most."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.bench.measure.conftest import FATAL, GOOD, OTHER, Sweep
from unpool_xp.bench.cases.case import Case
from unpool_xp.bench.measure import rounds, workers
from unpool_xp.bench.measure import sweep as measure_sweep
from unpool_xp.bench.measure.measurement import Cell, Measurement, cells_of
from unpool_xp.bench.measure.pools import open_pools
from unpool_xp.bench.measure.rounds import measure_case
from unpool_xp.bench.measure.sweep import Progress, build_grid
from unpool_xp.bench.measure.workers import Place, places_of
from unpool_xp.bench.rows.files import read_rows
from unpool_xp.bench.rows.names import case_of
from unpool_xp.bench.rows.schema import case_key, latest
from unpool_xp.bench.verdicts.ranking import rank

FULL = Case("max_pool", (4, 2, 4, 4), kernel=2)
AVERAGE = Case("avg_pool", (4, 2, 4, 4), kernel=2)


def test_each_cell_leaves_a_row_with_a_checked_time_or_a_reason(sweep: Sweep) -> None:
    labels = ["fake:async", "fake:wrong", "fake:crash", "fake:hang", "fake:missing", "nobody"]
    seen: list[Progress] = []
    summary, rows = sweep(
        [GOOD, FATAL],
        labels,
        modes=lambda label: ("eager", "compiled") if label == "fake:crash" else ("eager",),
        progress=seen.append,
        timeout_s=5,  # the hang waits it out; a busy machine needs some of it
    )
    assert (summary.measured, summary.failed, summary.skipped) == (4, 10, 0)
    assert [p.done for p in seen] == [7, 14]
    good = {(r.backend, r.mode): r for r in rows if r.shape == list(GOOD.shape)}
    fatal = {(r.backend, r.mode): r for r in rows if r.shape == list(FATAL.shape)}
    assert len(good) == len(fatal) == 7

    for row in rows:
        assert row.checked == bool(row.samples_s)
        assert row.checked == (row.error is None)
        assert (row.first_call_s is None) == (not row.checked)
    for row in (good["fake:async", "eager"], fatal["fake:async", "eager"]):
        assert len(row.samples_s) >= 2
        assert min(row.samples_s) >= 0.02  # the fake library's delay
        assert row.check_scope == "all"
        assert row.device == "fake device"
    reasons = {key: row.error or "" for key, row in fatal.items()}
    assert "exit code 7: the fake library's last words" in reasons["fake:crash", "eager"]
    assert "timed out" in reasons["fake:hang", "eager"]
    assert "wrong result" in reasons["fake:wrong", "eager"]
    assert "pip install the missing part" in reasons["fake:missing", "eager"]
    assert "unknown backend 'nobody'; known: numpy" in reasons["nobody", "eager"]
    # The compiled function crashes once it is timed: the eager one keeps its place.
    assert "exit code 7" in (good["fake:crash", "compiled"].error or "")
    assert len(good["fake:crash", "eager"].samples_s) >= 2
    assert len(good["fake:hang", "eager"].samples_s) >= 2


def test_rows_say_what_was_measured_and_where(sweep: Sweep, tmp_path: Path) -> None:
    _, rows = sweep([OTHER], ["numpy"], memory=True)
    assert {r.function for r in rows} == {
        "unpool_xp.nearest_unpool",
        "numpy.repeat",
        "numpy.kron",
        "numpy.broadcast_to",
        "numpy.repeat, last axis first",
    }
    for row in rows:
        assert row.run == "run"
        assert case_of(row) == OTHER
        assert row.bytes_moved == OTHER.bytes_moved
        assert row.peak_bytes is not None or not sys.platform.startswith("linux")
        assert row.calls_per_sample is not None
        assert row.device_samples_s == []
        assert row.copy_gb_s is not None
        assert 0 < row.copy_gb_s < 10  # so few bytes take the time of a call
    assert len({(row.bytes_moved, row.copy_gb_s) for row in rows}) == 1  # shared by all of a size
    assert (tmp_path / "machine.json").exists()


def test_resume_measures_what_is_missing_once(sweep: Sweep, tmp_path: Path) -> None:
    sweep([GOOD], ["fake:async"])
    with pytest.raises(ValueError, match="exists; resume it, or name another file"):
        sweep([GOOD], ["fake:async"])
    with (tmp_path / "run.jsonl").open("a") as file:
        file.write('{"torn": ')
    # What does not fit is refused before it is allocated.
    huge = Case("nearest_unpool", (1, 2**20, 2**10, 2**10), scale=2)
    cases, labels = [GOOD, OTHER, huge], ["fake:async", "fake:noisy"]
    summary, rows = sweep(cases, labels, resume=True)
    assert (summary.measured, summary.failed, summary.skipped) == (3, 2, 1)
    assert len(read_rows([tmp_path / "run.jsonl"]).problems) == 1
    assert len(rows) == len({case_key(row) for row in rows}) == 6
    for row in rows:
        reason = f"2 processes need about {2 * huge.needed_bytes} bytes"
        assert row.checked == (row.shape != list(huge.shape)) == (reason not in (row.error or ""))
    assert sweep(cases, labels, resume=True)[0].skipped == 6


def test_each_number_of_threads_is_a_measurement_of_its_own(sweep: Sweep) -> None:
    def wanted(case: Case, cell: Cell) -> bool:
        return cell.implementation == "portable"

    labels, options = ["numpy", "fake:async"], {"wanted": wanted, "processes": 1}
    summary, rows = sweep([OTHER], labels, threads=[1, 9999], **options)
    assert (summary.measured, summary.failed) == (3, 0)
    found = {(row.backend, row.threads_asked): row.threads for row in rows}
    assert found == {("numpy", 1): 1, ("numpy", 9999): None, ("fake:async", None): 1}
    summary, rows = sweep([OTHER], labels, threads=[1, 9999, 2], resume=True, **options)
    assert (summary.measured, summary.skipped) == (1, 3)
    assert sweep([OTHER], labels, resume=True, **options)[0].measured == 1  # numpy as it chooses
    assert len(latest(rows)) == len(rank(rows).timed) == 4


def test_a_race_goes_on_without_those_that_are_slower_for_sure(sweep: Sweep) -> None:
    _, rows = sweep([GOOD], ["numpy", "fake:async"], race=True, processes=2)
    timed = [row for row in rows if row.samples_s]
    best = min(timed, key=lambda row: min(row.samples_s))
    assert (best.backend, best.process) == ("numpy", [0, 0, 0, 1])
    (late,) = (row for row in timed if row.backend == "fake:async")
    assert late.process == [0, 0, 0]
    assert all(row.copy_gb_s and row.to_device_s for row in timed)


def test_a_device_that_fails_costs_its_case_alone(sweep: Sweep) -> None:
    large = Case("max_pool", (1, 2, 64, 64), kernel=2)
    cases = [large, FULL, AVERAGE, FATAL, GOOD]
    options = {"in_order": True, "memory": lambda case, cell: case == GOOD}
    too_large, full, freed, lost, good = sweep(cases, ["fake:cuda"], **options)[1]
    assert too_large.error.startswith("too large for the device: about ")
    assert "it has 20000" in too_large.error
    assert too_large.samples_s == []
    assert "CUDA out of memory" in full.error
    assert freed.checked  # the fake gives memory once some was freed
    assert "illegal memory access" in lost.error
    assert "restarted" in lost.error
    assert good.checked
    assert good.device_samples_s == [0.02] * 2  # what the fake says
    assert (freed.peak_bytes, good.peak_bytes) == (None, 1234)
    assert good.clock_mhz is None  # there is no driver to ask


def test_a_budget_ends_the_sweep_between_cases_and_resume_goes_on(sweep: Sweep) -> None:
    def wanted(case: Case, cell: Cell) -> bool:
        return cell.implementation == "portable" and (case == GOOD or cell.label == "numpy")

    options: dict[str, Any] = {"in_order": True, "wanted": wanted}
    cases, labels = [GOOD, FULL, AVERAGE], ["fake:async", "numpy"]
    summary, rows = sweep(cases, labels, budget_s=0.0, **options)
    assert (summary.measured, summary.left, rows) == (0, 4, [])
    summary, rows = sweep(cases, labels, resume=True, **options)
    assert (summary.measured, summary.left) == (4, 0)
    assert [row.operation for row in rows] == ["max_pool"] * 3 + ["avg_pool"]
    measured = sorted((row.backend, row.shape[0]) for row in rows)
    assert measured == [("fake:async", 1), ("numpy", 1), ("numpy", 4), ("numpy", 4)]


def test_a_case_in_flight_at_the_end_is_cut_off_without_a_row(
    sweep: Sweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "_MIN_IDLE_SECONDS", 60.0)  # or it is found to hang before
    start = time.monotonic()
    summary, rows = sweep([GOOD, FATAL, FULL], ["fake:hang"], in_order=True, budget_s=15.0)
    assert time.monotonic() - start < 40  # its hang would last an hour
    assert (summary.measured, summary.failed, summary.left) == (1, 0, 2)
    assert [row.checked for row in rows] == [True]


def test_the_order_is_shuffled_and_the_same_for_a_seed() -> None:
    cases = [Case("nearest_unpool", (1, n, 2, 2), scale=2) for n in range(1, 9)]

    def order(seed: int) -> list[Case]:
        rng = random.Random(seed)
        return [
            case
            for case, _ in build_grid(
                cases, places_of(["numpy"]), lambda _: ("eager",), set(), rng
            )[0]
        ]

    assert order(1) == order(1) != order(2)
    assert sorted(order(1), key=str) == sorted(cases, key=str)
    assert order(1) != cases


def test_what_the_container_has_left_is_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    cells = [Cell(label, "eager", "portable", "nearest_unpool") for label in ("numpy", "dask")]
    needed = 2 * OTHER.needed_bytes
    monkeypatch.setattr(measure_sweep, "available_memory", lambda: needed)
    assert measure_sweep.memory_shortfall(OTHER, cells) is None
    monkeypatch.setattr(measure_sweep, "available_memory", lambda: needed - 1)
    assert f"{needed - 1} are available" in (measure_sweep.memory_shortfall(OTHER, cells) or "")


def test_nothing_to_measure_is_named(sweep: Sweep) -> None:
    with pytest.raises(ValueError, match=r"cases=\[\] and labels=\['numpy'\]"):
        sweep([], ["numpy"])


def test_rounds_go_to_and_fro(monkeypatch: pytest.MonkeyPatch) -> None:
    order = []
    sample = rounds.Interleaver.sample

    def watched(self: Any, cell: Cell, seconds: float) -> None:
        order.append(cell.function)
        sample(self, cell, seconds)

    monkeypatch.setattr(rounds.Interleaver, "sample", watched)
    cells = cells_of(OTHER, "numpy")
    with open_pools(places_of(["numpy"]), 2) as pools:
        late = measure_case(pools, OTHER, cells, budget_s=0.0)
        measured = measure_case(pools, OTHER, cells, rounds=3, cell_s=2.0)
    assert {one.error for one in late.values()} == {"not measured: out of time"}
    names = [cell.function for cell in cells]
    assert len(names) == 5
    assert order == [*names, *reversed(names), *names] * 2  # once in each process
    for one in measured.values():
        assert len(one.samples_s) == len(one.process) == len(one.disturbed) >= 6
        assert set(one.process) == {0, 1}
        assert one.process == sorted(one.process)
        assert min(one.to_device_s, one.from_device_s, one.cold_s) > 0


def test_what_is_out_of_the_race_stops_and_the_rest_goes_on() -> None:
    cells = cells_of(OTHER, "numpy")

    def contenders(measured: Mapping[Cell, Measurement]) -> list[Cell]:
        taken = [len(one.samples_s) for one in measured.values()]
        return cells if min(taken) < 1 else cells[:1]

    with open_pools(places_of(["numpy"]), 2, lazy=True) as pools:
        assert not pools[1].is_running(Place("numpy"))
        measured = measure_case(pools, OTHER, cells, budget_s=10.0, contenders=contenders)
        assert pools[1].is_running(Place("numpy"))
    winner, *others = measured.values()
    assert all(one.checked for one in measured.values())
    assert [set(one.process) for one in measured.values()] == [{0, 1}, *[{0}] * 4]
    assert len(winner.samples_s) > max(len(one.samples_s) for one in others)


def test_a_failure_in_a_later_process_takes_the_samples_back() -> None:
    with open_pools(places_of(["fake:async"]), 2) as pools:
        interleaver = rounds.Interleaver(GOOD, cells_of(GOOD, "fake:async"), timeout_s=60)
        (cell,) = interleaver.enter(pools[0], 0)
        interleaver.prepare(cell)
        interleaver.sample(cell, 0)
        interleaver.close()
        assert len(interleaver.measured[cell].samples_s) == 1
        interleaver.enter(pools[1], 1)
        interleaver.prepare(cell)
        pools[1][cell.runs_on].kill()
        interleaver.sample(cell, 0)
    assert "signal SIGKILL" in (interleaver.measured[cell].error or "")
    assert interleaver.measured[cell].samples_s == []


def test_a_worker_that_is_lost_beside_the_calls_fails_its_cell() -> None:
    place = Place("fake:async")
    with open_pools([place], 1) as (pool,):
        interleaver = rounds.Interleaver(GOOD, cells_of(GOOD, place.label), timeout_s=60)
        (cell,) = interleaver.enter(pool, 0)
        interleaver.prepare(cell)
        interleaver.sample(cell, 0)
        pool[place].kill()
        interleaver.sample_beside()
    assert not interleaver.open
    assert "signal SIGKILL" in (interleaver.measured[cell].error or "")
    assert interleaver.measured[cell].samples_s == []


SWEEP = """
import sys
from unpool_xp.bench.cases.case import Case
from unpool_xp.bench.measure.sweep import run_sweep
cases = [Case("max_pool", (1, n, 4, 4), kernel=2) for n in range(1, 5)]
run_sweep(cases, ["fake:async", "fake:noisy"], out=sys.argv[1], rounds=4, cell_s=0.3,
          processes=1, resume=True, progress=lambda p: print(p.done, flush=True))
"""


def test_a_sweep_that_was_killed_keeps_whole_rows_and_resumes(tmp_path: Path) -> None:
    out = tmp_path / "run.jsonl"
    command = [sys.executable, "-c", SWEEP, str(out)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()  # in its second case
        workers = psutil.Process(process.pid).children(recursive=True)
        process.kill()
    assert len(workers) == 2
    assert psutil.wait_procs(workers, timeout=60)[1] == []
    killed = read_rows([out])
    assert killed.problems == []
    assert 2 <= len(killed.rows) < 8
    subprocess.run(command, check=True, capture_output=True)
    rows = read_rows([out]).rows
    assert rows[: len(killed.rows)] == killed.rows
    assert list(Counter(map(case_key, rows)).values()) == [1] * 8
    assert all(row.checked for row in rows)
