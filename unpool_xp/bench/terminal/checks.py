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
    names = [label.replace("array_api_strict", "strict") for label, _ in columns]
    heads = [
        name if mode == "eager" else f"{name}\n{mode}"
        for name, (_, mode) in zip(names, columns, strict=True)
    ]
    table = text_table("operation", *heads, align="L" + "r" * len(heads))
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
        failure = escape(f"{place} ({', '.join(filter(None, dtypes))}): {detail}")
        console.print(f"[bold red]BAD[/] {failure}", soft_wrap=True)
    counts = Counter(result.outcome for result in results)
    console.print(
        f"dtypes that agree with the oracle: {counts['passed']} ok, {counts['failed']} bad, "
        f"{counts['skipped']} not defined or not in the library"
    )
