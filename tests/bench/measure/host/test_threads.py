"""How many threads a worker starts with under a quota of CPU time."""

from __future__ import annotations

import pytest

from unpool_xp.bench.measure.host import threads
from unpool_xp.bench.measure.host.threads import thread_environment, thread_limit
from unpool_xp.bench.measure.workers import Worker

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


@pytest.mark.parametrize("label", ["numpy", "torch:cpu", "jax:cpu", "dask"])
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
