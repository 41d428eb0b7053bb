"""What the commands print, at 80 columns, and answers as JSON."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table

from unpool_xp.bench.cases.formatting import interval_text, seconds_text
from unpool_xp.bench.rows.files import read_rows
from unpool_xp.bench.rows.names import case_of, name_of
from unpool_xp.bench.rows.schema import latest
from unpool_xp.bench.verdicts.ranking import Ranked, Tax, by_workload, rank, tax

_BAR_WIDTH = 12


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
        beside = own.get((entry.row.backend, entry.row.mode))
        table.add_row(
            f"{entry.place}{'=' if entry.tied_with_above or entry.tied_with_best else ''}",
            name_of(entry.row),
            seconds_text(entry.seconds),
            interval_text(entry.interval.low, entry.interval.high, entry.seconds),
            f"{entry.to_best.estimate:.2f}" if entry.to_best else "",
            "█" * max(round(_BAR_WIDTH * entry.seconds / slowest), 1),
            f"{beside.ratio.estimate:.2f}" if beside else "-",
        )
    console.print(table)
    for entry in ranking:
        if entry.reason is not None:
            console.print(f"[yellow]{name_of(entry.row)}: {entry.reason}[/]", markup=True)


def print_rankings(console: Console, path: Path) -> None:
    """Print the ranking of every case in a file of rows."""
    for rows in by_workload(latest(read_rows([path]).rows)).values():
        portable = [row for row in rows if row.implementation == "portable"]
        console.print(f"\n[bold]{case_of(rows[0]).name}[/]")
        print_ranking(console, rank(portable), tax(rows))
    console.print(
        "\n[dim]= tied; x own: time over that of the library's own function (below 1: faster)[/]"
    )
