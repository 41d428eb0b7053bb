"""The command `check`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from unpool_xp.bench.check.run import CheckResult, check_backends, to_json, to_junit
from unpool_xp.bench.rows.schema import WRONG_OPERATION
from unpool_xp.capabilities import OPERATIONS
from unpool_xp.cli.common import (
    BackendOption,
    JsonOption,
    OperationOption,
    app,
    fail,
    open_output,
    operation_names,
    out,
    progress_bar,
    resolve_labels,
)
from unpool_xp.cli.exits import ExitCode
from unpool_xp.cli.stopping import Stop, StoppableCommand


@app.command(cls=StoppableCommand)
def check(
    backend: BackendOption = None,
    operation: OperationOption = None,
    torch_compiled: Annotated[
        bool, typer.Option(help="Also check torch.compile and mx.compile (seconds per trial).")
    ] = False,
    as_json: JsonOption = False,
    junit: Annotated[Path | None, typer.Option(help="Write a JUnit report to this file.")] = None,
    markdown: Annotated[
        Path | None, typer.Option(help="Write a matrix of operations and backends to this file.")
    ] = None,
) -> None:
    """Check operations, dtypes and backends against the reference; exit 1 on a mismatch."""
    from unpool_xp.bench.measure.workers import is_loss
    from unpool_xp.bench.terminal import checks

    with open_output("--junit", junit) as junit_file, open_output("--markdown", markdown) as matrix:
        names = operation_names(operation)
        labels = resolve_labels(backend)
        stop, results = Stop(), list[CheckResult]()
        with stop, progress_bar() as progress:
            task = progress.add_task("checking", total=len(labels))
            results += check_backends(
                labels,
                operations=names or tuple(OPERATIONS),
                torch_compiled=torch_compiled,
                progress=lambda label: progress.advance(task),
                stopped=results.extend,
            )
        if not results:
            stop.raise_again()
        if as_json:
            print(json.dumps(to_json(results), indent=1))
        else:
            checks.print_checks(out, results)
        if junit_file:
            junit_file.write(to_junit(results).decode())
        if matrix:
            matrix.write(checks.checks_as_markdown(results))
    stop.raise_again()
    failed = [result for result in results if result.outcome == "failed"]
    if not all(
        is_loss(result.detail) or result.detail.startswith(WRONG_OPERATION) for result in failed
    ):
        raise typer.Exit(ExitCode.DIFFERS)
    if failed:  # only where a process was lost, or there was nothing to check against
        raise typer.Exit(ExitCode.CANNOT_TELL)
    if not any(result.outcome == "passed" for result in results):
        fail("nothing was checked")
