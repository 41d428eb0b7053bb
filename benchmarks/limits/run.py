"""How far each operation is from its limits: ``python benchmarks/limits/run.py``.

Rates beside a plain copy and the matrix product within, overhead, what workers gain, traffic,
memory and growth, for NumPy, PyTorch and JAX on the CPU; what misses its target is red.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any

import measures
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from unpool_xp.bench.cases.case import BackendMode, Case
from unpool_xp.bench.cases.formatting import seconds_text, three_digits
from unpool_xp.bench.catalog import SINGLE_OPERATIONS
from unpool_xp.bench.catalog.families import (
    CONV_TRANSPOSE_INPUTS,
    KERNELS,
    conv_transpose_case,
)

COPY_SHARE = 0.6  # of the rate of a plain copy, at least
GEMM_SHARE = 0.7  # of the rate of the matrix product within, at least
OVERHEAD_SECONDS = 6e-6  # of a call beyond its array calls, at most
SCALING_LIMIT = 1.5  # of the time an element beyond the caches, at most
SCRATCH_LIMIT = 0.5  # of the outputs' bytes, beyond inputs and outputs, at most

# Outputs several times the size of a last-level cache.
BANDWIDTH_CASES = (
    Case("nearest_unpool", (8, 64, 112, 112), scale=(2, 2)),
    Case("nearest_unpool", (4, 64, 112, 112), scale=(3, 3)),
    Case("max_unpool", (8, 64, 112, 112), kernel=(2, 2)),
    Case("max_unpool", (4, 64, 112, 112), kernel=(3, 3)),
)
GEMM_CASES = tuple(
    conv_transpose_case(shape, channels, kernel, stride, padding)
    for shape, channels in CONV_TRANSPOSE_INPUTS
    for kernel, stride, padding in KERNELS
)


def _each_operation(pooled: tuple[int, ...], unpooled: tuple[int, ...]) -> tuple[Case, ...]:
    return (
        Case("max_pool", pooled, kernel=(2, 2)),
        Case("avg_pool", pooled, kernel=(2, 2)),
        Case("max_unpool", unpooled, kernel=(2, 2)),
        Case("nearest_unpool", unpooled, scale=(2, 2)),
        Case("linear_unpool", unpooled, scale=(2, 2)),
        Case("conv_transpose", unpooled, kernel=(2, 2), out_channels=unpooled[1]),
    )


OVERHEAD_CASES = _each_operation((1, 1, 2, 2), (1, 1, 2, 2))
SCALING_CASES = _each_operation((1, 16, 64, 64), (1, 16, 32, 32))
MEMORY_CASES = tuple(
    case.replace(shape=(8, 64, *(2 * n for n in case.shape[2:]))) for case in SCALING_CASES
)


def _worker_cases(shape: tuple[int, ...]) -> tuple[Case, ...]:
    """Return operations whose larger side is of that shape, or one cell less along an axis."""
    lead, plane = shape[:-2], shape[-2:]
    half = (*lead, *(n // 2 for n in plane))
    return (
        Case("max_pool", shape, kernel=2),
        Case("max_pool", shape, kernel=3, stride=2),
        Case("avg_pool", shape, kernel=2),
        Case("avg_pool", shape, kernel=3, stride=1),
        Case("adaptive_max_pool", shape, scale=tuple(7 / n for n in plane)),
        Case("fractional_max_pool", shape, kernel=2, scale=0.5),
        Case("nearest_unpool", half, scale=2),
        Case("linear_unpool", half, scale=2),
        Case("linear_unpool", (*lead, *(round(n / 1.7) for n in plane)), scale=1.7),
        Case("cubic_unpool", half, scale=2),
        Case("max_unpool", half, kernel=2),
    )


WORKER_CASES = tuple(
    case
    for shape in ((4, 64, 56, 56), (4, 64, 112, 112), (1, 4, 512, 512))
    for case in _worker_cases(shape)
)


def _mark_missed(text: str, good: bool) -> str:
    return text if good else f"[bold red]{text}[/]"


def _share_cells(least: float) -> Callable[[dict[str, Any]], list[str]]:
    def cells(answer: dict[str, Any]) -> list[str]:
        share = f"{answer['share']:.0%}"
        if answer.get("cached"):  # no target there
            share += " in the cache"
        else:
            share = _mark_missed(share, answer["share"] >= least)
        return [seconds_text(answer["seconds"]), seconds_text(answer["best_seconds"]), share]

    return cells


def _gain_cells(answer: dict[str, Any]) -> list[str]:
    times = (seconds_text(answer[key]) for key in ("seconds", "best_seconds"))
    return [*times, three_digits(answer["gain"])]


def _overhead_cells(answer: dict[str, Any]) -> list[str]:
    own = answer["own_seconds"]
    return [
        seconds_text(answer["seconds"]),
        str(answer["array_calls"]),
        seconds_text(answer["array_seconds"]),
        _mark_missed(f"{own * 1e6:.1f} µs", own <= OVERHEAD_SECONDS),
    ]


def _traffic_cells(answer: dict[str, Any]) -> list[str]:
    return [three_digits(answer[key]) for key in ("bytes", "ideal_bytes", "flops", "ideal_flops")]


def _scratch_cells(answer: dict[str, Any]) -> list[str]:
    share = answer["share"]
    if share is None:
        return ["not known here", ""]
    peak = f"{answer['peak_bytes'] / 1e6:,.0f} MB"
    return [peak, _mark_missed(f"{share:.2f}", share <= SCRATCH_LIMIT)]


def _scaling_cells(times: dict[int, float | None]) -> list[str]:
    cells = ["-" if time is None else three_digits(time * 1e9) for time in times.values()]
    base = times.get(measures.BEYOND_CACHES)
    larger = [time for n, time in times.items() if time and n > measures.BEYOND_CACHES]
    if not base or not larger:
        return [*cells, "-"]
    growth = max(larger) / base
    return [*cells, _mark_missed(f"{growth:.2f}", growth <= SCALING_LIMIT)]


@dataclass(frozen=True)
class Limit:
    """One of the limits: what is measured for it, and how it is printed."""

    title: str
    columns: tuple[str, ...]
    measure: Callable[[BackendMode, Case], dict[Any, Any]]
    cells: Callable[[dict[Any, Any]], list[str]]
    cases: tuple[Case, ...]
    backend_modes: tuple[str, ...]


_EACH = ("numpy", "torch:cpu", "jax:cpu compiled")
LIMITS = (
    Limit(
        f"rate over that of a plain copy of as many bytes; at least {COPY_SHARE:.0%}",
        ("a call", "the copy", "share"),
        *(measures.bandwidth_share, _share_cells(COPY_SHARE)),
        *(BANDWIDTH_CASES, ("numpy",)),
    ),
    Limit(
        f"rate over that of the matrix product within; at least {GEMM_SHARE:.0%}",
        ("a call", "product", "share"),
        *(measures.gemm_share, _share_cells(GEMM_SHARE)),
        *(GEMM_CASES, _EACH),
    ),
    Limit(
        f"a small call beyond its own array calls; at most {seconds_text(OVERHEAD_SECONDS)}",
        ("a call", "array calls", "their time", "beyond"),
        *(measures.overhead, _overhead_cells),
        *(OVERHEAD_CASES, ("numpy", "torch:cpu")),
    ),
    Limit(
        "what workers gain: the time with one over that with one on each core",
        ("one", "all", "gain"),
        *(measures.worker_gain, _gain_cells),
        *(WORKER_CASES, ("numpy",)),
    ),
    Limit(
        "bytes moved and flops per output element, as the calls have them and at least",
        ("bytes", "least", "flops", "least"),
        *(measures.traffic, _traffic_cells),
        *((*BANDWIDTH_CASES[1:3], *MEMORY_CASES), ("numpy",)),
    ),
    Limit(
        f"peak memory beyond inputs and outputs; at most {SCRATCH_LIMIT:g} of the outputs",
        ("call adds", "of the outputs"),
        *(measures.scratch_share, _scratch_cells),
        *(MEMORY_CASES, _EACH),
    ),
    Limit(
        "nanoseconds an element of the larger side, by elements; from "
        f"{measures.BEYOND_CACHES * measures.ELEMENTS:.0e} on at most {SCALING_LIMIT:g} times as "
        "many",
        (*(f"{n * measures.ELEMENTS:.1e}" for n in measures.COPIES), "growth"),
        *(measures.scaling, _scaling_cells),
        *(SCALING_CASES, ("numpy", "torch:cpu")),
    ),
)


def print_limit(
    console: Console, limit: Limit, labels: Sequence[str], operations: Sequence[str]
) -> bool:
    """Measure and print one of the limits, each backend in a process of its own.

    Return whether all of it could be measured.
    """
    modes = [on for on in map(BackendMode.parse, limit.backend_modes) if on.label in labels]
    cases = [case for case in limit.cases if not operations or case.operation in operations]
    if not modes or not cases:
        return True
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("backend", no_wrap=True)
    table.add_column("case", overflow="fold")
    for name in limit.columns:
        table.add_column(name, justify="right", no_wrap=True)
    errors = []
    # The peak of a process is that of all it has done.
    tasks = 1 if limit.measure is measures.scratch_share else None
    for on in modes:
        with ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=tasks) as process:
            for case in cases:
                name = case.short_name
                print(f"{on} {name}", file=sys.stderr)
                try:
                    answer = process.submit(limit.measure, on, case).result()
                    table.add_row(str(on), name, *limit.cells(answer))
                except Exception as error:  # whatever a library raises, or a lost process
                    errors.append(f"{on} {name}: {type(error).__name__}: {error}")
    console.print(f"\n[bold]{limit.title}[/]")
    console.print(table)
    for error in errors:
        console.print(f"[yellow]{escape(error)}[/]", soft_wrap=True)
    return not errors


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure all the limits, or those of some backends and operations.

    Return 0, or 3 where one could not be measured.
    """
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    labels = [BackendMode.parse(text).label for text in _EACH]
    parser.add_argument("--backend", "-b", action="append", choices=labels)
    parser.add_argument("--operation", "-o", action="append", default=[], choices=SINGLE_OPERATIONS)
    options = parser.parse_args(arguments)
    measured = [
        print_limit(Console(), limit, options.backend or labels, options.operation)
        for limit in LIMITS
    ]
    return 0 if all(measured) else 3


if __name__ == "__main__":
    sys.exit(main())
