"""What `check` prints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.markup import escape

from unpool_xp import __version__
from unpool_xp.bench.cases.case import BackendMode
from unpool_xp.bench.cases.formatting import escape_markdown, markdown_table
from unpool_xp.bench.check.run import CheckResult
from unpool_xp.bench.terminal.tables import print_line, text_table


def print_checks(console: Console, results: Sequence[CheckResult]) -> None:
    """Print a table of operations and backends, and every mismatch with the reference."""
    columns = list(dict.fromkeys(_where(result) for result in results))
    table = text_table("operation", *(str(column).replace(" ", "\n") for column in columns))
    number = Counter((one.operation, _where(one), one.outcome) for one in results)
    for operation in dict.fromkeys(result.operation for result in results):
        cells = []
        for column in columns:
            passed = number[operation, column, "passed"]
            failed = number[operation, column, "failed"]
            words = [f"[green]{passed} ok[/]"] if passed else []
            words += [f"[bold red]{failed} bad[/]"] if failed else []
            cells.append(", ".join(words) or "-")
        table.add_row(operation, *cells)
    console.print(table)
    for (where, detail), dtypes in _failures(results).items():
        said = escape(f"{where} ({', '.join(dtypes)}): {detail}")
        console.print(f"[bold red]bad[/] {said}", soft_wrap=True)
    for line in _lacking(results):
        print_line(console, escape(line), style="bold red")
    for line in [*_gaps(results), *_warnings(results)]:
        print_line(console, escape(line), style="dim")
    counts = Counter(result.outcome for result in results)
    console.print()
    print_line(
        console,
        f"dtypes checked against the reference: {counts['passed']} ok, {counts['failed']} bad, "
        f"{counts['skipped']} not defined or not in the library",
    )


def checks_as_markdown(results: Sequence[CheckResult]) -> str:
    """Return a matrix of operations and backends for a README, and every mismatch below it.

    A cell names the dtypes that are bad and those that the library lacks; what an operation is not
    defined for is not mentioned.
    """
    columns = list(dict.fromkeys(_where(result) for result in results))
    cells: dict[tuple[str, BackendMode], list[CheckResult]] = {}
    for result in results:
        cells.setdefault((result.operation, _where(result)), []).append(result)
    rows = [
        [operation, *(_matrix_cell(cells.get((operation, column), ())) for column in columns)]
        for operation in dict.fromkeys(result.operation for result in results)
    ]
    lines = markdown_table(["operation", *map(str, columns)], rows)
    wrong = [
        f"- {escape_markdown(where)} ({', '.join(dtypes)}): {escape_markdown(detail)}"
        for (where, detail), dtypes in _failures(results).items()
    ]
    wrong += [f"- {escape_markdown(line)}" for line in _lacking(results)]
    said = f"Checked against a slow reference by `unpool-xp check` {__version__}."
    return "\n".join([*lines, "", said, *([""] if wrong else []), *wrong]) + "\n"


def _matrix_cell(results: Iterable[CheckResult]) -> str:
    """Return "ok", or in which dtypes the results are bad, or why there is none."""
    dtypes: dict[str, list[str]] = {"passed": [], "failed": [], "lacks": []}
    for result in results:
        if result.outcome != "skipped":
            dtypes[result.outcome].append(result.dtype)
        elif not result.is_undefined:
            dtypes["lacks"].append(result.dtype)
    if not dtypes["passed"] and not dtypes["failed"]:
        return "not in the library" if dtypes["lacks"] else "-"
    words = [f"{len(dtypes['passed'])} ok"] if dtypes["failed"] and dtypes["passed"] else []
    words += ["ok"] if not dtypes["failed"] else [f"bad: {', '.join(dtypes['failed'])}"]
    words += [f"no {', '.join(dtypes['lacks'])}"] if dtypes["lacks"] else []
    return "; ".join(words)


def _where(result: CheckResult) -> BackendMode:
    return BackendMode(result.backend, result.mode)


def _failures(results: Iterable[CheckResult]) -> dict[tuple[str, str], list[str]]:
    """Return the dtypes of each operation and backend that fail alike."""
    failures: dict[tuple[str, str], list[str]] = {}
    for result in results:
        if result.outcome == "failed":
            place = f"{result.operation} on {_where(result)}"
            failures.setdefault((place, result.detail), []).append(result.dtype)
    return failures


def _lacking(results: Iterable[CheckResult]) -> list[str]:
    """Return the functions of the standard that libraries lack, and what each of them blocks."""
    blocked: dict[tuple[str, str], dict[str, None]] = {}
    for result in results:
        for name in result.lacks:
            blocked.setdefault((result.backend, name), {})[result.operation] = None
    return [
        f"{label} has no {name}, needed by {', '.join(operations)}"
        for (label, name), operations in blocked.items()
    ]


def _gaps(results: Iterable[CheckResult]) -> list[str]:
    """Return what libraries lack, a line each."""
    details = (
        result.detail
        for result in results
        # What an operation is not defined for is said in the docs.
        if result.outcome == "skipped" and not result.is_undefined
    )
    return [f"not checked: {detail}" for detail in dict.fromkeys(details)]


def _warnings(results: Iterable[CheckResult]) -> list[str]:
    """Return each kind of warning once, with how often it came."""
    said = Counter((result.backend, text) for result in results for text in result.warned)
    return [f"warned {number} times: {label}: {text}" for (label, text), number in said.items()]
