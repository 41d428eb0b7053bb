"""The cases of each machine, ranked once: what all parts of a report are made from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from operator import attrgetter
from statistics import median
from typing import NamedTuple

from unpool_xp.bench.cases.case import BackendMode
from unpool_xp.bench.cases.formatting import seconds_text
from unpool_xp.bench.cases.operation import Layout
from unpool_xp.bench.measure.machine import Machine
from unpool_xp.bench.rows.names import (
    backend_mode_of,
    case_of,
    contender_text,
    operation_text,
    settings_text,
)
from unpool_xp.bench.rows.schema import Row, elements, latest
from unpool_xp.bench.verdicts.bootstrap import Verdict, compare_times
from unpool_xp.bench.verdicts.crossover import is_gpu
from unpool_xp.bench.verdicts.ranking import (
    Ranked,
    Ranking,
    Tax,
    by_workload,
    copy_seconds,
    rank,
    tax,
    times_of,
)

# Where a call moves less, a cache may well be faster than memory; for GPUs and unknown machines.
BEYOND_CACHE_BYTES = 2**27


class Contender(NamedTuple):
    """What a report compares: a backend in a mode, with our function or its own."""

    on: BackendMode
    implementation: str

    @classmethod
    def of(cls, row: Row) -> Contender:
        """Return that of a row."""
        return cls(backend_mode_of(row), row.implementation)

    def __str__(self) -> str:
        return f"{self.on}, {self.implementation}"


class PlainCopy(NamedTuple):
    """A plain copy on a device."""

    gb_s: float
    backend: str  # whose it is
    bytes_moved: int | None  # None for the one of 256 MiB of older rows


def _fastest_copies(rows: Iterable[Row]) -> dict[str, PlainCopy]:
    best: dict[str, PlainCopy] = {}
    for row in rows:
        if row.copy_gb_s and (row.device not in best or row.copy_gb_s > best[row.device].gb_s):
            moved = row.bytes_moved if row.process else None
            best[row.device] = PlainCopy(row.copy_gb_s, row.backend, moved)
    return best


@dataclass(frozen=True)
class RankedCase(Ranking):
    """One case on one machine."""

    rows: Sequence[Row]

    @property
    def first_row(self) -> Row:
        """A row, for what all of them share."""
        return self.rows[0]

    @property
    def operation(self) -> str:
        """What the operation is called."""
        return operation_text(self.first_row)

    @cached_property
    def settings(self) -> str:
        """All but the operation and the shape, in words."""
        return settings_text(self.first_row)

    @cached_property
    def elements(self) -> int:
        """Of the first array."""
        return elements(self.first_row)

    @property
    def bytes_moved(self) -> int:
        """Inputs read once, outputs written once; the most that a row says, were they to differ."""
        return max(row.bytes_moved for row in self.rows)

    @cached_property
    def outputs(self) -> Layout | None:
        """As `outputs_of` returns them."""
        return outputs_of(self.first_row)

    @cached_property
    def taxes(self) -> list[Tax]:
        """What portability costs, for each backend and mode that has both."""
        return tax(self.rows)

    @cached_property
    def notes(self) -> list[str]:
        """What a reader of this case's numbers must know."""
        notes = []
        for field, many in (("run", "runs"), ("commit", "commits")):
            values = {getattr(row, field) for row in self.rows}
            if len(values) > 1:
                notes.append(f"These rows come from {len(values)} {many}: not measured in turns.")
        copied = fastest_with_copies(self.timed)
        if copied is not None and copied[1] is not self.timed[0]:
            text, seconds = contender_text(copied[1].row), seconds_text(copied[0])
            notes.append(f"With the copies to and from the device: {text}, {seconds}.")
        own = [(contender_text(t.row), t.row.device_samples_s) for t in self.timed]
        told = [f"{text}, {seconds_text(median(found))}" for text, found in own if found]
        if told:
            notes.append(f"By the clock of the device itself: {'; '.join(told)}.")
        return notes

    @cached_property
    def copies(self) -> dict[str, PlainCopy]:
        """The fastest plain copy of as many bytes, by device; older rows have none."""
        return _fastest_copies(timed.row for timed in self.timed if timed.row.process)


def outputs_of(row: Row) -> Layout | None:
    """Return shapes and dtypes of the outputs; None for a case that this version does not know."""
    try:
        return case_of(row).outputs
    except (ValueError, TypeError):
        return None


@dataclass(frozen=True)
class RankedMachine:
    """The newest rows of one machine, by case."""

    name: str
    cases: Sequence[RankedCase]  # by operation and size
    older: int  # rows of the same cases, left out
    cache_bytes: int = BEYOND_CACHE_BYTES  # of its CPU

    @cached_property
    def rows(self) -> list[Row]:
        """The rows of all cases, with a time or without."""
        return [row for case in self.cases for row in case.rows]

    @cached_property
    def ceilings(self) -> dict[str, PlainCopy]:
        """The fastest plain copy by device: the one of 256 MiB, or that beside the largest case."""
        by_size = sorted(self.cases, key=attrgetter("bytes_moved"))
        beside = {name: copy for case in by_size for name, copy in case.copies.items()}
        return beside | self._old_copies

    @cached_property
    def _old_copies(self) -> dict[str, PlainCopy]:
        rows = (timed.row for case in self.cases for timed in case.timed)
        return _fastest_copies(row for row in rows if not row.process)

    def limit(self, case: RankedCase, device: str) -> float | None:
        """Return the GB/s of a plain copy of as many bytes as a call of a case moves.

        Older rows have one of 256 MiB, which is no limit of what a cache may hold: None there.
        """
        found = case.copies.get(device)
        there = [row for row in case.rows if row.device == device]
        if found is None and there and not self.is_in_cache(there[0]):
            found = self._old_copies.get(device)
        return found.gb_s if found else None

    def host_copy_rate(self, case: RankedCase) -> float | None:
        """Return the limit of a case on the CPU, or, where none was measured, on a GPU."""
        devices = [d for d, copy in self.ceilings.items() if not is_gpu(copy.backend)]
        limits = (self.limit(case, device) for device in devices or self.ceilings)
        return max((limit for limit in limits if limit is not None), default=None)

    def is_in_cache(self, row: Row) -> bool:
        """Return whether the data of a call may come from a cache, so that a copy is no limit."""
        cache_bytes = BEYOND_CACHE_BYTES if is_gpu(row.backend) else self.cache_bytes
        return row.bytes_moved <= cache_bytes


def ranked_machines(
    rows: Sequence[Row], known: Mapping[str, Machine] | None = None
) -> list[RankedMachine]:
    """Return the machines by name; of several rows of the same case the newest counts."""
    machines = []
    for name in sorted({row.machine for row in rows}):
        mine = [row for row in rows if row.machine == name]
        newest = latest(mine)
        caches = known[name].caches.values() if known and name in known else ()
        cache_bytes = max(caches, default=BEYOND_CACHE_BYTES)
        older = len(mine) - len(newest)
        machines.append(RankedMachine(name, ranked_cases(newest), older, cache_bytes))
    return machines


def ranked_cases(rows: Iterable[Row]) -> list[RankedCase]:
    """Return the cases of one machine, by operation and size."""
    cases = []
    for group in by_workload(rows).values():
        ranking = rank(group)
        cases.append(RankedCase(ranking.timed, ranking.failed, group))
    return sorted(cases, key=attrgetter("operation", "elements", "settings"))


def verdict_between(one: Ranked, other: Ranked) -> Verdict:
    """Return how one time compares with another, of whatever case."""
    a, b = times_of(one.row), times_of(other.row)
    if isinstance(a, str) or isinstance(b, str):
        raise ValueError(f"verdict_between: a row has no time: {a if isinstance(a, str) else b}")
    return compare_times(a, b)[1]


def fastest_with_copies(timed: Iterable[Ranked]) -> tuple[float, Ranked] | None:
    """Return the least seconds with the copies, which libraries on the CPU may need too."""
    copied = ((entry, copy_seconds(entry.row)) for entry in timed)
    whole = [(entry.seconds + copies, entry) for entry, copies in copied if copies is not None]
    return min(whole, key=lambda pair: pair[0], default=None)


def by_series(cases: Iterable[RankedCase]) -> list[list[RankedCase]]:
    """Group cases that differ in size alone, the smallest first."""
    ordered = sorted(cases, key=attrgetter("operation", "settings", "elements"))
    return [list(same) for _, same in groupby(ordered, key=attrgetter("operation", "settings"))]
