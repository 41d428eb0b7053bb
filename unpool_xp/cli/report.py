"""The command `report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from unpool_xp.cli.common import app, err, fail


@app.command()
def report(
    paths: Annotated[list[Path], typer.Argument(help="Files of rows, or folders of them.")],
    to: Annotated[Path, typer.Option(help="Where to write.")] = Path("results/report"),
) -> None:
    """Write one self-contained HTML page, charts, a summary in Markdown and a table in CSV."""
    write_report_from(paths, to)


def write_report_from(paths: list[Path], to: Path) -> None:
    """Read files of results and write the report of them."""
    from unpool_xp.bench.measure.machine import read_machines
    from unpool_xp.bench.report.write import write_report
    from unpool_xp.bench.rows.readers import read_results

    try:
        read = read_results(paths)
    except FileNotFoundError as error:
        fail(str(error))
    for problem in read.problems:
        err.print(f"[yellow]{escape(f'{problem.path}:{problem.line}: {problem.reason}')}[/]")
    files = write_report(read.rows, read.problems, to, machines=read_machines(paths))
    err.print(f"{len(read.rows)} rows; open {files.html}")
