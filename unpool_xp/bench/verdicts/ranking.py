"""Which candidate is fastest, which are as fast, and what portability costs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from unpool_xp.bench.cases.case import BackendMode
from unpool_xp.bench.cases.formatting import interval_text
from unpool_xp.bench.cases.native import VALUES_ONLY
from unpool_xp.bench.rows.names import backend_mode_of, contender_text
from unpool_xp.bench.rows.schema import Key, Row, case_key, elements, failure_reason, workload_key
from unpool_xp.bench.verdicts.bootstrap import (
    Interval,
    Ratio,
    Times,
    Verdict,
    compare_times,
    samples_needed,
)


@dataclass(frozen=True)
class Ranked:
    """A row that has a time, and its place among the others."""

    row: Row
    place: int  # from 1; rows that are as fast share a place
    seconds: float  # the median, including the copies if they count
    interval: Interval  # of the seconds
    noise: float  # how much the same code differs from itself, see `noise_floor`
    disturbed: bool  # other programs were at work during most of the samples
    disagreement: Interval | None  # of its processes, see `Times`
    to_best: Ratio  # the seconds over the best row's
    verdict: Verdict  # this row beside the best; SAME for the best itself
    needed: float | None  # `samples_needed`; None where it is decided, or nothing would decide
    share_best: float  # of the resamples in which it is the fastest, 0 to 1

    @property
    def name(self) -> str:
        """The name of the candidate, such as "torch:cpu own max_pool2d"."""
        return contender_text(self.row)

    @property
    def is_portable(self) -> bool:
        """Whether it is unpool_xp's function, and not a library's own."""
        return self.row.implementation == "portable"

    @property
    def is_fastest(self) -> bool:
        """Whether it is the best, or as fast as the best."""
        return self.place == 1

    @property
    def disagreement_text(self) -> str:
        """How its processes disagree, such as "244 to 578 µs between processes"; else empty."""
        if self.disagreement is None:
            return ""
        low, high = self.disagreement.low, self.disagreement.high
        return f"{interval_text(low, high, self.seconds)} between processes"

    @property
    def gb_s(self) -> float:
        """Bytes in and out of a call over its seconds."""
        return self.row.bytes_moved / self.seconds / 1e9


@dataclass(frozen=True)
class Ranking:
    """The rows of one case: those with a time, fastest first, and those that failed, with reasons.

    Where the copies count, a row whose copies were not timed counts as failed.
    """

    timed: Sequence[Ranked]
    failed: Sequence[tuple[Row, str]]

    @property
    def best(self) -> Ranked | None:
        """The fastest of all; None where nothing has a time."""
        return self.timed[0] if self.timed else None

    @property
    def best_portable(self) -> Ranked | None:
        """The fastest portable one; None where none has a time."""
        return next((entry for entry in self.timed if entry.is_portable), None)


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
        All of the rows but those of functions that find no indices where the operation has them:
        they do less than was asked for.

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
    timed: list[tuple[Times, Row]] = []
    failed: list[tuple[Row, str]] = []
    for row in rows:
        if row.function.endswith(VALUES_ONLY):
            continue
        times = times_of(row, with_transfer=with_transfer)
        if isinstance(times, Times):
            timed.append((times, row))
        else:
            failed.append((row, times))
    timed.sort(key=lambda pair: pair[0].typical)

    shares = _shares_best([times for times, _ in timed])
    ranked: list[Ranked] = []
    leader = 0  # the first of those that share a place
    for number, (times, row) in enumerate(timed):
        to_best, beside_best, needed = Ratio(1.0, 1.0, 1.0), Verdict.SAME, None
        if number:
            best = timed[0][0]
            to_best, beside_best = compare_times(times, best)
            if beside_best is Verdict.UNDECIDED:
                needed = samples_needed(times, best)
        place = 1
        if beside_best is not Verdict.SAME:
            if not leader or compare_times(times, timed[leader][0])[1] is not Verdict.SAME:
                leader = number
            place = leader + 1
        ranked.append(
            Ranked(
                row,
                place=place,
                seconds=times.typical,
                interval=times.interval,
                noise=times.noise,
                disturbed=times.disturbed,
                disagreement=times.disagreement,
                to_best=to_best,
                verdict=beside_best,
                needed=needed,
                share_best=shares[number],
            )
        )
    return Ranking(ranked, failed)


def _shares_best(timed: Sequence[Times]) -> list[float]:
    """Return the share of the resamples in which each is the fastest."""
    if not timed:
        return []
    chance = np.random.default_rng(0)
    # Each in an order of its own: the draws of one must not follow those of another.
    drawn = np.stack([chance.permutation(times.draws.ravel()) for times in timed])
    counts = np.bincount(drawn.argmin(axis=0), minlength=len(timed))
    return [float(share) for share in counts / drawn.shape[1]]


def copy_seconds(row: Row) -> float | None:
    """Return the seconds to the device and back, if they were timed."""
    there, back = row.to_device_s, row.from_device_s
    return None if there is None or back is None else there + back


def times_of(row: Row, *, with_transfer: bool = False) -> Times | str:
    """Return the times of a row, with the copies if they count, or why there are none.

    Disturbed samples are left out, unless more than half of all are disturbed.
    """
    reason, copies = failure_reason(row), copy_seconds(row) if with_transfer else 0.0
    if reason is not None:
        return reason
    if copies is None:
        return "the copies to and from the device were not timed"
    kept = list(range(len(row.samples_s)))
    quiet = [number for number in kept if not (row.disturbed and row.disturbed[number])]
    disturbed = 2 * len(quiet) < len(kept)
    if not disturbed:
        kept = quiet
    return Times(
        [row.samples_s[number] + copies for number in kept],
        [row.process[number] for number in kept] if row.process else (),
        disturbed,
    )


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
    for key, count in Counter(map(case_key, rows)).items():
        if count > 1:
            twice = next(contender_text(row) for row in rows if case_key(row) == key)
            raise ValueError(f"rank: rows measure {twice} twice; take the latest alone")


def tax(rows: Iterable[Row]) -> list[Tax]:
    """Return what portability costs, for each backend and mode that has both."""
    rows = list(rows)
    _require_one_workload(rows)
    timed = [(row, found) for row in rows if isinstance(found := times_of(row), Times)]
    taxes = []
    for row, times in timed:
        backend_mode = backend_mode_of(row)
        natives = [
            (other_times, other.function)
            for other, other_times in timed
            if other.implementation == "native" and backend_mode_of(other) == backend_mode
        ]
        if row.implementation == "portable" and natives:
            best, function = min(natives, key=lambda native: native[0].typical)
            taxes.append(Tax(backend_mode, function, compare_times(times, best)[0]))
    return taxes


def by_workload(rows: Iterable[Row]) -> dict[Key, list[Row]]:
    """Group rows by workload, in order of size."""
    groups: dict[Key, list[Row]] = {}
    for row in sorted(rows, key=elements):
        groups.setdefault(workload_key(row), []).append(row)
    return groups
