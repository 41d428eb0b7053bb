"""Costs that a steady-state time leaves out: compilation, memory, transfers, the ceiling."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from unpool_xp.bench.report.answers import mean_ratio
from unpool_xp.bench.report.ranked import RankedCase, TimedRow, by_series
from unpool_xp.bench.rows.schema import Row, failure_reason
from unpool_xp.bench.verdicts.bootstrap import Verdict, verdict
from unpool_xp.bench.verdicts.crossover import DeviceCrossover, device_crossovers, is_gpu


@dataclass(frozen=True)
class CompileBreakEven:
    """A compiled call beside the same one eager.

    Attributes
    ----------
    case : RankedCase
        Of what.
    compiled, eager : Timed
        The two.
    first_s : float
        The first compiled call: compiling, and running once.
    calls : int or None
        From how many calls on compiled takes less in all; None where it never does.
    clear : bool
        Whether the two are known to differ at all.
    """

    case: RankedCase
    compiled: TimedRow
    eager: TimedRow
    first_s: float
    calls: int | None
    clear: bool


def compile_break_evens(cases: Iterable[RankedCase]) -> list[CompileBreakEven]:
    """Return when compiling pays back, for each row measured in both modes."""
    found = []
    for case in cases:
        eager = {_function_key(timed): timed for timed in case.timed if timed.row.mode == "eager"}
        for timed in case.timed:
            beside, first = eager.get(_function_key(timed)), timed.row.first_call_s
            if timed.row.mode == "compiled" and beside is not None and first is not None:
                calls = break_even_calls(timed.seconds, beside.seconds, first)
                differ = verdict(*mean_ratio([(timed, beside)]))
                clear = differ in (Verdict.FASTER, Verdict.SLOWER)
                found.append(CompileBreakEven(case, timed, beside, first, calls, clear))
    return found


def _function_key(timed: TimedRow) -> tuple[str, str, str]:
    return timed.row.backend, timed.row.implementation, timed.row.function


def break_even_calls(compiled_s: float, eager_s: float, first_s: float) -> int | None:
    """Return the number of calls from which on compiled takes less time in all than eager.

    Parameters
    ----------
    compiled_s, eager_s : float
        Seconds a call in the steady state.
    first_s : float
        Seconds of the first compiled call.

    Returns
    -------
    int or None
        None where compiled is not faster, so that it never does.

    Examples
    --------
    >>> from unpool_xp.bench.report.costs import break_even_calls
    >>> break_even_calls(compiled_s=1.0, eager_s=3.0, first_s=11.0)  # 11 + 5 against 6 * 3
    6
    """
    if compiled_s >= eager_s:
        return None
    # first + (n - 1) * compiled < n * eager
    return max(1, math.floor((first_s - compiled_s) / (eager_s - compiled_s)) + 1)


def copy_ceilings(rows: Iterable[Row]) -> dict[str, tuple[float, str]]:
    """Return what the fastest plain copy on each device reached, in GB/s, and whose it was."""
    best: dict[str, tuple[float, str]] = {}
    for row in rows:
        rate = row.copy_gb_s
        if rate and rate > best.get(row.device, (0.0, ""))[0] and not failure_reason(row):
            best[row.device] = (rate, row.backend)
    return best


def host_copy_rate(rows: Sequence[Row]) -> float | None:
    """Return what the fastest plain copy on a CPU reached, or, where there is none, on a GPU."""
    cpu = copy_ceilings(row for row in rows if not is_gpu(row.backend))
    return (
        max(rate for rate, _ in found.values()) if (found := cpu or copy_ceilings(rows)) else None
    )


@dataclass(frozen=True)
class DevicePoint:
    """The best CPU backend beside the best GPU backend at one size."""

    case: RankedCase
    cpu: TimedRow
    gpu: TimedRow
    ratio: float  # CPU time over GPU time: above 1 where the GPU is faster
    ratio_with_copies: float | None  # the data starts, and is wanted, on the host


def device_points(cases: Iterable[RankedCase]) -> list[DevicePoint]:
    """Return CPU beside GPU for each case that has both."""
    points = []
    for case in cases:
        cpus = [t for t in case.timed if not is_gpu(t.row.backend)]
        gpus = [t for t in case.timed if is_gpu(t.row.backend)]
        if not cpus or not gpus:
            continue
        near, far = _fastest_with_copies(cpus), _fastest_with_copies(gpus)
        copied = near / far if near is not None and far is not None else None
        points.append(
            DevicePoint(case, cpus[0], gpus[0], cpus[0].seconds / gpus[0].seconds, copied)
        )
    return points


def _fastest_with_copies(timed: Iterable[TimedRow]) -> float | None:
    """Return the least seconds with the copies, which libraries on the CPU may need too."""
    return min(
        (t.seconds + t.copy_seconds for t in timed if t.copy_seconds is not None), default=None
    )


@dataclass(frozen=True)
class DeviceSeries:
    """The best GPU backend, and each of them, beside the best CPU backend, small to large.

    `crossovers` has each GPU backend twice: with the data there, and with the copies counted.
    """

    first: RankedCase
    points: Sequence[DevicePoint]
    crossovers: Sequence[tuple[DeviceCrossover, DeviceCrossover]]


def device_series(cases: Iterable[RankedCase]) -> list[DeviceSeries]:
    """Return CPU beside GPU for each operation, kernel, stride and dtype that has rows of a GPU."""
    found = []
    for series in by_series(cases):
        rows = [row for case in series for row in case.rows]
        here, copied = (device_crossovers(rows, with_transfer=copies) for copies in (False, True))
        if here:
            crossings = list(zip(here, copied, strict=True))
            found.append(DeviceSeries(series[0], device_points(series), crossings))
    return found


@dataclass(frozen=True)
class WinnerChange:
    """From a case on, in order of size, another backend is the fastest."""

    case: RankedCase
    winner: TimedRow
    after: RankedCase | None
    tied: tuple[str, ...]  # backends


def winner_changes(series: Sequence[RankedCase]) -> list[WinnerChange]:
    """Return where the fastest backend changes along cases that differ in size alone.

    Parameters
    ----------
    series : sequence of RankedCase
        The smallest first.

    Returns
    -------
    list of Change
        The first says who is the fastest at the smallest size. A new one counts only where the
        old one is known to be slower, or has failed.
    """
    found: list[WinnerChange] = []
    before: RankedCase | None = None
    for case in series:
        if not case.timed:
            continue
        first = {t.row.backend for t in case.timed if t.entry.tied_with_best}
        winner = case.timed[0]
        backend = winner.row.backend
        if not found or found[-1].winner.row.backend not in first | {backend}:
            found.append(WinnerChange(case, winner, before, tuple(sorted(first - {backend}))))
        before = case
    return found
