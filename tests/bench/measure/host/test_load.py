"""How busy other programs keep the machine."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import psutil
import pytest

from unpool_xp.bench.measure.host import load
from unpool_xp.bench.measure.host.load import other_cpus
from unpool_xp.bench.rows.schema import Conditions

SPIN = "while True: pass"


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Callable[[float, float], float]:
    """A second in which the cores and our own processes were busy for so long."""

    def watch(busy: float, own: float) -> float:
        cores, ours = iter([10.0, 10.0 + busy]), iter([3.0, 3.0 + own])
        clock = iter([0.0, 1.0])
        monkeypatch.setattr(load, "_busy_seconds", lambda cpus: next(cores))
        monkeypatch.setattr(load, "_tree_seconds", lambda: next(ours))
        monkeypatch.setattr(load.time, "perf_counter", lambda: next(clock))
        monkeypatch.setattr(load.time, "sleep", lambda _: None)
        return other_cpus(1.0)

    return watch


@pytest.mark.parametrize(
    ("busy", "own", "others"), [(1.9, 0.0, 1.9), (1.9, 1.5, 0.4), (0.0, 0.0, 0.0), (0.99, 1.0, 0.0)]
)
def test_what_is_not_ours_is_of_others(
    watched: Callable[[float, float], float], busy: float, own: float, others: float
) -> None:
    assert watched(busy, own) == pytest.approx(others)


def test_the_idle_and_the_stolen_are_not_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    fields = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal", "guest")
    times = type("Times", (), dict(zip(fields, (1, 2, 4, 100, 100, 8, 16, 100, 1), strict=True)))
    monkeypatch.setattr(psutil, "cpu_times", lambda percpu: [times, times, times])
    monkeypatch.setattr(load.os, "sched_getaffinity", lambda _: {0, 2, 7}, raising=False)
    assert load._busy_seconds(load._usable_times()) == 62


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", SPIN]) as process:
        yield process
        process.kill()


def test_a_child_is_ours_while_it_runs_and_after(child: subprocess.Popen[bytes]) -> None:
    before = load._tree_seconds()
    deadline = time.monotonic() + 60
    while load._tree_seconds() - before < 0.3:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    running = load._tree_seconds()
    child.kill()
    child.wait()
    assert load._tree_seconds() >= running - 1e-6  # a sum in another order


def test_busy_loops_on_every_core_disturb_a_sample() -> None:
    loops = [subprocess.Popen([sys.executable, "-c", SPIN]) for _ in range(2 * load.usable_cores())]
    try:
        watch, conditions, flags = load.SampleWatch(), Conditions(), []
        for _ in range(10):
            watch.start()
            end = time.perf_counter() + 0.1
            while time.perf_counter() < end:
                pass
            flags.append(watch.stop(conditions))
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()
    assert any(flags)
    assert max(conditions.other_cpus) > 0.2
    assert all(len(getattr(conditions, name)) == 10 for name in conditions.__struct_fields__)


def test_the_load_is_said_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "usable_cores", lambda: 2)
    monkeypatch.setattr(load, "other_cpus", lambda seconds: 1.9)
    assert load.describe_load() == "other programs keep 1.9 of 2 cores busy"
    monkeypatch.setattr(load, "other_cpus", lambda seconds: 0.1)
    assert load.describe_load() is None
