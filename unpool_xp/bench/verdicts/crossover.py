"""From which size on the answer changes, and from which another device beats the CPU."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from unpool_xp.bench.rows.names import contender_text
from unpool_xp.bench.rows.schema import Row, elements, failure_reason, workload_key
from unpool_xp.bench.verdicts.bootstrap import Times, Verdict, compare_times
from unpool_xp.bench.verdicts.ranking import (
    Ranking,
    by_workload,
    require_one_machine,
    times_of,
)

_WORDS = {
    Verdict.FASTER: "quicker",
    Verdict.SLOWER: "slower",
    Verdict.SAME: "tied",
    Verdict.UNDECIDED: "undecided",
    None: "failed",
}


@dataclass(frozen=True)
class WinnerChange:
    """A size from which on another candidate is the fastest."""

    winner: str
    row: Row  # the winner's, at the smallest measured size at which it wins
    before: Row | None  # the fastest at the size before; the answer changes between the two
    tied: tuple[str, ...]  # as fast as the winner at its size


def winner_changes(
    rankings: Iterable[Ranking], *, name: Callable[[Row], str] = contender_text
) -> list[WinnerChange]:
    """Return from which size on the answer changes.

    Parameters
    ----------
    rankings : iterable of Ranking
        Of cases on one machine that differ in size alone, the smallest first.
    name : callable, optional
        The name of a winner. Default: that of the candidate, such as "torch:cpu own max_pool2d".

    Returns
    -------
    list of WinnerChange
        The first says who is the fastest at the smallest size. A new winner counts only where the
        one before is known to be slower, or has failed. Empty where nothing was measured.
    """
    found: list[WinnerChange] = []
    before: Row | None = None
    for ranking in rankings:
        if ranking.best is None:
            continue
        row = ranking.best.row
        # The winner stays as long as it is not known to be slower.
        open_ = {name(one.row) for one in ranking.timed if one.verdict is not Verdict.SLOWER}
        if not found or found[-1].winner not in open_:
            first = dict.fromkeys(name(entry.row) for entry in ranking.timed if entry.is_fastest)
            winner, *tied = first
            found.append(WinnerChange(winner, row, before, tuple(tied)))
        before = row
    return found


def is_gpu(backend: str) -> bool:
    """Return whether a label names a device that is not the CPU, such as "torch:cuda"."""
    return backend.partition(":")[2] not in ("", "cpu")


@dataclass(frozen=True)
class DeviceCrossover:
    """A backend on another device beside the best one on the CPU, size by size."""

    label: str
    with_transfer: bool  # whether the copies there and back count
    # By the elements of the first array, small to large: the device beside the CPU; None where it
    # failed. Only sizes that were tried on both.
    verdicts: Mapping[int, Verdict | None]

    @property
    def wins_from(self) -> int | None:
        """The smallest size from which on it is quicker at every larger size too."""
        runs = self.size_ranges
        return runs[-1].first if runs and runs[-1].verdict is Verdict.FASTER else None

    @property
    def loses_at(self) -> int | None:
        """The largest size at which it is known to be slower; below `wins_from` if that is one."""
        return max(
            (n for n, found in self.verdicts.items() if found is Verdict.SLOWER), default=None
        )

    @property
    def undecided(self) -> list[int]:
        """The sizes at which the samples cannot tell."""
        return [n for n, found in self.verdicts.items() if found is Verdict.UNDECIDED]

    @property
    def alternates(self) -> bool:
        """Whether it is quicker at a size and not known to be so at a larger one."""
        return any(run.verdict is Verdict.FASTER for run in self.size_ranges[:-1])

    @property
    def size_ranges(self) -> list[SizeRange]:
        """Neighbouring sizes of the same verdict, small to large."""
        grouped = itertools.groupby(self.verdicts.items(), key=lambda item: item[1])
        sizes = ((found, [size for size, _ in items]) for found, items in grouped)
        return [SizeRange(found, mine[0], mine[-1]) for found, mine in sizes]

    @property
    def text(self) -> str:
        """The answer in words, such as "quicker from 65,536 elements on; slower up to 16,384"."""
        head, details = _describe(self)
        return f"{head}; {', '.join(details)}" if details else head


@dataclass(frozen=True)
class SizeRange:
    """Sizes from `first` to `last`, neighbours among those measured, with the same verdict."""

    verdict: Verdict | None
    first: int
    last: int

    @property
    def text(self) -> str:
        """Such as "slower from 1,024 to 4,096"."""
        return f"{_WORDS[self.verdict]} {self.sizes}"

    @property
    def sizes(self) -> str:
        """Such as "from 1,024 to 4,096", or "at 1,024"."""
        if self.first == self.last:
            return f"at {self.first:,}"
        return f"from {self.first:,} to {self.last:,}"


def device_crossovers(rows: Iterable[Row], *, with_transfer: bool = False) -> list[DeviceCrossover]:
    """Compare each backend on another device with the fastest on the CPU, size by size.

    Parameters
    ----------
    rows : iterable of Row
        Of one family on one machine: the same operation, dtype and settings, shapes that differ.
        The best row of each backend counts, whatever its mode and implementation.
    with_transfer : bool, optional
        Whether the copies of the inputs to the device, and of the output from it, count; on the
        CPU too, where a library may need its own copy of a host array.

    Returns
    -------
    list of DeviceCrossover
        One per backend, by label. Sizes without a row of it, without a time on the CPU, or without
        the times of the copies that count, are left out.

    Raises
    ------
    ValueError
        If the rows are of several families or machines.

    Examples
    --------
    >>> from unpool_xp.bench.verdicts.crossover import device_crossovers
    >>> device_crossovers([])
    []
    """
    rows = list(rows)
    require_one_machine("device_crossovers", rows)
    families = {workload_key(replace(row, shape=[])) for row in rows}
    if len(families) > 1:
        raise ValueError(
            f"device_crossovers: rows of {len(families)} families, such as {families.pop()}"
        )
    cases = by_workload(rows).values()
    found = []
    for backend in sorted({row.backend for row in rows if is_gpu(row.backend)}):
        by_size: dict[int, set[Verdict | None]] = {}
        for case in cases:
            for one in _device_verdicts(backend, case, with_transfer):
                by_size.setdefault(elements(case[0]), set()).add(one)
        # Where shapes of the same number of elements disagree, the size is undecided.
        verdicts = {
            size: mine.pop() if len(mine) == 1 else Verdict.UNDECIDED
            for size, mine in by_size.items()
        }
        found.append(DeviceCrossover(backend, with_transfer, verdicts))
    return found


def _device_verdicts(
    backend: str, case: Sequence[Row], with_transfer: bool
) -> Iterator[Verdict | None]:
    """Yield the verdict of one case, if there is one: None where the device failed."""
    mine = [row for row in case if row.backend == backend]
    host = _fastest((row for row in case if not is_gpu(row.backend)), with_transfer)
    if not mine or host is None:
        return
    device = _fastest(mine, with_transfer)
    if device is not None:
        yield compare_times(device, host)[1]
    elif all(failure_reason(row) for row in mine):
        yield None


def _fastest(rows: Iterable[Row], with_transfer: bool) -> Times | None:
    """Return the times of the quickest row; None where no row has a time that counts."""
    found = (times_of(row, with_transfer=with_transfer) for row in rows)
    timed = [times for times in found if isinstance(times, Times)]
    return min(timed, key=lambda times: times.typical, default=None)


def _describe(crossing: DeviceCrossover) -> tuple[str, list[str]]:
    """Return the answer in words, and the details that follow it."""
    runs = crossing.size_ranges
    if not runs:
        copies = ", copies included" if crossing.with_transfer else ""
        return f"no size has times of both{copies}", []
    if len(crossing.verdicts) == 1:
        return f"{runs[0].text} elements, the only size", []
    wins = [run for run in runs if run.verdict is Verdict.FASTER]
    others = [run.text for run in runs if run not in wins]
    if runs[0].verdict not in (Verdict.FASTER, None):
        others[0] = f"{_WORDS[runs[0].verdict]} up to {runs[0].last:,}"
    if not wins:
        if len(runs) == 1 and runs[0].verdict is None:
            return f"failed at every size up to {runs[0].last:,} elements", []
        sure = "not known to be" if crossing.undecided else "never"
        head = f"{sure} quicker up to {runs[-1].last:,} elements"
        return head, others if len(runs) > 1 else []
    if crossing.wins_from is None:
        if len(wins) == 1:
            return f"quicker {wins[0].sizes} elements", others
        return "quicker by turns", [run.text for run in runs]
    if len(runs) == 1:
        return f"quicker from the smallest size measured on ({runs[0].first:,} elements)", []
    head = f"quicker from {crossing.wins_from:,} elements on"
    if crossing.alternates:
        return head, ["by turns below: " + ", ".join(run.text for run in runs[:-1])]
    return head, others
