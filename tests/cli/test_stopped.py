"""Commands that a signal stops: what they say, how they end, and that nothing goes on."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from xml.etree import ElementTree

import psutil
import pytest

pytestmark = pytest.mark.usefixtures("ctrl_c_is_heard", "fault_backends")

CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}
MAX_POOL = ("max_pool", "--shape", "1,2,4,4", "--kernel", "2")


def stop(
    arguments: Sequence[str], number: int, marker: Path, begun: Callable[[], bool] | None = None
) -> tuple[str, str]:
    """Start a command, send it a signal once it is at work; return what it printed."""
    command = [sys.executable, "-m", "unpool_xp", *arguments]
    environment = {**os.environ, "FAULT_MARKER": str(marker)}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        end = time.monotonic() + 300
        while not (begun or marker.exists)():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < end
            time.sleep(0.02)
        workers = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(number)
        said, complaints = process.communicate(timeout=300)  # what hangs, hangs for an hour
    assert process.returncode == CODES[number], complaints
    assert workers
    assert psutil.wait_procs(workers, timeout=60)[1] == []
    assert complaints.splitlines()[-1] == f"python -m unpool_xp {shlex.join(arguments)}"
    assert "Traceback" not in complaints
    return said, complaints


def test_choose_ranks_what_it_has_measured(tmp_path: Path) -> None:
    arguments = ["choose", *MAX_POOL, "--backend", "numpy", "--backend", "fault:sample-hang"]
    said, _ = stop([*arguments, "--budget", "300"], signal.SIGINT, tmp_path / "hangs")
    assert "use numpy" in said
    assert "not measured: stopped" in said


def test_choose_ranks_what_it_has_measured_of_a_decoder(tmp_path: Path) -> None:
    arguments = ["choose", "--preset", "unet", "--scale-channels", "0.01"]
    arguments += ["--backend", "numpy", "--backend", "fault:sample-hang", "--budget", "300"]
    said, _ = stop([*arguments, "--json"], signal.SIGINT, tmp_path / "hangs")
    answer = json.loads(said)
    assert all(name.startswith("numpy") for name in answer["use"])
    assert answer["use"]
    stopped = [one for one in answer["ranking"] if one["backend"].startswith("fault")]
    assert {one["reason"] for one in stopped} == {"not measured: stopped"}
    assert [layer.get("seconds_with_winner") for layer in answer["layers"]] == 4 * [None]


def test_check_writes_what_it_has_checked(tmp_path: Path) -> None:
    junit, marker = tmp_path / "junit.xml", tmp_path / "hangs"
    arguments = ["check", "--backend", "numpy", "--backend", "fault:prepare-hang"]
    arguments += ["--operation", "max_pool", "--json", "--junit", str(junit)]

    def numpy_is_done() -> bool:
        return marker.exists() and time.time() > marker.stat().st_mtime + 1.5

    said, _ = stop(arguments, signal.SIGTERM, marker, numpy_is_done)
    results = json.loads(said)
    assert "numpy" in {one["backend"] for one in results}
    assert {one["outcome"] for one in results} <= {"passed", "skipped"}
    assert len(ElementTree.parse(junit).findall("testcase")) == len(results) > 0


def test_backends_lists_those_that_have_started(tmp_path: Path) -> None:
    marker = tmp_path / "hangs"

    def numpy_has_started() -> bool:
        return marker.exists() and time.time() > marker.stat().st_mtime + 1.5

    arguments = ["backends", "--backend", "numpy", "--backend", "fault:import-hang", "--json"]
    said, complaints = stop(arguments, signal.SIGINT, marker, numpy_has_started)
    assert [row["backend"] for row in json.loads(said)] == ["numpy"]
    assert "1 of 2 backends looked at" in complaints


def test_tax_prints_the_entries_so_far(tmp_path: Path) -> None:
    arguments = ["tax", "--backend", "numpy", "--operation", "nearest_unpool", "--quick"]
    arguments += ["--results", str(tmp_path), "--markdown", str(tmp_path / "tax.md"), "--json"]
    rows = list[Path]()

    def one_is_measured() -> bool:
        rows[:] = tmp_path.glob("tax/*/*.jsonl")
        return any(path.stat().st_size for path in rows)

    said, complaints = stop(arguments, signal.SIGTERM, tmp_path / "hangs", one_is_measured)
    done = len(json.loads(said)["cases"])
    assert f"{done} of " in complaints
    assert "numpy" in (tmp_path / "tax.md").read_text(encoding="utf-8")
