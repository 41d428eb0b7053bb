"""Which backend is the fastest most often, and in how many cases the samples cannot tell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from unpool_xp.bench.cases.case import BackendMode
from unpool_xp.bench.cases.formatting import number_of
from unpool_xp.bench.report.ranked import RankedCase
from unpool_xp.bench.rows.names import backend_mode_of
from unpool_xp.bench.verdicts.bootstrap import Verdict


class FastestCount(NamedTuple):
    """In how many cases a backend in a mode is the fastest, with our function or its own."""

    on: BackendMode
    alone: int  # everything else is known to be slower
    tied: int  # with another backend or mode


@dataclass(frozen=True)
class Headline:
    """Who is the fastest, case by case."""

    counts: tuple[FastestCount, ...]  # the most first
    cases: int  # that have a time
    undecided: int  # of them; the samples of another backend or mode cannot tell

    @property
    def leaders(self) -> list[str]:
        """Those that are the fastest most often."""
        return [str(count.on) for count in self.counts if count[1:] == self.counts[0][1:]]

    @property
    def text(self) -> str:
        """The answer in a sentence or two."""
        parts = []
        if self.counts:
            of_all = f"of {number_of(self.cases, 'case')}"
            names = self.leaders
            are = "is" if len(names) == 1 else "are each"
            parts.append(f"{' and '.join(names)} {are} {_times(self.counts[0], of_all)}")
            others = self.counts[len(names) :][:3]
            parts += [f"{count.on} is {_times(count)}" for count in others]
        text = "; ".join(parts) + "." if parts else ""
        if self.undecided:
            text += f" In {number_of(self.undecided, 'case')} the samples cannot tell."
        return text.strip()


def _times(count: FastestCount, of_all: str = "") -> str:
    """Return such as "fastest in 15 of 29 cases and tied in 4 more"."""
    if not count.alone:
        return f"tied for the fastest in {count.tied} {of_all}".strip()
    tied = f" and tied in {count.tied} more" if count.tied else ""
    return f"fastest in {count.alone} {of_all}".strip() + tied


def headline(cases: Iterable[RankedCase]) -> Headline:
    """Return who is the fastest most often on one machine."""
    alone: Counter[BackendMode] = Counter()
    tied: Counter[BackendMode] = Counter()
    of, undecided = 0, 0
    for case in (case for case in cases if case.timed):
        of += 1
        fastest = {backend_mode_of(t.row) for t in case.timed if t.is_fastest}
        unsure = {backend_mode_of(t.row) for t in case.timed if t.verdict is Verdict.UNDECIDED}
        if unsure - fastest:
            undecided += 1
        else:
            (alone if len(fastest) == 1 else tied).update(fastest)
    counts = (FastestCount(on, alone[on], tied[on]) for on in alone.keys() | tied.keys())
    by_count = sorted(counts, key=lambda count: (-count.alone, -count.tied, str(count.on)))
    return Headline(tuple(by_count), of, undecided)
