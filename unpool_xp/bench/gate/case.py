"""A case under the gate: its passes, whether it is suspect, its rows and its verdict."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from unpool_xp.bench.catalog.panel import split_how
from unpool_xp.bench.gate.build import Build
from unpool_xp.bench.gate.statistics import Judged, Pass, judge, suspect
from unpool_xp.bench.gate.trio import Question, Taken
from unpool_xp.bench.measure.machine import this_machine
from unpool_xp.bench.measure.rounds import cells_of, failure
from unpool_xp.bench.measure.sweep import make_row
from unpool_xp.bench.rows.files import RowWriter
from unpool_xp.bench.rows.schema import Row
from unpool_xp.bench.verdicts.bootstrap import Verdict
from unpool_xp.bench.verdicts.compare import OUTCOMES, Compared

PASSES = 3  # over all cases
AGAIN = 3  # passes over what looks changed, twice as many where these do not decide


@dataclass
class Measured:
    """All that was measured of a case on a backend.

    Attributes
    ----------
    question : Question
        The case.
    how : str
        The label, and the mode where it is not eager.
    threshold : float
        The smallest difference that matters.
    first, again : list of Pass
        The passes over all cases; the later ones, which alone decide where there are any.
    errors : dict of str to str
        Why a side has no time.
    calls : int or None
        A sample.
    scope : str or None
        How much of the output was checked.
    """

    question: Question
    how: str
    threshold: float
    first: list[Pass] = field(default_factory=list)
    again: list[Pass] = field(default_factory=list)
    errors: dict[str, str] = field(default_factory=dict)
    calls: int | None = None
    scope: str | None = None

    @property
    def deciding(self) -> list[Pass]:
        """The passes that the verdict is made of."""
        return self.again or self.first

    @property
    def judged(self) -> Judged | None:
        """The verdict so far; None where there is nothing to judge."""
        if self.errors or not self.deciding:
            return None
        found = judge(self.deciding, self.threshold)
        changed = found.verdict in (Verdict.SLOWER, Verdict.FASTER)
        if changed and not self.again:
            # With many cases some look changed by chance; only later samples decide.
            return dataclasses.replace(found, verdict=Verdict.UNDECIDED)
        return found

    @property
    def suspect(self) -> bool:
        """Whether it must be measured again."""
        judged = self.judged
        if judged is None or not suspect(judged, self.threshold):
            return False
        if len(self.again) < AGAIN:
            return True
        return judged.verdict is Verdict.UNDECIDED and len(self.again) < 2 * AGAIN

    def add(self, taken: Taken, passes: list[Pass]) -> None:
        """Keep what a pass has taken; a side that failed once is not tried again."""
        self.errors |= taken.errors
        self.calls, self.scope = taken.calls or self.calls, taken.scope or self.scope
        if taken.turns is not None:
            passes.append(taken.turns)


def how_of(label: str, mode: str) -> str:
    """Return label and mode as `split_how` takes them."""
    return label if mode == "eager" else f"{label} {mode}"


def write_rows(
    measured: Sequence[Measured],
    facts: dict[str, dict[str, dict[str, Any]]],
    build: Build,
    side: str,
    folder: Path,
) -> list[Row]:
    """Write a row a case for one side, as a sweep would."""
    origin = {"run": f"{folder.name}-{side}", "commit": build.commit, "machine": this_machine().id}
    rows = []
    with RowWriter(folder / f"{side}.jsonl") as writer:
        for one in measured:
            label, mode = split_how(one.how)
            cell = cells_of(one.question.case, label, (mode,))[0]  # the portable function
            known = {**facts.get(one.how, {}).get(side, {}), **_fields(one, side)}
            row = make_row(origin, one.question.case, cell, known)
            writer.write(row)
            rows.append(row)
    return rows


def _fields(one: Measured, side: str) -> dict[str, Any]:
    names = ("base", "again") if side == "base" else ("head",)
    reason = next((one.errors[name] for name in names if name in one.errors), None)
    if reason is not None or not one.deciding:
        return failure(reason or "not measured")
    return {
        **failure(""),
        "checked": True,
        "check_scope": one.scope,
        "error": None,
        "calls_per_sample": one.calls,
        "samples_s": [s for taken in one.deciding for n in names for s in getattr(taken, n)],
    }


def judged_entry(entry: Compared, one: Measured) -> Compared:
    """Return the entry with the ratio from its passes, since samples within a pass are paired."""
    judged = one.judged
    if judged is None:
        return entry
    notes = []
    if judged.verdict is Verdict.UNDECIDED:
        looks_changed = suspect(judged, one.threshold) and judged.noise > one.threshold
        notes.append("within the noise" if looks_changed else "the interval is too wide")
    if not one.again and one.suspect:
        notes = ["looks changed, not measured again"]
    if one.again:
        notes.append(f"measured again in {len(one.again)} passes")
    return dataclasses.replace(
        entry,
        ratio=judged.ratio,
        noise=judged.noise,
        verdict=judged.verdict,
        note=", ".join(notes) or None,
    )


def worst_first(entry: Compared) -> tuple[int, float, str, str]:
    """Return a sort key: worst outcome first, then the largest change either way."""
    far = abs(math.log(entry.ratio.estimate)) if entry.ratio else 0.0
    return OUTCOMES.index(entry.outcome), -far, entry.name, entry.label
