"""A case under the gate: its passes, whether it needs a retest, its rows and its verdict."""

from __future__ import annotations

import contextlib
import functools
import math
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from unpool_xp.bench.cases.case import BackendMode, Case
from unpool_xp.bench.cases.expected import ExpectedOutputs, MismatchError
from unpool_xp.bench.gate.build import Build
from unpool_xp.bench.gate.statistics import (
    GateEstimate,
    PassSamples,
    estimate_change,
    looks_changed,
)
from unpool_xp.bench.measure.machine import this_machine
from unpool_xp.bench.measure.measurement import Cell, Measurement, cells_of
from unpool_xp.bench.measure.session import describe_error
from unpool_xp.bench.measure.sweep import make_row
from unpool_xp.bench.rows.files import RowWriter
from unpool_xp.bench.rows.schema import Row
from unpool_xp.bench.verdicts.bootstrap import Verdict
from unpool_xp.bench.verdicts.compare import CaseComparison, missing_reason

PASSES = 3  # over all cases, where the budget allows
RETEST_PASSES = 3  # at least, over what looked changed
_LEAST_PASSES = 2  # before a case counts as decided


@dataclass
class GateCase:
    """A case, its inputs on disk, and the outputs checked so far."""

    case: Case
    folder: Path  # of its arrays
    # From the digest of outputs to the scope of the check, or to the mismatch.
    check_results: dict[str, tuple[str | None, str | None]] = field(default_factory=dict)

    def addresses(self, packages: Collection[str]) -> list[str]:
        """Return where these packages have the function here, as far up as it is.

        There is none for a function that only calls what they have: its file is loaded on each
        side.
        """
        function = self.case.definition.function
        name = getattr(function, "__name__", "")
        modules = []
        for module, loaded in list(sys.modules.items()):
            if module.partition(".")[0] in packages:
                with contextlib.suppress(Exception):  # whatever a user's __getattr__ does
                    modules += [module] if getattr(loaded, name) is function else []
        top = min((module.count(".") for module in modules), default=0)
        public = [module for module in modules if module.count(".") == top]
        return [f"{module}.{name}" for module in sorted(public, key=lambda one: "._" in one)]

    @property
    def loading_arguments(self) -> dict[str, Any]:
        """Arguments of the "load" command; every process reads the arrays from one file."""
        path = self.folder / f"{self.case.name}.npz"
        options = self.case.options()
        arrays = {k: v for k, v in options.items() if isinstance(v, np.ndarray)}
        if not path.exists():
            np.savez(path, *self.case.arrays().values(), *arrays.values())
        return {
            "inputs": str(path),
            "options": {k: v for k, v in options.items() if k not in arrays},
            "named": list(arrays),
        }

    @functools.cached_property
    def expected(self) -> ExpectedOutputs:
        """The outputs, by the reference."""
        return ExpectedOutputs(self.case, self.case.arrays())

    def check(self, digest: str, outputs: Path) -> None:
        """Check outputs against the reference; store the scope, or the mismatch."""
        if digest in self.check_results:
            return
        with np.load(outputs) as archive:
            arrays = [archive[name] for name in archive.files]
        try:
            self.check_results[digest] = self.expected.check(arrays), None
        except MismatchError as error:
            self.check_results[digest] = None, describe_error(error)


@dataclass
class GateMeasurement:
    """All that was measured of a case on a backend."""

    gate_case: GateCase
    backend_mode: BackendMode
    threshold: float  # the smallest difference that matters
    first_passes: list[PassSamples] = field(default_factory=list)  # over all cases
    retest_passes: list[PassSamples] = field(default_factory=list)  # if any, only these decide
    errors: dict[str, str] = field(default_factory=dict)  # by side: why it has no time
    calls: int | None = None  # per sample
    scope: str | None = None  # how much of the output was checked
    spread: float | None = None  # of a pass, over all cases on the backend
    prepare_s: float = 0.0  # what its last pass took besides the samples
    round_s: float = 0.0  # what a round takes

    @property
    def cell(self) -> Cell:
        """The portable function on the backend."""
        on = self.backend_mode
        return cells_of(self.gate_case.case, on.label, (on.mode,))[0]

    @property
    def deciding_passes(self) -> list[PassSamples]:
        """The passes that the verdict is based on."""
        return self.retest_passes or self.first_passes

    @property
    def is_disturbed(self) -> bool:
        """Whether other programs were at work in most passes, so that these decide nothing."""
        flags = [taken.disturbed for taken in self.deciding_passes]
        return 2 * sum(flags) > len(flags)

    @property
    def counted_passes(self) -> list[PassSamples]:
        """The deciding passes that were not disturbed; all of them where most were."""
        if self.is_disturbed:
            return self.deciding_passes
        return [taken for taken in self.deciding_passes if not taken.disturbed]

    @property
    def estimate(self) -> GateEstimate | None:
        """The verdict so far; None where there is nothing to judge."""
        if self.errors or not self.deciding_passes:
            return None
        estimate = estimate_change(self.counted_passes, self.threshold, self.spread)
        # With many cases some look changed by chance; only later samples decide.
        if self.is_disturbed or self.needs_retest:
            return replace(estimate, verdict=Verdict.UNDECIDED)
        return estimate

    @property
    def is_suspect(self) -> bool:
        """Whether it looked changed, so that only later passes decide."""
        if self.retest_passes or self.errors or not self.first_passes:
            return bool(self.retest_passes)
        found = estimate_change(self.counted_passes, self.threshold, self.spread)
        return looks_changed(found, self.threshold)

    @property
    def needs_retest(self) -> bool:
        """Whether it is suspect, and too few passes have been made since then."""
        return self.is_suspect and len(self.retest_passes) < RETEST_PASSES

    @property
    def is_decided(self) -> bool:
        """Whether no more passes are needed."""
        if self.errors:
            return True
        estimate = self.estimate
        if estimate is None or len(self.counted_passes) < _LEAST_PASSES:
            return False
        return estimate.verdict is not Verdict.UNDECIDED


def write_rows(
    measured: Sequence[GateMeasurement],
    facts: dict[BackendMode, dict[str, dict[str, Any]]],
    build: Build,
    side: str,
    folder: Path,
) -> list[Row]:
    """Write one row per case for one side, as a sweep would."""
    origin = {"run": f"{folder.name}-{side}", "commit": build.commit, "machine": this_machine().id}
    rows = []
    with RowWriter(folder / f"{side}.jsonl") as writer:
        for one in measured:
            measurement = _measurement(one, side)
            measurement.describe(facts.get(one.backend_mode, {}).get(side, {}))
            row = make_row(origin, one.gate_case.case, one.cell, measurement)
            writer.write(row)
            rows.append(row)
    return rows


def _measurement(one: GateMeasurement, side: str) -> Measurement:
    names = ("base", "control") if side == "base" else ("head",)
    reason = next((one.errors[name] for name in names if name in one.errors), None)
    if reason is not None or not one.deciding_passes:
        return Measurement(error=reason or "not measured")
    taken = [
        (number, one_pass.disturbed, seconds)
        for number, one_pass in enumerate(one.deciding_passes)
        for name in names
        for seconds in getattr(one_pass, name)
    ]
    return Measurement(
        checked=True,
        check_scope=one.scope,
        calls_per_sample=one.calls,
        samples_s=[seconds for _, _, seconds in taken],
        process=[process for process, _, _ in taken],
        disturbed=[disturbed for _, disturbed, _ in taken],
    )


def compare_rows(one: GateMeasurement, base: Row, head: Row) -> CaseComparison:
    """Return the entry of a case: its estimate, or why there is none."""
    estimate, notes = one.estimate, []
    if estimate is not None and estimate.verdict is Verdict.UNDECIDED:
        within = looks_changed(estimate, one.threshold) and estimate.noise > one.threshold
        notes.append("within the noise" if within else "the interval is too wide")
        if one.is_disturbed:
            notes = ["other programs were at work"]
    if estimate is not None and one.retest_passes:
        notes.append(f"measured again in {len(one.retest_passes)} passes")
    return CaseComparison(
        one.gate_case.case.name,
        base=base,
        head=head,
        ratio=estimate.ratio if estimate else None,
        noise=estimate.noise if estimate else math.inf,
        threshold=one.threshold,
        verdict=estimate.verdict if estimate else Verdict.UNDECIDED,
        note=", ".join(notes) or missing_reason(base, head),
    )
