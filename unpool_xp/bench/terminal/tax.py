"""Print the tax: tables for the terminal, Markdown for the README, JSON for scripts."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from unpool_xp.bench.cases.case import short_name
from unpool_xp.bench.cases.formatting import digits, seconds_text
from unpool_xp.bench.portability.targets import NOISY, Entry, Summary, noisy, summarize

Cells: TypeAlias = list[str]


def short_function(name: str) -> str:
    """Return a native's name without the module that a reader knows."""
    for prefix in ("torch.nn.functional.", "numpy.lib.stride_tricks.", "numpy."):
        if name.startswith(prefix):
            return name.removeprefix(prefix)
    return name


def print_entries(console: Console, entries: Sequence[Entry]) -> None:
    """Print for each target a table of its cases; of a tuned one those where tuning won."""
    plain = {
        (entry.target.label, entry.target.mode, entry.case.name, entry.function)
        for entry in entries
        if not entry.target.tuned
    }
    for target in dict.fromkeys(entry.target for entry in entries):
        here = [
            entry
            for entry in entries
            if entry.target == target
            and not (
                target.tuned
                and (target.label, target.mode, entry.case.name, entry.function) in plain
            )
        ]
        console.print(f"\n[bold]{target.where}[/] against {target.against}")
        table = _table("case", "portable", "native", "ratio", "95 %")
        for entry in here:
            if entry.ratio is not None:
                estimate, missed = entry.ratio.estimate, _above(entry.ratio.estimate, target.worst)
                table.add_row(
                    short_name(entry.case),
                    seconds_text(entry.portable_s),
                    seconds_text(entry.native_s),
                    f"[bold red]{digits(estimate)}[/]" if missed else digits(estimate),
                    f"{digits(entry.ratio.low)}-{digits(entry.ratio.high)}{'?' * noisy(entry)}",
                )
        console.print(table)
        for line in _natives(here):
            console.print(f"[dim]{escape(line)}[/]")
        for entry in here:
            if entry.reason is not None:
                said = escape(f"{short_name(entry.case)}: {entry.reason}")
                console.print(f"[yellow]{said}[/]", soft_wrap=True)


def _table(first: str, *others: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(first, no_wrap=first != "case", overflow="fold")
    for name in others:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _above(value: float, limit: float | None) -> bool:
    return limit is not None and value > limit


def _natives(entries: Sequence[Entry]) -> list[str]:
    """Return for each operation which natives were the fastest of a case."""
    lines = []
    for operation in dict.fromkeys(entry.case.operation for entry in entries):
        names = [e.function for e in entries if e.case.operation == operation and e.function]
        if names:
            counted = (f"{short_function(n)} ({names.count(n)})" for n in dict.fromkeys(names))
            lines.append(f"native of {operation}: {', '.join(counted)}")
    return lines


def _limit(limit: float | None) -> str:
    return "" if limit is None else f"<= {limit:g}"


def _summary_line(summary: Summary) -> list[str]:
    target, worst = summary.target, summary.worst
    met = {None: "", True: "met", False: "missed"}[summary.met]
    if summary.unsure:
        met += f" ({summary.unsure} noisy)"
    if summary.failed:
        met += f" ({summary.failed} without a time)"
    estimate = math.nan if worst is None or worst.ratio is None else worst.ratio.estimate
    case = "" if worst is None else short_name(worst.case)
    means, worsts = (
        (digits(summary.mean), _limit(target.mean)),
        (digits(estimate), _limit(target.worst)),
    )
    return [target.where, *means, *worsts, case, met]


def print_summaries(console: Console, entries: Sequence[Entry]) -> None:
    """Print for each target its mean, its worst case, and whether it is met."""
    summaries = summarize(entries)
    console.print("\n[bold]portable time over the library's own[/], geometric means by operation")
    table = _table("", *(summary.target.where.replace(" ", "\n") for summary in summaries))
    for operation, means in _means(entries, summaries):
        table.add_row(operation, *means)
    console.print(table)
    console.print("\n[bold]geometric mean and worst case[/] of each backend")
    table = _table("", "mean", "target", "worst", "target")
    for name in ("worst case", ""):
        table.add_column(name, overflow="fold")
    for summary in summaries:
        *cells, met = _summary_line(summary)
        table.add_row(*cells, f"[green]{met}[/]" if summary.met else f"[red]{met}[/]")
    console.print(table)
    if any(summary.unsure for summary in summaries):
        console.print(
            f"[yellow]? an interval whose ends are more than {NOISY:g} times apart: "
            "something else ran here, measure again[/]"
        )


def _means(entries: Sequence[Entry], summaries: Sequence[Summary]) -> Iterator[tuple[str, Cells]]:
    """Yield each operation with its geometric means."""
    for operation in dict.fromkeys(entry.case.operation for entry in entries):
        here = [entry for entry in entries if entry.case.operation == operation]
        found = {summary.target: summary.mean for summary in summarize(here)}
        yield operation, [digits(found.get(summary.target, math.nan)) for summary in summaries]


def markdown(entries: Sequence[Entry]) -> str:
    """Return the summary, and the means by operation, in Markdown."""
    summaries = summarize(entries)
    head = [
        "where",
        "held against",
        "geometric mean",
        "target",
        "worst",
        "target",
        "worst case",
        "",
    ]
    lines = [
        [summary.target.where, summary.target.against, *_summary_line(summary)[1:]]
        for summary in summaries
    ]
    wheres = [summary.target.where for summary in summaries]
    means = [[f"`{operation}`", *cells] for operation, cells in _means(entries, summaries)]
    return f"{_markdown_table(head, lines)}\n{_markdown_table(['operation', *wheres], means)}"


def _markdown_table(head: Sequence[str], lines: Sequence[Cells]) -> str:
    rows = [list(head), ["---"] * len(head), *lines]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def as_json(entries: Sequence[Entry]) -> dict[str, Any]:
    """Return all that was measured, for scripts."""
    return {
        "summary": [
            {
                "backend": summary.target.label,
                "mode": summary.target.mode,
                "against": summary.target.against,
                "mean": None if math.isnan(summary.mean) else summary.mean,
                "mean_target": summary.target.mean,
                "worst": summary.worst.ratio.estimate
                if summary.worst is not None and summary.worst.ratio is not None
                else None,
                "worst_target": summary.target.worst,
                "worst_case": summary.worst.case.name if summary.worst is not None else None,
                "met": summary.met,
            }
            for summary in summarize(entries)
        ],
        "cases": [
            {
                "backend": entry.target.label,
                "mode": entry.target.mode,
                "case": entry.case.to_json(),
                "name": entry.case.name,
                "native": entry.function or None,
                "portable_s": None if entry.ratio is None else entry.portable_s,
                "native_s": None if entry.ratio is None else entry.native_s,
                "ratio": None if entry.ratio is None else entry.ratio.estimate,
                "interval": None
                if entry.ratio is None
                else [entry.ratio.low, entry.ratio.high if entry.ratio.low else None],
                "reason": entry.reason,
            }
            for entry in entries
        ],
    }
