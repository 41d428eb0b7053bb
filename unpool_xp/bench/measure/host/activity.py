"""Whether another process is at work, or only waits."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence

import psutil

_CPU_SECONDS = 0.05  # less is what threads take that only look whether there is something to do
_AT_WORK = (psutil.STATUS_RUNNING, psutil.STATUS_DISK_SLEEP)


class Activity:
    """Follows the CPU time of a process and of its children.

    Parameters
    ----------
    process : psutil.Process
        Which.
    """

    def __init__(self, process: psutil.Process) -> None:
        self._process, self._at = process, time.monotonic()
        self._own_s = self._children_s = 0.0

    def idle_seconds(self) -> float:
        """Return for how long it has done nothing, as far as those who ask now and then can tell.

        A process that computes, or waits for a disk, is at work.
        """
        with contextlib.suppress(psutil.Error):  # it has ended
            own_s = _cpu_seconds([self._process])
            if own_s - self._own_s >= _CPU_SECONDS or self._process.status() in _AT_WORK:
                self._own_s, self._at = own_s, time.monotonic()
                return 0.0
            # To find them takes longer, so only where it matters: a compiler works for it.
            children_s = _cpu_seconds(self._process.children(recursive=True))
            if children_s - self._children_s >= _CPU_SECONDS:
                self._children_s, self._at = children_s, time.monotonic()
        return time.monotonic() - self._at


def _cpu_seconds(processes: Sequence[psutil.Process]) -> float:
    """Return the CPU time of processes, those that have ended left out."""
    total = 0.0
    for process in processes:
        with contextlib.suppress(psutil.Error):
            times = process.cpu_times()
            total += times.user + times.system
    return total
