"""The process of a backend: its protocol, its end, and that of its parent."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import Any

import pytest

from unpool_xp.bench.cases.case import Case
from unpool_xp.bench.measure.workers import Pool, Worker, WorkerError, WorkerLostError

CASE = Case("max_pool", (1, 2, 4, 4), kernel=2)
FATAL = Case("max_pool", (3, 2, 4, 4), kernel=2)

pytestmark = pytest.mark.usefixtures("fake_backends")


def prepare(worker: Worker, case: Case = CASE, *, timeout: float = 60, **more: Any) -> Any:
    arguments = {"session": "s", "mode": "eager", "implementation": "portable", **more}
    return worker.ask("prepare", timeout=timeout, case=case.to_json(), **arguments)


def gone(pid: int) -> bool:
    """Wait until a process has ended; give up late, since a machine may be busy."""
    for _ in range(600):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    return False


def test_a_session_from_hello_to_finish() -> None:
    worker = Worker("numpy")
    try:
        assert worker.facts["label"] == "numpy"
        assert worker.facts["threads"] == 1
        assert worker.facts["device"]
        assert worker.facts["pid"] != os.getpid()
        assert prepare(worker)["measured"]["checked"]
        samples = worker.ask("sample", timeout=60, session="s", n=3)["samples_s"]
        assert len(samples) == 3
        assert worker.ask("finish", timeout=60, session="s")["samples_s"] == samples
        with pytest.raises(WorkerError, match="KeyError"):
            worker.ask("finish", timeout=60, session="s")
        peak = {"case": CASE.to_json(), "mode": "eager", "implementation": "portable"}
        assert "peak_bytes" in worker.ask("peak", timeout=60, **peak)
    finally:
        worker.close()
    assert not worker.alive


def test_a_library_that_prints_does_not_break_the_protocol() -> None:
    worker = Worker("fake:noisy")
    try:
        assert prepare(worker)["measured"]["checked"]
    finally:
        worker.close()


def test_a_bad_request_is_answered_and_the_worker_goes_on() -> None:
    lines = ["no json", '{"command": "__class__"}', '{"no": 1}', "[]", '{"command": "hello"}']
    lines.append(json.dumps({"command": "prepare", "case": {"operation": "os.system"}}))
    done = subprocess.run(
        [sys.executable, "-m", "unpool_xp.bench.worker", "numpy"],
        input="\n".join(lines),
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [answer["ok"] for answer in answers] == [False, False, False, False, True, False]
    assert (
        "unknown command '__class__'; known: hello, ceilings, make_inputs, prepare"
        in answers[1]["error"]
    )


def test_a_missing_backend_is_an_answer() -> None:
    for label, message in [
        ("fake:missing", "pip install the missing part"),
        ("nobody", "unknown backend 'nobody'; known: numpy"),
    ]:
        worker = Worker(label)
        try:
            with pytest.raises(WorkerError, match=message):
                _ = worker.facts
        finally:
            worker.close()


def test_a_crash_names_the_exit_code_and_the_last_words() -> None:
    worker = Worker("fake:crash")
    with pytest.raises(WorkerLostError, match=r"exit code 7: the fake library's last words"):
        prepare(worker, FATAL)
    worker.kill()


def test_a_killed_worker_names_the_signal() -> None:
    worker = Worker("fake:kill")
    with pytest.raises(WorkerLostError, match=r"signal SIGKILL \(out of memory\?\)"):
        prepare(worker, FATAL)
    worker.kill()


def test_a_hang_is_ended() -> None:
    worker = Worker("fake:hang")
    pid = worker.facts["pid"]
    with pytest.raises(WorkerLostError, match="timed out: fake:hang did not answer 'prepare' in 1"):
        prepare(worker, FATAL, timeout=1)
    assert not worker.alive
    assert gone(pid)


def test_the_pool_starts_a_lost_worker_again() -> None:
    with Pool(["fake:crash"]) as pool:
        first = pool["fake:crash"].facts["pid"]
        with pytest.raises(WorkerLostError):
            prepare(pool["fake:crash"], FATAL)
        assert not pool.is_running("fake:crash")
        assert pool["fake:crash"].facts["pid"] != first
        assert prepare(pool["fake:crash"])["measured"]["checked"]


def test_a_worker_leaves_interrupts_to_its_parent() -> None:
    worker = Worker("numpy")
    try:
        os.kill(worker.facts["pid"], signal.SIGINT)
        assert prepare(worker)["measured"]["checked"]
    finally:
        worker.close()


PARENT = """
import sys, time
from unpool_xp.bench.measure.workers import Worker
worker = Worker("fake:hang")
print(worker.facts["pid"], flush=True)
worker._process.stdin.write(sys.argv[1])
worker._process.stdin.flush()
print("sent", flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("case", [CASE, FATAL], ids=["idle", "busy"])
def test_no_worker_outlives_a_killed_parent(case: Case) -> None:
    request = {"command": "prepare", "session": "s", "mode": "eager", "case": case.to_json()}
    line = json.dumps({**request, "implementation": "portable"}) + "\n"
    command = [sys.executable, "-c", PARENT, line]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert parent.stdout.readline() == "sent\n"
        parent.kill()
    assert gone(pid)
