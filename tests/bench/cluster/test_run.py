"""A sweep over machines: each case once a machine, whatever becomes of the workers."""

from __future__ import annotations

import json
import os
import socket
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import dask
import distributed
import psutil
import pytest
from msgspec import structs

from tests.support.cluster import answered_rows, described
from tests.support.command import run as run_command
from unpool_xp.bench.cases.case import Case
from unpool_xp.bench.cluster import remote, run
from unpool_xp.bench.cluster.files import MachineFiles, parse_answer
from unpool_xp.bench.cluster.jobs import (
    Job,
    JobQueue,
    WorkerInfo,
    allows_backend,
    required_resources,
)
from unpool_xp.bench.cluster.run import ClusterError, run_cluster_sweep
from unpool_xp.bench.measure.machine import machine_id, read_machines, this_machine
from unpool_xp.bench.measure.measurement import cells_of
from unpool_xp.bench.measure.sweep import Progress
from unpool_xp.bench.rows.files import read_rows
from unpool_xp.bench.rows.schema import Row, case_key

CASES = [Case("nearest_unpool", (1, n, 3, 3), scale=2) for n in (1, 2, 3)]
QUICKLY: dict[str, Any] = {"rounds": 2, "cell_s": 0.0, "processes": 1, "run": "a-run"}
EACH = len(cells_of(CASES[0], "numpy"))


class OwnMachine(distributed.WorkerPlugin):
    """Makes each worker of a cluster on this machine one on a machine of its own."""

    name = "own-machine"

    def setup(self, worker: distributed.Worker) -> None:
        here = this_machine()
        facts = structs.replace(here, cpu=f"Machine {worker.name}")
        own = structs.replace(facts, id=machine_id(facts.to_json()))
        remote.this_machine = lambda: own  # type: ignore[assignment]
        remote.host = lambda: own.id  # type: ignore[assignment]


class OneProcess(distributed.WorkerPlugin):
    """Makes a worker measure each case in one process, where several show nothing more."""

    name = "one-process"

    def setup(self, worker: distributed.Worker) -> None:
        remote.PROCESSES = 1


@pytest.fixture
def two() -> Iterator[distributed.Client]:
    """Two workers, each a process that is started again when it is killed."""
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0"
        ) as local,
        distributed.Client(local, set_as_default=False) as client,
    ):
        yield client


def rows_of(folder: Path) -> list[Row]:
    found = read_rows([folder])
    assert found.problems == []
    keys = Counter((row.machine, case_key(row)) for row in found.rows)
    assert set(keys.values()) <= {1}
    for path in folder.glob("*/*.jsonl"):
        assert {row.machine for row in read_rows([path]).rows} == {path.parent.name}
    return found.rows


def test_every_machine_measures_every_case_though_a_worker_is_killed(
    two: distributed.Client, tmp_path: Path
) -> None:
    two.register_plugin(OwnMachine())
    pids = two.run(os.getpid)
    killed: list[str] = []
    most_at_once = 0

    def kill_one(at: Progress) -> None:
        nonlocal most_at_once
        busy = [address for address, keys in two.processing().items() if keys]
        most_at_once = max(most_at_once, *Counter(busy).values(), 0)
        if not killed and busy:
            killed.append(busy[0])
            psutil.Process(pids[busy[0]]).kill()

    summary = run_cluster_sweep(
        CASES, ["numpy"], scheduler=two, folder=tmp_path, progress=kill_one, **QUICKLY
    )
    assert killed
    assert any("left" in note for note in summary.notes)
    rows = rows_of(tmp_path)
    assert all(row.checked and row.copy_gb_s for row in rows)
    assert len(rows) == summary.measured == 2 * EACH * len(CASES)
    machines, _ = read_machines([tmp_path])
    assert {row.machine for row in rows} == set(machines)
    assert {machine.cpu for machine in machines.values()} == {"Machine 0", "Machine 1"}
    assert {row.run for row in rows} == {"a-run"}
    again = run_cluster_sweep(
        CASES, ["numpy"], scheduler=two, folder=tmp_path, resume=True, **QUICKLY
    )
    assert (again.measured, again.skipped) == (0, len(rows))
    assert rows_of(tmp_path) == rows


def describe_numpy(client: distributed.Client, address: str) -> None:
    request = json.dumps({"labels": ["numpy"]})
    answer = client.submit(remote.describe, request, workers=[address], pure=False)
    assert "error" not in json.loads(answer.result())


def test_what_dask_sets_for_its_workers_does_not_reach_the_backends(
    two: distributed.Client,
) -> None:
    defaults = set(dask.config.get("distributed.nanny.pre-spawn-environ"))
    started_with = psutil.Process().environ()  # and this process has Dask's own since
    left_alone = {name for name in defaults if name in started_with}
    assert all(defaults <= set(found) for found in two.run(lambda: dict(os.environ)).values())
    for address in two.scheduler_info()["workers"]:
        describe_numpy(two, address)
    for found in two.run(lambda: dict(os.environ)).values():
        assert defaults & set(found) == left_alone


def test_a_variable_that_the_user_has_chosen_for_the_workers_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = "distributed.nanny.pre-spawn-environ"
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)  # another cluster's goes before it
    with (
        dask.config.set({path: {"OMP_NUM_THREADS": 2, "MALLOC_TRIM_THRESHOLD_": 65536}}),
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=1, processes=True, dashboard_address=":0"
        ) as local,
        distributed.Client(local, set_as_default=False) as client,
    ):
        describe_numpy(client, *client.scheduler_info()["workers"])
        (found,) = client.run(lambda: dict(os.environ)).values()
    assert found["OMP_NUM_THREADS"] == "2"


def test_the_command_goes_to_the_scheduler_and_says_what_is_missing(
    two: distributed.Client, tmp_path: Path
) -> None:
    two.register_plugin(OneProcess())
    address = two.scheduler.address
    arguments = ["sweep", "--preset", "vae", "--results", str(tmp_path), "--scheduler"]
    shown = run_command(*arguments, address, "--backend", "torch:cuda", "--backend", "numpy")
    assert shown.returncode == 2
    said = " ".join(shown.stderr.split())
    assert "no worker has the backend 'torch:cuda': worker 0 (tcp://" in said
    assert said.count("torch:cuda: ") >= 1
    small = ["sweep", "--preset", "quick", "--operation", "adaptive_avg_pool"]
    shown = run_command(*small, "--results", str(tmp_path), "--scheduler", address, "-b", "numpy")
    assert shown.returncode == 0, shown.stderr
    rows = rows_of(tmp_path / "sweeps")
    assert rows
    assert {row.machine for row in rows} == {this_machine().id}
    resume = ["--resume", "last", "--share"]
    shown = run_command(
        *small, "--results", str(tmp_path), "--scheduler", address, "-b", "numpy", *resume
    )
    assert "0 measured" in shown.stderr
    assert run_command(*arguments, address, "--resume", "none").returncode == 2


# --- without a cluster ---------------------------------------------------------------------------


def member(name: str, *labels: str, machine: str = "m-1", **resources: float) -> WorkerInfo:
    of = structs.replace(this_machine(), id=machine)
    return WorkerInfo(f"tcp://{name}:1", name, name, of, labels, {}, resources, "0", None)


def test_a_case_stays_with_the_worker_that_measures_the_most_of_it() -> None:
    cells = [cell for label in ("numpy", "torch:cpu") for cell in cells_of(CASES[0], label)]
    few, many = member("few", "numpy"), member("many", "numpy", "torch:cpu")
    other = member("other", "numpy", "torch:cpu", machine="m-2")
    board = JobQueue([Job("m-1", CASES[0], cells)])
    assert board.take(few, [few, many, other]) is None
    assert board.take(other, [few, many, other]) is None
    taken = board.take(few, [few, other])  # many is gone
    assert taken is not None
    assert {cell.label for cell in taken.cells} == {"numpy"}
    assert {cell.label for cell in board.jobs[0].cells} == {"torch:cpu"}
    assert board.take_unassignable([few, other], 1.0, 60) == []
    assert board.take_unassignable([few, many], 2.0, 60) == []
    assert board.take_unassignable([few], 100.0, 60) == []  # it has waited from now on
    (over,) = board.take_unassignable([few], 160.0, 60)
    assert {cell.label for cell in over.cells} == {"torch:cpu"}
    assert board.jobs == []


@pytest.mark.parametrize(
    ("resources", "allowed"),
    [
        ({}, "numpy jax:cpu jax:cuda torch:cuda"),
        ({"memory": 5}, "numpy jax:cpu jax:cuda torch:cuda"),
        ({"GPU": 1}, "numpy jax:cpu jax:cuda torch:cuda"),
        ({"GPU": 0}, "numpy jax:cpu"),
        ({"jax": 1}, "jax:cpu"),
        ({"jax": 1, "GPU": 2}, "jax:cpu jax:cuda"),
    ],
)
def test_what_a_worker_declares_counts(resources: dict[str, float], allowed: str) -> None:
    labels = ("numpy", "jax:cpu", "jax:cuda", "torch:cuda")
    assert [label for label in labels if allows_backend(resources, label)] == allowed.split()


def test_what_is_declared_is_set_aside() -> None:
    one = member("one", "jax:cuda", jax=1, GPU=2, memory=7)
    assert required_resources(one, cells_of(CASES[0], "jax:cuda")) == {"jax": 1, "GPU": 1}
    assert required_resources(one, cells_of(CASES[0], "jax:cpu")) == {"jax": 1}


def good_rows(one: WorkerInfo) -> list[dict[str, Any]]:
    cells = map(asdict, cells_of(CASES[0], "numpy"))
    return answered_rows(CASES[0].to_json(), cells, "a-run", one.machine.id)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"samples_s": "__import__('os').abort()"}, "`$.samples_s`"),
        ({"samples_s": [-1.0]}, ">= 1e-15 - at `$.samples_s[0]`"),
        ({"machine": "../../elsewhere"}, "has machine='../../elsewhere', not 'm-1'"),
        ({"run": "b-run"}, "has run='b-run', not 'a-run'"),
        ({"shape": [9, 9, 9, 9]}, "is not what was asked for"),
        ({"function": "unpool_xp.nearest_unpool"}, "is a second"),
        ({"schema": 99}, "has schema 99"),
    ],
)
def test_a_row_that_does_not_fit_is_refused(change: dict[str, Any], reason: str) -> None:
    one, cells = member("one", "numpy"), cells_of(CASES[0], "numpy")
    sent = good_rows(one)
    sent[1] |= change
    if "function" in change:
        sent[1]["implementation"] = "portable"
    rows, refused = parse_answer(json.dumps({"rows": sent}), one, "a-run", CASES[0], cells)
    assert len(refused) == 1
    assert reason in refused[0]
    assert [row.checked for row in rows] == [number != 1 for number in range(EACH)]
    assert reason in (rows[1].error or "")
    assert {row.machine for row in rows} == {"m-1"}


def test_a_row_is_written_once_whoever_sends_it_again(tmp_path: Path) -> None:
    one = member("one", "numpy", machine=this_machine().id)
    sent = json.dumps({"rows": good_rows(one)})
    rows, _ = parse_answer(sent, one, "a-run", CASES[0], cells_of(CASES[0], "numpy"))
    with MachineFiles(tmp_path, "a-run") as files:
        assert files.write(one.machine, rows) == rows
        assert files.write(one.machine, rows) == []
    assert len(rows_of(tmp_path)) == len(rows) == EACH


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"\x80\x04N.", "is not a JSON object"),
        ("[]", "is not a JSON object"),
        ("{", "is not a JSON object"),
        ("{}", "no list of rows"),
        ('{"rows": 3}', "no list of rows"),
        ('{"rows": []}', "sent no row of this"),
        ('{"error": "MemoryError: 5"}', "MemoryError: 5"),
    ],
)
def test_an_answer_that_is_none_leaves_rows_with_the_reason(answer: object, reason: str) -> None:
    one, cells = member("one", "numpy"), cells_of(CASES[0], "numpy")
    rows, _ = parse_answer(answer, one, "a-run", CASES[0], cells)
    assert len(rows) == len(cells)
    assert all(reason in (row.error or "") for row in rows)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"schema": 1}, "install the same unpool-xp on both"),
        (
            {"machine": {**this_machine().to_json(), "id": "../up"}},
            r"matching regex .* at `\$\.id`",
        ),
        ({"machine": {**this_machine().to_json(), "cpu": 3}}, r"got `int` - at `\$\.cpu`"),
        ({"host": None}, "cannot be read"),
        ({"backends": []}, "cannot be read"),
        ({"error": "no"}, "no"),
    ],
)
def test_a_worker_that_cannot_be_understood_is_left_out(
    change: dict[str, Any], reason: str
) -> None:
    good, bad = json.dumps(described()), json.dumps(described(**change))
    assert WorkerInfo.from_answer("tcp://a:1", good).machine == this_machine()
    with pytest.raises(ValueError, match=reason):
        WorkerInfo.from_answer("tcp://a:1", bad)


def test_a_request_that_cannot_be_is_an_answer() -> None:
    for request in ("{", "{}", '{"case": 3}'):
        assert "error" in json.loads(remote.measure(request))
    assert json.loads(remote.close()) == {}


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "nonsense://", "nonsense", "silent"])
def test_a_scheduler_that_is_not_there_is_named_in_time(address: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # it accepts, and says nothing
        at = f"tcp://127.0.0.1:{silent.getsockname()[1]}" if address == "silent" else address
        start = time.monotonic()
        shown = run_command(
            "sweep", "--scheduler", at, "--patience", "1", "--results", str(tmp_path)
        )
    assert time.monotonic() - start < 10
    assert shown.returncode == 2
    assert f"error: no scheduler answers at '{at}'" in " ".join(shown.stderr.split())


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ClusterError, match=r'pip install "unpool-xp\[cluster\]"'):
        run.connect("tcp://127.0.0.1:1")
