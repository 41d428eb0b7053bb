"""The command `tax`."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from unpool_xp.cli.common import (
    BackendOption,
    JsonOption,
    OperationOption,
    ResultsOption,
    ThreadsOption,
    WaitOption,
    app,
    fail,
    open_output,
    out,
    parse_threads,
    progress_bar,
    report_disturbed,
    report_load,
    report_unknown_commit,
    require_writable,
    resolve_labels,
)
from unpool_xp.cli.stopping import Stop, StoppableCommand


@app.command(cls=StoppableCommand)
def tax(
    backend: BackendOption = None,
    operation: OperationOption = None,
    mode: Annotated[str | None, typer.Option(help="eager or compiled. Default: both.")] = None,
    threads: ThreadsOption = None,
    quick: Annotated[bool, typer.Option(help="Skip the middle size.")] = False,
    results: ResultsOption = Path("results"),
    markdown: Annotated[Path | None, typer.Option(help="Write the summary to this file.")] = None,
    wait: WaitOption = False,
    as_json: JsonOption = False,
) -> None:
    """Measure what portability costs: our time over that of each library's own function."""
    from unpool_xp.bench.catalog.families import tax_cases
    from unpool_xp.bench.measure.measurement import Measurement
    from unpool_xp.bench.portability.measure import measure_taxes, row_recorder
    from unpool_xp.bench.portability.targets import TARGETS, TaxEntry
    from unpool_xp.bench.terminal import tax as tax_view

    if mode not in (None, "eager", "compiled"):
        fail(f"unknown mode {mode!r}; known: eager, compiled")
    numbers: list[int | None] = [*parse_threads(threads)] or [None]
    cases = [c for c in tax_cases(quick) if not operation or c.operation in operation]
    if not cases:
        fail(f"no case of {', '.join(operation or ())}")
    with open_output("--markdown", markdown) as summary:
        require_writable("--results", results / "tax")
        labels = resolve_labels(backend)
        targets = [
            replace(t, threads=number)
            for t in TARGETS
            if t.label in labels and mode in (None, t.mode)
            for number in numbers
        ]
        if not targets:
            fail(f"no target for these; there are {', '.join(t.name for t in TARGETS)}")
        report_load(wait=wait)
        report_unknown_commit()
        stop, entries, measurements = Stop(), list[TaxEntry](), list[Measurement]()
        with stop, row_recorder(results / "tax") as keep, progress_bar() as progress:
            task = progress.add_task("measuring", total=len(targets) * len(cases))
            for case, measured, found in measure_taxes(cases, targets):
                measurements += measured.values()
                entries += found
                keep(case, measured)
                progress.update(task, advance=len(found), description=found[0].target.label)
        if not entries:
            stop.raise_again()
        if as_json:
            print(json.dumps(tax_view.tax_as_json(entries), indent=1))
        else:
            tax_view.print_entries(out, entries)
            tax_view.print_summaries(out, entries)
        report_disturbed(measurements)
        if summary:
            summary.write(tax_view.tax_as_markdown(entries))
    stop.raise_again(f"{len(entries)} of {len(targets) * len(cases)} measured")
    if not any(measurement.checked for measurement in measurements):
        fail("nothing could be measured")
