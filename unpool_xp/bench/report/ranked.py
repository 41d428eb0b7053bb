"""The cases of one machine, each ranked once: what all parts of a report are made from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from statistics import median

from unpool_xp.bench.cases.case import Case
from unpool_xp.bench.cases.formatting import seconds_text
from unpool_xp.bench.cases.operation import Layout
from unpool_xp.bench.rows.names import how_text, settings_text
from unpool_xp.bench.rows.schema import Row, elements
from unpool_xp.bench.verdicts.bootstrap import noise_floor
from unpool_xp.bench.verdicts.ranking import Ranked, Tax, by_workload, rank, tax

# What a call moves. Each band is sixteen times the one before: a core's own cache, a shared
# cache, beyond most caches, far beyond.
SIZE_CLASSES = ((2**18, "tiny"), (2**22, "small"), (2**26, "medium"), (2**63, "large"))
# Where a call moves less, a cache may well be faster than the memory's copy.
BEYOND_CACHE_BYTES = 2**27


def size_class_of(bytes_moved: int) -> int:
    """Return the number of the band of sizes."""
    return next(number for number, (most, _) in enumerate(SIZE_CLASSES) if bytes_moved <= most)


@dataclass(frozen=True)
class TimedRow:
    """A row that has a time, and where it stands among those of its case."""

    entry: Ranked
    noise: float  # as `noise_floor` has it
    seconds: float
    low: float  # of the 95 % interval; 0 where there are too few samples
    high: float

    @property
    def row(self) -> Row:
        """The measurement."""
        return self.entry.row

    @property
    def how(self) -> tuple[str, str, str]:
        """The backend, the mode and the implementation."""
        return self.row.backend, self.row.mode, self.row.implementation

    @property
    def copy_seconds(self) -> float | None:
        """Seconds to the device and back, where they were timed."""
        there, back = self.row.to_device_s, self.row.from_device_s
        return None if there is None or back is None else there + back


@dataclass(frozen=True)
class RankedCase:
    """One case on one machine."""

    rows: Sequence[Row]
    timed: Sequence[TimedRow]  # the fastest first
    failed: Sequence[Ranked]
    taxes: Sequence[Tax]

    @property
    def first_row(self) -> Row:
        """A row, for what all of them share."""
        return self.rows[0]

    @property
    def operation(self) -> str:
        """The name of the operation."""
        return self.first_row.operation

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
        """The shapes and dtypes of the outputs; None for a case that this version does not know."""
        names = ("shape", "kernel", "stride", "padding", "scale")
        values = (getattr(self.first_row, name) for name in names)
        sizes = tuple(None if value is None else tuple(value) for value in values)
        first = self.first_row
        return _outputs(first.operation, sizes, first.out_channels, first.dtype)

    @cached_property
    def notes(self) -> list[str]:
        """What a reader of this case's numbers must know."""
        notes = []
        for field, many in (("run", "runs"), ("commit", "commits")):
            values = {getattr(row, field) for row in self.rows}
            if len(values) > 1:
                notes.append(f"These rows come from {len(values)} {many}: not measured in turns.")
        whole = [
            (t.seconds + t.copy_seconds, t.row) for t in self.timed if t.copy_seconds is not None
        ]
        if whole:
            seconds, row = min(whole, key=lambda pair: pair[0])
            if row is not self.timed[0].row:
                notes.append(
                    f"With the copies to and from the device: {how_text(row)}, "
                    f"{seconds_text(seconds)}."
                )
        own = [(how_text(t.row), t.row.device_samples_s) for t in self.timed]
        told = [f"{how}, {seconds_text(median(found))}" for how, found in own if found]
        if told:
            notes.append(f"By the clock of the device itself: {'; '.join(told)}.")
        return notes


@cache
def _outputs(
    operation: str, sizes: tuple[tuple[int, ...] | None, ...], channels: int | None, dtype: str
) -> Layout | None:
    shape, kernel, stride, padding, scale = sizes
    try:
        case = Case(operation, shape or (), kernel, stride, padding, scale, channels, dtype)
    except (ValueError, TypeError):
        return None
    return case.outputs


def ranked_cases(rows: Iterable[Row]) -> list[RankedCase]:
    """Return the cases of one machine, by operation and size.

    Parameters
    ----------
    rows : iterable of Row
        Of one machine; of each case on each backend, one.

    Returns
    -------
    list of RankedCase
        Ranked.
    """
    cases = [_ranked_case(group) for group in by_workload(rows).values()]
    return sorted(cases, key=lambda case: (case.operation, case.elements, case.settings))


def _ranked_case(rows: Sequence[Row]) -> RankedCase:
    ranked = rank(rows)
    return RankedCase(
        rows,
        [_timed_row(entry) for entry in ranked if entry.place],
        [entry for entry in ranked if not entry.place],
        tax(rows),
    )


def _timed_row(entry: Ranked) -> TimedRow:
    assert entry.seconds is not None
    assert entry.interval is not None
    low, high = entry.interval.low, entry.interval.high
    return TimedRow(entry, noise_floor(entry.row.samples_s), entry.seconds, low, high)


def by_operation(cases: Iterable[RankedCase]) -> dict[str, list[RankedCase]]:
    """Group cases by their operation, by name."""
    groups: dict[str, list[RankedCase]] = {}
    for case in sorted(cases, key=lambda case: case.operation):
        groups.setdefault(case.operation, []).append(case)
    return groups


def by_series(cases: Iterable[RankedCase]) -> list[list[RankedCase]]:
    """Group cases that differ in size alone, the smallest first."""
    groups: dict[tuple[str, str], list[RankedCase]] = {}
    for case in cases:
        groups.setdefault((case.operation, case.settings), []).append(case)
    return [sorted(groups[key], key=lambda case: case.elements) for key in sorted(groups)]
