"""What else goes on while a sample is taken: other programs, the hypervisor, the scheduler.

While a worker takes samples, all the others of ours are suspended. So what the processors do
beyond its own time is done by others.
"""

from __future__ import annotations

import functools
import os
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path

import psutil

from unpool_xp.bench.rows.schema import Conditions

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

_THREADS = Path("/proc/self/task")
OTHER_SHARE = 0.1  # of the processors that this process may use, in other programs' hands
STEAL_SHARE = 0.05  # of the same, taken by the hypervisor
WAIT_SHARE = 0.1  # of a sample's time, spent ready to run while others ran
# The kernel counts in ticks of 10 ms: what it says of a shorter time means little.
_WINDOW_SECONDS, _TICK_SECONDS = 0.3, 0.01


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
        busy, steal = _processor_seconds()
        return cls(
            wall=time.perf_counter(),
            own=time.process_time(),
            waited=_waited_seconds(),
            busy=busy,
            steal=steal,
            switches=resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw if resource else 0,
        )

    def since(self, start: _Counters) -> _Counters:
        names = self.__dataclass_fields__
        return _Counters(**{name: getattr(self, name) - getattr(start, name) for name in names})


class Watch:
    """Watches the samples of a process.

    The processors' times come in ticks, so they are taken over the last samples together.
    """

    def __init__(self) -> None:
        self.cpus = len(_usable_processors() or psutil.cpu_times(percpu=True))
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
        resolution = self.cpus * _TICK_SECONDS / wall  # a tick more or less on each
        return (
            others > max(OTHER_SHARE * self.cpus, resolution)
            or steal > max(STEAL_SHARE * self.cpus, resolution)
            or (others > resolution / 2 and taken.waited > WAIT_SHARE * taken.wall)
        )


@functools.cache
def process_watch() -> Watch:
    """Return the one watch of this process."""
    return Watch()


def _usable_processors() -> set[int] | None:
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None


def _processor_seconds() -> tuple[float, float]:
    """Return the busy seconds of the processors that this process may use, and the stolen ones."""
    usable, busy, steal = _usable_processors(), 0.0, 0.0
    for number, times in enumerate(psutil.cpu_times(percpu=True)):
        if usable is None or number in usable:
            idle = times.idle + getattr(times, "iowait", 0.0)
            steal += getattr(times, "steal", 0.0)
            # Time of guests is part of the user time.
            busy += sum(times) - idle - getattr(times, "steal", 0.0)
            busy -= getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)
    return busy, steal


def _waited_seconds() -> float:
    """Return how long the threads of this process were ready to run and did not; 0 if unknown."""
    waited = 0
    try:
        for thread in _THREADS.iterdir():
            waited += int((thread / "schedstat").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):  # another system, or a thread that has ended
        pass
    return waited / 1e9
