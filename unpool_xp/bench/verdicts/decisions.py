"""Sum up many rankings in few lines: what to use, from one size to another.

The terminal, the summary in Markdown and the CSV file print the same lines.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from unpool_xp.bench.cases.formatting import bytes_text, sizes_text, three_digits, times_text
from unpool_xp.bench.rows.names import operation_text, settings_text
from unpool_xp.bench.rows.schema import Row, elements
from unpool_xp.bench.verdicts.bootstrap import Verdict
from unpool_xp.bench.verdicts.ranking import Ranked, Ranking

CSV_COLUMNS = (
    *("machine", "operation", "dtype", "settings", "cases", "shape_from", "shape_to"),
    *("bytes_from", "bytes_to", "use", "seconds_from", "seconds_to", "share_best"),
    *("next", "next_verdict", "next_low", "next_high"),
    *("portable", "portable_verdict", "portable_low", "portable_high"),
)


@dataclass(frozen=True)
class Beside:
    """The runner-up, or the fastest portable candidate, beside the one to use, case by case.

    Parameters
    ----------
    names : tuple of str
        Its name; several where it is not the same in all cases.
    ratios : tuple of float
        Its time over that of the one to use, in each case.
    verdicts : tuple of Verdict
        SLOWER where that is known, SAME where it is as fast, UNDECIDED where the samples cannot
        tell.
    """

    names: tuple[str, ...]
    ratios: tuple[float, ...]
    verdicts: tuple[Verdict, ...]

    @property
    def verdict(self) -> Verdict:
        """The least sure of the verdicts."""
        unsure = (Verdict.UNDECIDED, Verdict.SAME)
        return next((one for one in unsure if one in self.verdicts), Verdict.SLOWER)

    @property
    def least_text(self) -> str:
        """The smallest ratio, such as "1.85x", or "1.02x ="."""
        return f"{times_text(min(self.ratios))}{self._mark}"

    @property
    def text(self) -> str:
        """The smallest and the largest ratio, such as "1.20 to 3.41x".

        A mark follows where it is not slower for sure in every case, as in the rankings: "=" where
        it is as fast in one, "?" where there are not enough samples in one.
        """
        least, most = three_digits(min(self.ratios)), times_text(max(self.ratios))
        return f"{most if f'{least}x' == most else f'{least} to {most}'}{self._mark}"

    @property
    def _mark(self) -> str:
        return {Verdict.SAME: " =", Verdict.UNDECIDED: " ?"}.get(self.verdict, "")


@dataclass(frozen=True)
class Decision:
    """What to use for an operation, from one size to another.

    Parameters
    ----------
    cases : tuple of Ranking
        The smallest first; of one operation and dtype.
    use : str or None
        The candidate that is the fastest, or as fast, in all of the cases; of several, the one with
        the lowest geometric mean of its times. None where nothing has a time.
    """

    cases: tuple[Ranking, ...]
    use: str | None

    @property
    def row(self) -> Row:
        """A row of the first case, for what all cases share."""
        return _row_of(self.cases[0])

    @property
    def operation(self) -> str:
        """What the operation is called."""
        return operation_text(self.row)

    @property
    def settings(self) -> tuple[str, ...]:
        """The settings: all but the operation and the size; those of most cases first."""
        every = [settings_text(_row_of(case)) for case in self.cases]
        return tuple(sorted(dict.fromkeys(every), key=lambda one: -every.count(one)))

    @property
    def size_text(self) -> str:
        """The bytes in and out of a call, such as "112 KiB" or "2.50 to 8.50 MiB"."""
        least, most = (bytes_text(_bytes_of(self.cases[end])) for end in (0, -1))
        if least == most:
            return most
        number, unit = least.split()
        return f"{number if most.endswith(unit) else least} to {most}"

    @cached_property
    def entries(self) -> tuple[Ranked, ...]:
        """The entry of the one to use in each case; empty where there is none."""
        return _entries(self.cases, self.use) if self.use is not None else ()

    @property
    def share_best(self) -> float | None:
        """The share of resamples in which it is the fastest; the least of the cases."""
        return min((entry.share_best for entry in self.entries), default=None)

    @property
    def sure_text(self) -> str:
        """The share, such as "98 %"; never rounded up."""
        return "" if self.share_best is None else f"{math.floor(100 * self.share_best)} %"

    @cached_property
    def next(self) -> Beside | None:
        """The fastest of the others in each case; None where one of the cases has no other."""
        others = [
            next((entry for entry in case.timed if entry is not mine), None)
            for case, mine in zip(self.cases, self.entries, strict=False)
        ]
        return self._beside(others)

    @cached_property
    def portable(self) -> Beside | None:
        """The fastest portable candidate, where the one to use is a library's own function."""
        if not self.entries or self.entries[0].is_portable:
            return None
        names = [{e.name for e in case.timed if e.is_portable} for case in self.cases]
        name = _fastest(self.cases, set.intersection(*names))
        return None if name is None else self._beside(_entries(self.cases, name))

    def _beside(self, others: Sequence[Ranked | None]) -> Beside | None:
        pairs = [
            (other, mine)
            for other, mine in zip(others, self.entries, strict=True)
            if other is not None
        ]
        if not pairs or len(pairs) < len(self.entries):
            return None
        return Beside(
            tuple(dict.fromkeys(other.name for other, _ in pairs)),
            tuple(other.seconds / mine.seconds for other, mine in pairs),
            # The verdict of whichever is not the best: the other one is, or is as fast.
            tuple(
                mine.verdict if other is case.best else other.verdict
                for (other, mine), case in zip(pairs, self.cases, strict=True)
            ),
        )

    def as_csv(self) -> Mapping[str, object]:
        """Return a line of the CSV file by column, in seconds, bytes and shares."""
        ends = [(_row_of(case), _bytes_of(case)) for case in (self.cases[0], self.cases[-1])]
        cells: dict[str, object] = {
            "machine": self.row.machine,
            "operation": self.operation,
            "dtype": self.row.dtype,
            "settings": "; ".join(self.settings),
            "cases": len(self.cases),
            "use": self.use,
            "share_best": self.share_best,
        }
        for (row, moved), end in zip(ends, ("from", "to"), strict=True):
            cells |= {f"shape_{end}": sizes_text(row.shape), f"bytes_{end}": moved}
        if self.entries:
            cells["seconds_from"] = self.entries[0].seconds
            cells["seconds_to"] = self.entries[-1].seconds
        for column, beside in (("next", self.next), ("portable", self.portable)):
            if beside is not None:
                cells |= {
                    column: "; ".join(beside.names),
                    f"{column}_verdict": beside.verdict.value,
                    f"{column}_low": min(beside.ratios),
                    f"{column}_high": max(beside.ratios),
                }
        return cells


def decide(rankings: Iterable[Ranking]) -> list[Decision]:
    """Return what to use for each operation; neighbouring sizes with the same answer are one line.

    A line goes on to the next size as long as one candidate is the fastest, or as fast, in all of
    its cases. Cases with unusual settings join the line of their size where its answer holds for
    them too; otherwise they are lines of their own.

    Parameters
    ----------
    rankings : iterable of Ranking
        Of cases on one machine.

    Returns
    -------
    list of Decision
        By operation, dtype and size; the cases in which nothing has a time come last.

    Examples
    --------
    >>> from unpool_xp.bench.verdicts.decisions import decide
    >>> decide([])
    []
    """
    groups: dict[tuple[str, str], list[Ranking]] = {}
    # Where only functions that find no indices were measured, there is nothing to choose from.
    chosen_from = [ranking for ranking in rankings if ranking.timed or ranking.failed]
    for ranking in sorted(chosen_from, key=_order):
        row = _row_of(ranking)
        groups.setdefault((operation_text(row), row.dtype), []).append(ranking)
    return [decision for key in sorted(groups) for decision in _decide(groups[key])]


def _decide(cases: Sequence[Ranking]) -> list[Decision]:
    """Return the lines of one operation and dtype."""
    series: dict[str, list[Ranking]] = {}
    for case in cases:
        if case.best is not None:
            series.setdefault(settings_text(_row_of(case)), []).append(case)
    main, *others = sorted(series.values(), key=len, reverse=True) or [[]]
    lines = _runs(main)
    known = [(case, line) for line in lines for case in line]
    for other in others:
        own: list[Ranking] | None = None  # the line that goes on with the next size
        for case in other:
            _, near = min(known, key=lambda pair: _distance(pair[0], case))
            if _common([*near, case]):
                near.append(case)
                own = None
            elif own is not None and _common([*own, case]):
                own.append(case)
            else:
                own = [case]
                lines.append(own)
    decisions = [_decision(line) for line in lines]
    without = [case for case in cases if case.best is None]
    decisions.sort(key=lambda decision: _order(decision.cases[0]))
    return [*decisions, *([Decision(tuple(without), None)] if without else [])]


def _runs(cases: Iterable[Ranking]) -> list[list[Ranking]]:
    """Split cases, the smallest first, into runs that have one candidate among the fastest."""
    runs: list[list[Ranking]] = []
    for case in cases:
        if runs and _common([*runs[-1], case]):
            runs[-1].append(case)
        else:
            runs.append([case])
    return runs


def _decision(cases: Sequence[Ranking]) -> Decision:
    ordered = tuple(sorted(cases, key=_order))
    return Decision(ordered, _fastest(ordered, _common(ordered)))


def _common(cases: Sequence[Ranking]) -> set[str]:
    """Return the candidates that are among the fastest in all of the cases."""
    return set.intersection(*({e.name for e in case.timed if e.is_fastest} for case in cases))


def _fastest(cases: Sequence[Ranking], names: set[str]) -> str | None:
    """Return the candidate with the lowest geometric mean of its times."""

    def mean(name: str) -> tuple[float, str]:
        return sum(math.log(entry.seconds) for entry in _entries(cases, name)), name

    return min(names, key=mean, default=None)


def _entries(cases: Sequence[Ranking], name: str) -> tuple[Ranked, ...]:
    return tuple(next(e for e in case.timed if e.name == name) for case in cases)


def _row_of(case: Ranking) -> Row:
    return case.timed[0].row if case.timed else case.failed[0][0]


def _bytes_of(case: Ranking) -> int:
    """Return the bytes in and out of a call; the largest number where rows differ."""
    rows = [*(entry.row for entry in case.timed), *(row for row, _ in case.failed)]
    return max(row.bytes_moved for row in rows)


def _order(case: Ranking) -> tuple[int, int, str]:
    row = _row_of(case)
    return _bytes_of(case), elements(row), settings_text(row)


def _distance(one: Ranking, other: Ranking) -> float:
    return abs(math.log(max(_bytes_of(one), 1) / max(_bytes_of(other), 1)))
