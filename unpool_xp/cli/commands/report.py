"""The command `report`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from unpool_xp.bench.cases.formatting import printable
from unpool_xp.cli.common import app, err, fail, notes, out, report_unwritable, require_writable
from unpool_xp.cli.stopping import StoppableCommand

if TYPE_CHECKING:
    from unpool_xp.bench.measure.machine import Machine
    from unpool_xp.bench.rows.files import Problem
    from unpool_xp.bench.rows.schema import Row


@app.command(cls=StoppableCommand)
def report(
    paths: Annotated[list[Path], typer.Argument(help="Files of rows, or folders with them.")],
    to: Annotated[Path, typer.Option(help="Folder to write to.")] = Path("results/report"),
) -> None:
    """Write one self-contained HTML page, charts, a summary in Markdown and tables in CSV."""
    write_report_from(paths, to, "--to")


def print_answers(paths: list[Path]) -> None:
    """Print what to use by files of rows, and what a call costs; of each machine apart."""
    from unpool_xp.bench.rows.files import read_rows
    from unpool_xp.bench.rows.schema import latest
    from unpool_xp.bench.terminal.decisions import print_decisions, print_time_models
    from unpool_xp.bench.verdicts.decisions import decide
    from unpool_xp.bench.verdicts.ranking import by_workload, rank
    from unpool_xp.bench.verdicts.time_model import fit_times

    rows = latest(read_rows(paths).rows)
    machines = sorted({row.machine for row in rows})
    for machine in machines:
        mine = [row for row in rows if row.machine == machine]
        rankings = [rank(group) for group in by_workload(mine).values()]
        if len(machines) > 1:
            out.print(f"\n[bold]{escape(machine)}[/]")
        print_decisions(out, decide(rankings))
        print_time_models(out, fit_times(rankings))


def write_report_from(paths: list[Path], to: Path, option: str) -> None:
    """Read files of results and write the report of them; `option` names the folder in an error."""
    from unpool_xp.bench.report.write import write_report

    require_writable(option, to)
    rows, problems, machines = read_measured(paths, "nothing was written")
    with report_unwritable(option, to):
        files = write_report(rows, problems, to, machines=machines)
    notes.print(f"{len(rows)} rows; open {files.html}")


def read_measured(
    paths: list[Path], without: str
) -> tuple[list[Row], list[Problem], dict[str, Machine]]:
    """Read results and their machines; exit where there is no row, with what is not done then."""
    from unpool_xp.bench.measure.machine import read_machines
    from unpool_xp.bench.rows.readers import read_results
    from unpool_xp.bench.terminal.comparison import print_problems

    try:
        read = read_results(paths)
    except OSError as error:
        fail(str(error))
    machines, of_machines = read_machines(paths)
    problems = [*read.problems, *of_machines]
    print_problems(err, problems)
    if not read.rows:
        fail(printable(f"no row can be read in {', '.join(map(str, paths))}; {without}"))
    return read.rows, problems, machines
