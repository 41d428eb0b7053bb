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

SPIN = "while True: pass"


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Callable[[float, float], float]:
    """A second in which the cores and our own processes were busy for so long."""

    def watch(busy: float, own: float) -> float:
        cores, ours = iter([10.0, 10.0 + busy]), iter([3.0, 3.0 + own])
        clock = iter([0.0, 1.0])
        monkeypatch.setattr(load, "_busy_seconds", lambda: next(cores))
        monkeypatch.setattr(load, "_own_seconds", lambda: next(ours))
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
    assert load._busy_seconds() == 62


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", SPIN]) as process:
        yield process
        process.kill()


def test_a_child_is_ours_while_it_runs_and_after(child: subprocess.Popen[bytes]) -> None:
    before = load._own_seconds()
    deadline = time.monotonic() + 60
    while load._own_seconds() - before < 0.3:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    running = load._own_seconds()
    child.kill()
    child.wait()
    assert load._own_seconds() >= running
