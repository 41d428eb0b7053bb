"""What the gate prints, writes for pull requests, and answers as JSON."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.markup import escape

from unpool_xp.bench.cases.case import BackendMode
from unpool_xp.bench.gate.run import GateResult
from unpool_xp.bench.terminal.comparison import (
    comparison_as_json,
    comparison_as_markdown,
    print_comparison,
)
from unpool_xp.bench.terminal.tables import print_line


def print_gate(console: Console, gate: GateResult, *, everything: bool = False) -> None:
    """Print what was compared, how noisy it was, and the verdicts."""
    for line in _summary_lines(gate):
        print_line(console, escape(line))
    console.print()
    print_comparison(console, gate.comparison, everything=everything)


def _summary_lines(gate: GateResult) -> Iterator[str]:
    for side, build in (("base", gate.base), ("head", gate.head)):
        yield f"{side}  {build.short_commit}  {build.ref}"
    for backend_mode in dict.fromkeys(one.backend_mode for one in gate.measured):
        noise = gate.noise(backend_mode)
        if noise is not None:
            yield (
                f"base against base, {backend_mode}: {100 * noise[0]:.1f} % apart, "
                f"1 in 20 more than {100 * noise[1]:.0f} %"
            )
    means = ", ".join(f"{name} {mean:.2f}x" for name, mean in _means_by_operation(gate).items())
    if means:
        yield f"geometric means: {means}"
    yield f"{gate.seconds:.0f} s; rows in {gate.folder}"


def _means_by_operation(gate: GateResult) -> dict[str, float]:
    """Return the geometric mean of the ratios of each operation."""
    ratios: dict[str, list[float]] = {}
    for one in gate.measured:
        estimate = one.estimate
        if estimate is not None:
            ratios.setdefault(one.gate_case.case.operation, []).append(estimate.ratio.estimate)
    return {name: statistics.geometric_mean(found) for name, found in ratios.items()}


def gate_as_markdown(gate: GateResult, *, everything: bool = False) -> str:
    """Return the verdicts for a pull request."""
    lines = "\n".join(f"    {line}" for line in _summary_lines(gate))
    return f"{comparison_as_markdown(gate.comparison, everything=everything)}\n{lines}\n"


def gate_as_json(gate: GateResult) -> dict[str, Any]:
    """Return the verdicts for scripts."""
    passes = {
        (one.gate_case.case.name, one.backend_mode): {
            "passes": len(one.first_passes),
            "again": len(one.retest_passes),
        }
        for one in gate.measured
    }
    found = comparison_as_json(gate.comparison)
    for entry in found["entries"]:
        entry |= passes[entry["name"], BackendMode(entry["backend"], entry["mode"])]
    noise = {}
    for backend_mode in dict.fromkeys(one.backend_mode for one in gate.measured):
        apart = gate.noise(backend_mode)
        noise[str(backend_mode)] = apart and {"median": apart[0], "one_in_20": apart[1]}
    return {
        **found,
        "base": {"ref": gate.base.ref, "commit": gate.base.commit},
        "head": {"ref": gate.head.ref, "commit": gate.head.commit},
        "noise": noise,
        "operations": _means_by_operation(gate),
        "folder": str(gate.folder),
        "seconds": round(gate.seconds, 1),
    }
