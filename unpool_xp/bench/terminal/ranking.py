"""The ranking of a case in the terminal, and those of a file of rows."""

from __future__ import annotations

from itertools import compress
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from unpool_xp.bench.cases.formatting import interval_text, seconds_text
from unpool_xp.bench.rows.files import read_rows
from unpool_xp.bench.rows.names import backend_mode_of, contender_text, name_of_case
from unpool_xp.bench.rows.schema import latest
from unpool_xp.bench.terminal.tables import print_line, text_table
from unpool_xp.bench.verdicts.bootstrap import Verdict
from unpool_xp.bench.verdicts.ranking import Ranked, Ranking, Tax, by_workload, rank, tax

_BAR_WIDTH, _REST_WIDTH = 12, 4  # the bars', and theirs beside what a call takes after a rest

LEGEND = (
    "= tied; ? not enough samples; ! disturbed by other programs; x own: time over that of the "
    "library's own function (below 1: faster)"
)


def print_ranking(console: Console, ranking: Ranking, taxes: list[Tax]) -> None:
    """Print a ranking as a table, the portable beside what each library's own function takes."""
    heads, align, rows = ranking_cells(ranking, taxes)
    table = text_table(*heads, align=align)
    for row in rows:
        table.add_row(*map(escape, row))
    console.print(table)
    for line in failure_lines(ranking):
        print_line(console, escape(line), style="yellow")


def ranking_cells(ranking: Ranking, taxes: list[Tax]) -> tuple[list[str], str, list[list[str]]]:
    """Return the heads of a ranking's columns, their letters of `text_table`, and the rows."""
    own = {entry.backend_mode: entry for entry in taxes}
    # Older rows have no call after a rest.
    rested = any(entry.row.cold_s is not None for entry in ranking.timed)
    bar_width = _REST_WIDTH if rested else _BAR_WIDTH
    heads = ["", "backend", "time", "after\na rest", "95 % interval", "x best", "", "x own"]
    shown = [rested or head != "after\na rest" for head in heads]
    slowest = max((entry.seconds for entry in ranking.timed), default=0)
    rows = []
    for above, entry in zip((None, *ranking.timed), ranking.timed, strict=False):
        beside = own.get(backend_mode_of(entry.row)) if entry.is_portable else None
        cells = (
            f"{entry.place}{_mark(entry, above)}".rjust(2),
            entry.name,
            seconds_text(entry.seconds),
            "-" if entry.row.cold_s is None else seconds_text(entry.row.cold_s),
            interval_text(entry.interval.low, entry.interval.high, entry.seconds),
            f"{entry.to_best.estimate:.2f}{'!' * entry.disturbed}",
            "█" * max(round(bar_width * entry.seconds / slowest), 1),
            f"{beside.ratio.estimate:.2f}" if beside else "-",
        )
        rows.append([*compress(cells, shown)])
    return [*compress(heads, shown)], "".join(compress("RlRRRRbR", shown)), rows


def failure_lines(ranking: Ranking) -> list[str]:
    """Return whose processes disagree, and what has no time and why; a sentence each."""
    disagree = (entry for entry in ranking.timed if entry.disagreement)
    lines = [f"{entry.name}: {entry.disagreement_text}" for entry in disagree]
    return lines + [f"{contender_text(row)}: {reason}" for row, reason in ranking.failed]


def _mark(entry: Ranked, above: Ranked | None) -> str:
    if entry.verdict is Verdict.UNDECIDED:
        return "?"
    return "=" if above is not None and above.place == entry.place else ""


def print_rankings(console: Console, path: Path) -> None:
    """Print the ranking of every case in a file of rows."""
    for rows in by_workload(latest(read_rows([path]).rows)).values():
        console.print()
        print_line(console, escape(name_of_case(rows[0])), style="bold")
        print_ranking(console, rank(rows), tax(rows))
    console.print()
    print_line(console, LEGEND, style="dim")
