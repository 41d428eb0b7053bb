"""The gate: decide whether one commit is slower than another on this machine.

Each pass is a new process. The first passes cover all cases, later ones what is still undecided,
until the budget is spent. Cases that look changed are measured again, and only these later samples
decide.
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
from unpool_xp.bench.gate.build import Build, GateError
from unpool_xp.bench.gate.case import PASSES, GateCase, GateMeasurement, compare_rows, write_rows
from unpool_xp.bench.gate.statistics import SIDES, aa_differences, typical_spread
from unpool_xp.bench.gate.trio import MIN_ROUNDS, BuildTrio
from unpool_xp.bench.measure.machine import write_machine
from unpool_xp.bench.measure.pools import find_loadable
from unpool_xp.bench.measure.session import describe_error
from unpool_xp.bench.rows.provenance import run_id
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
_SAMPLE_SHARE = 0.4  # of the first pass, for samples; the cost of starts and checks is known later
_PASSES_AT_ONCE = 2  # over what is undecided, in the time that is left


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
    stopped: Callable[[GateResult], None] = lambda result: None,
) -> GateResult:
    """Measure two builds and judge each case.

    Parameters
    ----------
    base, head : Build
        What is compared.
    cases : sequence of Case
        Such as those of the panel of each operation.
    backend_modes : sequence of BackendMode, optional
        The backends, and the modes that functions run in.
    out : Path
        A folder; ``<run>/base.jsonl`` and ``<run>/head.jsonl`` are written into it.
    thresholds : Thresholds, optional
        The smallest difference that matters, for each case.
    budget_s : float, optional
        Seconds for all passes. The first one is made in any case, and what looks changed is
        measured again in any case.
    timeout_s : float, optional
        How long a side may take for one request.
    notes : iterable of str, optional
        What else a reader must know.
    progress : callable, optional
        Called with a word on what is being done.
    stopped : callable, optional
        Called with the verdicts so far, if there are any, where a KeyboardInterrupt ends it.

    Returns
    -------
    GateResult
        The verdicts.

    Raises
    ------
    GateError
        If a process cannot be started at all, or no case has inputs and a reference.
    """
    start = time.monotonic()
    run = run_id()
    known_thresholds = thresholds or Thresholds()
    all_notes = list(notes)
    with tempfile.TemporaryDirectory(prefix="unpool-gate-") as scratch:
        gate_cases = []
        for case in dict.fromkeys(cases):
            gate_case = GateCase(case, Path(scratch))
            try:
                _ = gate_case.loading_arguments, gate_case.expected
            except Exception as error:  # in a user's inputs or reference
                all_notes.append(f"not measured: {case.name}: {describe_error(error)}")
            else:
                gate_cases.append(gate_case)
        if not gate_cases:
            raise GateError("\n".join(all_notes) or "there is nothing to measure")
        measured = [
            GateMeasurement(
                gate_case,
                on,
                known_thresholds.threshold_for(gate_case.case.name, on.label, on.mode),
            )
            for on in dict.fromkeys(backend_modes)
            for gate_case in gate_cases
        ]
        passes = _PassRunner(base, head, timeout_s, run, progress, Path(scratch))
        deadline = start + budget_s
        try:
            while wanted := [one for one in measured if not one.is_decided]:
                left = deadline - time.monotonic()
                if passes.count and passes.least_seconds(wanted) > left:
                    if passes.count == 1:
                        all_notes.append(f"a single pass fitted into {budget_s:g} s")
                    # What looks changed is measured again, whatever it takes.
                    wanted = [one for one in wanted if one.needs_retest]
                    if not wanted:
                        break
                passes.run(wanted, left)
                _share_spreads(measured)
        except KeyboardInterrupt:
            decided = sum(one.is_decided for one in measured)
            all_notes.append(f"stopped: the verdicts are of {decided} of {len(measured)} cases")
            if any(one.deciding_passes or one.errors for one in measured):
                _share_spreads(measured)
                stopped(_judge(passes, measured, out, all_notes, time.monotonic() - start))
            raise
    return _judge(passes, measured, out, all_notes, time.monotonic() - start)


def _judge(
    passes: _PassRunner,
    measured: list[GateMeasurement],
    out: Path,
    notes: Sequence[str],
    seconds: float,
) -> GateResult:
    """Write the rows, and judge each case."""
    folder = out / passes.run_name
    write_machine(folder)
    base_rows, head_rows = (
        write_rows(measured, passes.facts, build, side, folder)
        for side, build in (("base", passes.base), ("head", passes.head))
    )
    pairs = list(zip(base_rows, head_rows, strict=True))
    entries = [compare_rows(one, *pair) for one, pair in zip(measured, pairs, strict=True)]
    found_notes = notes_on(base_rows, head_rows, pairs)
    comparison = Comparison(sorted(entries, key=severity_key), [*found_notes, *notes])
    return GateResult(passes.base, passes.head, comparison, measured, folder, seconds)


def _share_spreads(measured: Sequence[GateMeasurement]) -> None:
    """Tell each case how far apart passes lie on its backend."""
    for on in {one.backend_mode for one in measured}:
        mine = [one for one in measured if one.backend_mode == on]
        known = [one.counted_passes for one in mine if not one.errors and one.deciding_passes]
        spread = typical_spread(known)
        for one in mine:
            one.spread = spread


@dataclass
class _PassRunner:
    """Runs passes: a new process each time, backends and cases in random order."""

    base: Build
    head: Build
    timeout_s: float
    run_name: str
    progress: Callable[[str], None]
    scratch: Path
    facts: dict[BackendMode, dict[str, dict[str, Any]]] = field(default_factory=dict)  # by side
    count: int = 0
    _start_s: dict[BackendMode, float] = field(default_factory=dict)  # of a process

    def least_seconds(self, wanted: Sequence[GateMeasurement]) -> float:
        """Return the least seconds of a pass over these cases, as far as is known."""
        return self._fixed_seconds(wanted) + MIN_ROUNDS * sum(one.round_s for one in wanted)

    def _fixed_seconds(self, wanted: Sequence[GateMeasurement]) -> float:
        starts = sum(self._start_s.get(on, 0.0) for on in {one.backend_mode for one in wanted})
        return starts + sum(one.prepare_s for one in wanted)

    def run(self, wanted: Sequence[GateMeasurement], left_s: float) -> None:
        """Measure cases once more, in the first of the passes that fit into so many seconds."""
        self.count += 1
        known = self.count > 1
        least = self.least_seconds(wanted)
        # Fewer passes, rather than passes that mostly consist of starts and checks.
        number = max(PASSES + 1 - self.count, _PASSES_AT_ONCE)
        number = min(number, max(1, int(left_s / max(2 * least, 1e-9)))) if known else number
        share = left_s / number
        samples_s = share - self._fixed_seconds(wanted) if known else _SAMPLE_SHARE * share
        rng = random.Random(f"{self.run_name} {self.count}")
        what = f"pass {self.count} over {len(wanted)} undecided cases"
        backend_modes = list(dict.fromkeys(one.backend_mode for one in wanted))
        rng.shuffle(backend_modes)
        for on in backend_modes:
            mine = [one for one in wanted if one.backend_mode == on]
            rng.shuffle(mine)
            self._run_on(on, mine, what, samples_s / len(wanted))

    def _run_on(
        self, on: BackendMode, wanted: Sequence[GateMeasurement], what: str, samples_s: float
    ) -> None:
        self.progress(f"{what}: starting {on}")
        start = time.monotonic()
        sides = SIDES if self.count % 2 else SIDES[::-1]
        with BuildTrio(self.base, self.head, on, self.timeout_s, self.scratch, sides) as trio:
            self.facts.setdefault(on, trio.facts)
            self._start_s[on] = time.monotonic() - start
            for number, one in enumerate(wanted, start=1):
                name = one.gate_case.case.operation
                self.progress(f"{what}: {on}, {number} of {len(wanted)}, {name}")
                passes = one.retest_passes if one.is_suspect else one.first_passes
                trio.run_pass(one, passes, samples_s, seed=f"{self.run_name} {self.count} {number}")
