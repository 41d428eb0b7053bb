"""Print the tax: tables for the terminal, Markdown for the README, JSON for scripts."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape

from unpool_xp.bench.cases.formatting import markdown_table, seconds_text, three_digits
from unpool_xp.bench.portability.targets import NOISY, TaxEntry, TaxSummary, is_noisy, summarize
from unpool_xp.bench.terminal.tables import print_line, text_table

_KNOWN_MODULES = re.compile(r"^(torch\.nn\.functional|numpy\.lib\.stride_tricks|numpy)\.")


def print_entries(console: Console, entries: Sequence[TaxEntry]) -> None:
    """Print for each target a table of its cases."""
    for target in dict.fromkeys(entry.target for entry in entries):
        here = [entry for entry in entries if entry.target == target]
        console.print()
        print_line(console, f"[bold]{target.name}[/] against {target.baseline}")
        table = text_table("case", "portable", "native", "ratio", "95 %", align="lRRRR")
        for entry in here:
            if entry.ratio is not None:
                estimate = three_digits(entry.ratio.estimate)
                missed = entry.ratio.estimate > target.worst_limit and not entry.disturbed
                table.add_row(
                    entry.case.short_name,
                    seconds_text(entry.portable_s),
                    seconds_text(entry.native_s),
                    f"[bold red]{estimate}[/]" if missed else estimate,
                    f"{three_digits(entry.ratio.low)}-{three_digits(entry.ratio.high)}"
                    f"{'!' * entry.disturbed or '?' * is_noisy(entry)}",
                )
        console.print(table)
        for line in _fastest_natives(here):
            print_line(console, escape(line), style="dim")
        for entry in here:
            if entry.reason is not None:
                reason = escape(f"{entry.case.short_name}: {entry.reason}")
                print_line(console, reason, style="yellow")


def _fastest_natives(entries: Sequence[TaxEntry]) -> list[str]:
    """Return for each operation which natives were the fastest of a case."""
    lines = []
    for operation in dict.fromkeys(entry.case.operation for entry in entries):
        names = [e.function for e in entries if e.case.operation == operation and e.function]
        if names:
            short = (_KNOWN_MODULES.sub("", name) for name in names)
            counted = (f"{name} ({number})" for name, number in Counter(short).items())
            lines.append(f"native of {operation}: {', '.join(counted)}")
    return lines


def _summary_line(summary: TaxSummary) -> list[str]:
    target, worst = summary.target, summary.worst
    met = {True: "met", False: "missed", None: "undecided"}[summary.met]
    if summary.disturbed:
        met += f" ({summary.disturbed} disturbed)"
    if summary.noisy:
        met += f" ({summary.noisy} noisy)"
    if summary.failed:
        met += f" ({summary.failed} without a time)"
    means = (_ratio_text(summary.mean), f"<= {target.mean_limit:g}")
    worsts = (_ratio_text(_worst_ratio(summary)), f"<= {target.worst_limit:g}")
    return [target.name, *means, *worsts, "" if worst is None else worst.case.short_name, met]


def _ratio_text(value: float) -> str:
    return "-" if math.isnan(value) else three_digits(value)


def _worst_ratio(summary: TaxSummary) -> float:
    worst = summary.worst
    return math.nan if worst is None or worst.ratio is None else worst.ratio.estimate


def print_summaries(console: Console, entries: Sequence[TaxEntry]) -> None:
    """Print for each target its mean, its worst case, and whether it is met."""
    summaries = summarize(entries)
    console.print()
    title = "[bold]portable time over the library's own[/], geometric means by operation"
    print_line(console, title)
    table = text_table("", *(summary.target.name.replace(" ", "\n") for summary in summaries))
    for operation, means in _means_by_operation(entries, summaries):
        table.add_row(operation, *means)
    console.print(table)
    console.print()
    print_line(console, "[bold]geometric mean and worst case[/] of each backend")
    columns = ("", "mean", "target", "worst", "target", "worst case", "result")
    table = text_table(*columns, align="LRRRRll")
    for summary in summaries:
        *cells, met = _summary_line(summary)
        table.add_row(*cells, f"[green]{met}[/]" if summary.met else f"[red]{met}[/]")
    console.print(table)
    if any(summary.noisy for summary in summaries):
        noisy = f"? an interval whose ends are more than {NOISY:g} times apart: "
        print_line(console, f"{noisy}something else ran here, measure again", style="yellow")
    if any(summary.disturbed for summary in summaries):
        said = "! other programs were at work: it decides nothing"
        print_line(console, said, style="yellow")


def _means_by_operation(
    entries: Sequence[TaxEntry], summaries: Sequence[TaxSummary]
) -> Iterator[tuple[str, list[str]]]:
    """Yield each operation with its geometric means."""
    for operation in dict.fromkeys(entry.case.operation for entry in entries):
        here = [entry for entry in entries if entry.case.operation == operation]
        found = {summary.target: summary.mean for summary in summarize(here)}
        means = (found.get(summary.target, math.nan) for summary in summaries)
        yield operation, list(map(_ratio_text, means))


def summary_tables(entries: Sequence[TaxEntry]) -> list[tuple[list[str], list[list[str]]]]:
    """Return the heads and rows of two tables: the targets, and the means by operation."""
    summaries = summarize(entries)
    columns = ("geometric mean", "target", "worst", "target", "worst case", "result")
    lines = [
        [summary.target.name, summary.target.baseline, *_summary_line(summary)[1:]]
        for summary in summaries
    ]
    names = [summary.target.name for summary in summaries]
    means = [
        [f"`{operation}`", *cells] for operation, cells in _means_by_operation(entries, summaries)
    ]
    return [(["where", "compared with", *columns], lines), (["operation", *names], means)]


def tax_as_markdown(entries: Sequence[TaxEntry]) -> str:
    """Return the summary, and the means by operation, in Markdown."""
    tables = (markdown_table(head, rows, text=str) for head, rows in summary_tables(entries))
    return "\n".join("\n".join([*table, ""]) for table in tables)


def tax_as_json(entries: Sequence[TaxEntry]) -> dict[str, Any]:
    """Return all that was measured, for scripts."""
    return {
        "summary": [
            {
                "backend": summary.target.label,
                "mode": summary.target.mode,
                "threads_asked": summary.target.threads,
                "against": summary.target.baseline,
                "mean": _number_or_none(summary.mean),
                "mean_target": summary.target.mean_limit,
                "worst": _number_or_none(_worst_ratio(summary)),
                "worst_target": summary.target.worst_limit,
                "worst_case": summary.worst.case.name if summary.worst is not None else None,
                "met": summary.met,
            }
            for summary in summarize(entries)
        ],
        "cases": [
            {
                "backend": entry.target.label,
                "mode": entry.target.mode,
                "threads_asked": entry.target.threads,
                "case": entry.case.to_json(),
                "name": entry.case.name,
                "native": entry.function or None,
                "portable_s": _number_or_none(entry.portable_s),
                "native_s": _number_or_none(entry.native_s),
                "ratio": None if entry.ratio is None else entry.ratio.estimate,
                "interval": None
                if entry.ratio is None
                else [entry.ratio.low, entry.ratio.high if entry.ratio.low else None],
                "disturbed": entry.disturbed,
                "reason": entry.reason,
            }
            for entry in entries
        ],
    }


def _number_or_none(value: float) -> float | None:
    return None if math.isnan(value) else value
