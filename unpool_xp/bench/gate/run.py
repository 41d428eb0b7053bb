"""The gate: decide whether one commit is slower than another on this machine.

Several passes, each in new processes, cover all cases. Cases that look changed are measured again
in separate processes, and only those later samples decide.
"""

from __future__ import annotations

import math
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unpool_xp import backends
from unpool_xp.bench.cases.case import Case
from unpool_xp.bench.catalog.panel import split_how
from unpool_xp.bench.gate.build import Build
from unpool_xp.bench.gate.case import (
    PASSES,
    RETEST_PASSES,
    GateMeasurement,
    how_of,
    severity_key,
    with_estimate,
    write_rows,
)
from unpool_xp.bench.gate.statistics import aa_differences
from unpool_xp.bench.gate.trio import GateCase, ProcessTrio
from unpool_xp.bench.measure.machine import write_machine
from unpool_xp.bench.rows.provenance import run_id
from unpool_xp.bench.verdicts.compare import Comparison, compare
from unpool_xp.bench.verdicts.thresholds import Thresholds

HOWS = ("numpy", "torch:cpu", "jax:cpu compiled")
BUDGET_SECONDS = 120.0
TIMEOUT_SECONDS = 60.0
MAX_RETESTED = 24  # cases at once


@dataclass(frozen=True)
class GateResult:
    """The result of a gate run.

    Attributes
    ----------
    base, head : Build
        What was compared.
    comparison : Comparison
        A verdict a case, and the exit code.
    measured : list of Measured
        What it is made of.
    folder : Path
        Where the rows are.
    seconds : float
        How long it took, without the builds.
    """

    base: Build
    head: Build
    comparison: Comparison
    measured: list[GateMeasurement]
    folder: Path
    seconds: float

    @property
    def exit_code(self) -> int:
        """0: none slower; 1: some slower, or wrong; 2: not enough was measured to tell."""
        return self.comparison.exit_code

    def noise(self, how: str) -> tuple[float, float] | None:
        """Return the A/A difference: median and 95th percentile over all passes."""
        differences = sorted(
            difference
            for one in self.measured
            if one.how == how and not one.errors
            for difference in aa_differences([*one.first_passes, *one.retest_passes])
        )
        if not differences:
            return None
        return statistics.median(differences), differences[math.ceil(0.95 * len(differences)) - 1]


def parse_hows(names: Sequence[str]) -> list[str]:
    """Return labels with their modes; an error where one does not load here.

    Parameters
    ----------
    names : sequence of str
        Such as "numpy", "jax", "torch:cpu/compiled". JAX is compiled, others are eager, where
        nothing is said.

    Returns
    -------
    list of str
        As `unpool_xp.bench.catalog.panel.HOWS` has them.

    Raises
    ------
    ValueError
        If a label or a mode is unknown.
    BackendUnavailableError
        If its library or its device is missing.
    """
    found = []
    for name in names:
        given, _, mode = name.replace("/", " ").partition(" ")
        if mode not in ("", "eager", "compiled"):
            raise ValueError(f"unknown mode {mode!r} in {name!r}; known: eager, compiled")
        loaded = backends.load(given)
        compiled = mode == "compiled" or (not mode and loaded.library == "jax")
        found.append(f"{loaded.label} compiled" if compiled else loaded.label)
    return list(dict.fromkeys(found))


def default_hows() -> tuple[list[str], list[str]]:
    """Return the defaults that are available here, and a note for each that is not."""
    found, notes = [], []
    for how in HOWS:
        try:
            backends.load(split_how(how)[0])
        except backends.BackendUnavailableError as error:
            notes.append(f"not measured: {error}")
        else:
            found.append(how)
    return found, notes


def run_gate(
    base: Build,
    head: Build,
    cases: Sequence[Case],
    hows: Sequence[str] = HOWS,
    *,
    out: Path,
    thresholds: Thresholds | None = None,
    budget_s: float = BUDGET_SECONDS,
    timeout_s: float = TIMEOUT_SECONDS,
    notes: Iterable[str] = (),
    progress: Callable[[str], None] = lambda text: None,
) -> GateResult:
    """Measure two builds and judge each case.

    Parameters
    ----------
    base, head : Build
        What is compared.
    cases : sequence of Case
        Such as `unpool_xp.bench.catalog.panel.panel_cases`.
    hows : sequence of str, optional
        On which backends, with the mode, as in "jax:cpu compiled".
    out : Path
        A folder; ``<run>/base.jsonl`` and ``<run>/head.jsonl`` are written into it.
    thresholds : Thresholds, optional
        The smallest difference that matters, for each case.
    budget_s : float, optional
        Seconds for the passes over all cases. The first one is made in any case, and what looks
        changed is measured again in any case.
    timeout_s : float, optional
        How long a side may take for one request.
    notes : iterable of str, optional
        What else a reader must know.
    progress : callable, optional
        Is told what is going on.

    Returns
    -------
    Gate
        The verdicts.

    Raises
    ------
    GateError
        If a process cannot be started at all.
    """
    start = time.monotonic()
    run = run_id()
    known_thresholds = thresholds or Thresholds()
    all_notes = list(notes)
    with tempfile.TemporaryDirectory(prefix="unpool-gate-") as scratch:
        gate_cases = [GateCase(case, Path(scratch)) for case in dict.fromkeys(cases)]
        measured = [
            GateMeasurement(
                question, how, known_thresholds.threshold_for(question.case.name, *split_how(how))
            )
            for how in dict.fromkeys(hows)
            for question in gate_cases
        ]
        passes = _PassRunner(base, head, timeout_s, run, progress)
        longest = 0.0
        for number in range(PASSES):
            pass_start = time.monotonic()
            if number and pass_start - start + longest > budget_s:
                all_notes.append(f"{number} of {PASSES} passes fitted into {budget_s:g} s")
                break
            measurable = [one for one in measured if not one.errors]
            passes.run(measurable, f"pass {number + 1} of {PASSES}", retest=False)
            longest = max(longest, time.monotonic() - pass_start)
        # The most suspicious first; a noisy machine may have more than there is time for.
        while suspects := _cases_to_retest(measured):
            if time.monotonic() - start > budget_s and any(one.retest_passes for one in measured):
                all_notes.append(f"{len(suspects)} more would have to be measured again")
                break
            for _ in range(RETEST_PASSES):
                # A whole set of passes: to stop once it looks decided would favour one side.
                passes.run(suspects, f"measuring {len(suspects)} again", retest=True)
    folder = out / run
    write_machine(folder)
    base_rows, head_rows = (
        write_rows(measured, passes.facts, build, side, folder)
        for side, build in (("base", base), ("head", head))
    )
    found = compare(base_rows, head_rows, thresholds=known_thresholds)
    of = {(one.gate_case.case.name, one.how): one for one in measured}
    entries = [with_estimate(e, of[e.name, how_of(e.label, e.mode)]) for e in found.entries]
    comparison = Comparison(sorted(entries, key=severity_key), [*found.notes, *all_notes])
    return GateResult(base, head, comparison, measured, folder, time.monotonic() - start)


class _PassRunner:
    """Runs passes: new processes each time, backends and cases in random order."""

    def __init__(
        self,
        base: Build,
        head: Build,
        timeout_s: float,
        run: str,
        progress: Callable[[str], None],
    ) -> None:
        self.base, self.head, self.timeout_s = base, head, timeout_s
        self.progress = progress
        self.facts: dict[str, dict[str, dict[str, Any]]] = {}  # by how, by side
        self._count = 0
        self._run = run

    def run(self, wanted: Sequence[GateMeasurement], what: str, *, retest: bool) -> None:
        """Measure cases once more, each backend in three new processes."""
        self._count += 1
        rng = random.Random(f"{self._run} {self._count}")
        hows = list(dict.fromkeys(one.how for one in wanted))
        rng.shuffle(hows)
        for how in hows:
            mine = [one for one in wanted if one.how == how and not one.errors]
            rng.shuffle(mine)
            if mine:
                self._run_on(how, mine, what, retest)

    def _run_on(self, how: str, wanted: Sequence[GateMeasurement], what: str, retest: bool) -> None:
        label, mode = split_how(how)
        self.progress(f"{what}: starting {how}")
        with ProcessTrio(self.base, self.head, label, mode, self.timeout_s) as trio:
            facts = trio.facts()
            self.facts.setdefault(how, facts)
            failed = {side: f["error"] for side, f in facts.items() if f["error"]}
            for number, one in enumerate(wanted, start=1):
                if set(failed) == set(facts):
                    one.errors |= failed
                    continue
                name = one.gate_case.case.operation
                self.progress(f"{what}: {how}, {number} of {len(wanted)}, {name}")
                result = trio.run_pass(one.gate_case, seed=f"{self._run} {self._count} {number}")
                one.add(result, one.retest_passes if retest else one.first_passes)


def _cases_to_retest(measured: Sequence[GateMeasurement]) -> list[GateMeasurement]:
    """Return what to measure again next: slower ones first, the clearest first."""

    def distance(one: GateMeasurement) -> float:
        estimate = one.estimate
        return -math.log(estimate.ratio.low) if estimate is not None else math.inf

    return sorted((one for one in measured if one.needs_retest), key=distance)[:MAX_RETESTED]
