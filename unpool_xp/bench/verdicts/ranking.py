"""Which is fastest, what is a tie, and what portability costs."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from unpool_xp.bench.cases.case import BackendMode
from unpool_xp.bench.rows.names import backend_mode_of
from unpool_xp.bench.rows.schema import Key, Row, elements, failure_reason, label, workload_key
from unpool_xp.bench.verdicts.bootstrap import (
    Interval,
    Ratio,
    Verdict,
    median_interval,
    noise_floor,
    ratio,
    verdict,
)

_TIES = (Verdict.SAME, Verdict.UNDECIDED)


@dataclass(frozen=True)
class Ranked:
    """A row that has a time, and its place among the others."""

    row: Row
    place: int  # from 1; a row shares the place of the one that it is tied with
    seconds: float  # the median, including the copies if they count
    interval: Interval  # of the seconds
    noise: float  # how far the same code is found to be from itself, as `noise_floor` has it
    to_best: Ratio  # the seconds over the best row's
    verdict: Verdict  # this row beside the best; SAME for the best itself
    tied_with_best: bool  # not known to be slower than it
    tied_with_above: bool

    @property
    def is_fastest(self) -> bool:
        """Whether nothing is known to be faster."""
        return self.place == 1 or self.tied_with_best

    @property
    def gb_s(self) -> float:
        """Bytes in and out of a call over its seconds."""
        return self.row.bytes_moved / self.seconds / 1e9


@dataclass(frozen=True)
class Ranking:
    """The rows of one case: those with a time, the fastest first, and those that failed, and why.

    Where the copies count, a row whose copies were not timed counts as failed.
    """

    timed: Sequence[Ranked]
    failed: Sequence[tuple[Row, str]]

    @property
    def best(self) -> Ranked | None:
        """The fastest; None where nothing has a time."""
        return self.timed[0] if self.timed else None


@dataclass(frozen=True)
class Tax:
    """The time of the portable function over the library's own."""

    backend_mode: BackendMode
    function: str  # the native; the fastest, where there are several
    ratio: Ratio  # portable over native: above 1 where portability costs time


def rank(rows: Iterable[Row], *, with_transfer: bool = False) -> Ranking:
    """Rank the rows of one case.

    Parameters
    ----------
    rows : iterable of Row
        One workload on one machine: any backends, modes and implementations.
    with_transfer : bool, optional
        Whether the copies of the inputs to the device, and of the output from it, count.

    Returns
    -------
    Ranking
        All of the rows.

    Raises
    ------
    ValueError
        If the rows are of several workloads or machines, or two measured the same thing.

    Examples
    --------
    >>> from unpool_xp.bench.verdicts.ranking import rank
    >>> rank([])
    Ranking(timed=[], failed=[])
    """
    rows = list(rows)
    _require_one_workload(rows)
    timed: list[tuple[list[float], Row]] = []
    failed: list[tuple[Row, str]] = []
    for row in rows:
        samples, reason = samples_with_transfer(row, with_transfer=with_transfer)
        if reason is None:
            timed.append((samples, row))
        else:
            failed.append((row, reason))
    timed.sort(key=lambda pair: statistics.median(pair[0]))
    noise = [noise_floor(samples) for samples, _ in timed]

    def compare_pair(one: int, other: int) -> tuple[Ratio, Verdict]:
        found = ratio(timed[one][0], timed[other][0])
        return found, verdict(found, max(noise[one], noise[other]))

    ranked: list[Ranked] = []
    leader = 0  # of those that share a place
    for number, (samples, row) in enumerate(timed):
        to_best, beside_best = Ratio(1.0, 1.0, 1.0), Verdict.SAME
        if number:
            to_best, beside_best = compare_pair(number, 0)
            if compare_pair(number, leader)[1] not in _TIES:
                leader = number
        ranked.append(
            Ranked(
                row,
                place=leader + 1,
                seconds=statistics.median(samples),
                interval=median_interval(samples),
                noise=noise[number],
                to_best=to_best,
                verdict=beside_best,
                tied_with_best=number > 0 and beside_best in _TIES,
                tied_with_above=number > 0 and compare_pair(number, number - 1)[1] in _TIES,
            )
        )
    return Ranking(ranked, failed)


def copy_seconds(row: Row) -> float | None:
    """Return the seconds to the device and back, if they were timed."""
    there, back = row.to_device_s, row.from_device_s
    return None if there is None or back is None else there + back


def samples_with_transfer(row: Row, *, with_transfer: bool) -> tuple[list[float], str | None]:
    """Return the seconds of each sample, with the copies if they count, or why there are none."""
    reason = failure_reason(row)
    if reason is not None or not with_transfer:
        return ([] if reason else row.samples_s), reason
    copies = copy_seconds(row)
    if copies is None:
        return [], "the copies to and from the device were not timed"
    return [sample + copies for sample in row.samples_s], None


def require_one_machine(caller: str, rows: Sequence[Row]) -> None:
    """Raise a ValueError if rows are of several machines."""
    machines = sorted({row.machine for row in rows})
    if len(machines) > 1:
        raise ValueError(f"{caller}: rows of several machines: {', '.join(machines)}")


def _require_one_workload(rows: Sequence[Row]) -> None:
    require_one_machine("rank", rows)
    workloads = {workload_key(row) for row in rows}
    if len(workloads) > 1:
        raise ValueError(f"rank: rows of {len(workloads)} workloads, such as {workloads.pop()}")
    measured = [(*label(row).split(), row.function) for row in rows]
    twice = [key for key in dict.fromkeys(measured) if measured.count(key) > 1]
    if twice:
        raise ValueError(f"rank: rows measure {' '.join(twice[0])} twice; take the latest alone")


def tax(rows: Iterable[Row]) -> list[Tax]:
    """Return what portability costs, for each backend and mode that has both."""
    rows = [row for row in rows if failure_reason(row) is None]
    _require_one_workload(rows)
    taxes = []
    for row in rows:
        backend_mode = backend_mode_of(row)
        natives = [
            other
            for other in rows
            if other.implementation == "native" and backend_mode_of(other) == backend_mode
        ]
        if row.implementation == "portable" and natives:
            best = min(natives, key=lambda native: statistics.median(native.samples_s))
            over_best = ratio(row.samples_s, best.samples_s)
            taxes.append(Tax(backend_mode, best.function, over_best))
    return taxes


def by_workload(rows: Iterable[Row]) -> dict[Key, list[Row]]:
    """Group rows by workload, in order of size."""
    groups: dict[Key, list[Row]] = {}
    for row in sorted(rows, key=elements):
        groups.setdefault(workload_key(row), []).append(row)
    return groups
