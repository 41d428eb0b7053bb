"""What the commands print, at 80 columns, and answers as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from unpool_xp.bench.cases.case import Case
from unpool_xp.bench.cases.formatting import interval_text, seconds_text
from unpool_xp.bench.check.run import Checked
from unpool_xp.bench.rows.files import read_rows
from unpool_xp.bench.rows.schema import Row, latest
from unpool_xp.bench.verdicts.ranking import Ranked, Tax, by_workload, rank, tax

_BAR = 12


def print_backends(console: Console, rows: Sequence[Mapping[str, object]]) -> None:
    """Print what is here, and what is missing and why."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("backend", "version"):
        table.add_column(name, no_wrap=True)
    for name in ("threads", "copy GB/s", "matmul GFLOP/s"):
        table.add_column(name, justify="right")
    table.add_column("device", overflow="fold")
    for row in rows:
        if "missing" not in row:
            keys = ("version", "threads", "copy_gb_s", "product_gflop_s", "device")
            table.add_row(str(row["backend"]), *(str(row.get(key) or "-") for key in keys))
    console.print(table)
    for row in rows:
        if "missing" in row:
            console.print(f"[dim]not here: {row['backend']}: {escape(str(row['missing']))}[/]")


def print_checks(console: Console, results: Sequence[Checked]) -> None:
    """Print a table of operations and backends, and what does not agree with the oracle."""
    columns = list(dict.fromkeys((result.backend, result.mode) for result in results))
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("operation", no_wrap=True)
    for label, mode in columns:
        name = label.replace("array_api_strict", "strict")
        table.add_column(f"{name}\n{mode}" if mode != "eager" else name, justify="right")
    for operation in dict.fromkeys(result.operation for result in results):
        cells = []
        for column in columns:
            counts = Counter(
                result.outcome
                for result in results
                if result.operation == operation and (result.backend, result.mode) == column
            )
            passed = f"[green]{counts['passed']} ok[/]"
            cells.append(f"[bold red]{counts['failed']} BAD[/]" if counts["failed"] else passed)
        table.add_row(operation, *cells)
    console.print(table)
    failures: dict[tuple[str, str], list[str]] = {}
    for result in results:
        if result.outcome == "failed":
            place = f"{result.operation} on {result.backend}, {result.mode}"
            failures.setdefault((place, result.detail), []).append(result.dtype)
    for (place, detail), dtypes in failures.items():
        said = escape(f"{place} ({', '.join(filter(None, dtypes))}): {detail}")
        console.print(f"[bold red]BAD[/] {said}", soft_wrap=True)
    counts = Counter(result.outcome for result in results)
    console.print(
        f"dtypes that agree with the oracle: {counts['passed']} ok, {counts['failed']} bad, "
        f"{counts['skipped']} not defined or not in the library"
    )


def print_ranking(console: Console, ranking: list[Ranked], taxes: list[Tax]) -> None:
    """Print a ranking as a table, with what each library's own function takes."""
    own = {(entry.backend, entry.mode): entry for entry in taxes}
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("", justify="right", min_width=2)
    table.add_column("backend", no_wrap=True)
    table.add_column("a call", justify="right", no_wrap=True)
    table.add_column("95 % interval", justify="right", no_wrap=True)
    table.add_column("x best", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    table.add_column("x own", justify="right", no_wrap=True)
    slowest = max((entry.seconds or 0 for entry in ranking), default=0)
    for entry in ranking:
        if entry.place is None or entry.seconds is None or entry.interval is None:
            continue
        beside = own.get((entry.row["backend"], entry.row["mode"]))
        table.add_row(
            f"{entry.place}{'=' if entry.tied_with_above or entry.tied_with_best else ''}",
            name_of(entry.row),
            seconds_text(entry.seconds),
            interval_text(entry.interval, entry.seconds),
            f"{entry.to_best.estimate:.2f}" if entry.to_best else "",
            "█" * max(round(_BAR * entry.seconds / slowest), 1),
            f"{beside.ratio.estimate:.2f}" if beside else "-",
        )
    console.print(table)
    for entry in ranking:
        if entry.reason is not None:
            console.print(f"[yellow]{name_of(entry.row)}: {entry.reason}[/]", markup=True)


def print_rankings(console: Console, path: Path) -> None:
    """Print the ranking of every case in a file of rows."""
    for rows in by_workload(latest(read_rows([path]).rows)).values():
        portable = [row for row in rows if row["implementation"] == "portable"]
        console.print(f"\n[bold]{case_of(rows[0]).name}[/]")
        print_ranking(console, rank(portable), tax(rows))
    console.print(
        "\n[dim]= tied; x own: time over that of the library's own function (below 1: faster)[/]"
    )


def case_of(row: Row) -> Case:
    """Return the case that a row measures."""
    names = ("operation", "shape", "kernel", "stride", "padding", "scale", "out_channels", "dtype")
    return Case.from_json({name: row[name] for name in names})  # type: ignore[literal-required]


def name_of(row: Row) -> str:
    """Return the backend of a row, and its mode where that is not eager."""
    return row["backend"] if row["mode"] == "eager" else f"{row['backend']} {row['mode']}"
