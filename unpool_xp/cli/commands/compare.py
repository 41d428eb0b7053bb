"""The command `compare`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from unpool_xp.cli.common import (
    AllOption,
    JsonOption,
    PullRequestOption,
    app,
    err,
    fail,
    open_output,
    out,
)
from unpool_xp.cli.stopping import StoppableCommand


@app.command(cls=StoppableCommand)
def compare(
    base: Annotated[Path, typer.Argument(help="Results before the change: a file or folder.")],
    head: Annotated[Path, typer.Argument(help="Results after the change: a file or folder.")],
    across_machines: Annotated[
        bool, typer.Option("--across-machines", help="Also compare times of different machines.")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 1 also if head lacks a case.")
    ] = False,
    everything: AllOption = False,
    as_json: JsonOption = False,
    markdown: PullRequestOption = None,
    config: Annotated[
        Path | None,
        typer.Option(
            help="File with the thresholds.", show_default="pyproject.toml, if there is one"
        ),
    ] = None,
) -> None:
    """Report what became faster or slower; exit 0: nothing slower, 1: some, 2: cannot tell."""
    from unpool_xp.bench.rows.readers import read_results
    from unpool_xp.bench.terminal import comparison
    from unpool_xp.bench.verdicts.compare import compare as compare_rows
    from unpool_xp.bench.verdicts.thresholds import Thresholds

    default = Path("pyproject.toml")
    with open_output("--markdown", markdown) as summary:
        try:
            there = config or default.exists()
            thresholds = Thresholds.read(config or default) if there else Thresholds()
            sides = [read_results([path]) for path in (base, head)]
        except (OSError, ValueError) as error:
            fail(str(error))
        problems = list(dict.fromkeys(problem for side in sides for problem in side.problems))
        found = compare_rows(
            *(side.rows for side in sides),
            thresholds=thresholds,
            across_machines=across_machines,
            strict=strict,
        )
        comparison.print_problems(err, problems)
        if as_json:
            print(json.dumps(comparison.comparison_as_json(found, problems), indent=1))
        else:
            comparison.print_comparison(out, found, everything=everything)
        if summary:
            summary.write(comparison.comparison_as_markdown(found, everything=everything))
    raise typer.Exit(found.exit_code)
