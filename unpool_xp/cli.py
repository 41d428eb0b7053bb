"""The commands: thin, all that they do lives in `unpool_xp.bench`."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Annotated, NoReturn

try:
    import typer
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
    from rich.table import Table
except ImportError as missing:  # the library itself needs none of this
    need = 'the commands need pip install "unpool-xp[bench]"'
    sys.exit(f"unpool-xp: {missing.name} is not installed; {need}")

from unpool_xp import __version__, backends
from unpool_xp.bench.check import Checked, check_backends, to_json, to_junit
from unpool_xp.capabilities import OPERATIONS

app = typer.Typer(
    help="Choose an array library for pooling and unpooling, by measuring it here.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
out = Console(highlight=False)
err = Console(stderr=True, highlight=False)

Labels = Annotated[
    list[str] | None,
    typer.Option("--backend", "-b", help="A backend's label; may be given several times."),
]


def fail(message: str, code: int = 2) -> NoReturn:
    """Say what is wrong, and leave."""
    err.print(f"[red]error:[/] {escape(message)}")
    raise typer.Exit(code)


def wanted(labels: list[str] | None) -> list[str]:
    """Return the labels asked for, all of which must load, or all that load here."""
    if not labels:
        return backends.available()
    try:
        return list(dict.fromkeys(backends.load(label).label for label in labels))
    except (ValueError, backends.BackendUnavailableError) as error:
        fail(str(error))


def bar() -> Progress:
    """Return a progress bar on standard error, so that output can be piped."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=err,
        transient=True,
    )


@app.callback(invoke_without_command=True)
def main_options(
    version: Annotated[bool, typer.Option("--version", help="Say the version.")] = False,
) -> None:
    """Choose an array library for pooling and unpooling, by measuring it here."""
    if version:
        out.print(__version__)
        raise typer.Exit


@app.command("backends")
def show_backends(
    backend: Labels = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    quick: Annotated[bool, typer.Option(help="Leave out the measured rates.")] = False,
) -> None:
    """Say what is installed here, on which devices, and how fast they copy and multiply."""
    from unpool_xp.bench import probe

    rows: list[dict[str, object]] = []
    with bar() as progress:
        labels = backend or backends.known()
        task = progress.add_task("measuring", total=len(labels))
        for label in labels:
            try:
                loaded = backends.load(label)
            except ValueError as error:
                fail(str(error))
            except backends.BackendUnavailableError as error:
                rows.append({"backend": label, "missing": str(error).partition(": ")[2]})
            else:
                facts = loaded.facts
                row: dict[str, object] = {
                    "backend": loaded.label,
                    "version": loaded.version,
                    "device": facts.name,
                    "memory_bytes": facts.memory_bytes,
                    "threads": facts.threads,
                }
                if not quick:
                    rates = probe.ceilings(loaded)
                    row["copy_gb_s"] = round(rates.copy_gb_s, 1)
                    row["product_gflop_s"] = round(rates.product_gflop_s, 1)
                rows.append(row)
            progress.advance(task)
    if as_json:
        print(json.dumps(rows, indent=1))
    else:
        _print_backends(rows)
    if backend and any("missing" in row for row in rows):
        raise typer.Exit(2)


def _print_backends(rows: list[dict[str, object]]) -> None:
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
    out.print(table)
    for row in rows:
        if "missing" in row:
            out.print(f"[dim]not here: {row['backend']}: {escape(str(row['missing']))}[/]")


@app.command()
def check(
    backend: Labels = None,
    operation: Annotated[
        list[str] | None, typer.Option("--operation", "-o", help="May be given several times.")
    ] = None,
    torch_compiled: Annotated[
        bool, typer.Option(help="Check torch compiled too: seconds a trial.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    junit: Annotated[Path | None, typer.Option(help="Write a JUnit report here.")] = None,
) -> None:
    """Hold operations, dtypes and backends to the oracle; exit 1 on a mismatch, 2 if none ran."""
    unknown = set(operation or ()) - set(OPERATIONS)
    if unknown:
        fail(f"unknown operation {', '.join(sorted(unknown))}; known: {', '.join(OPERATIONS)}")
    labels = wanted(backend)
    with bar() as progress:
        task = progress.add_task("checking", total=len(labels))
        results = check_backends(
            labels,
            operations=operation or tuple(OPERATIONS),
            torch_compiled=torch_compiled,
            progress=lambda label: progress.advance(task),
        )
    if junit:
        junit.write_bytes(to_junit(results))
    if as_json:
        print(json.dumps(to_json(results), indent=1))
    else:
        _print_checks(results)
    outcomes = Counter(result.outcome for result in results)
    if outcomes["failed"]:
        raise typer.Exit(1)
    if not outcomes["passed"]:
        fail("nothing was checked")


def _print_checks(results: list[Checked]) -> None:
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
    out.print(table)
    for result in results:
        if result.outcome == "failed":
            place = f"{result.operation}[{result.dtype}] on {result.backend}, {result.mode}"
            out.print(f"[bold red]BAD[/] {place}: {escape(result.detail)}", soft_wrap=True)
    counts = Counter(result.outcome for result in results)
    out.print(
        f"dtypes that agree with the oracle: {counts['passed']} ok, {counts['failed']} bad, "
        f"{counts['skipped']} not defined or not in the library"
    )


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
