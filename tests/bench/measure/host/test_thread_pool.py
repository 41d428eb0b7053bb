"""What the threads of a library do after a call, and what it takes to wake them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from unpool_xp import backends
from unpool_xp.backends.base import usable_cores
from unpool_xp.bench.measure.host import thread_pool
from unpool_xp.bench.measure.host.thread_pool import ThreadPool, measure_thread_pool
from unpool_xp.bench.measure.workers import Worker

pytestmark = pytest.mark.usefixtures("fake_backends")


@pytest.fixture
def threaded(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    monkeypatch.setenv("FAKE_DELAY", "0")
    worker = Worker("fake:threaded")
    try:
        yield worker.ask("thread_pool", timeout=60)
    finally:
        worker.close()


@pytest.mark.skipif(usable_cores() < 2, reason="one core has no second thread to wake")
def test_spinning_and_waking_are_measured(threaded: dict[str, Any]) -> None:
    assert threaded["pool_threads"] == 2
    assert 0.02 < threaded["spin_s"] < 0.1  # 0.05
    assert threaded["rested_s"] - threaded["warm_s"] > 0.1  # 0.2
    assert threaded["rested_s"] > threaded["warm_s"] * 1.5


def test_one_thread_has_no_pool() -> None:
    assert measure_thread_pool(backends.load("fake:async")) == ThreadPool(1)


def test_another_device_has_no_pool() -> None:
    assert measure_thread_pool(backends.load("fake:cuda")) == ThreadPool(None)


def test_one_core_has_no_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thread_pool, "usable_cores", lambda: 1)
    assert measure_thread_pool(backends.load("fake:threaded")) == ThreadPool(2)


@pytest.mark.parametrize(
    ("label", "threads"), [("numpy", 3), ("array_api_strict", 3), ("torch:cpu", 7)]
)
def test_the_threads_of_products_are_counted(
    monkeypatch: pytest.MonkeyPatch, label: str, threads: int
) -> None:
    pools = [
        {"user_api": "openmp", "num_threads": 9},
        {"user_api": "blas", "num_threads": 1},
        {"user_api": "blas", "num_threads": 3},
    ]
    monkeypatch.setattr(thread_pool, "threadpool_info", lambda: pools)
    monkeypatch.setattr(thread_pool, "usable_cores", lambda: 1)
    backend = backends.load(label)
    facts = backends.DeviceFacts("x", None, 7 if label == "torch:cpu" else 1)
    monkeypatch.setattr(type(backend), "facts", facts)
    assert measure_thread_pool(backend).pool_threads == threads
