"""Fuzz the operations: exit code 1 where two outcomes of a call disagree.

Each disagreement is printed with a line of Python that shows it again.
"""

from __future__ import annotations

import argparse
import itertools
import re
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from random import Random

import jax
import torch

from tests.conftest import MLX
from tests.fuzz.draw import draw
from tests.fuzz.judge import broken_promise, disagreement, expected_from
from tests.fuzz.libraries import TARGETS, can_take, run
from tests.fuzz.natives import NATIVES
from tests.fuzz.operations import OPERATIONS_HERE
from tests.fuzz.pieces import Call

# How often a call goes there as well: what compiles takes a thousand times as long as NumPy.
SHARES = {
    "torch": 0.5,
    "strict": 0.15,
    **({"mlx": 0.15} if MLX else {}),
    "dask": 0.03,
    "jax": 0.001,
    "jax.jit": 0.01,
    "torch compiled": 0.001,
    "torch.nn.functional": 0.6,
    "onnxruntime": 0.25,
    "the reference": 0.1,
}


refusals = Counter[str]()  # what libraries lack, as often as a call needed it


def disagreements(call: Call, labels: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with a call: with what it was compared, and how they differ."""
    ours = run("numpy", call)
    broken = broken_promise(call, ours, "numpy")
    if broken:
        yield "numpy", broken
    for label in labels:
        if label in TARGETS:
            if not can_take(label, call):
                continue
            got, wanted = run(label, call), expected_from(call, ours, label)
            said = str(got.error)
            if isinstance(got.error, NotImplementedError) and said.startswith(call.operation):
                refusals[re.sub(r"[\d(][\d, ()]*", "n ", said)[:160]] += 1
                continue
            how = None if wanted is None else disagreement(call, wanted, got, label)
            how = how or broken_promise(call, got, label)
        else:
            # The reference checks no arguments.
            blind = call.mistake or call.odd or (label == "the reference" and ours.error)
            theirs = None if blind else NATIVES[label](call)
            how = None if theirs is None else disagreement(call, ours, theirs, label)
        if how:
            yield label, how


def fuzz(seed: int, numbers: Iterable[int], operations: list[str], everywhere: bool = False) -> int:
    """Make the calls of these numbers, print each new kind of disagreement, return how many."""
    told: Counter[tuple[str, ...]] = Counter()
    calls = 0
    for number in numbers:
        rng = Random(f"{seed}, {number}")  # any call is found again without those before it
        call = draw(rng, operations)
        labels = [label for label, share in SHARES.items() if everywhere or rng.random() < share]
        calls += 1
        for label, how in disagreements(call, labels):
            kind = (call.operation, label, re.sub(r"[^a-zA-Z ]+", "", how)[:40])
            told[kind] += 1
            if told[kind] == 1:
                again = f"again({label!r}, {call.text}, {call.plain!r})"
                print(f"{call.operation} on numpy, beside {label}: {how}")
                print(f"    from tests.fuzz.again import *; {again}")
                print(f"    seed {seed}, call {number}", flush=True)
    print(f"{calls} calls, {told.total()} disagreements of {len(told)} kinds; seed {seed}")
    return told.total()


def _for_seconds(seconds: float) -> Iterator[int]:
    end = time.monotonic() + seconds
    return itertools.takewhile(lambda _: time.monotonic() < end, itertools.count())


def main() -> int:
    """Read the arguments, and fuzz."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--call", type=int, help="this call of the seed alone, on everything")
    parser.add_argument("--operation", action="append", choices=OPERATIONS_HERE)
    options = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    torch.set_num_threads(1)
    one = options.call is not None
    numbers = [options.call] if one else _for_seconds(options.seconds)
    return int(fuzz(options.seed, numbers, options.operation or OPERATIONS_HERE, one) > 0)


if __name__ == "__main__":
    sys.exit(main())
