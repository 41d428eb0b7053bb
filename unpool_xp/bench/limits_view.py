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
from unpool_xp.bench.cases.formatting import digits, seconds_text
from unpool_xp.bench.measure.rounds import TIMEOUT_SECONDS
from unpool_xp.bench.measure.workers import Pool, Worker, WorkerError, WorkerLostError

Found = dict[str, Any]
# Where each is measured, as label and mode.
_COPYING = (("numpy", "eager"),)
_MULTIPLYING = (("numpy", "eager"), ("torch:cpu", "eager"), ("jax:cpu", "compiled"))
_OVERHEAD = ("numpy", "torch:cpu")
_GROWING = ("numpy", "torch:cpu")
_WEIGHED = (("numpy", "eager"), ("torch:cpu", "eager"), ("jax:cpu", "compiled"))


def measure_limits(
    labels: Sequence[str],
    operations: Sequence[str] | None = None,
    *,
    quick: bool = False,
    progress: Callable[[Found], None] | None = None,
) -> list[Found]:
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
        for asked in _questions(labels, operations, quick):
            answer = {**asked, "case": asked["case"].to_json(), "name": short_name(asked["case"])}
            try:
                answer |= _answer(pool, asked)
            except (WorkerError, WorkerLostError) as error:
                answer["error"] = str(error)
            found.append(answer)
            if progress is not None:
                progress(answer)
    return found


def _questions(
    labels: Sequence[str], operations: Sequence[str] | None, quick: bool
) -> Iterator[Found]:
    def wanted(cases: Sequence[Case]) -> list[Case]:
        return [case for case in cases if not operations or case.operation in operations]

    multiplying = limits.MULTIPLYING[-3:] if quick else limits.MULTIPLYING
    for measure, cases, places in (
        ("copying", limits.MOVING, _COPYING),
        ("multiplying", multiplying, _MULTIPLYING),
        ("overhead", limits.TINY, tuple((label, "eager") for label in _OVERHEAD)),
        ("scratch", limits.WEIGHED, _WEIGHED),
    ):
        for label, mode in places:
            for case in wanted(cases) if label in labels else ():
                yield {"measure": measure, "backend": label, "mode": mode, "case": case}
    for case in wanted((*limits.MOVING[1:3], *limits.WEIGHED)) if "numpy" in labels else ():
        yield {"measure": "traffic", "backend": "numpy", "mode": "eager", "case": case}
    for label in (label for label in _GROWING if label in labels):
        for case in wanted(limits.GROWING):
            for items in limits.ITEMS[:-1] if quick else limits.ITEMS:
                yield {
                    "measure": "growing",
                    "backend": label,
                    "mode": "eager",
                    "case": case,
                    "items": items,
                }


def _answer(pool: Pool, asked: Found) -> Found:
    case, label, mode, measure = (asked[key] for key in ("case", "backend", "mode", "measure"))
    message: Found = {"case": case.to_json(), "timeout": TIMEOUT_SECONDS}
    if measure == "scratch":
        worker = Worker(label)  # one that has done nothing else
        try:
            peak = worker.ask("peak", mode=mode, implementation="portable", **message)["peak_bytes"]
        finally:
            worker.kill()
        return {"peak_bytes": peak, "scratch": limits.scratch(case, label, peak)}
    if measure == "traffic":
        return limits.traffic(case)
    if measure == "growing":
        needed = asked["items"] * limits.BYTES_AN_ELEMENT * 2**16
        if needed > psutil.virtual_memory().available:
            return {"error": f"needs about {needed / 1e9:.0f} GB of memory"}
        return pool[label].ask("limit", measure=measure, items=asked["items"], **message)
    if measure != "overhead":
        message["mode"] = mode
    return pool[label].ask("limit", measure=measure, **message)


# --- what is printed ------------------------------------------------------------------------------


def print_limits(console: Console, found: Sequence[Found]) -> None:
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
            f"peak memory beyond inputs and outputs; at most {limits.SCRATCH:g} of the outputs",
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
    growing = [answer for answer in found if answer["measure"] == "growing"]
    if growing:
        _print_growth(console, growing)


def _table(*names: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in names:
        text = name in ("backend", "case", "operation")
        table.add_column(
            name, justify="left" if text else "right", no_wrap=name != "case", overflow="fold"
        )
    return table


def _where(answer: Found) -> str:
    label: str = answer["backend"]
    return label if answer["mode"] == "eager" else f"{label} {answer['mode']}"


def _marked(text: str, good: bool) -> str:
    return text if good else f"[bold red]{text}[/]"


def _share_line(least: float) -> Callable[[Found], list[str]]:
    def line(answer: Found) -> list[str]:
        share = _marked(f"{answer['share']:.0%}", answer["share"] >= least)
        return [seconds_text(answer["seconds"]), seconds_text(answer["best_seconds"]), share]

    return line


def _overhead_line(answer: Found) -> list[str]:
    own = answer["own_seconds"]
    return [
        seconds_text(answer["seconds"]),
        str(answer["array_calls"]),
        seconds_text(answer["array_seconds"]),
        _marked(f"{own * 1e6:.1f} µs", own <= limits.OVERHEAD_SECONDS),
    ]


def _traffic_line(answer: Found) -> list[str]:
    return [digits(answer[key]) for key in ("bytes", "ideal_bytes", "flops", "ideal_flops")]


def _scratch_line(answer: Found) -> list[str]:
    if answer["scratch"] is None:
        return ["not known here", ""]
    good = answer["scratch"] <= limits.SCRATCH
    return [f"{answer['peak_bytes'] / 1e6:,.0f} MB", _marked(f"{answer['scratch']:.2f}", good)]


def _print_growth(console: Console, growing: Sequence[Found]) -> None:
    console.print(
        "\n[bold]nanoseconds an element of the larger side, by elements; from "
        f"{limits.BEYOND_CACHES * 2**16:.0e} on at most {limits.GROWTH:g} times as many[/]"
    )
    items = list(dict.fromkeys(answer["items"] for answer in growing))
    table = _table("backend", "operation", *(f"{n * 2**16:.1e}" for n in items), "growth")
    for backend, operation in dict.fromkeys(
        (answer["backend"], answer["case"]["operation"]) for answer in growing
    ):
        times = {
            answer["items"]: answer["element_seconds"] * 1e9
            for answer in growing
            if (answer["backend"], answer["case"]["operation"]) == (backend, operation)
            and "error" not in answer
        }
        cells = [digits(times[n]) if n in times else "-" for n in items]
        base = times.get(limits.BEYOND_CACHES)
        larger = [took for n, took in times.items() if n > limits.BEYOND_CACHES]
        growth = max(larger) / base if base and larger else None
        said = "-" if growth is None else _marked(f"{growth:.2f}", growth <= limits.GROWTH)
        table.add_row(backend, operation, *cells, said)
    console.print(table)
    _print_errors(console, growing)


def _print_errors(console: Console, found: Sequence[Found]) -> None:
    for answer in found:
        if "error" in answer:
            said = f"{_where(answer)} {answer['name']}: {answer['error']}"
            console.print(f"[yellow]{escape(said)}[/]", soft_wrap=True)
