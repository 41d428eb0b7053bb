"""The command `sweep`, on this machine or on those of a cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from unpool_xp.bench.cases.case import Case
from unpool_xp.bench.cases.formatting import number_of
from unpool_xp.cli.case_options import (
    SHAPE_HELP,
    CaseCommand,
    PassName,
    PassOption,
    chosen_cases,
    given_parameters,
    in_pass,
)
from unpool_xp.cli.commands.report import print_answers, write_report_from
from unpool_xp.cli.common import (
    TIMEOUT_SECONDS,
    BackendOption,
    OperationOption,
    ReportOption,
    ResultsOption,
    ThreadsOption,
    TimeoutOption,
    WaitOption,
    app,
    err,
    fail,
    notes,
    operation_names,
    out,
    parse_counts,
    parse_threads,
    report_disturbed,
    report_load,
    report_unknown_commit,
    require_times,
    require_writable,
    resolve_labels,
    sweep_progress,
)
from unpool_xp.cli.resuming import Run, report_failed
from unpool_xp.cli.stopping import go_on_with

if TYPE_CHECKING:
    from unpool_xp.bench.cluster.run import ClusterSummary
    from unpool_xp.bench.measure.sweep import SweepSummary

# On two cores of an Intel Xeon server: to start the libraries, and each cell.
_START_SECONDS, _CELL_SECONDS, _RACE_SECONDS = 20.0, 1.5, 0.3


@app.command(cls=CaseCommand)
def sweep(
    ctx: typer.Context,
    preset: Annotated[
        str | None,
        typer.Option(
            help="Set of cases: quick, segnet, unet, dcgan, vae, full.", show_default="quick"
        ),
    ] = None,
    operation: OperationOption = None,
    shape: Annotated[
        str | None,
        typer.Option(help="Instead of a preset: one case of each --operation. " + SHAPE_HELP),
    ] = None,
    dtype: Annotated[
        str | None, typer.Option(help="Data type of the values.", show_default="float32")
    ] = None,
    pass_: PassOption = PassName.FORWARD,
    layers: Annotated[
        Path | None,
        typer.Option(help="Instead of a preset: file with a decoder, TOML or JSON."),
    ] = None,
    batch: Annotated[
        str | None, typer.Option(help="Batch of a decoder, e.g. 4, or 1,4,16 for several.")
    ] = None,
    scale_channels: Annotated[
        float | None, typer.Option(help="Factor for the channels of a decoder, e.g. 0.5.")
    ] = None,
    backend: BackendOption = None,
    threads: ThreadsOption = None,
    timeout: TimeoutOption = TIMEOUT_SECONDS,
    results: ResultsOption = Path("results"),
    machine: Annotated[
        str | None,
        typer.Option(help="Name for this machine, if its hardware changes, as in a cloud."),
    ] = None,
    resume: Annotated[
        str | None,
        typer.Option(help="Continue a run, by name, or the newest: --resume last."),
    ] = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="With --resume: measure failed rows again.")
    ] = False,
    force: Annotated[
        bool,
        typer.Option("--force", help="With --resume: allow other commits, versions and machines."),
    ] = False,
    memory: Annotated[bool, typer.Option(help="Also measure peak memory.")] = False,
    report: ReportOption = False,
    rankings: Annotated[bool, typer.Option(help="Also print the ranking of every case.")] = False,
    listing: Annotated[
        bool, typer.Option("--list", help="List the cases and the time they take, and stop.")
    ] = False,
    wait: WaitOption = False,
    scheduler: Annotated[
        str | None,
        typer.Option(help="Address of a dask.distributed cluster to measure on."),
    ] = None,
    share: Annotated[
        bool, typer.Option(help="With --scheduler: measure each case on one machine only.")
    ] = False,
    patience: Annotated[
        float, typer.Option(help="With --scheduler: seconds to wait for a lost worker.", min=0)
    ] = 60.0,
) -> None:
    """Measure a set of cases on every backend, one row per measurement.

    With --report, print what to use and write the report.
    """
    from unpool_xp.bench.measure.machine import this_machine
    from unpool_xp.bench.measure.pools import kept_versions
    from unpool_xp.bench.measure.sweep import cells_left, run_sweep
    from unpool_xp.bench.rows.files import read_rows
    from unpool_xp.bench.terminal import ranking

    for option, given in (("--retry-failed", retry_failed), ("--force", force)):
        if given and resume is None:
            fail(f"{option} is for --resume RUN: a new run has no rows yet")
    numbers = parse_threads(threads)
    names = operation_names(operation)
    chosen = chosen_cases(
        preset,
        layers,
        shape,
        names,
        given_parameters(ctx),
        dtype,
        batches=parse_counts("--batch", batch, "batch", 1_000_000),
        scale_channels=scale_channels,
    )
    cases = [case for case in chosen.cases if not names or case.operation in names]
    if not cases:
        fail(f"{layers or preset or 'quick'} has no case of {', '.join(names)}")
    cases, backward = in_pass(cases, pass_), pass_ is PassName.BACKWARD
    if listing and scheduler is not None:
        fail("--list is about this machine, not about those of --scheduler")
    if not listing:
        require_writable("--results", results / "sweeps")
        if report:
            require_writable("--results", results / "report")
    if machine is not None and scheduler is not None:
        fail("--machine is the name of this machine, not of those of --scheduler")
    try:
        facts = this_machine(machine)
    except ValueError as error:
        fail(f"--machine {machine}: {error}")
    run = Run.find(results / "sweeps", facts.id if scheduler is None else "", resume)
    labels = backend
    if scheduler is None:
        labels = resolve_labels(backend, to_time=True, with_gradients=backward)
    grid: dict[str, Any] = {"modes": chosen.modes, "threads": numbers, "retry_failed": retry_failed}
    here: dict[str, Any] = {
        "wanted": lambda case, cell: chosen.wants(cell.label, cell.mode, cell.implementation),
        "done_in": run.done_in(force=force),
    }
    if listing:
        list_cells(cells_left(cases, labels or (), run.path, **grid, **here), race=chosen.race)
        return
    summary: SweepSummary | ClusterSummary
    options = {**grid, "resume": resume is not None, "memory": memory, "race": chosen.race}
    options["timeout_s"] = timeout
    if scheduler is not None:
        go_on_with(ctx, resume=run.name)
        notes.print(f"{len(cases)} cases; rows go to {run.folder / '<machine>' / run.name}.jsonl")
        summary, paths = sweep_cluster(
            cases,
            backend,
            scheduler=scheduler,
            folder=run.folder,
            run=run.name,
            share=share,
            worker_timeout_s=patience,
            check_unchanged=not force,
            **options,
        )
    else:
        run.check_unchanged(kept_versions(), retry_failed=retry_failed, force=force)
        go_on_with(ctx, resume=run.name)
        notes.print(f"{len(cases)} cases on {', '.join(labels or ())}; rows go to {run.path}")
        report_load(wait=wait)
        report_unknown_commit()
        with sweep_progress("cells") as progress:
            summary = run_sweep(
                cases,
                labels or (),
                out=run.path,
                machine=facts,
                progress=progress,
                **options,
                **here,
            )
        paths = [run.path]
    notes.print(
        f"{summary.measured} measured, {summary.failed} without a time (the rows say why), "
        f"{summary.skipped} already there" + (f"; {len(paths)} machines" if scheduler else "")
    )
    rows = read_rows(paths).rows
    report_disturbed(rows)
    if resume is not None and not retry_failed:
        report_failed(ctx, run.name, rows)
    if rankings:
        for path in paths:
            ranking.print_rankings(out, path)
    if report:
        print_answers(paths)
        write_report_from(paths, results / "report", "--results")
    if summary.failed and not summary.measured:
        fail("none of these cells could be measured; the rows say why")
    require_times(rows, backend)


def list_cells(cells: Mapping[Case, int], *, race: bool) -> None:
    """Print the cells of each case, of all of them, and about how long they take."""
    from unpool_xp.bench.terminal.tables import print_line

    for case, number in cells.items():
        print_line(out, f"{case.name}  {number_of(number, 'cell')}")
    total = sum(cells.values())
    seconds = _START_SECONDS + total * (_RACE_SECONDS if race else _CELL_SECONDS)
    print_line(out, f"{len(cells)} cases, {total} cells: about {seconds / 60:.1f} minutes")


def sweep_cluster(
    cases: Sequence[Case], labels: Sequence[str] | None, **options: Any
) -> tuple[ClusterSummary, list[Path]]:
    """Measure on the machines of a cluster; return the row files as well, one per machine."""
    from unpool_xp.bench.cluster.run import ClusterError, run_cluster_sweep

    try:
        with sweep_progress("workers") as progress:
            summary = run_cluster_sweep(
                cases,
                labels,
                progress=progress,
                note=lambda text: err.print(f"[yellow]{escape(text)}[/]"),
                **options,
            )
    except ClusterError as error:
        fail(str(error))
    return summary, summary.paths
