"""Hold the harness to pyperf and ``torch.utils.benchmark``: the same function, the same machine.

    python benchmarks/harness_accuracy.py

Every round is a worker process of pyperf's own. In it the harness prepares the case, and then all
three time the very same callable on the very same arrays in turns, a sample each, to and fro. What
is compared is the median of the rounds' ratios.
`docs/measuring.rst` says what the three do differently by default, and what is done about it.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import itertools
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyperf

from unpool_xp import backends
from unpool_xp.bench.cases.case import BackendMode
from unpool_xp.bench.catalog.panel import panel_case
from unpool_xp.bench.measure.machine import this_machine
from unpool_xp.bench.measure.session import Session
from unpool_xp.bench.verdicts.bootstrap import Times

# name -> backend and mode, operation, size, stride: of the panel.
CASES = {
    "numpy small": ("numpy", "max_pool", "small", 2),
    "numpy large": ("numpy", "nearest_unpool", "large", 2),
    "torch small": ("torch:cpu", "max_unpool", "small", 3),
    "torch large": ("torch:cpu", "avg_pool", "large", 2),
    "jax compiled large": ("jax:cpu compiled", "linear_unpool", "large", 2),
}
TOLERANCE = 0.05
ROUNDS = 11
VALUES = 40  # of each harness in a round
_WARMUP_SECONDS = 0.2
_BUSY_LOAD = 0.5  # load a processor
OTHERS = ("pyperf", "torch")


@dataclass(frozen=True)
class HarnessComparison:
    """What the three say of a case.

    Attributes
    ----------
    name, backend_mode, case : str
        The case here, its backend and mode, its name in the panel.
    ours_s, pyperf_s, torch_s : float
        Seconds per call: the median over the rounds, each of them a median itself.
    ratios : dict of str to float
        Ours over the other's: the median over the rounds.
    intervals : dict of str to tuple
        Of the ratios, by the bootstrap.
    rounds : list of dict
        The medians of each round.
    """

    name: str
    backend_mode: str
    case: str
    ours_s: float
    pyperf_s: float
    torch_s: float
    ratios: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    rounds: list[dict[str, float]]

    def is_off(self, tolerance: float) -> bool:
        """Return whether a ratio is further from 1 than that."""
        return any(abs(ratio - 1) > tolerance for ratio in self.ratios.values())


def compare_harnesses(name: str, rounds: list[dict[str, float]]) -> HarnessComparison:
    """Return what the rounds of a case come to.

    Parameters
    ----------
    name : str
        A name in `CASES`.
    rounds : list of dict
        Of each round the medians "ours", "pyperf" and "torch".

    Returns
    -------
    HarnessComparison
        Ratios are taken within a round, so that a machine that slows down slows all of it.
    """
    backend_mode, *what = CASES[name]
    ratios = {other: [each["ours"] / each[other] for each in rounds] for other in OTHERS}
    intervals = {other: Times(found).interval for other, found in ratios.items()}
    return HarnessComparison(
        name,
        backend_mode,
        panel_case(*what).name,
        *(statistics.median(each[who] for each in rounds) for who in ("ours", *OTHERS)),
        ratios={other: statistics.median(found) for other, found in ratios.items()},
        intervals={other: (i.low, i.high) for other, i in intervals.items()},
        rounds=rounds,
    )


# --- within a worker of pyperf -------------------------------------------------------------------


class InterleavedTimers:
    """A sample of each of the three whenever pyperf asks for a value, to and fro.

    Parameters
    ----------
    session : Session
        Prepared.
    """

    def __init__(self, session: Session) -> None:
        self._session, self._call = session, session.caller()
        self._timer = _torch_timer(self._call)
        self.samples: dict[str, list[float]] = {"ours": [], "pyperf": [], "torch": []}

    def value(self, loops: int) -> float:
        """Return the seconds of so many calls, as pyperf wants it; the other two take theirs, too.

        Parameters
        ----------
        loops : int
            How many calls.

        Returns
        -------
        float
            Seconds of all of them.
        """
        steps = {
            "ours": lambda: self._session.sample(1)[0],
            "pyperf": lambda: self._loop(loops) / loops,
            "torch": lambda: self._timer.timeit(loops).times[0],
        }
        turn = len(self.samples["ours"])
        for who, step in list(steps.items())[:: 1 if turn % 2 == 0 else -1]:
            self.samples[who].append(step())
        return self.samples["pyperf"][-1] * loops

    def _loop(self, loops: int) -> float:
        # As pyperf's documentation has it, and its own bench_func.
        call, repeats = self._call, range(loops)
        start = pyperf.perf_counter()
        for _ in repeats:
            call()
        return pyperf.perf_counter() - start


def _torch_timer(call: Callable[[], None]) -> Any:
    import torch
    from torch.utils.benchmark import Timer

    # Its default is one thread, whatever torch has.
    return Timer("call()", globals={"call": call}, num_threads=torch.get_num_threads())


def _run_worker(runner: pyperf.Runner, args: argparse.Namespace) -> None:
    """Measure a round of one case; pyperf's part goes through its pipe, the rest to a file."""
    names = list(args.case or CASES)
    for name in names[: args.worker_task]:
        runner.bench_time_func(name, _never)  # so that pyperf counts its tasks
    name = names[args.worker_task]
    session = prepare_session(name)
    # A sample of the same calls: where others are at work, a mean over 0.1 s holds every
    # interruption, and most means over 2 ms hold none.
    args.loops = session.measured.calls_per_sample
    gc.collect()
    gc.disable()  # the harness and torch do it by themselves, pyperf does not
    turns, call = InterleavedTimers(session), session.caller()
    deadline = time.perf_counter() + _WARMUP_SECONDS
    while time.perf_counter() < deadline:
        call()
    runner.bench_time_func(name, turns.value)
    # Those of the values, without pyperf's warm-up.
    beside = {
        who: statistics.median(turns.samples[who][-args.values :]) for who in ("ours", "torch")
    }
    with args.beside.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"name": name, **beside}) + "\n")


def prepare_session(name: str) -> Session:
    """Return the checked session of a case; what keeps it from being measured is an exit."""
    text, *what = CASES[name]
    backend_mode = BackendMode.parse(text)
    try:
        session = Session(backends.load(backend_mode.label), panel_case(*what), backend_mode.mode)
    except backends.BackendUnavailableError as error:
        raise SystemExit(f"harness_accuracy: {name}: {error}") from error
    if not session.prepare():
        raise SystemExit(f"harness_accuracy: {name}: {session.measured.error}")
    return session


def _never(loops: int) -> float:
    raise AssertionError("a case of another worker")


def _records(path: Path, name: str) -> list[dict[str, Any]]:
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [record for record in map(json.loads, lines) if record["name"] == name]


# --- in the parent -------------------------------------------------------------------------------


def _run_rounds(runner: pyperf.Runner, args: argparse.Namespace) -> list[HarnessComparison]:
    found = []
    for name in args.case or CASES:
        print(f"{args.processes} rounds of", file=sys.stderr, end=" ", flush=True)
        with contextlib.redirect_stdout(sys.stderr):  # it prints what it found
            bench = runner.bench_time_func(name, _never)  # the workers know what to call
        of_pyperf = [statistics.median(run.values) for run in bench.get_runs() if run.values]
        beside = _records(args.beside, name)
        rounds = [
            {"ours": other["ours"], "pyperf": value, "torch": other["torch"]}
            for value, other in zip(of_pyperf, beside, strict=True)
        ]
        found.append(compare_harnesses(name, rounds))
    return found


def _print_table(found: Sequence[HarnessComparison], tolerance: float) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title="Median time of a call, and ours over theirs (95 % interval)")
    table.add_column("case", min_width=40)
    for column in ("ours", "pyperf", "torch", "ours/pyperf", "ours/torch"):
        table.add_column(column, justify="right")
    for truth in found:
        cells = [_time(seconds) for seconds in (truth.ours_s, truth.pyperf_s, truth.torch_s)]
        for other in OTHERS:
            low, high = truth.intervals[other]
            mark = " [red]off[/]" if abs(truth.ratios[other] - 1) > tolerance else ""
            cells.append(f"{truth.ratios[other]:.3f} ({low:.3f} to {high:.3f}){mark}")
        table.add_row(f"{truth.name} ({truth.backend_mode})\n[dim]{truth.case}[/]", *cells)
    console = Console(width=None if sys.stdout.isatty() else 140)
    console.print(table)
    wrong = [truth.name for truth in found if truth.is_off(tolerance)]
    console.print(
        f"off by more than {tolerance:.0%}: {', '.join(wrong)}"
        if wrong
        else f"all within {tolerance:.0%}"
    )


def _time(seconds: float) -> str:
    factor, unit = (1e6, "us") if seconds < 1e-3 else (1e3, "ms")
    return f"{seconds * factor:.4g} {unit}"


def _runner() -> pyperf.Runner:
    def pass_on(command: list[str], args: argparse.Namespace) -> None:
        command.extend(("--beside", str(args.beside)))
        command.extend(itertools.chain.from_iterable(("--case", name) for name in args.case))

    runner = pyperf.Runner(
        values=VALUES,
        processes=ROUNDS,
        loops=1,  # no calibration: a worker takes those of the harness
        program_args=(str(Path(__file__).resolve()),),
        add_cmdline_args=pass_on,
    )
    add = runner.argparser.add_argument
    add("--case", action="append", choices=tuple(CASES), default=[], help="default: all")
    add("--tolerance", type=float, default=TOLERANCE, help="how much a ratio may differ from 1")
    add("--json", action="store_true", dest="as_json", help="print JSON instead of the table")
    add("--beside", type=Path, help=argparse.SUPPRESS)
    return runner


def main() -> int:
    """Measure; return 1 where a ratio is off by more than the tolerance."""
    runner = _runner()
    args = runner.parse_args()
    if args.worker:
        _run_worker(runner, args)
        return 0
    if args.affinity:
        runner.argparser.error("--affinity: pin this whole command instead, with taskset")
    if hasattr(os, "sched_getaffinity"):
        # Otherwise pyperf may pin its own part of a round to isolated processors, and no other's.
        args.affinity = ",".join(map(str, sorted(os.sched_getaffinity(0))))
    args.quiet = True
    # pyperf's workers have few variables of the environment: the threads would be others.
    args.inherit_environ = list(os.environ)
    busy = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    if busy > _BUSY_LOAD * (os.cpu_count() or 1):
        print(
            f"harness_accuracy: others are at work here (load {busy:.1f}): ratios will be off",
            file=sys.stderr,
        )
    with tempfile.TemporaryDirectory() as folder:
        args.beside = Path(folder) / "beside.jsonl"
        found = _run_rounds(runner, args)
    if args.as_json:
        entries = [asdict(truth) for truth in found]
        output = {
            "machine": this_machine().to_json(),
            "tolerance": args.tolerance,
            "cases": entries,
        }
        print(json.dumps(output, indent=2))
    else:
        _print_table(found, args.tolerance)
    return int(any(truth.is_off(args.tolerance) for truth in found))


if __name__ == "__main__":
    sys.exit(main())
