"""Compare two sets of rows, case by case: faster, slower, the same or undecided."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from unpool_xp.bench.rows import asv, pytest_benchmark
from unpool_xp.bench.rows.names import name_of_case
from unpool_xp.bench.rows.schema import Key, Row, case_key, failure_reason, latest
from unpool_xp.bench.verdicts.bootstrap import Ratio, Times, Verdict, compare_times
from unpool_xp.bench.verdicts.compare_notes import notes_on
from unpool_xp.bench.verdicts.control import Control, Drift, is_control
from unpool_xp.bench.verdicts.ranking import times_of
from unpool_xp.bench.verdicts.thresholds import Thresholds

# The first is the worst, and listed first.
OUTCOMES = (
    "broken",
    "slower",
    "faster",
    "the machine",
    "undecided",
    "same",
    "mended",
    "failed",
    "only base",
    "only head",
)
_ADVICE = {
    asv.RUN_PREFIX: "; run asv with --record-samples, without --quick",
    pytest_benchmark.RUN_PREFIX: "; save with --benchmark-save-data",
}


@dataclass(frozen=True)
class CaseComparison:
    """One case in base and head."""

    name: str  # as `Case.name` has it
    base: Row | None  # the newest row of the case
    head: Row | None
    ratio: Ratio | None  # the time in head over that in base: above 1 is slower
    noise: float  # how much the same code differs from itself; infinite where not known
    threshold: float  # the smallest difference that matters
    verdict: Verdict  # of head beside base; UNDECIDED where not enough was measured
    note: str | None  # why there is no ratio, or why it is not decided
    drift: Drift | None = None  # of the machine, where that is what changed the time

    @property
    def row(self) -> Row:
        """What was measured: the row of head, or of base where head has none."""
        row = self.head or self.base
        assert row is not None
        return row

    @property
    def outcome(self) -> str:
        """One of `OUTCOMES`: the verdict or, where a side has no time, which side."""
        if self.ratio is not None:
            return "the machine" if self.drift is not None else self.verdict.value
        if self.head is None:
            return "only base"
        if self.base is None:
            return "only head"
        if failure_reason(self.head) is None:
            return "mended"
        return "failed" if failure_reason(self.base) else "broken"


@dataclass(frozen=True)
class Comparison:
    """The outcome of every case."""

    entries: list[CaseComparison] = field(default_factory=list)  # the worst first
    notes: list[str] = field(default_factory=list)  # that machines or versions differ, and the like
    strict: bool = False  # whether a case that head has lost counts as broken

    @property
    def counts(self) -> dict[str, int]:
        """Number of cases per outcome, in the order of `OUTCOMES`, zeros included."""
        counted = Counter(entry.outcome for entry in self.entries)
        return {outcome: counted[outcome] for outcome in OUTCOMES}

    @property
    def geometric_mean(self) -> float | None:
        """Of all ratios; None where there is none."""
        ratios = [entry.ratio.estimate for entry in self.entries if entry.ratio is not None]
        return statistics.geometric_mean(ratios) if ratios else None

    @property
    def exit_code(self) -> int:
        """0: none slower; 1: some slower, broken or, if strict, lost; 2: unknown.

        That is where no case was decided, or more were left undecided than decided, or more than
        half of the cases of base are missing in head.
        """
        counts = self.counts
        if counts["slower"] or counts["broken"] or (self.strict and counts["only base"]):
            return 1
        decided = counts["faster"] + counts["same"] + counts["the machine"]
        return 2 if self.is_mostly_lost or not decided or decided < counts["undecided"] else 0

    @property
    def is_mostly_lost(self) -> bool:
        """Whether more than half of the cases of base are missing in head."""
        in_base = sum(entry.base is not None for entry in self.entries)
        return 2 * self.counts["only base"] > in_base


def compare(
    base: Sequence[Row],
    head: Sequence[Row],
    *,
    thresholds: Thresholds | None = None,
    across_machines: bool = False,
    strict: bool = False,
) -> Comparison:
    """Compare the newest row of each case in base and in head.

    Parameters
    ----------
    base, head : sequence of Row
        Of any runs; of the rows of a case on a machine the newest counts, even if it failed.
    thresholds : Thresholds, optional
        The smallest difference that matters, for each case. Default: 5 %.
    across_machines : bool, optional
        Whether to compare, where base and head have no machine in common, what was measured on
        different ones.
    strict : bool, optional
        Whether a case that head has lost counts as broken.

    Returns
    -------
    Comparison
        What is slower or faster only as the libraries' own functions are is laid to the machine.
        Rows of two machines are in no entry, unless `across_machines` is true, and then a note
        says so.

    Examples
    --------
    >>> from unpool_xp.bench.verdicts.compare import compare
    >>> compare([], []).exit_code
    2
    """
    thresholds = thresholds if thresholds is not None else Thresholds()
    machines = [{row.machine for row in rows} for rows in (base, head)]
    shared = machines[0] & machines[1]
    if not shared and not across_machines and all(machines):
        names = [", ".join(sorted(side)) for side in machines]
        note = (
            f"base was measured on {names[0]}, head on {names[1]}: times of different machines "
            "say nothing about the code (--across-machines compares them anyway)"
        )
        return Comparison(notes=[note], strict=strict)
    sides = [_latest_by_case(rows, shared) for rows in (base, head)]
    entries, pairs = [], []
    for key in dict.fromkeys([*sides[0], *sides[1]]):
        old, new = (side.get(key) for side in sides)
        entries.append(_compare_case(old, new, thresholds))
        if old is not None and new is not None:
            pairs.append((old, new))
    entries = sorted(_beside_natives(entries), key=severity_key)
    return Comparison(entries, notes_on(base, head, pairs), strict)


def _beside_natives(entries: Sequence[CaseComparison]) -> list[CaseComparison]:
    """Attribute to the machine what changed no further than the libraries' own functions did."""
    control = Control(
        (entry.base, entry.head, entry.ratio.estimate)
        for entry in entries
        if entry.base and entry.head and entry.ratio and _undisturbed_times(entry)
    )
    return [_beside_control(entry, control) for entry in entries]


def _beside_control(entry: CaseComparison, control: Control) -> CaseComparison:
    times = _undisturbed_times(entry)
    if times is None or entry.verdict is Verdict.UNDECIDED:
        return entry
    assert entry.base is not None
    assert entry.head is not None
    drifts = control.drifts(entry.head)
    if entry.verdict is Verdict.SAME:
        moved = drifts and drifts[0].corrected(*times, entry.threshold)
        if not moved or moved is Verdict.UNDECIDED or moved is Verdict.SAME:
            return entry
        # As fast as before, on a machine that was not.
        note = f"{drifts[0]}, and this one did not"
        return replace(entry, verdict=Verdict.UNDECIDED, note=note)
    if is_control(entry.base, entry.head):
        return replace(entry, drift=drifts[0], note="its own function, of the same version")
    for drift in drifts:
        if drift.corrected(*times, entry.threshold) is not entry.verdict:
            return replace(entry, drift=drift, note=str(drift))
    return entry


def _undisturbed_times(entry: CaseComparison) -> tuple[Times, Times] | None:
    """Return the times of head and base where these can be compared."""
    if entry.ratio is None or entry.base is None or entry.head is None:
        return None
    head, base = times_of(entry.head), times_of(entry.base)
    if not isinstance(head, Times) or not isinstance(base, Times):
        return None
    return None if head.disturbed or base.disturbed else (head, base)


def _latest_by_case(rows: Iterable[Row], machines: set[str]) -> dict[Key, Row]:
    """Return the newest row of each case on each of these machines; on any if none is given."""
    if machines:
        newest = latest(row for row in rows if row.machine in machines)
        return {(row.machine, case_key(row)): row for row in newest}
    # Of the machines that one side has, the newest row of a case.
    newest = sorted(latest(rows), key=lambda row: row.time)
    return {case_key(row): row for row in newest}


def _compare_case(base: Row | None, head: Row | None, thresholds: Thresholds) -> CaseComparison:
    row = head if head is not None else base
    assert row is not None
    name = name_of_case(row)
    threshold = thresholds.threshold_for(name, row.backend, row.mode)
    found, floor, decided, note = None, math.inf, Verdict.UNDECIDED, missing_reason(base, head)
    if note is None:
        assert base is not None
        assert head is not None
        a, b = times_of(head), times_of(base)
        assert isinstance(a, Times)
        assert isinstance(b, Times)
        floor = max(a.noise, b.noise)
        found, decided = compare_times(a, b, threshold)
        note = _undecided_reason(base, head, found, floor, threshold, decided)
        if a.disturbed or b.disturbed:
            note = "other programs were at work"
    return CaseComparison(name, base, head, found, floor, threshold, decided, note)


def missing_reason(base: Row | None, head: Row | None) -> str | None:
    """Return why there is nothing to compare, or None where there is."""
    if base is None or head is None:
        return f"only in {'head' if base is None else 'base'}"
    reasons = [(side, failure_reason(row)) for side, row in (("base", base), ("head", head))]
    said = [f"no time in {side}: {reason}" for side, reason in reasons if reason]
    return "; ".join(said) or None


def _undecided_reason(
    base: Row, head: Row, found: Ratio, floor: float, threshold: float, decided: Verdict
) -> str | None:
    """Return what keeps a pair from being decided."""
    if decided is not Verdict.UNDECIDED:
        return None
    if found.low == 0:
        fewest = min(base, head, key=lambda row: len(row.samples_s))
        side = "base" if fewest is base else "head"
        number = len(fewest.samples_s)
        count = "one number" if number == 1 else f"{number} samples"
        advice = next((told for run, told in _ADVICE.items() if fewest.run.startswith(run)), "")
        return f"{count} in {side}{advice}"
    if not 1 / (1 + threshold) <= found.estimate <= 1 + threshold and floor > threshold:
        return "within the noise"
    return "the interval is too wide"


def severity_key(entry: CaseComparison) -> tuple[int, float, str, str]:
    """Return a sort key: worst outcome first, then the largest change either way."""
    found = entry.ratio.estimate if entry.ratio is not None else 1.0
    far = -abs(math.log(found))
    return (OUTCOMES.index(entry.outcome), far, entry.name, entry.row.backend)
