"""What else goes on while something is timed: other programs, the hypervisor, the scheduler.

While a worker takes samples, all the others of ours are suspended. So what the processors do
beyond its own time is done by others.
"""

from __future__ import annotations

import contextlib
import functools
import os
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from unpool_xp.backends.base import usable_cores
from unpool_xp.bench.rows.schema import Conditions

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

OTHER_SHARE = 0.1  # of the processors that this process may use, in other programs' hands
STEAL_SHARE = 0.05  # of the same, taken by the hypervisor
WAIT_SHARE = 0.1  # of a sample's time, spent ready to run while others ran
# The kernel counts in ticks of 10 ms: what it says of a shorter time means little.
_WINDOW_SECONDS, _TICK_SECONDS = 0.3, 0.01
_LOOK_SECONDS = 0.5
_THREADS = Path("/proc/self/task")


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
    watch = LoadWatch()
    time.sleep(seconds)
    return watch.other_cpus()


class LoadWatch:
    """Watches from its making on what others do, besides this process and those it started."""

    def __init__(self) -> None:
        # Ours is read first, both times: to find the processes takes a while, which is not of
        # others.
        self._own, self._busy = _tree_seconds(), _busy_seconds(_usable_times())
        self._start = time.perf_counter()

    def other_cpus(self) -> float:
        """Return how many cores other programs have kept busy since."""
        own = _tree_seconds() - self._own
        busy = _busy_seconds(_usable_times()) - self._busy
        return max(busy - own, 0.0) / (time.perf_counter() - self._start)

    def is_disturbed(self) -> bool:
        """Return whether that is more than a measurement stands."""
        return self.other_cpus() > OTHER_SHARE * usable_cores()


def describe_load(seconds: float = _LOOK_SECONDS) -> str | None:
    """Return what other programs do to a measurement, in words; None if next to nothing."""
    others, cpus = other_cpus(seconds), usable_cores()
    if others <= OTHER_SHARE * cpus:
        return None
    return f"other programs keep {others:.1f} of {cpus} cores busy"


@dataclass(frozen=True)
class _Counters:
    """Counters that only grow; the processors are those that this process may use."""

    wall: float
    own: float  # CPU seconds of this process
    waited: float  # seconds that its threads were ready to run and did not
    busy: float  # CPU seconds, of all processes
    steal: float
    switches: int

    @classmethod
    def read(cls) -> _Counters:
        cpus = _usable_times()
        return cls(
            wall=time.perf_counter(),
            own=time.process_time(),
            waited=_waited_seconds(),
            busy=_busy_seconds(cpus),
            steal=sum(getattr(cpu, "steal", 0.0) for cpu in cpus),
            switches=resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw if resource else 0,
        )

    def since(self, start: _Counters) -> _Counters:
        names = self.__dataclass_fields__
        return _Counters(**{name: getattr(self, name) - getattr(start, name) for name in names})


class SampleWatch:
    """Watches the samples of a process, from within.

    The processors' times come in ticks, so they are taken over the last samples together.
    """

    def __init__(self) -> None:
        self._cpus = usable_cores()
        self._recent: deque[_Counters] = deque()
        self._start: _Counters | None = None

    def start(self) -> None:
        """Begin a sample."""
        self._start = _Counters.read()

    def stop(self, conditions: Conditions) -> bool:
        """End a sample: enter what went on; return whether it was disturbed."""
        assert self._start is not None
        taken = _Counters.read().since(self._start)
        self._recent.append(taken)
        while sum(c.wall for c in self._recent) - self._recent[0].wall >= _WINDOW_SECONDS:
            self._recent.popleft()
        wall = sum(c.wall for c in self._recent)
        others = max(sum(c.busy - c.own for c in self._recent) / wall, 0.0)
        steal = sum(c.steal for c in self._recent) / wall
        conditions.other_cpus.append(round(others, 2))
        conditions.steal_cpus.append(round(steal, 2))
        conditions.switches.append(taken.switches)
        conditions.wall_over_cpu.append(round(taken.wall / max(taken.own, 1e-9), 3))
        resolution = self._cpus * _TICK_SECONDS / wall  # a tick more or less on each
        return (
            others > max(OTHER_SHARE * self._cpus, resolution)
            or steal > max(STEAL_SHARE * self._cpus, resolution)
            or (others > resolution / 2 and taken.waited > WAIT_SHARE * taken.wall)
        )


@functools.cache
def sample_watch() -> SampleWatch:
    """Return the one watch of this process."""
    return SampleWatch()


def _usable_times() -> list[Any]:
    cpus: list[Any] = psutil.cpu_times(percpu=True)
    if hasattr(os, "sched_getaffinity"):
        # An offline CPU is not in the list, so a number may be past its end.
        cpus = [cpus[number] for number in os.sched_getaffinity(0) if number < len(cpus)]
    return cpus


def _busy_seconds(cpus: list[Any]) -> float:
    # Guests of this machine's are in "user" already.
    names = ("user", "nice", "system", "irq", "softirq")
    return sum(getattr(cpu, name, 0.0) for cpu in cpus for name in names)


def _tree_seconds() -> float:
    """Return the CPU time of this process and all below it, with those that have ended."""
    process = psutil.Process()
    total = 0.0
    for each in (process, *process.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):
            times = each.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total


def _waited_seconds() -> float:
    """Return how long the threads of this process were ready to run and did not; 0 if unknown."""
    waited = 0
    try:
        for thread in _THREADS.iterdir():
            waited += int((thread / "schedstat").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):  # another system, or a thread that has ended
        pass
    return waited / 1e9
