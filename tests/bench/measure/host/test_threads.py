"""How many threads a worker starts with: under a quota of CPU time, and where they are chosen."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

import pytest

from unpool_xp.backends.base import usable_cores
from unpool_xp.bench.measure.host import threads
from unpool_xp.bench.measure.host.threads import (
    chosen_environment,
    thread_environment,
    thread_limit,
)
from unpool_xp.bench.measure.workers import Place, Worker, places_of

ALL = {
    *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS"),
    *("VECLIB_MAXIMUM_THREADS", "PJRT_NPROC", "DASK_NUM_WORKERS", "TORCHINDUCTOR_COMPILE_THREADS"),
}


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> dict[str, float | None]:
    """A machine of four cores; the test may set the quota."""
    limits: dict[str, float | None] = {"quota": None}
    monkeypatch.setattr(threads, "usable_cores", lambda: 4)
    monkeypatch.setattr(threads, "cpu_quota", lambda: limits["quota"])
    return limits


@pytest.mark.parametrize(
    ("quota", "limit"),
    [(None, None), (0.01, 1), (0.4, 1), (1.0, 1), (1.5, 2), (3.0, 3), (3.1, None), (64.0, None)],
)
def test_a_quota_is_rounded_up(
    limits: dict[str, float | None], quota: float | None, limit: int | None
) -> None:
    limits["quota"] = quota
    assert thread_limit() == limit
    expected = {"HOME": "/x"} | ({} if limit is None else dict.fromkeys(ALL, str(limit)))
    assert thread_environment({"HOME": "/x"}) == expected


@pytest.mark.parametrize("name", sorted(ALL - {"OMP_NUM_THREADS"}))
def test_what_the_user_has_set_stays(limits: dict[str, float | None], name: str) -> None:
    limits["quota"] = 0.4
    assert thread_environment({name: "3"}) == dict.fromkeys(ALL, "1") | {name: "3"}


def test_what_follows_openmp_follows_the_user(limits: dict[str, float | None]) -> None:
    limits["quota"] = 0.4
    assert thread_environment({"OMP_NUM_THREADS": "3"}) == {
        "OMP_NUM_THREADS": "3",
        "VECLIB_MAXIMUM_THREADS": "1",
        "PJRT_NPROC": "1",
        "DASK_NUM_WORKERS": "1",
        "TORCHINDUCTOR_COMPILE_THREADS": "1",
    }
    assert "PJRT_NPROC" not in thread_environment({"NPROC": "3"})


@pytest.mark.parametrize("label", ["numpy", "torch:cpu", "jax:cpu"])
def test_the_libraries_of_a_worker_start_no_more(
    limits: dict[str, float | None], monkeypatch: pytest.MonkeyPatch, label: str
) -> None:
    limits["quota"] = 0.4
    for name in (*ALL, "NPROC"):
        monkeypatch.delenv(name, raising=False)
    worker = Worker(label)
    try:
        facts = worker.facts
    finally:
        worker.close()
    assert facts["threads"] == 1
    assert {pool["num_threads"] for pool in facts["pools"]} == {1}


# --- chosen --------------------------------------------------------------------------------------


def test_a_chosen_number_stands_before_what_the_user_has_set() -> None:
    names = ALL - {"TORCHINDUCTOR_COMPILE_THREADS"}
    set_by_user = {"HOME": "/x", "OMP_NUM_THREADS": "8", "PJRT_NPROC": "8"}
    found = chosen_environment(set_by_user, "numpy", 2)
    assert found == {"HOME": "/x"} | dict.fromkeys(names | {"UNPOOL_XP_WORKERS"}, "2")
    found = chosen_environment({}, "dask", 2)  # two threads in all, not two times two
    assert {name for name, value in found.items() if value == "2"} == {
        "DASK_NUM_WORKERS",
        "PJRT_NPROC",
    }


# One thread alone is what a small quota leaves, above.
@pytest.mark.parametrize(
    ("label", "number"),
    [("dask", 1), *((label, 2) for label in ("numpy", "array_api_strict", "torch:cpu", "jax:cpu"))],
)
def test_a_worker_computes_with_the_chosen_threads(
    monkeypatch: pytest.MonkeyPatch, label: str, number: int
) -> None:
    if usable_cores() < number:
        pytest.skip("BLAS starts no more threads than there are cores")
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "DASK_NUM_WORKERS", "PJRT_NPROC"):
        monkeypatch.setenv(name, "3")
    with contextlib.closing(Worker(label, number)) as worker:
        assert worker.facts["threads"] == number
        pools = {pool["num_threads"] for pool in worker.facts["pools"]}
        assert pools == {1 if label == "dask" else number}
        if label == "jax:cpu" and sys.platform == "linux":
            tasks = Path(f"/proc/{worker.facts['pid']}/task").glob("*/comm")
            names = [path.read_text(encoding="ascii").strip() for path in tasks]
            assert names.count("tf_XLAEigen") == number


def test_a_number_that_is_not_in_effect_is_not_claimed(fake_backends: None) -> None:
    for number, said in ((1, 1), (2, None)):  # the fake has one thread, whatever it is told
        with contextlib.closing(Worker("fake:async", number)) as worker:
            assert worker.facts["threads"] == said


def test_devices_are_measured_once_and_without() -> None:
    found = places_of(["numpy", "torch:cuda", "torch:cpu"], [1, 4])
    assert found == [
        *(Place("numpy", 1), Place("numpy", 4), Place("torch:cuda")),
        *(Place("torch:cpu", 1), Place("torch:cpu", 4)),
    ]
    assert places_of(["numpy", "torch:cuda"]) == [Place("numpy"), Place("torch:cuda")]
