"""The command `sweep`, on this machine or on those of a cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from unpool_xp.bench.cases.case import Case
from unpool_xp.cli.common import (
    BackendOption,
    OperationOption,
    ReportOption,
    ResultsOption,
    ThreadsOption,
    WaitOption,
    app,
    err,
    fail,
    notes,
    out,
    parse_threads,
    report_disturbed,
    report_load,
    resolve_labels,
    resumable,
    sweep_progress,
)
from unpool_xp.cli.report import print_answers, write_report_from

# On two cores of an Intel Xeon server: to start the libraries, and each cell.
_START_SECONDS, _CELL_SECONDS, _RACE_SECONDS = 20.0, 1.5, 0.3


@app.command()
def sweep(
    preset: Annotated[
        str, typer.Option(help="A set of cases: quick, segnet, unet, dcgan, vae, full.")
    ] = "quick",
    operation: OperationOption = None,
    backend: BackendOption = None,
    threads: ThreadsOption = None,
    results: ResultsOption = Path("results"),
    resume: Annotated[
        str | None,
        typer.Option(help="Go on with a run, by its name, or with the last one: --resume last."),
    ] = None,
    memory: Annotated[bool, typer.Option(help="Measure peak memory too.")] = False,
    report: ReportOption = False,
    rankings: Annotated[bool, typer.Option(help="Print the ranking of every case, too.")] = False,
    listing: Annotated[
        bool, typer.Option("--list", help="Only list what there is to measure, and for how long.")
    ] = False,
    wait: WaitOption = False,
    scheduler: Annotated[
        str | None,
        typer.Option(help="Of a dask.distributed cluster: measure on its machines, not here."),
    ] = None,
    share: Annotated[
        bool, typer.Option(help="With --scheduler: each case on one machine, whichever is free.")
    ] = False,
    patience: Annotated[
        float, typer.Option(help="With --scheduler: seconds to wait for a lost worker.", min=0)
    ] = 60.0,
) -> None:
    """Measure a set of cases on every backend, one row per measurement.

    With --report the end is a table of what to use, and the report.
    """
    from unpool_xp.bench.catalog.presets import preset as preset_of
    from unpool_xp.bench.measure.machine import this_machine
    from unpool_xp.bench.measure.sweep import cells_left, run_sweep
    from unpool_xp.bench.rows.files import read_rows
    from unpool_xp.bench.terminal import ranking

    numbers = parse_threads(threads)
    again = f"unpool-xp sweep --preset {preset}" + (f" --threads {threads}" if numbers else "")
    try:
        chosen = preset_of(preset)
    except ValueError as error:
        fail(str(error))
    cases = [case for case in chosen.cases if not operation or case.operation in operation]
    if not cases:
        fail(f"preset {preset} has no case of {', '.join(operation or ())}")
    if listing and scheduler is not None:
        fail("--list is about this machine, not about those of --scheduler")
    if scheduler is not None:
        paths = sweep_cluster(
            cases,
            backend,
            scheduler=scheduler,
            folder=results / "sweeps",
            resume=resume,
            modes=chosen.modes,
            threads=numbers,
            share=share,
            worker_timeout_s=patience,
            memory=memory,
            race=chosen.race,
            resume_command=f"{again} --scheduler {scheduler}",
        )
        if report:
            print_answers(paths)
            write_report_from(paths, results / "report")
        return
    labels = resolve_labels(backend, to_time=True)
    folder = results / "sweeps" / this_machine().id
    path = folder / f"{run_name(folder, resume)}.jsonl"
    grid: Any = {
        "modes": chosen.modes,
        "threads": numbers,
        "wanted": lambda case, cell: chosen.wants(cell.label, cell.mode, cell.implementation),
    }
    if listing:
        list_cells(cells_left(cases, labels, path, **grid), race=chosen.race)
        return
    notes.print(f"{len(cases)} cases on {', '.join(labels)}; rows go to {path}")
    report_load(wait=wait)
    with resumable(f"{again} --resume {path.stem}"), sweep_progress("cells") as progress:
        summary = run_sweep(
            cases,
            labels,
            out=path,
            resume=resume is not None,
            memory=memory,
            race=chosen.race,
            progress=progress,
            **grid,
        )
    notes.print(
        f"{summary.measured} measured, {summary.failed} without a time (the rows say why), "
        f"{summary.skipped} already there"
    )
    report_disturbed(read_rows([path]).rows)
    if rankings:
        ranking.print_rankings(out, path)
    if report:
        print_answers([path])
        write_report_from([path], results / "report")


def list_cells(cells: Mapping[Case, int], *, race: bool) -> None:
    """Print the cells of each case, of all of them, and about how long they take."""
    for case, number in cells.items():
        out.print(f"{case.name}  {number}")
    total = sum(cells.values())
    seconds = _START_SECONDS + total * (_RACE_SECONDS if race else _CELL_SECONDS)
    out.print(f"{len(cells)} cases, {total} cells: about {seconds / 60:.1f} minutes")


def sweep_cluster(
    cases: Sequence[Case],
    labels: Sequence[str] | None,
    *,
    folder: Path,
    resume: str | None,
    resume_command: str,
    **options: Any,
) -> list[Path]:
    """Measure on the machines of a cluster; return the row files, one per machine."""
    from unpool_xp.bench.cluster.run import ClusterError, run_cluster_sweep

    run = run_name(folder, resume, "*/*.jsonl")
    notes.print(f"{len(cases)} cases; rows go to {folder / '<machine>' / run}.jsonl")
    try:
        with resumable(f"{resume_command} --resume {run}"), sweep_progress("workers") as progress:
            summary = run_cluster_sweep(
                cases,
                labels,
                folder=folder,
                run=run,
                resume=resume is not None,
                progress=progress,
                note=lambda text: err.print(f"[yellow]{escape(text)}[/]"),
                **options,
            )
    except ClusterError as error:
        fail(str(error))
    notes.print(
        f"{summary.measured} measured, {summary.failed} without a time (the rows say why), "
        f"{summary.skipped} already there; {len(summary.paths)} machines"
    )
    return list(summary.paths)


def run_name(folder: Path, resume: str | None, pattern: str = "*.jsonl") -> str:
    """Return the name of a new run, or of the one to go on with."""
    from unpool_xp.bench.rows.provenance import run_id

    if resume is None:
        return run_id()
    runs = sorted(path.stem for path in folder.glob(pattern))
    if resume == "last":
        if not runs:
            fail(f"--resume last: there is no run in {folder}")
        return runs[-1]
    if resume not in runs:
        fail(f"--resume {resume}: there is no {folder / pattern.replace('*.jsonl', resume)}.jsonl")
    return resume
