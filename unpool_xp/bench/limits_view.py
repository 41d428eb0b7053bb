"""The limits of each operation: asked of the backends one by one, and printed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import psutil
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from unpool_xp.bench import limits
from unpool_xp.bench.cases.case import Case, short_name
from unpool_xp.bench.cases.formatting import seconds_text, three_digits
from unpool_xp.bench.measure.rounds import TIMEOUT_SECONDS
from unpool_xp.bench.measure.workers import Pool, Worker, WorkerError, WorkerLostError

LimitResult = dict[str, Any]
# Where each is measured, as label and mode.
_BANDWIDTH_TARGETS = (("numpy", "eager"),)
_GEMM_TARGETS = (("numpy", "eager"), ("torch:cpu", "eager"), ("jax:cpu", "compiled"))
_OVERHEAD_LABELS = ("numpy", "torch:cpu")
_SCALING_LABELS = ("numpy", "torch:cpu")
_MEMORY_TARGETS = (("numpy", "eager"), ("torch:cpu", "eager"), ("jax:cpu", "compiled"))


def measure_limits(
    labels: Sequence[str],
    operations: Sequence[str] | None = None,
    *,
    quick: bool = False,
    progress: Callable[[LimitResult], None] | None = None,
) -> list[LimitResult]:
    """Measure all the limits on backends.

    Parameters
    ----------
    labels : sequence of str
        The backends.
    operations : sequence of str, optional
        Which operations. Default: all that have a limit.
    quick : bool, optional
        Whether to leave out the largest size, and transposed convolutions but the widest.
    progress : callable, optional
        Called with each result.

    Returns
    -------
    list of dict
        Plain numbers, and what they are of; "error" says why there are none.
    """
    found = []
    with Pool() as pool:
        for asked in _measurements(labels, operations, quick):
            answer = {**asked, "case": asked["case"].to_json(), "name": short_name(asked["case"])}
            try:
                answer |= _measure(pool, asked)
            except (WorkerError, WorkerLostError) as error:
                answer["error"] = str(error)
            found.append(answer)
            if progress is not None:
                progress(answer)
    return found


def _measurements(
    labels: Sequence[str], operations: Sequence[str] | None, quick: bool
) -> Iterator[LimitResult]:
    def wanted(cases: Sequence[Case]) -> list[Case]:
        return [case for case in cases if not operations or case.operation in operations]

    gemm_cases = limits.GEMM_CASES[-3:] if quick else limits.GEMM_CASES
    for measure, cases, places in (
        ("copying", limits.BANDWIDTH_CASES, _BANDWIDTH_TARGETS),
        ("multiplying", gemm_cases, _GEMM_TARGETS),
        ("overhead", limits.OVERHEAD_CASES, tuple((label, "eager") for label in _OVERHEAD_LABELS)),
        ("scratch", limits.MEMORY_CASES, _MEMORY_TARGETS),
    ):
        for label, mode in places:
            for case in wanted(cases) if label in labels else ():
                yield {"measure": measure, "backend": label, "mode": mode, "case": case}
    for case in (
        wanted((*limits.BANDWIDTH_CASES[1:3], *limits.MEMORY_CASES)) if "numpy" in labels else ()
    ):
        yield {"measure": "traffic", "backend": "numpy", "mode": "eager", "case": case}
    for label in (label for label in _SCALING_LABELS if label in labels):
        for case in wanted(limits.SCALING_CASES):
            for items in limits.ITEMS[:-1] if quick else limits.ITEMS:
                yield {
                    "measure": "growing",
                    "backend": label,
                    "mode": "eager",
                    "case": case,
                    "items": items,
                }


def _measure(pool: Pool, asked: LimitResult) -> LimitResult:
    case, label, mode, measure = (asked[key] for key in ("case", "backend", "mode", "measure"))
    message: LimitResult = {"case": case.to_json(), "timeout": TIMEOUT_SECONDS}
    if measure == "scratch":
        worker = Worker(label)  # one that has done nothing else
        try:
            peak = worker.ask("peak", mode=mode, implementation="portable", **message)["peak_bytes"]
        finally:
            worker.kill()
        return {"peak_bytes": peak, "scratch": limits.scratch_share(case, label, peak)}
    if measure == "traffic":
        return limits.traffic(case)
    if measure == "growing":
        needed = asked["items"] * limits.BYTES_PER_ELEMENT * 2**16
        if needed > psutil.virtual_memory().available:
            return {"error": f"needs about {needed / 1e9:.0f} GB of memory"}
        return pool[label].ask("limit", measure=measure, items=asked["items"], **message)
    if measure != "overhead":
        message["mode"] = mode
    return pool[label].ask("limit", measure=measure, **message)


# --- what is printed ------------------------------------------------------------------------------


def print_limits(console: Console, found: Sequence[LimitResult]) -> None:
    """Print a table for each of the limits."""
    for measure, said, columns, line in (
        (
            "copying",
            f"rate over that of a plain copy of as many bytes; at least {limits.COPY_SHARE:.0%}",
            ("a call", "the copy", "share"),
            _share_line(limits.COPY_SHARE),
        ),
        (
            "multiplying",
            f"rate over that of the matrix product within; at least {limits.PRODUCT_SHARE:.0%}",
            ("a call", "product", "share"),
            _share_line(limits.PRODUCT_SHARE),
        ),
        (
            "overhead",
            "a small call beyond its own array calls; "
            f"at most {seconds_text(limits.OVERHEAD_SECONDS)}",
            ("a call", "array calls", "their time", "beyond"),
            _overhead_line,
        ),
        (
            "traffic",
            "bytes moved and flops an output element, as the calls have them and at the least",
            ("bytes", "least", "flops", "least"),
            _traffic_line,
        ),
        (
            "scratch",
            "peak memory beyond inputs and outputs; "
            f"at most {limits.SCRATCH_LIMIT:g} of the outputs",
            ("call adds", "of the outputs"),
            _scratch_line,
        ),
    ):
        here = [answer for answer in found if answer["measure"] == measure]
        if here:
            console.print(f"\n[bold]{said}[/]")
            table = _table("backend", "case", *columns)
            for answer in here:
                if "error" not in answer:
                    table.add_row(_where(answer), answer["name"], *line(answer))
            console.print(table)
            _print_errors(console, here)
    scaling = [answer for answer in found if answer["measure"] == "growing"]
    if scaling:
        _print_scaling(console, scaling)


def _table(*names: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in names:
        text = name in ("backend", "case", "operation")
        table.add_column(
            name, justify="left" if text else "right", no_wrap=name != "case", overflow="fold"
        )
    return table


def _where(answer: LimitResult) -> str:
    label: str = answer["backend"]
    return label if answer["mode"] == "eager" else f"{label} {answer['mode']}"


def _mark_missed(text: str, good: bool) -> str:
    return text if good else f"[bold red]{text}[/]"


def _share_line(least: float) -> Callable[[LimitResult], list[str]]:
    def line(answer: LimitResult) -> list[str]:
        share = _mark_missed(f"{answer['share']:.0%}", answer["share"] >= least)
        return [seconds_text(answer["seconds"]), seconds_text(answer["best_seconds"]), share]

    return line


def _overhead_line(answer: LimitResult) -> list[str]:
    own = answer["own_seconds"]
    return [
        seconds_text(answer["seconds"]),
        str(answer["array_calls"]),
        seconds_text(answer["array_seconds"]),
        _mark_missed(f"{own * 1e6:.1f} µs", own <= limits.OVERHEAD_SECONDS),
    ]


def _traffic_line(answer: LimitResult) -> list[str]:
    return [three_digits(answer[key]) for key in ("bytes", "ideal_bytes", "flops", "ideal_flops")]


def _scratch_line(answer: LimitResult) -> list[str]:
    if answer["scratch"] is None:
        return ["not known here", ""]
    good = answer["scratch"] <= limits.SCRATCH_LIMIT
    return [f"{answer['peak_bytes'] / 1e6:,.0f} MB", _mark_missed(f"{answer['scratch']:.2f}", good)]


def _print_scaling(console: Console, scaling: Sequence[LimitResult]) -> None:
    console.print(
        "\n[bold]nanoseconds an element of the larger side, by elements; from "
        f"{limits.BEYOND_CACHES * 2**16:.0e} on at most {limits.SCALING_LIMIT:g} times as many[/]"
    )
    items = list(dict.fromkeys(answer["items"] for answer in scaling))
    table = _table("backend", "operation", *(f"{n * 2**16:.1e}" for n in items), "growth")
    for backend, operation in dict.fromkeys(
        (answer["backend"], answer["case"]["operation"]) for answer in scaling
    ):
        times = {
            answer["items"]: answer["element_seconds"] * 1e9
            for answer in scaling
            if (answer["backend"], answer["case"]["operation"]) == (backend, operation)
            and "error" not in answer
        }
        cells = [three_digits(times[n]) if n in times else "-" for n in items]
        base = times.get(limits.BEYOND_CACHES)
        larger = [took for n, took in times.items() if n > limits.BEYOND_CACHES]
        growth = max(larger) / base if base and larger else None
        growth_text = (
            "-" if growth is None else _mark_missed(f"{growth:.2f}", growth <= limits.SCALING_LIMIT)
        )
        table.add_row(backend, operation, *cells, growth_text)
    console.print(table)
    _print_errors(console, scaling)


def _print_errors(console: Console, found: Sequence[LimitResult]) -> None:
    for answer in found:
        if "error" in answer:
            error = f"{_where(answer)} {answer['name']}: {answer['error']}"
            console.print(f"[yellow]{escape(error)}[/]", soft_wrap=True)
