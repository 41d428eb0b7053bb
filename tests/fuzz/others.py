"""Fuzz installed libraries in processes of their own: ``python -m tests.fuzz.others cubed dpnp``.

A process that ends in the middle of a call is a crash, and the next one goes on after that call.
What a library cannot do must be a NotImplementedError that names the operation; those are counted.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

from tests.fuzz import __main__ as fuzzer
from tests.fuzz import libraries
from tests.fuzz.libraries import Outcome, outcome
from tests.fuzz.operations import OPERATIONS_HERE
from tests.fuzz.pieces import Call
from unpool_xp import backends


def fuzz_library(label: str, seed: int, first: int, calls: int, progress: Path) -> None:
    """Make calls on one library and NumPy, and write the number of each before it is made."""
    backend = backends.load(label)

    def run(call: Call) -> Outcome:
        if label == "cubed":
            return outcome(lambda: _on_cubed(backend.xp, call))
        return outcome(
            lambda: call.function(*map(backend.asarray, call.data), **call.options),
            backend.to_numpy,
        )

    def numbers() -> Iterator[int]:
        for number in range(first, calls):
            progress.write_text(str(number))
            yield number

    libraries.TARGETS[label], libraries.OTHERS[label] = run, backend
    fuzzer.SHARES.clear()
    fuzzer.SHARES[label] = 1.0
    fuzzer.fuzz(seed, numbers(), OPERATIONS_HERE)
    for reason, count in fuzzer.refusals.most_common():
        print(f"    {count} times: {reason}")


def _on_cubed(xp: Any, call: Call) -> Any:
    """Make a call on chunks in memory, by one thread, all outputs by one plan: files cost more.

    The chunks follow from the call, so that it is found again. Nothing may be computed before.
    """
    from zarr.storage import MemoryStore

    rng = Random(hashlib.sha1(repr((call.operation, call.options)).encode()).digest())
    spec = xp.Spec(
        intermediate_store=MemoryStore(), allowed_mem="2GB", executor_name="single-threaded"
    )
    arrays = []
    for array in call.data:
        sizes = [rng.choice((n, n, (n + 1) // 2, 2, 3)) for n in array.shape]
        chunks = [max(min(k, n), 1) for k, n in zip(sizes, array.shape, strict=True)]
        arrays.append(xp.asarray(array.copy(), chunks=tuple(chunks), spec=spec))
    with xp.raise_if_computes():
        result = call.function(*arrays, **call.options)
    lazy = result if isinstance(result, tuple) else (result,)
    computed = xp.compute(*lazy)
    for one, other in zip(lazy, computed, strict=True):
        assert (one.spec, one.shape, one.dtype) == (spec, other.shape, other.dtype), "promised"
    return computed


def main() -> int:
    """Read the arguments, and fuzz each library; exit code 1 where a process crashed."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.others", description=__doc__)
    parser.add_argument("library", nargs="+")
    parser.add_argument("--calls", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--progress", type=Path, help=argparse.SUPPRESS)  # in those processes
    options = parser.parse_args()
    if options.progress:
        (label,) = options.library
        fuzz_library(label, options.seed, options.first, options.calls, options.progress)
        return 0
    crashes = 0
    for label in options.library:
        first = options.first
        while first < options.calls:
            with tempfile.TemporaryDirectory() as folder:
                at = Path(folder, "number")
                numbers = ("--calls", options.calls, "--seed", options.seed, "--first", first)
                module = ("-m", "tests.fuzz.others", label, "--progress", at)
                command = [sys.executable, *map(str, (*module, *numbers))]
                code = subprocess.run(command, check=False).returncode
                if code == 0:
                    break
                first = int(at.read_text()) + 1 if at.exists() else options.calls
            print(f"{label}: exit code {code} in call {first - 1}", flush=True)
            crashes += 1
    print(f"{crashes} crashes")
    return int(crashes > 0)


if __name__ == "__main__":
    sys.exit(main())
