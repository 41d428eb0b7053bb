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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from unpool_xp import backends
from unpool_xp.bench.cases.case import BackendMode, Case
from unpool_xp.bench.gate.build import Build
from unpool_xp.bench.gate.case import (
    PASSES,
    RETEST_PASSES,
    GateCase,
    GateMeasurement,
    compare_rows,
    write_rows,
)
from unpool_xp.bench.gate.statistics import aa_differences, typical_spread
from unpool_xp.bench.gate.trio import ProcessTrio
from unpool_xp.bench.measure.machine import write_machine
from unpool_xp.bench.measure.pools import find_loadable
from unpool_xp.bench.rows.provenance import run_id
from unpool_xp.bench.verdicts.bootstrap import Verdict
from unpool_xp.bench.verdicts.compare import Comparison, severity_key
from unpool_xp.bench.verdicts.compare_notes import notes_on
from unpool_xp.bench.verdicts.thresholds import Thresholds

DEFAULT_BACKEND_MODES = (
    BackendMode("numpy"),
    BackendMode("torch:cpu"),
    BackendMode("jax:cpu", "compiled"),
)
BUDGET_SECONDS = 120.0
TIMEOUT_SECONDS = 60.0
MAX_RETESTED = 24  # cases at once
_ROUND_SHARE = 0.4  # of the budget, for samples; the rest is for starts and checks


@dataclass(frozen=True)
class GateResult:
    """The result of a gate run."""

    base: Build
    head: Build
    comparison: Comparison
    measured: list[GateMeasurement]
    folder: Path  # of the rows
    seconds: float  # without the builds

    @property
    def exit_code(self) -> int:
        """0: none slower; 1: some slower, or wrong; 2: not enough was measured to tell."""
        return self.comparison.exit_code

    def noise(self, backend_mode: BackendMode) -> tuple[float, float] | None:
        """Return the A/A difference: median and 95th percentile over all passes."""
        differences = sorted(
            difference
            for one in self.measured
            if one.backend_mode == backend_mode and not one.errors
            for difference in aa_differences([*one.first_passes, *one.retest_passes])
        )
        if not differences:
            return None
        return statistics.median(differences), differences[math.ceil(0.95 * len(differences)) - 1]


def resolve_backend_modes(names: Sequence[str]) -> list[BackendMode]:
    """Return backends with full labels and modes, from names such as "torch:cpu/compiled".

    Without a mode JAX is compiled and others are eager. Raises a ValueError if a mode is unknown, a
    BackendUnavailableError if a label is, or its library or device is missing or does not work.
    """
    wanted = [
        BackendMode.parse(name, "compiled" if name.startswith("jax") else "eager") for name in names
    ]
    found, missing, _ = find_loadable(dict.fromkeys(one.label for one in wanted))
    if missing:
        raise backends.BackendUnavailableError("\n".join(missing.values()))
    return list(dict.fromkeys(BackendMode(found[one.label], one.mode) for one in wanted))


def available_backend_modes() -> tuple[list[BackendMode], list[str]]:
    """Return the defaults that are available here, and a note for each that is not."""
    found, missing, _ = find_loadable(dict.fromkeys(one.label for one in DEFAULT_BACKEND_MODES))
    notes = [f"not measured: {reason}" for reason in missing.values()]
    return [one for one in DEFAULT_BACKEND_MODES if one.label in found], notes


def run_gate(
    base: Build,
    head: Build,
    cases: Sequence[Case],
    backend_modes: Sequence[BackendMode] = DEFAULT_BACKEND_MODES,
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
    backend_modes : sequence of BackendMode, optional
        On which backends, and how functions run there.
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
    GateResult
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
                gate_case,
                on,
                known_thresholds.threshold_for(gate_case.case.name, on.label, on.mode),
            )
            for on in dict.fromkeys(backend_modes)
            for gate_case in gate_cases
        ]
        round_s = _ROUND_SHARE * budget_s / (PASSES * max(len(measured), 1))
        passes = _PassRunner(base, head, timeout_s, run, progress, round_s)
        longest, number = 0.0, 0
        while wanted := _undecided(measured) if number >= PASSES else _measurable(measured):
            pass_start = time.monotonic()
            # A pass over fewer cases takes less, in proportion.
            longest *= len(wanted) / len(measured)
            if number and pass_start - start + longest > budget_s:
                if number < PASSES:
                    all_notes.append(f"{number} of {PASSES} passes fitted into {budget_s:g} s")
                break
            number += 1
            what = f"of {PASSES}" if number <= PASSES else f"over {len(wanted)} undecided cases"
            passes.run(wanted, f"pass {number} {what}", retest=False)
            _share_spreads(measured)
            longest = (time.monotonic() - pass_start) * len(measured) / len(wanted)
        # The most suspicious first; a noisy machine may have more than there is time for.
        while suspects := _cases_to_retest(measured):
            if time.monotonic() - start > budget_s and any(one.retest_passes for one in measured):
                all_notes.append(f"{len(suspects)} more would have to be measured again")
                break
            for _ in range(RETEST_PASSES):
                # A whole set of passes: to stop once it looks decided would favour one side.
                passes.run(suspects, f"measuring {len(suspects)} again", retest=True)
            _share_spreads(measured)
    folder = out / run
    write_machine(folder)
    base_rows, head_rows = (
        write_rows(measured, passes.facts, build, side, folder)
        for side, build in (("base", base), ("head", head))
    )
    pairs = list(zip(base_rows, head_rows, strict=True))
    entries = [compare_rows(one, *pair) for one, pair in zip(measured, pairs, strict=True)]
    found_notes = notes_on(base_rows, head_rows, pairs)
    comparison = Comparison(sorted(entries, key=severity_key), [*found_notes, *all_notes])
    return GateResult(base, head, comparison, measured, folder, time.monotonic() - start)


def _share_spreads(measured: Sequence[GateMeasurement]) -> None:
    """Tell each case how far apart passes lie on its backend."""
    for on in {one.backend_mode for one in measured}:
        mine = [one for one in measured if one.backend_mode == on]
        known = [one.counted_passes for one in mine if not one.errors and one.deciding_passes]
        spread = typical_spread(known)
        for one in mine:
            one.spread = spread


def _measurable(measured: Sequence[GateMeasurement]) -> list[GateMeasurement]:
    return [one for one in measured if not one.errors]


def _undecided(measured: Sequence[GateMeasurement]) -> list[GateMeasurement]:
    """Return the cases that more passes may decide: those that look changed are for later."""
    return [
        one
        for one in _measurable(measured)
        if one.estimate is not None
        and one.estimate.verdict is Verdict.UNDECIDED
        and not one.needs_retest
    ]


@dataclass
class _PassRunner:
    """Runs passes: new processes each time, backends and cases in random order."""

    base: Build
    head: Build
    timeout_s: float
    run_name: str
    progress: Callable[[str], None]
    round_s: float  # of samples, for a case in a pass
    facts: dict[BackendMode, dict[str, dict[str, Any]]] = field(default_factory=dict)  # by side
    count: int = 0

    def run(self, wanted: Sequence[GateMeasurement], what: str, *, retest: bool) -> None:
        """Measure cases once more, each backend in three new processes."""
        self.count += 1
        rng = random.Random(f"{self.run_name} {self.count}")
        backend_modes = list(dict.fromkeys(one.backend_mode for one in wanted))
        rng.shuffle(backend_modes)
        for on in backend_modes:
            mine = [one for one in wanted if one.backend_mode == on and not one.errors]
            rng.shuffle(mine)
            if mine:
                self._run_on(on, mine, what, retest)

    def _run_on(
        self, on: BackendMode, wanted: Sequence[GateMeasurement], what: str, retest: bool
    ) -> None:
        self.progress(f"{what}: starting {on}")
        with ProcessTrio(self.base, self.head, on, self.timeout_s) as trio:
            facts = trio.facts()
            self.facts.setdefault(on, facts)
            failed = {side: f["error"] for side, f in facts.items() if f["error"]}
            for number, one in enumerate(wanted, start=1):
                if set(failed) == set(facts):
                    one.errors |= failed
                    continue
                name = one.gate_case.case.operation
                self.progress(f"{what}: {on}, {number} of {len(wanted)}, {name}")
                passes = one.retest_passes if retest else one.first_passes
                seed = f"{self.run_name} {self.count} {number}"
                trio.run_pass(one, passes, self.round_s, seed=seed)


def _cases_to_retest(measured: Sequence[GateMeasurement]) -> list[GateMeasurement]:
    """Return what to measure again next: slower ones first, the clearest first."""

    def distance(one: GateMeasurement) -> float:
        estimate = one.estimate
        return -math.log(estimate.ratio.low) if estimate is not None else math.inf

    return sorted((one for one in measured if one.needs_retest), key=distance)[:MAX_RETESTED]
