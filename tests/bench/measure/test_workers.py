"""The process of a backend: its protocol, its end, and that of its parent."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.bench.measure.conftest import FATAL, GOOD
from unpool_xp.bench.cases.case import Case
from unpool_xp.bench.measure.pools import Pool
from unpool_xp.bench.measure.server import MARK
from unpool_xp.bench.measure.workers import Worker, WorkerError, WorkerLostError


def prepare(worker: Worker, case: Case = GOOD, *, timeout: float = 60) -> Any:
    arguments = {"session": "s", "mode": "eager", "implementation": "portable"}
    return worker.ask("prepare", timeout=timeout, case=case.to_json(), **arguments)


def wait_for_the_end(pid: int) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        psutil.Process(pid).wait(timeout=60)  # a machine may be busy


def test_a_session_from_hello_to_finish() -> None:
    with contextlib.closing(Worker("numpy")) as worker:
        assert worker.facts["label"] == "numpy"
        assert worker.facts["threads"] == 1
        assert worker.facts["device"]
        assert worker.facts["pid"] != os.getpid()
        os.kill(worker.facts["pid"], signal.SIGINT)  # an interrupt is for its parent
        assert prepare(worker)["measured"]["checked"]
        samples = worker.ask("sample", timeout=60, session="s", n=3)["taken"]["samples_s"]
        assert len(samples) == 3
        worker.ask("drop", timeout=60)
        with pytest.raises(WorkerError, match="KeyError"):
            worker.ask("sample", timeout=60, session="s")
        peak = {"case": GOOD.to_json(), "mode": "eager", "implementation": "portable"}
        assert "peak_bytes" in worker.ask("peak", timeout=60, **peak)
    assert not worker.alive


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="needs groups of processes")
def test_what_a_library_has_started_ends_with_the_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = f"""
import subprocess, sys
if "unpool_xp.bench.worker" in sys.orig_argv:
    sleeping = subprocess.Popen(["sleep", "600"])
    open({str(tmp_path / "pid")!r}, "w").write(str(sleeping.pid))
"""
    (tmp_path / "sitecustomize.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    with contextlib.closing(Worker("numpy")) as worker:
        assert worker.facts["label"] == "numpy"
    wait_for_the_end(int((tmp_path / "pid").read_text()))


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
    answers = [json.loads(line.removeprefix(MARK)) for line in done.stdout.strip().split("\n")]
    assert [answer["ok"] for answer in answers] == [False, False, False, False, True, False]
    known = "unknown command '__class__'; known: hello, ceilings, make_inputs, prepare"
    assert known in answers[1]["error"]


@pytest.mark.parametrize(
    ("label", "timeout", "reason"),
    [
        ("fake:kill", 60, r"signal SIGKILL \(out of memory\?\)"),
        ("fake:hang", 1, "timed out: fake:hang did not answer 'prepare' in 1"),
    ],
)
def test_a_lost_worker_says_why_and_is_gone(label: str, timeout: float, reason: str) -> None:
    worker = Worker(label)
    pid = worker.facts["pid"]
    with pytest.raises(WorkerLostError, match=reason):
        prepare(worker, FATAL, timeout=timeout)
    assert not worker.alive
    worker.kill()
    wait_for_the_end(pid)


def test_the_pool_starts_a_lost_worker_again() -> None:
    with Pool(["fake:crash"]) as pool:
        first = pool["fake:crash"].facts["pid"]
        with pytest.raises(WorkerLostError, match="exit code 7: the fake library's last words"):
            prepare(pool["fake:crash"], FATAL)
        assert not pool.is_running("fake:crash")
        assert pool["fake:crash"].facts["pid"] != first
        assert prepare(pool["fake:crash"])["measured"]["checked"]


def test_a_worker_runs_only_while_it_answers() -> None:
    with contextlib.closing(Worker("numpy")) as worker:
        process = psutil.Process(worker.facts["pid"])
        for _ in range(100):
            if process.status() == psutil.STATUS_STOPPED:
                break
            time.sleep(0.01)
        assert process.status() == psutil.STATUS_STOPPED
        assert prepare(worker)["measured"]["checked"]
    assert worker._process.returncode == 0


PARENT = """
import sys, time
from unpool_xp.bench.measure.workers import Worker
worker = Worker("fake:hang")
print(worker.facts["pid"], flush=True)
if sys.argv[1]:
    worker._resume()
    worker._process.stdin.write(sys.argv[1])
    worker._process.stdin.flush()
print("sent", flush=True)
time.sleep(600)
"""


def request(case: Case) -> str:
    arguments = {"session": "s", "mode": "eager", "implementation": "portable"}
    return json.dumps({"command": "prepare", "case": case.to_json(), **arguments}) + "\n"


@pytest.mark.parametrize(
    "line", ["", request(GOOD), request(FATAL)], ids=["suspended", "idle", "busy"]
)
def test_no_worker_outlives_a_killed_parent(line: str) -> None:
    command = [sys.executable, "-c", PARENT, line]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert parent.stdout.readline() == "sent\n"
        parent.kill()
    wait_for_the_end(pid)
