"""What becomes of lost workers and late answers, with a cluster that does as it is told."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec import structs

from tests.support.cluster import answered_rows, described
from tests.support.rows import write
from unpool_xp.bench.cases.case import Case
from unpool_xp.bench.cluster import coordinator
from unpool_xp.bench.cluster.run import ClusterError, ClusterSummary, run_cluster_sweep
from unpool_xp.bench.measure.machine import machine_id, this_machine
from unpool_xp.bench.measure.measurement import cells_of
from unpool_xp.bench.measure.sweep import Progress
from unpool_xp.bench.rows.files import read_rows
from unpool_xp.bench.rows.schema import Row, case_key

CASES = [Case("nearest_unpool", (1, n, 3, 3), scale=2) for n in (1, 2, 3)]
EACH = len(cells_of(CASES[0], "numpy"))


class Future:
    """Done when it is told to be."""

    def __init__(self, key: str) -> None:
        self.key, self.status, self.answer = key, "pending", ""
        self.back: Callable[[Future], None] = lambda future: None

    def add_done_callback(self, back: Callable[[Future], None]) -> None:
        self.back = back
        if self.status != "pending":
            back(self)

    def finish(self, answer: str) -> None:
        self.status, self.answer = "finished", answer
        self.back(self)

    def result(self, timeout: float) -> str:
        return self.answer

    def cancel(self) -> None:
        self.status = "cancelled"


class Cluster:
    """A client whose workers answer at once, but for what `on_measure` takes in hand.

    It is called with the address, the request, the future and the answer that would be given, and
    returns whether that is to be given.
    """

    def __init__(self, workers: dict[str, str], on_measure: Callable[..., bool]) -> None:
        self.workers, self.on_measure = dict(workers), on_measure  # address -> machine's name
        self.scheduler = SimpleNamespace(address="tcp://scheduler:1")
        self.commit: str | None = None

    def nthreads(self) -> dict[str, int]:
        return dict.fromkeys(self.workers, 1)

    def submit(self, function: Any, request: str, **options: Any) -> Future:
        (address,) = options["workers"]
        future, asked = Future(options["key"]), json.loads(request)
        if function.__name__ == "describe":
            host, machine = self.workers[address], self.machine(address)
            told = described(name=address, host=host, machine=machine, commit=self.commit)
            future.finish(json.dumps(told))
        elif function.__name__ == "measure":
            machine_id = self.machine(address)["id"]
            rows = answered_rows(asked["case"], asked["cells"], asked["run"], machine_id)
            answer = json.dumps({"rows": rows})
            if self.on_measure(address, asked, future, answer):
                future.finish(answer)
        else:
            future.finish("{}")
        return future

    def machine(self, address: str) -> dict[str, Any]:
        facts = structs.replace(this_machine(), cpu=self.workers[address]).to_json()
        return {**facts, "id": machine_id(facts)}


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coordinator, "_POLL_SECONDS", 0.01)


def swept(there: Cluster, folder: Path, **options: Any) -> tuple[ClusterSummary, list[Row]]:
    labels = options.pop("labels", ["numpy"])
    summary = run_cluster_sweep(
        CASES,
        labels,
        scheduler=there,  # type: ignore[arg-type]
        folder=folder,
        run="run",
        **options,
    )
    rows = read_rows([folder]).rows
    counts = Counter((row.machine, case_key(row)) for row in rows)
    assert set(counts.values()) == {1}
    if not options.get("resume"):
        assert summary.measured + summary.failed + summary.skipped == len(rows)
    return summary, rows


def test_a_late_answer_is_dropped(tmp_path: Path) -> None:
    held: list[tuple[Future, str]] = []

    def on_measure(address: str, asked: Any, future: Future, answer: str) -> bool:
        if address == "tcp://a:1" and not held:
            held.append((future, answer))
            del there.workers[address]
            return False
        if len(held) == 1:
            late, text = held[0]
            held.append(held[0])
            late.finish(text)  # it was there after all
        return True

    there = Cluster({"tcp://a:1": "one", "tcp://b:1": "one"}, on_measure)
    summary, rows = swept(there, tmp_path)
    assert len(held) == 2
    assert len(rows) == EACH * len(CASES)
    assert summary.failed == 0


def test_a_case_that_no_worker_survives_is_given_up(tmp_path: Path) -> None:
    lost = []

    def on_measure(address: str, asked: Any, future: Future, answer: str) -> bool:
        if asked["case"] != CASES[1].to_json():
            return True
        lost.append(address)
        there.workers[f"tcp://again:{len(lost)}"] = there.workers.pop(address)
        return False

    there = Cluster({"tcp://a:1": "one"}, on_measure)
    summary, rows = swept(there, tmp_path)
    assert len(lost) == 3
    assert (summary.measured, summary.failed) == (2 * EACH, EACH)
    assert {row.error for row in rows if not row.checked} == {
        "lost: 3 workers left while they measured this"
    }


def test_a_scheduler_that_goes_away_ends_it_and_every_row_is_whole(tmp_path: Path) -> None:
    def on_measure(address: str, asked: Any, future: Future, answer: str) -> bool:
        if asked["case"] == last:
            there.nthreads = gone  # type: ignore[method-assign]
        return True

    def gone() -> dict[str, int]:
        raise OSError("nobody answers")

    there, last = Cluster({"tcp://a:1": "one"}, on_measure), CASES[1].to_json()
    with pytest.raises(ClusterError, match=r"scheduler is lost: nobody answers; .*--resume"):
        swept(there, tmp_path)
    seen = read_rows([tmp_path]).rows
    assert seen
    assert len(seen) % EACH == 0
    there = Cluster({"tcp://a:2": "one"}, lambda *_: True)
    summary, rows = swept(there, tmp_path, resume=True)
    assert summary.measured + len(seen) == len(rows) == EACH * len(CASES)


def test_a_host_measures_one_case_at_a_time_and_hosts_do_so_side_by_side(tmp_path: Path) -> None:
    held: dict[str, tuple[Future, str]] = {}
    most = 0

    def on_measure(address: str, asked: Any, future: Future, answer: str) -> bool:
        nonlocal most
        host = there.workers[address]
        assert host not in held
        held[host] = (future, answer)
        most = max(most, len(held))
        return False

    class Slow(Cluster):
        def nthreads(self) -> dict[str, int]:  # it is asked once a turn, before jobs are given
            for host in list(held):
                future, answer = held.pop(host)
                future.finish(answer)
            return super().nthreads()

    there = Slow({"tcp://a:1": "one", "tcp://b:1": "one", "tcp://c:1": "two"}, on_measure)
    _, rows = swept(there, tmp_path)
    assert most == 2
    assert len(rows) == 2 * EACH * len(CASES)


@pytest.mark.parametrize("share", [False, True])
def test_a_machine_that_comes_later_takes_part(tmp_path: Path, share: bool) -> None:
    def on_measure(address: str, asked: Any, future: Future, answer: str) -> bool:
        there.workers["tcp://b:1"] = "two"
        return True

    there = Cluster({"tcp://a:1": "one"}, on_measure)
    _, rows = swept(there, tmp_path, share=share)
    assert len({row.machine for row in rows}) == 2
    assert len(rows) == EACH * len(CASES) * (1 if share else 2)


def test_the_lost_are_measured_when_it_goes_on(tmp_path: Path) -> None:
    def on_measure(address: str, asked: Any, future: Future, answer: str) -> bool:
        return bool(there.workers.pop(address, None)) and False

    there = Cluster({"tcp://a:1": "one"}, on_measure)
    summary, rows = swept(there, tmp_path, worker_timeout_s=0)
    assert summary.failed == len(rows) == EACH * len(CASES)
    assert {row.error for row in rows} == {
        "lost: worker tcp://a:1 (tcp://a:1) left and no other has numpy"
    }
    # Another machine is no substitute for this one, unless they share.
    there = Cluster({"tcp://b:1": "two"}, lambda *_: True)
    summary, rows = swept(there, tmp_path, resume=True)
    assert (summary.measured, len(rows)) == (EACH * len(CASES), 2 * EACH * len(CASES))
    there = Cluster({"tcp://a:2": "one"}, lambda *_: True)
    summary, rows = swept(there, tmp_path, resume=True)
    assert summary.measured == EACH * len(CASES)
    assert all(row.checked for row in rows)


def test_where_machines_share_another_measures_what_is_lost(tmp_path: Path) -> None:
    def on_measure(address: str, asked: Any, future: Future, answer: str) -> bool:
        if asked["case"] == first:
            return True
        return bool(there.workers.pop(address, None)) and False

    there = Cluster({"tcp://a:1": "one"}, on_measure)
    first = CASES[0].to_json()
    lost, _ = swept(there, tmp_path, worker_timeout_s=0, share=True)
    assert lost.failed >= EACH
    there = Cluster({"tcp://b:1": "two"}, lambda *_: True)
    summary, rows = swept(there, tmp_path, resume=True, share=True)
    assert summary.measured == lost.failed
    assert len(rows) == EACH * len(CASES)
    assert all(row.checked for row in rows)


def test_a_bad_row_is_refused_and_the_sweep_goes_on(tmp_path: Path) -> None:
    def on_measure(address: str, asked: Any, future: Future, answer: str) -> bool:
        if asked["case"] != CASES[0].to_json():
            return True
        rows = json.loads(answer)["rows"]
        rows[0]["samples_s"] = ["__import__('os').abort()"]
        future.finish(json.dumps({"rows": rows}))
        return False

    heard: list[str] = []
    there = Cluster({"tcp://a:1": "one"}, on_measure)
    there.commit = "another"
    summary, rows = swept(there, tmp_path, note=heard.append)
    assert (summary.measured, summary.failed) == (EACH * len(CASES) - 1, 1)
    (bad,) = [row for row in rows if not row.checked]
    assert "`$.samples_s[0]`" in (bad.error or "")
    assert any(text.startswith("refused: worker tcp://a:1") for text in heard)
    assert any("runs commit another, this is" in text for text in heard)
    assert list(summary.notes) == heard


def test_what_nobody_has_is_said_before_anything_is_measured(tmp_path: Path) -> None:
    def on_measure(*_: Any) -> bool:
        raise AssertionError("measured")

    there = Cluster({"tcp://a:1": "one"}, on_measure)
    with pytest.raises(ClusterError, match=r"the backend 'torch': worker .*a:1\): not here"):
        swept(there, tmp_path, labels=["numpy", "torch"])
    with pytest.raises(ClusterError, match="it has none; start dask worker"):
        swept(Cluster({}, on_measure), tmp_path)
    with pytest.raises(ValueError, match="must not be empty"):
        swept(there, tmp_path, labels=[])
    assert not list(tmp_path.iterdir())


def test_an_interrupt_says_how_far_it_came(tmp_path: Path) -> None:
    def interrupt(at: Progress) -> None:
        raise KeyboardInterrupt

    there = Cluster({"tcp://a:1": "one"}, lambda *_: True)
    with pytest.raises(KeyboardInterrupt) as stop:
        swept(there, tmp_path, progress=interrupt)
    assert stop.value.__notes__[0].startswith(f"{EACH} of {3 * EACH} cells measured; every row in ")
    assert len(read_rows([tmp_path]).rows) == EACH
    with pytest.raises(ValueError, match="run='run' has rows; resume it"):
        swept(there, tmp_path)


def test_a_run_goes_on_with_other_code_on_request_alone(tmp_path: Path) -> None:
    there = Cluster({"tcp://a:1": "one"}, lambda *_: True)
    _, rows = swept(there, tmp_path)
    changed = r"worker .*a:1\): commit: 0123456789abcdef in the rows, none now\n--force continues"
    with pytest.raises(ClusterError, match=changed):
        swept(there, tmp_path, resume=True, check_unchanged=True)
    assert swept(there, tmp_path, resume=True)[0].skipped == len(rows)


def test_failed_rows_are_measured_again_on_request_alone(tmp_path: Path) -> None:
    there = Cluster({"tcp://a:1": "one"}, lambda *_: True)
    _, rows = swept(there, tmp_path)
    (path,) = tmp_path.glob("*/run.jsonl")
    failed = structs.replace(rows[0], checked=False, error="wrong result", samples_s=[])
    path.unlink()
    write(path, failed, *rows[1:])
    assert swept(there, tmp_path, resume=True)[0].measured == 0
    summary = run_cluster_sweep(
        CASES,
        ["numpy"],
        scheduler=there,  # type: ignore[arg-type]
        folder=tmp_path,
        run="run",
        resume=True,
        retry_failed=True,
    )
    assert (summary.measured, summary.skipped) == (1, len(rows) - 1)
    assert read_rows([path]).rows == [failed, *rows[1:], rows[0]]
