"""A report as Markdown, for a README or a pull request."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from unpool_xp.bench.cases.formatting import (
    escape_markdown,
    interval_text,
    markdown_table,
    seconds_text,
    three_digits,
    times_text,
)
from unpool_xp.bench.report.costs import DeviceSeries
from unpool_xp.bench.report.ranked import RankedCase
from unpool_xp.bench.rows.names import case_name, contender_text
from unpool_xp.bench.verdicts.ranking import Ranked

_MOST_CASES = 200  # with their tables; beyond, the page has them
_MOST_LINES = 100


def markdown(view: Mapping[str, Any]) -> str:
    """Return what `report_view` found as Markdown, in which nothing of a row becomes markup."""
    lines = ["# Which backend is fastest", ""]
    if not view["machines"]:
        lines += ["There are no rows to report.", ""]
    if len(view["machines"]) > 1:
        lines += ["Several machines, side by side; then each by itself.", ""]
        lines += _machine_comparison(view)
    for machine in view["machines"]:
        lines += _machine(machine)
    if view["problems"]:
        lines += ["## Lines that could not be read", ""]
        problems = view["problems"][:_MOST_LINES]
        lines += _table(("file", "line", "reason"), ([p.path, p.line, p.reason] for p in problems))
    return "\n".join(lines)


def _machine_comparison(view: Mapping[str, Any]) -> list[str]:
    if not view["side_by_side"]:
        return ["They have no case of the same backend in common.", ""]
    rows = [
        [
            *(f"{line['operation']}, {line['dtype']}", f"{line['backend']} {line['mode']}"),
            str(line["cases"]),
            *("" if cell is None else _machine_cell(cell) for cell in line["cells"]),
        ]
        for line in view["side_by_side"]
    ]
    head = ("operation", "backend", "cases", *(m["id"] for m in view["machines"]))
    return [
        "## Machines side by side",
        "",
        "The portable functions: the geometric mean of the times of the cases that all machines of "
        "a line have, and beside it that over the fastest machine's, with a 95 % interval.",
        "",
        *_table(head, rows),
    ]


def _machine_cell(cell: Mapping[str, Any]) -> str:
    if cell["first"]:
        return f"{cell['seconds']}, fastest"
    return f"{cell['seconds']}, {cell['ratio']} ({cell['limits']})"


def _machine(machine: Mapping[str, Any]) -> list[str]:
    lines = [f"## {escape_markdown(machine['title'])}", "", escape_markdown(machine["summary"]), ""]
    for table in machine["tables"]:
        lines += [f"### The answer, {escape_markdown(table['dtype'])}", ""]
        head = ("operation", *(f"{b['name']} ({b['limits']})" for b in machine["bands"]))
        rows = ([row["operation"], *map(_answer, row["cells"])] for row in table["rows"])
        lines += _table(head, rows)
    if machine["tables"]:
        lines += [
            "Sizes are bytes in and out of a call. Beside each the next best backend and its time "
            "over the winner's, with a 95 % interval.",
            "",
        ]
    if not machine["gpu"]:
        lines += ["No GPU was measured here. No crossover between CPU and GPU is known.", ""]
    lines += _crossovers(machine["devices"])
    if machine["claims"]:
        lines += ["### What is claimed", ""]
        claims = ([c.text, c.verdict, c.measured] for c in machine["claims"])
        lines += _table(("claim", "verdict", "measured"), claims)
    lines += ["### Where and how", "", f"- machine: {escape_markdown(machine['id'])}"]
    lines += [*(f"- {name}: {escape_markdown(value)}" for name, value in machine["facts"]), ""]
    tables = len(machine["cases"]) <= _MOST_CASES
    for operation in machine["operations"]:
        lines += [f"### {escape_markdown(operation['name'])}", ""]
        if operation["spec"] is not None:
            lines += [f"![Time against size]({operation['png']})", ""]
        if tables:
            many = len(operation["cases"])
            lines += [f"<details><summary>Every case ({many})</summary>", ""]
            lines += [line for case in operation["cases"] for line in _case(case)]
            lines += ["</details>", ""]
    if not tables:
        lines += [f"The tables of the {len(machine['cases'])} cases are in report.html.", ""]
    return lines + _failures(machine["cases"])


def _crossovers(devices: Sequence[DeviceSeries]) -> list[str]:
    if not devices:
        return []
    rows = [
        [series.first.operation, series.first.settings, here.label, here.text, copied.text]
        for series in devices
        for here, copied in series.crossovers
    ]
    more = len(rows) - _MOST_LINES
    return [
        "### CPU and GPU",
        "",
        "Each GPU backend beside the best on the CPU. Sizes are elements of the operation's first "
        "array; ties are not wins.",
        "",
        *_table(
            ("operation", "settings", "on", "data on the device", "copies counted"),
            rows[:_MOST_LINES],
        ),
        *([f"And {more} more, in report.html.", ""] if more > 0 else []),
    ]


def _answer(cell: Mapping[str, Any] | None) -> str:
    if cell is None:
        return ""
    mode = f" {cell['mode']}" if cell["mode"] else ""
    words = f"{cell['backend']}{mode}, {cell['implementation']}"
    if not cell["next"]:
        return f"{words} (no other backend)"
    sure = "" if cell["sure"] == "clear" else f", {cell['sure']}"
    return f"{words}; next {cell['next']} {cell['ratio']} ({cell['limits']}){sure}"


def _case(case: RankedCase) -> list[str]:
    lines = [f"**{escape_markdown(case_name(case.first_row))}**", ""]
    lines += [line for note in case.notes for line in (escape_markdown(note), "")]
    if not case.timed:
        return [*lines, "Nothing here has a checked result.", ""]
    columns = ("#", "backend", "median", "95 % interval", "over best", "", "GB/s")
    return lines + _table(columns, (_timed_cells(timed, case.timed) for timed in case.timed))


def _timed_cells(timed: Ranked, others: Sequence[Ranked]) -> list[str]:
    row, interval = timed.row, timed.interval
    shared = sum(other.place == timed.place for other in others) > 1
    return [
        f"{timed.place}=" if shared else str(timed.place),
        contender_text(row),
        seconds_text(timed.seconds),
        interval_text(interval.low, interval.high, timed.seconds),
        times_text(timed.seconds / others[0].seconds),
        timed.verdict.value if timed.tied_with_best else "",
        three_digits(timed.gb_s),
    ]


def _failures(cases: Iterable[RankedCase]) -> list[str]:
    failed = [found for case in cases for found in case.failed]
    if not failed:
        return []
    head = ("backend", "mode", "function", "case", "reason")
    rows = ([r.backend, r.mode, r.function, case_name(r), why] for r, why in failed)
    more = [f"And {len(failed) - _MOST_LINES} more.", ""] if len(failed) > _MOST_LINES else []
    return ["### Without a time", "", *_table(head, itertools.islice(rows, _MOST_LINES)), *more]


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    return [*markdown_table(head, rows), ""]
