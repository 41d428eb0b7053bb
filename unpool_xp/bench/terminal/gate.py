"""What the gate prints at 80 columns, writes for pull requests, and answers as JSON."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.markup import escape

from unpool_xp.bench.gate.run import Gate
from unpool_xp.bench.terminal.comparison import (
    comparison_as_json,
    comparison_as_markdown,
    print_comparison,
)


def print_gate(console: Console, gate: Gate, *, everything: bool = False) -> None:
    """Print what was compared, how noisy it was, and the verdicts."""
    for line in _facts(gate):
        console.print(escape(line), soft_wrap=True)
    console.print()
    print_comparison(console, gate.comparison, everything=everything)


def _facts(gate: Gate) -> Iterator[str]:
    for side, build in (("base", gate.base), ("head", gate.head)):
        yield f"{side}  {build.short}  {build.ref}"
    for how in dict.fromkeys(one.how for one in gate.measured):
        noise = gate.noise(how)
        if noise is not None:
            yield (
                f"base against base, {how}: {100 * noise[0]:.1f} % apart, "
                f"1 in 20 more than {100 * noise[1]:.0f} %"
            )
    means = ", ".join(f"{name} {mean:.2f}x" for name, mean in _means(gate).items())
    if means:
        yield f"geometric means: {means}"
    yield f"{gate.seconds:.0f} s; rows in {gate.folder}"


def _means(gate: Gate) -> dict[str, float]:
    """Return the geometric mean of the ratios of each operation."""
    ratios: dict[str, list[float]] = {}
    for one in gate.measured:
        judged = one.judged
        if judged is not None:
            ratios.setdefault(one.question.case.operation, []).append(judged.ratio.estimate)
    return {name: statistics.geometric_mean(found) for name, found in ratios.items()}


def gate_as_markdown(gate: Gate, *, everything: bool = False) -> str:
    """Return the verdicts for a pull request."""
    lines = "\n".join(f"    {line}" for line in _facts(gate))
    return f"{comparison_as_markdown(gate.comparison, everything=everything)}\n{lines}\n"


def gate_as_json(gate: Gate) -> dict[str, Any]:
    """Return the verdicts for scripts."""
    passes = {
        (one.question.case.name, one.how): {"passes": len(one.first), "again": len(one.again)}
        for one in gate.measured
    }
    found = comparison_as_json(gate.comparison)
    for entry in found["entries"]:
        mode = "" if entry["mode"] == "eager" else f" {entry['mode']}"
        entry |= passes[entry["name"], f"{entry['backend']}{mode}"]
    noise = {}
    for how in dict.fromkeys(one.how for one in gate.measured):
        apart = gate.noise(how)
        noise[how] = apart and {"median": apart[0], "one_in_20": apart[1]}
    return {
        **found,
        "base": {"ref": gate.base.ref, "commit": gate.base.commit},
        "head": {"ref": gate.head.ref, "commit": gate.head.commit},
        "noise": noise,
        "operations": _means(gate),
        "folder": str(gate.folder),
        "seconds": round(gate.seconds, 1),
    }
