"""What `check` prints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape

from unpool_xp.bench.check.run import CheckResult
from unpool_xp.bench.terminal.tables import text_table


def print_checks(console: Console, results: Sequence[CheckResult]) -> None:
    """Print a table of operations and backends, and every mismatch with the reference."""
    columns = list(dict.fromkeys((result.backend, result.mode) for result in results))
    heads = [
        label.replace("array_api_strict", "strict") + (f"\n{mode}" if mode != "eager" else "")
        for label, mode in columns
    ]
    table = text_table("operation", *heads, align="L" + "r" * len(heads))
    number = Counter((one.operation, one.backend, one.mode, one.outcome) for one in results)
    for operation in dict.fromkeys(result.operation for result in results):
        cells = []
        for column in columns:
            failed = number[operation, *column, "failed"]
            passed = f"[green]{number[operation, *column, 'passed']} ok[/]"
            cells.append(f"[bold red]{failed} BAD[/]" if failed else passed)
        table.add_row(operation, *cells)
    console.print(table)
    failures: dict[tuple[str, str], list[str]] = {}
    for result in results:
        if result.outcome == "failed":
            place = f"{result.operation} on {result.backend}, {result.mode}"
            failures.setdefault((place, result.detail), []).append(result.dtype)
    for (place, detail), dtypes in failures.items():
        failure = escape(f"{place} ({', '.join(filter(None, dtypes))}): {detail}")
        console.print(f"[bold red]BAD[/] {failure}", soft_wrap=True)
    counts = Counter(result.outcome for result in results)
    console.print(
        f"dtypes that agree with the oracle: {counts['passed']} ok, {counts['failed']} bad, "
        f"{counts['skipped']} not defined or not in the library"
    )
