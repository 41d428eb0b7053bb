"""Which is fastest, what is a tie, what portability costs, and from which size on it changes."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

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
    """A row and its rank.

    Attributes
    ----------
    row : Row
        The measurement.
    place : int or None
        From 1; a row shares the place of the one that it is tied with. None where it failed.
    seconds : float or None
        The median, including the copies if they count.
    interval : Interval or None
        Of the seconds.
    to_best : Ratio or None
        The seconds over the best row's.
    verdict : Verdict or None
        This row beside the best; SAME for the best itself.
    tied_with_best, tied_with_above : bool
        Whether it is not known to be slower than the best, and than the row above.
    reason : str or None
        Why it failed.
    """

    row: Row
    place: int | None = None
    seconds: float | None = None
    interval: Interval | None = None
    to_best: Ratio | None = None
    verdict: Verdict | None = None
    tied_with_best: bool = False
    tied_with_above: bool = False
    reason: str | None = None


@dataclass(frozen=True)
class Tax:
    """The time of the portable function over the library's own.

    Attributes
    ----------
    backend, mode : str
        Where.
    function : str
        The native; the fastest, where there are several.
    ratio : Ratio
        Portable over native: above 1 where portability costs time.
    """

    backend: str
    mode: str
    function: str
    ratio: Ratio


@dataclass(frozen=True)
class Crossover:
    """The fastest backend from one size on.

    Attributes
    ----------
    from_elements : int
        The smallest measured size at which it is.
    winner : str
        Its label.
    after_elements : int or None
        The largest measured size before; the answer changes somewhere between the two.
    tied : tuple of str
        Labels not known to be slower at `from_elements`; empty where the winner is clear.
    row : Row
        The winner's at `from_elements`.
    """

    from_elements: int
    winner: str
    after_elements: int | None
    tied: tuple[str, ...]
    row: Row


def rank(rows: Iterable[Row], *, with_transfer: bool = False) -> list[Ranked]:
    """Rank the rows of one case.

    Parameters
    ----------
    rows : iterable of Row
        One workload on one machine: any backends, modes and implementations.
    with_transfer : bool, optional
        Whether the copies of the inputs to the device, and of the output from it, count.

    Returns
    -------
    list of Ranked
        The fastest first; at the end, without a place, those that failed, and those whose copies
        were not timed where the copies count.

    Raises
    ------
    ValueError
        If the rows are of several workloads or machines, or two measured the same thing.

    Examples
    --------
    >>> from unpool_xp.bench.verdicts.ranking import rank
    >>> rank([])
    []
    """
    rows = list(rows)
    _require_one_workload(rows)
    timed: list[tuple[list[float], Row]] = []
    failed: list[Ranked] = []
    for row in rows:
        samples, reason = samples_with_transfer(row, with_transfer=with_transfer)
        if reason is None:
            timed.append((samples, row))
        else:
            failed.append(Ranked(row, reason=reason))
    timed.sort(key=lambda pair: statistics.median(pair[0]))
    noise = [noise_floor(samples) for samples, _ in timed]

    def compare_pair(one: int, other: int) -> Verdict:
        found = ratio(timed[one][0], timed[other][0])
        return verdict(found, max(noise[one], noise[other]))

    ranked: list[Ranked] = []
    leader = 0  # of those that share a place
    for place, (samples, row) in enumerate(timed):
        beside_best = compare_pair(place, 0) if place else Verdict.SAME
        if place and compare_pair(place, leader) not in _TIES:
            leader = place
        ranked.append(
            Ranked(
                row,
                place=leader + 1,
                seconds=statistics.median(samples),
                interval=median_interval(samples),
                to_best=ratio(samples, timed[0][0]) if place else Ratio(1.0, 1.0, 1.0),
                verdict=beside_best,
                tied_with_best=place > 0 and beside_best in _TIES,
                tied_with_above=place > 0 and compare_pair(place, place - 1) in _TIES,
            )
        )
    return ranked + failed


def samples_with_transfer(row: Row, *, with_transfer: bool) -> tuple[list[float], str | None]:
    """Return the seconds of each sample, with the copies if they count, or why there are none."""
    reason = failure_reason(row)
    if reason is not None or not with_transfer:
        return ([] if reason else row.samples_s), reason
    there, back = row.to_device_s, row.from_device_s
    if there is None or back is None:
        return [], "the copies to and from the device were not timed"
    return [sample + (there + back) for sample in row.samples_s], None


def _require_one_workload(rows: Sequence[Row]) -> None:
    machines = sorted({row.machine for row in rows})
    if len(machines) > 1:
        raise ValueError(f"rank: rows of several machines: {', '.join(machines)}")
    workloads = {workload_key(row) for row in rows}
    if len(workloads) > 1:
        raise ValueError(f"rank: rows of {len(workloads)} workloads, such as {workloads.pop()}")
    measured = [(*label(row).split(), row.function) for row in rows]
    twice = [key for key in dict.fromkeys(measured) if measured.count(key) > 1]
    if twice:
        raise ValueError(f"rank: rows measure {' '.join(twice[0])} twice; take the latest alone")


def tax(rows: Iterable[Row]) -> list[Tax]:
    """Return what portability costs, for each backend and mode that has both.

    Parameters
    ----------
    rows : iterable of Row
        As for `rank`.

    Returns
    -------
    list of Tax
        The portable time over the best native's.

    Raises
    ------
    ValueError
        As `rank`.
    """
    rows = [row for row in rows if failure_reason(row) is None]
    _require_one_workload(rows)
    taxes = []
    for row in rows:
        where = (row.backend, row.mode)
        natives = [
            other
            for other in rows
            if (other.backend, other.mode, other.implementation) == (*where, "native")
        ]
        if row.implementation == "portable" and natives:
            best = min(natives, key=lambda native: statistics.median(native.samples_s))
            taxes.append(Tax(*where, best.function, ratio(row.samples_s, best.samples_s)))
    return taxes


def crossover(
    rows_by_size: Mapping[int, Sequence[Row]], *, with_transfer: bool = False
) -> list[Crossover]:
    """Return from which size on the answer changes.

    Parameters
    ----------
    rows_by_size : mapping of int to sequence of Row
        From the number of elements to the rows of that size, on one machine.
    with_transfer : bool, optional
        As for `rank`.

    Returns
    -------
    list of Crossover
        By size, the smallest first. A new winner counts only where it is faster than the old one
        beyond the noise, or where the old one failed. Empty where nothing was measured.

    Raises
    ------
    ValueError
        As `rank`.
    """
    found: list[Crossover] = []
    previous: int | None = None
    for size, ranked in (
        (size, rank(case, with_transfer=with_transfer))
        for size, rows in sorted(rows_by_size.items())
        for case in by_workload(rows).values()
    ):
        best = next((entry for entry in ranked if entry.place), None)
        if best is None:
            continue
        winner = label(best.row)
        if not found or (found[-1].winner != winner and _is_slower(found[-1].winner, ranked)):
            tied = tuple(label(entry.row) for entry in ranked if entry.tied_with_best)
            others = tuple(name for name in dict.fromkeys(tied) if name != winner)
            found.append(Crossover(size, winner, previous, others, best.row))
        previous = size
    return found


def _is_slower(name: str, ranked: Sequence[Ranked]) -> bool:
    """Return whether every row of a label is slower than the best, or failed."""
    return not any(entry.tied_with_best for entry in ranked if label(entry.row) == name)


def by_workload(rows: Iterable[Row]) -> dict[Key, list[Row]]:
    """Group rows by workload, in order of size."""
    groups: dict[Key, list[Row]] = {}
    for row in sorted(rows, key=elements):
        groups.setdefault(workload_key(row), []).append(row)
    return groups
