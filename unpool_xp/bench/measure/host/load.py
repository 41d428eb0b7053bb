"""How busy other programs keep the cores that a measurement runs on."""

from __future__ import annotations

import contextlib
import os
import time

import psutil


def other_cpus(seconds: float) -> float:
    """Watch the machine for a while; return how many cores other programs kept busy.

    Parameters
    ----------
    seconds : float
        How long to watch. The kernel counts in hundredths of a second: half a second tells a
        core from a half, not from 95 % of one.

    Returns
    -------
    float
        Such as 1.9 of 2 cores; of those alone that this process may use. What this process and
        the processes that it started use is left out, and so is what a hypervisor takes away.

    Examples
    --------
    >>> from unpool_xp.bench.measure.host.load import other_cpus
    >>> other_cpus(0.1) >= 0
    True
    """
    # Ours is read first, both times: finding the processes takes a while, which is not of others.
    own, busy, start = _own_seconds(), _busy_seconds(), time.perf_counter()
    time.sleep(seconds)
    own, busy = _own_seconds() - own, _busy_seconds() - busy
    return max(busy - own, 0.0) / (time.perf_counter() - start)


def _busy_seconds() -> float:
    cpus = psutil.cpu_times(percpu=True)
    if hasattr(os, "sched_getaffinity"):
        # An offline CPU is not in the list, so a number may be past its end.
        cpus = [cpus[number] for number in os.sched_getaffinity(0) if number < len(cpus)]
    # Guests of this machine's are in "user" already.
    names = ("user", "nice", "system", "irq", "softirq")
    return sum(getattr(cpu, name, 0.0) for cpu in cpus for name in names)


def _own_seconds() -> float:
    """Return the CPU time of this process and all below it, with those that have ended."""
    process = psutil.Process()
    total = 0.0
    for each in (process, *process.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):
            times = each.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total
