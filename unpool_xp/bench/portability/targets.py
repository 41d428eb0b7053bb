"""The portability tax: the time of the portable function over that of the library's own.

Which backends it is taken on, how large it may be, and what came out.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable
from dataclasses import dataclass

from unpool_xp.bench.cases.case import BackendMode, Case
from unpool_xp.bench.verdicts.bootstrap import Ratio

# --- targets -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TaxTarget:
    """How slow the portable function may be on a backend."""

    label: str
    mode: str  # of the portable function
    native_mode: str  # of the library's own functions
    baseline: str  # what those are, in words
    mean_limit: float  # of the geometric mean of the ratios, at most
    worst_limit: float  # of the worst ratio, at most
    threads: int | None = None  # None: as the library chooses

    @property
    def name(self) -> str:
        """The name of the portable function's backend, such as "jax:cpu compiled"."""
        return str(BackendMode(self.label, self.mode, self.threads))


TARGETS = (
    TaxTarget("torch:cpu", "eager", "eager", "torch's own functions", 1.0, 2.0),
    TaxTarget("numpy", "eager", "eager", "the best known snippets", 0.8, 1.2),
    TaxTarget("jax:cpu", "compiled", "compiled", "jax's own functions, compiled", 1.0, 1.5),
    TaxTarget("torch:cpu", "compiled", "eager", "torch's own functions, eager", 0.8, 2.0),
)


# --- what is made of it --------------------------------------------------------------------------


@dataclass(frozen=True)
class TaxEntry:
    """The tax of one case on one backend."""

    target: TaxTarget
    case: Case
    function: str = ""  # the fastest native, if any
    portable_s: float = math.nan  # median seconds per call
    native_s: float = math.nan
    ratio: Ratio | None = None  # portable over native: the median of the pairs' ratios
    reason: str | None = None  # why there is no ratio
    disturbed: bool = False  # most samples, by other programs: the ratio decides nothing


NOISY = 1.5  # the upper end of an interval over the lower


def is_noisy(entry: TaxEntry) -> bool:
    """Return whether the ends of an interval are so far apart that the ratio says little."""
    return entry.ratio is not None and entry.ratio.high > NOISY * entry.ratio.low


@dataclass(frozen=True)
class TaxSummary:
    """A target and what was measured for it."""

    target: TaxTarget
    mean: float  # the geometric mean of the ratios; NaN if there are none
    worst: TaxEntry | None  # the entry of the largest ratio
    count: int  # entries with a ratio
    failed: int  # entries without
    noisy: int  # entries whose ratio is noisy
    disturbed: int  # entries whose ratio decides nothing; no part of the mean and the worst

    @property
    def met(self) -> bool | None:
        """Whether both limits hold and every case has a ratio; None where others disturbed some."""
        if self.disturbed:
            return None
        if self.worst is None or self.worst.ratio is None or self.failed:
            return False
        return (
            self.mean <= self.target.mean_limit
            and self.worst.ratio.estimate <= self.target.worst_limit
        )


def summarize(entries: Iterable[TaxEntry]) -> list[TaxSummary]:
    """Return a summary for each target, in the order in which they first come."""
    groups: dict[TaxTarget, list[TaxEntry]] = {}
    for entry in entries:
        groups.setdefault(entry.target, []).append(entry)
    summaries = []
    for target, group in groups.items():
        known = [(entry.ratio.estimate, entry) for entry in group if entry.ratio is not None]
        timed = [pair for pair in known if not pair[1].disturbed]
        mean = statistics.geometric_mean(estimate for estimate, _ in timed) if timed else math.nan
        worst = max(timed, key=lambda pair: pair[0])[1] if timed else None
        failed, noisy = len(group) - len(known), sum(map(is_noisy, group))
        disturbed = len(known) - len(timed)
        summaries.append(TaxSummary(target, mean, worst, len(timed), failed, noisy, disturbed))
    return summaries
