"""What disturbs a sample, and what the harness does about it, in figures of this machine.

    python benchmarks/interference.py

Each case runs in a worker of its own, and the workers take turns. "Back to back" is a case alone,
call after call. "Unguarded" are single samples in turns, with nothing done about the pause before a
sample and the threads that other workers left spinning. "Guarded" are the same turns as the harness
takes them: the other workers are suspended, and untimed calls come first. The last table asks how
far repeated runs lie apart: of one process each, and of several.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from unpool_xp import backends
from unpool_xp.bench.measure.machine import this_machine
from unpool_xp.bench.measure.server import serve
from unpool_xp.bench.measure.timer import TimedCall
from unpool_xp.bench.measure.workers import Worker

REST_SECONDS = 0.02
ROUNDS = 40
PROCESSES, RUNS = 3, 6
_TIMEOUT = 120.0


def _random(*shape: int) -> Any:
    return np.random.default_rng(0).random(shape, dtype=np.float32)


def _torch_max_unpool(shape: tuple[int, ...]) -> Callable[[], Any]:
    import torch
    from torch.nn import functional

    values, indices = functional.max_pool2d(
        torch.from_numpy(_random(*shape)), 2, return_indices=True
    )
    return lambda: functional.max_unpool2d(values, indices, 2)


def _torch_max_pool() -> Callable[[], Any]:
    import torch
    from torch.nn import functional

    x = torch.from_numpy(_random(2, 32, 112, 112))
    return lambda: functional.max_pool2d(x, 2)


def _torch_conv_transpose() -> Callable[[], Any]:
    import torch
    from torch.nn import functional

    x, weight = torch.from_numpy(_random(2, 32, 56, 56)), torch.from_numpy(_random(32, 16, 2, 2))
    return lambda: functional.conv_transpose2d(x, weight, stride=2)


def _torch_copies() -> Callable[[], Any]:
    backend, host = backends.load("torch:cpu"), _random(4, 32, 96, 96)
    return lambda: backend.to_numpy(backend.asarray(host)) + 0.0


def _numpy_product() -> Callable[[], Any]:
    square = _random(300, 300)
    return lambda: square @ square


def _jax_compiled() -> Callable[[], Any]:
    from unpool_xp import max_pool

    backend = backends.load("jax:cpu")
    x, call = backend.asarray(_random(4, 32, 112, 112)), backend.compile(lambda x: max_pool(x, 2))

    def once() -> Any:
        output = call(x)
        backend.synchronize(*output)
        return output

    return once


def _dask_compute() -> Callable[[], Any]:
    from unpool_xp import avg_pool

    backend = backends.load("dask")
    x = backend.asarray(_random(4, 32, 112, 112))
    return lambda: backend.to_numpy(avg_pool(x, 2))


CASES: dict[str, Callable[[], Callable[[], Any]]] = {
    "torch max_unpool2d (4, 32, 192, 192)": lambda: _torch_max_unpool((4, 32, 384, 384)),
    "torch max_pool2d (2, 32, 112, 112)": _torch_max_pool,
    "torch max_unpool2d (4, 64, 56, 56)": lambda: _torch_max_unpool((4, 64, 112, 112)),
    "numpy product (300, 300)": _numpy_product,
    "torch conv_transpose2d (2, 32, 56, 56)": _torch_conv_transpose,
    "jax compiled max_pool (4, 32, 112, 112)": _jax_compiled,
    "dask avg_pool (4, 32, 112, 112)": _dask_compute,
    "torch copies (4, 32, 96, 96)": _torch_copies,
}
REPEATED = tuple(CASES)[1:3]  # those whose processes are compared


# --- in a worker ---------------------------------------------------------------------------------


class CaseServer:
    """Times one case."""

    def __init__(self, name: str) -> None:
        self._timed = TimedCall(CASES[name](), (), lambda *_: None)
        self._timed.warm_up()

    def hello(self) -> dict[str, Any]:
        """Say that the case is ready."""
        return {}

    def sample(self, n: int = 1, calls: int | None = None, warm: bool = True) -> dict[str, Any]:
        """Return the seconds of a call in each of n samples."""
        if warm:
            self._timed.warm_up()
        return {"s": [self._timed.time(calls or self._timed.calls) for _ in range(n)]}


# --- in the parent -------------------------------------------------------------------------------


class UnguardedWorker(Worker):
    """A worker that keeps running while others are timed."""

    def _suspend(self) -> None:
        pass


@dataclass(frozen=True)
class Spread:
    """Seconds of a call over many samples."""

    median: float
    p90: float
    largest: float

    @classmethod
    def of(cls, samples: Sequence[float]) -> Spread:
        """Return the spread of samples."""
        return cls(statistics.median(samples), float(np.quantile(samples, 0.9)), max(samples))


@contextlib.contextmanager
def _workers(kind: type[Worker], names: Sequence[str]) -> Iterator[dict[str, Worker]]:
    started: dict[str, Worker] = {}
    try:
        for name in names:
            command = [sys.executable, str(Path(__file__).resolve()), "--worker", name]
            started[name] = kind(name, command=command)
        for worker in started.values():
            _ = worker.facts
        yield started
    finally:
        for worker in started.values():
            worker.close()


def _ask(worker: Worker, **arguments: Any) -> list[float]:
    samples: list[float] = worker.ask("sample", timeout=_TIMEOUT, **arguments)["s"]
    return samples


def back_to_back(name: str, rounds: int) -> list[float]:
    """Return the seconds of single calls, one after the other, with no other worker about."""
    with _workers(Worker, [name]) as workers:
        return _ask(workers[name], n=5 * rounds, calls=1)


def in_turns(kind: type[Worker], rounds: int, **arguments: Any) -> dict[str, list[float]]:
    """Return the samples of each case, taken in turns with all the others."""
    found: dict[str, list[float]] = {name: [] for name in CASES}
    with _workers(kind, list(CASES)) as workers:
        for _ in range(rounds):
            for name, worker in workers.items():
                found[name] += _ask(worker, **arguments)
            time.sleep(REST_SECONDS)
    return found


def repeated_runs(name: str, runs: int, processes: int) -> list[float]:
    """Return the median of several runs, each of so many processes."""
    found = []
    for _ in range(runs):
        medians = []
        for _ in range(processes):
            with _workers(Worker, [name]) as workers:
                medians.append(statistics.median(_ask(workers[name], n=10)))
        found.append(statistics.median(medians))
    return found


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1e3:.3g}"


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--json", action="store_true", dest="as_json")
    parser.add_argument("--worker", choices=tuple(CASES), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        serve(args.worker, lambda: CaseServer(args.worker), ("hello", "sample"))
        return 0
    alone = {name: Spread.of(back_to_back(name, args.rounds)) for name in CASES}
    unguarded = in_turns(UnguardedWorker, args.rounds, calls=1, warm=False)
    guarded = in_turns(Worker, args.rounds)
    spreads = {
        name: (alone[name], Spread.of(unguarded[name]), Spread.of(guarded[name])) for name in CASES
    }
    runs = {
        (name, count): repeated_runs(name, args.runs, count)
        for name in REPEATED
        for count in (1, PROCESSES)
    }
    if args.as_json:
        print(
            json.dumps(
                {
                    "machine": this_machine().to_json(),
                    "cases": {name: [asdict(s) for s in found] for name, found in spreads.items()},
                    "runs": [[name, n, found] for (name, n), found in runs.items()],
                },
                indent=2,
            )
        )
        return 0
    print("Milliseconds a call, as median (90th percentile; largest)\n")
    width = max(map(len, CASES))
    for name, found in spreads.items():
        texts = (
            f"{_milliseconds(s.median)} ({_milliseconds(s.p90)}; {_milliseconds(s.largest)})"
            for s in found
        )
        print(name.ljust(width), *(text.rjust(24) for text in texts))
    print("\nRepeated runs: the largest median over the smallest\n")
    for (name, count), medians in runs.items():
        print(f"{name.ljust(width)}  {count} process(es) a run: {max(medians) / min(medians):.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
