"""Whether repeated answers of `choose` agree, on a machine at rest and on a busy one.

    python benchmarks/answers.py

Asks the same questions again and again, some of the time with twice as many busy loops as cores.
Two runs agree where the first place of the one is the best, or as fast as the best, in the other.
It is open where the samples cannot tell, and a contradiction where that is known to be slower: the
script ends with 1 if two quiet runs contradict each other, or a busy run a quiet one. For the quiet
runs it also shows how many of the 95 % intervals hold the median over all of them.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from unpool_xp.backends.base import usable_cores
from unpool_xp.bench.budget import BudgetedRun
from unpool_xp.bench.cases.case import Case
from unpool_xp.bench.cases.formatting import seconds_text
from unpool_xp.bench.choose import choose
from unpool_xp.bench.measure.machine import this_machine
from unpool_xp.bench.verdicts.bootstrap import Verdict
from unpool_xp.bench.verdicts.ranking import Ranked, Ranking

LABELS = ("numpy", "torch:cpu", "jax:cpu")
QUESTIONS = {
    "max_unpool": Case("max_unpool", (4, 64, 56, 56), kernel=2),
    "max_pool": Case("max_pool", (2, 32, 112, 112), kernel=2),
    "conv_transpose": Case("conv_transpose", (2, 16, 28, 28), kernel=2, out_channels=16),
}
QUIET, BUSY, BUDGET = 5, 5, 20.0
_ENOUGH_PROCESSES = 3  # of what stopped before, an interval holds for its processes alone
WORDS = {
    Verdict.SAME: "agree",
    Verdict.UNDECIDED: "open",
    Verdict.SLOWER: "contradict",
    None: "not measured",
}


@contextlib.contextmanager
def busy_loops(number: int) -> Iterator[None]:
    """Keep so many processes busy."""
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(number)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def ask(name: str, labels: Sequence[str], budget_s: float) -> Ranking:
    """Return the answer to a question."""
    run = BudgetedRun(
        labels, lambda label: ("compiled",) if label.startswith("jax") else ("eager",), budget_s
    )
    return choose(QUESTIONS[name], run).ranking()


def beside(one: Ranking, other: Ranking) -> str:
    """Return what another run says of the first place of a run."""
    assert one.best is not None
    name = one.best.name
    found = next((entry.verdict for entry in other.timed if entry.name == name), None)
    return WORDS[found]


def judge(quiet: Sequence[Ranking], busy: Sequence[Ranking]) -> tuple[Counter[str], Counter[str]]:
    """Return how often quiet runs agree with each other, and busy runs with quiet ones."""
    pairs = Counter(beside(one, other) for one in quiet for other in quiet if one is not other)
    return pairs, Counter(beside(one, other) for one in quiet for other in busy)


def repeats(quiet: Sequence[Ranking]) -> list[dict[str, Any]]:
    """Return how many intervals of each candidate hold its median over the runs, and its spread."""
    found: dict[str, list[Ranked]] = defaultdict(list)
    for entry in (entry for ranking in quiet for entry in ranking.timed):
        if len(set(entry.row.process)) >= _ENOUGH_PROCESSES:
            found[entry.name].append(entry)
    entries = []
    for name, runs in found.items():
        medians = [run.seconds for run in runs]
        middle = statistics.median(medians)
        entries.append(
            {
                "name": name,
                "runs": len(runs),
                "held": sum(run.interval.low <= middle <= run.interval.high for run in runs),
                "spread": max(medians) / min(medians),
                "median_s": middle,
            }
        )
    return entries


def summary(quiet: Sequence[Ranking], busy: Sequence[Ranking]) -> dict[str, Any]:
    """Return all that is to be said of one question."""
    pairs, beside_busy = judge(quiet, busy)
    answers = [
        {
            "run": f"{kind} {number}",
            "use": ranking.best and ranking.best.name,
            "seconds": ranking.best and ranking.best.seconds,
            "share_best": ranking.best and ranking.best.share_best,
            "not_slower": [e.name for e in ranking.timed[1:] if e.verdict is not Verdict.SLOWER],
        }
        for kind, rankings in (("quiet", quiet), ("busy", busy))
        for number, ranking in enumerate(rankings, 1)
    ]
    return {
        "answers": answers,
        "quiet_pairs": dict(pairs),
        "quiet_in_busy": dict(beside_busy),
        "repeats": repeats(quiet),
    }


def show(name: str, found: dict[str, Any]) -> None:
    """Print what there is of one question."""
    print(f"\n{name}")
    for answer in found["answers"]:
        if answer["use"] is None:
            print(f"  {answer['run']:8} nothing could be measured")
            continue
        others = ", ".join(answer["not_slower"])
        took, share = seconds_text(answer["seconds"]), f"{answer['share_best']:.0%}"
        print(f"  {answer['run']:8} {answer['use']:36} {took:>8} {share:>5}  {others}")
    for what in ("quiet_pairs", "quiet_in_busy"):
        counts = ", ".join(f"{number} {word}" for word, number in found[what].items())
        print(f"  {what.replace('_', ' ')}: {counts or 'none'}")
    for entry in found["repeats"]:
        held = f"interval held {entry['held']} of {entry['runs']}"
        took = seconds_text(entry["median_s"])
        print(f"  {entry['name']:45} {took:>8}  {held}, spread {entry['spread']:.2f}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; return 1 where an answer contradicts another."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quiet", type=int, default=QUIET, help="runs on an idle machine")
    parser.add_argument("--busy", type=int, default=BUSY, help="runs beside busy loops")
    parser.add_argument("--budget", type=float, default=BUDGET, help="seconds per question")
    parser.add_argument("--question", action="append", choices=tuple(QUESTIONS))
    parser.add_argument("--backend", action="append", help="default: numpy, torch:cpu, jax:cpu")
    parser.add_argument("--json", action="store_true", dest="as_json")
    args = parser.parse_args(arguments)
    names = args.question or list(QUESTIONS)
    found: dict[str, dict[str, list[Ranking]]] = {}
    for kind, runs, loops in (("quiet", args.quiet, 0), ("busy", args.busy, 2 * usable_cores())):
        for number in range(runs):
            for name in names:
                print(f"{kind} run {number + 1} of {runs}: {name}", file=sys.stderr)
                with busy_loops(loops):
                    answer = ask(name, args.backend or LABELS, args.budget)
                found.setdefault(name, {"quiet": [], "busy": []})[kind].append(answer)
    summaries = {name: summary(**rankings) for name, rankings in found.items()}
    every = [entry for one in summaries.values() for entry in one["repeats"]]
    runs = sum(entry["runs"] for entry in every)
    coverage = sum(entry["held"] for entry in every) / runs if runs else None
    if args.as_json:
        machine = this_machine().to_json()
        result = {"machine": machine, "coverage": coverage, "questions": summaries}
        print(json.dumps(result, indent=2))
    else:
        for name, one in summaries.items():
            show(name, one)
        if coverage is not None:
            print(f"\n{coverage:.0%} of {runs} intervals hold the median over the quiet runs")
    counts = (one[what] for one in summaries.values() for what in ("quiet_pairs", "quiet_in_busy"))
    return int(any(WORDS[Verdict.SLOWER] in found for found in counts))


if __name__ == "__main__":
    sys.exit(main())
