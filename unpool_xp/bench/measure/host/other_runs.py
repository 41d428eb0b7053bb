"""Other runs of unpool-xp on this machine, which disturb what is measured here."""

from __future__ import annotations

import contextlib
import os

import psutil

_WORKER = "unpool_xp.bench.worker"


def other_runs() -> list[int]:
    """Return the processes, other than this one, that have workers here.

    A worker that was left behind stands for itself. What cannot be looked at is left out.
    """
    found = set()
    with contextlib.suppress(psutil.Error, OSError):
        for process in psutil.process_iter(["cmdline", "ppid"]):
            command, parent = process.info["cmdline"] or (), process.info["ppid"]
            if _WORKER in command and parent != os.getpid():
                found.add(parent if parent > 1 else process.pid)
    return sorted(found)
