"""How well repeated answers agree, and whether their intervals hold what they promise.

    python benchmarks/repeatability.py

Asks `choose` the same questions again and again. For each function of each question: the share of
the runs whose 95 % interval holds the median over all runs, and how far the runs lie apart.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
from collections import defaultdict
from typing import Any

from unpool_xp.bench.cases.case import Case
from unpool_xp.bench.choose import choose
from unpool_xp.bench.measure.machine import this_machine
from unpool_xp.bench.verdicts.bootstrap import Interval, Times, median_interval
from unpool_xp.bench.verdicts.ranking import times_of

LABELS = ("numpy", "torch:cpu", "jax:cpu")
QUESTIONS = {
    "max_unpool": Case("max_unpool", (4, 64, 56, 56), kernel=2),
    "max_pool": Case("max_pool", (2, 32, 112, 112), kernel=2),
    "conv_transpose": Case("conv_transpose", (2, 16, 28, 28), kernel=2, out_channels=16),
}
RUNS, BUDGET = 10, 12.0
COVERAGE, SPREAD = 0.9, 1.3

Answers = dict[tuple[str, ...], list[tuple[float, Interval, int]]]


def ask(runs: int, budget_s: float, names: list[str]) -> Answers:
    """Return the typical seconds, their interval and the processes in each run."""
    found: Answers = defaultdict(list)
    for number in range(runs):
        for name in names:
            print(f"run {number + 1} of {runs}: {name}", file=sys.stderr)
            choice = choose(
                QUESTIONS[name],
                LABELS,
                budget_s=budget_s,
                modes=lambda label: ("compiled",) if label.startswith("jax") else ("eager",),
            )
            for row in choice.rows:
                times = times_of(row)
                if isinstance(times, Times):
                    interval = median_interval(times.seconds, times.process)
                    answer = (times.typical, interval, len(set(times.process)))
                    found[name, row.backend, row.function].append(answer)
    return found


def summary(answers: Answers) -> list[dict[str, Any]]:
    """Return the coverage and the spread of each function."""
    entries = []
    for key, runs in answers.items():
        medians = [typical for typical, *_ in runs]
        middle = statistics.median(medians)
        held = sum(interval.low <= middle <= interval.high for _, interval, _ in runs)
        # Of fewer than three samples an interval has no end.
        widths = [i.high / i.low if i.low else math.inf for _, i, _ in runs]
        entries.append(
            {
                "what": " ".join(key),
                "runs": len(runs),
                "held": held,
                "spread": max(medians) / min(medians),
                "width": statistics.median(widths),
                "processes": statistics.median(processes for *_, processes in runs),
                "median_s": middle,
            }
        )
    return entries


def main() -> int:
    """Measure and print; return 1 where the answers agree less than they promise."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--budget", type=float, default=BUDGET, help="seconds for a question")
    parser.add_argument("--question", action="append", choices=tuple(QUESTIONS))
    parser.add_argument("--json", action="store_true", dest="as_json")
    args = parser.parse_args()
    entries = summary(ask(args.runs, args.budget, args.question or list(QUESTIONS)))
    coverage = sum(e["held"] for e in entries) / sum(e["runs"] for e in entries)
    worst = max(e["spread"] for e in entries)
    if args.as_json:
        machine = this_machine().to_json()
        result = {"coverage": coverage, "worst_spread": worst, "entries": entries}
        print(json.dumps({"machine": machine, **result}, indent=2))
    else:
        for e in entries:
            print(
                f"{e['what']:<58} {e['median_s'] * 1e6:9.3g} us  held {e['held']}/{e['runs']}  "
                f"spread {e['spread']:.2f}  interval {e['width']:.2f}  of {e['processes']:g}"
            )
        print(f"coverage {coverage:.0%}; worst spread {worst:.2f}")
    return int(coverage < COVERAGE or worst > SPREAD)


if __name__ == "__main__":
    sys.exit(main())
