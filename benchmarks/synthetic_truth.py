"""How often the verdict about two times is right, where the truth is known.

    python benchmarks/synthetic_truth.py

Draws the samples of two made-up functions whose medians are known, with the noise of real machines,
in rounds and processes as `unpool_xp.bench.measure.rounds` takes them, and asks `compare_times`.
Ends with 1 where more than 1 % of the verdicts about a ratio under a noise are wrong, or anything
that is three times as slow is called the same.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from unpool_xp.bench.verdicts.bootstrap import (
    THRESHOLD,
    Ratio,
    Times,
    Verdict,
    compare_times,
    samples_needed,
)

RATIOS = (1.0, 1.05, 1.1, 1.3, 3.0, 20.0)
SAMPLES = (3, 5, 10, 20, 50)  # of each, over all processes
PROCESSES = (1, 2, 3, 4, 5)
ROUNDS = 4  # in a process
KINDS = (
    "steady",
    "bimodal by sample",
    "bimodal by process",
    "drifting",
    "heavy tail",
    "other programs",
)
DRAWS = 100  # of each ratio, noise, number of samples and number of processes
MOST_WRONG = 0.01
NEVER_TIED = 3.0  # from this ratio on

Floats = NDArray[np.float64]
Rule = Callable[[Times, Times], tuple[Ratio, Verdict]]


class Turn(NamedTuple):
    """When the samples of one function are taken."""

    process: NDArray[np.int64]  # of each sample
    visit: NDArray[np.int64]  # the number of the turn, over all processes
    moment: Floats  # from 0 to 1 over the whole measurement


def _turns(n: int, processes: int) -> tuple[Turn, Turn]:
    """Return the turns of both functions, to and fro: A B B A A B B A."""
    process = np.sort(np.arange(n) % processes)
    place = np.concatenate([np.arange(k) / k for k in np.bincount(process)])
    visit = process * ROUNDS + (place * ROUNDS).astype(np.int64)
    second = np.stack([visit % 2, 1 - visit % 2])  # whether its turn is the second of the round
    first, last = ((2 * visit + late) / (2 * ROUNDS * processes) for late in second)
    return Turn(process, visit, first), Turn(process, visit, last)


def _jitter(turn: Turn, chance: np.random.Generator, samples: float = 0.02) -> Floats:
    """Return what no machine is without: 2 % from sample to sample, 1 % between processes."""
    own = 0.01 * chance.standard_normal(turn.process.max() + 1)
    jitter: Floats = np.exp(own[turn.process] + samples * chance.standard_normal(len(turn.process)))
    return jitter


def _bimodal(key: NDArray[np.int64], chance: np.random.Generator, modes: Floats) -> Floats:
    """Return one of two factors for each value of the key, as often the one as the other."""
    factors: Floats = modes[chance.integers(2, size=key.max() + 1)][key]
    return factors


class Noise(NamedTuple):
    """The noise of one measurement: what both functions meet, then what each meets by itself."""

    shared: Callable[[Turn], Floats]
    own: Callable[[Turn], Floats]


def noises(chance: np.random.Generator) -> dict[str, Noise]:
    """Return the kinds of noise, by name, with new numbers each time."""
    slow_mode = np.array([1.0, chance.uniform(1.2, 2.4)])
    rise, wave, phase = chance.uniform(-0.5, 0.5), chance.uniform(0.0, 0.3), chance.uniform(0, 6.3)
    bursts = chance.uniform(1.2, 3.0)

    def nothing(turn: Turn) -> Floats:
        return np.ones(len(turn.moment))

    def tail(turn: Turn) -> Floats:
        hit = chance.random(len(turn.moment)) < 0.2
        return np.where(hit, 1 + chance.pareto(1.5, len(turn.moment)), 1.0)

    def burst(turn: Turn) -> Floats:
        hit = chance.random(turn.visit.max() + 1) < 0.25
        return np.where(hit[turn.visit], bursts, 1.0)

    return {
        "steady": Noise(nothing, nothing),
        "bimodal by sample": Noise(
            nothing, lambda turn: _bimodal(np.arange(len(turn.process)), chance, slow_mode)
        ),
        "bimodal by process": Noise(
            nothing, lambda turn: _bimodal(turn.process, chance, slow_mode)
        ),
        "drifting": Noise(
            lambda turn: np.exp(rise * turn.moment + wave * np.sin(12.6 * turn.moment + phase)),
            nothing,
        ),
        "heavy tail": Noise(nothing, tail),
        "other programs": Noise(nothing, burst),
    }


def draw(
    ratio: float, noise: str, n: int, processes: int, chance: np.random.Generator
) -> tuple[Times, Times]:
    """Return the times of two functions of which the first takes `ratio` times as long."""
    shared, own = noises(chance)[noise]
    slow, fast = (
        Times(
            (1e-3 * median * shared(turn) * own(turn) * _jitter(turn, chance)).tolist(),
            turn.process.tolist(),
        )
        for median, turn in zip((ratio, 1.0), _turns(n, processes), strict=True)
    )
    return slow, fast


def outcome(ratio: float, verdict: Verdict) -> str:
    """Return what a verdict on the slower one is worth: right, tied, undecided or wrong."""
    if verdict is Verdict.UNDECIDED:
        return "undecided"
    if verdict is Verdict.SAME:
        return "right" if ratio <= 1 + THRESHOLD else "tied"
    return "right" if verdict is Verdict.SLOWER and ratio > 1 else "wrong"


Cell = tuple[float, str, int, int]
RATIO, NOISE, N, PARTS = range(4)  # the places in a cell


def count_outcomes(
    draws: int,
    rule: Rule = compare_times,
    *,
    ratios: Sequence[float] = RATIOS,
    kinds: Sequence[str] = KINDS,
    samples: Sequence[int] = SAMPLES,
    processes: Sequence[int] = PROCESSES,
) -> dict[Cell, Counter[str]]:
    """Return how often each outcome comes, for each ratio, noise, samples and processes."""
    chance = np.random.default_rng(0)
    counts = {}
    for cell in itertools.product(ratios, kinds, samples, processes):
        ratio, noise, n, parts = cell
        if parts <= n:
            found = (rule(*draw(ratio, noise, n, parts, chance))[1] for _ in range(draws))
            counts[cell] = Counter(outcome(ratio, verdict) for verdict in found)
    return counts


def added_up(
    counts: dict[Cell, Counter[str]], *places: int
) -> dict[tuple[object, ...], Counter[str]]:
    """Return the counts by these places of a cell alone, such as its ratio and noise."""
    rows: dict[tuple[object, ...], Counter[str]] = {}
    for cell, found in counts.items():
        rows.setdefault(tuple(cell[place] for place in places), Counter()).update(found)
    return rows


def broken_bounds(counts: dict[Cell, Counter[str]], *places: int) -> Iterator[str]:
    """Yield what is worse than it may be, in rows by these places of a cell."""
    for row, found in added_up(counts, *places).items():
        if found["wrong"] > MOST_WRONG * found.total():
            yield f"{row}: {found['wrong']} of {found.total()} wrong"
    for cell, found in counts.items():
        if cell[0] >= NEVER_TIED and found["tied"]:
            yield f"{cell}: {found['tied']} of {found.total()} tied"


def print_table(counts: dict[Cell, Counter[str]], *places: int) -> None:
    """Print the shares of the outcomes in rows by these places of a cell."""
    outcomes = ("right", "tied", "undecided", "wrong")
    print(f"{'':32} {'draws':>6} {' '.join(f'{one:>11}' for one in outcomes)}")
    for row, found in added_up(counts, *places).items():
        shares = (f"{100 * found[one] / found.total():9.2f} %" for one in outcomes)
        name = ", ".join(f"{part:g}" if isinstance(part, float) else str(part) for part in row)
        print(f"{name:32} {found.total():6} {' '.join(shares)}")


def share_then_decided(draws: int, seed: int = 0) -> tuple[int, int]:
    """Return how many undecided pairs there are, and how many the samples needed then decide."""
    chance = np.random.default_rng(seed)
    asked = decided = 0
    for ratio, noise, n in itertools.product(RATIOS, KINDS, (5, 20)):
        for _ in range(draws):
            pair = draw(ratio, noise, n, 3, chance)
            times = samples_needed(*pair) if compare_times(*pair)[1] is Verdict.UNDECIDED else None
            if times is not None and times <= 10:
                more = draw(ratio, noise, int(times * n), int(times * 3), chance)
                asked += 1
                decided += compare_times(*more)[1] is not Verdict.UNDECIDED
    return asked, decided


def main() -> int:
    """Draw and print; return 1 where a bound is broken."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=DRAWS, help="draws per kind of measurement")
    draws = parser.parse_args().draws
    counts = count_outcomes(draws)
    print("ratio and noise, 3 to 50 samples of 1 to 5 processes")
    print_table(counts, RATIO, NOISE)
    print("\nthe same with five processes and 20 samples or more")
    print_table(
        {cell: n for cell, n in counts.items() if cell[2] >= 20 and cell[3] == 5}, RATIO, NOISE
    )
    print("\nsamples and processes")
    print_table(counts, N, PARTS)
    asked, decided = share_then_decided(draws)
    print(f"\nof {asked} undecided ones, the samples needed decide {decided}")
    broken = list(broken_bounds(counts, RATIO, NOISE))
    print(*broken, sep="\n")
    return int(bool(broken))


if __name__ == "__main__":
    sys.exit(main())
