"""`sweep --scheduler`: the same grid, on the machines of a cluster."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer
from rich.markup import escape

from unpool_xp.bench.cases.case import Case
from unpool_xp.cli.common import bar, err, fail


def sweep_machines(
    cases: Sequence[Case],
    labels: Sequence[str] | None,
    *,
    folder: Path,
    resume: str | None,
    again: str,
    **options: Any,
) -> list[Path]:
    """Measure on the machines of a cluster; return the files of the rows, one a machine."""
    from unpool_xp.bench.cluster.run import ClusterError, run_cluster_sweep
    from unpool_xp.bench.measure.sweep import SweepInterrupted, SweepUnwritableError

    run = run_of(folder, resume)
    err.print(f"{len(cases)} cases; rows go to {folder / '<machine>' / run}.jsonl")
    try:
        with bar() as progress:
            task = progress.add_task("workers", total=None)
            summary = run_cluster_sweep(
                cases,
                labels,
                folder=folder,
                run=run,
                resume=resume is not None,
                progress=lambda at: progress.update(
                    task,
                    completed=at.done,
                    total=at.total,
                    description=f"{at.case.operation} on {at.machine}",
                ),
                note=lambda text: err.print(f"[yellow]{escape(text)}[/]"),
                **options,
            )
    except ClusterError as error:
        fail(str(error))
    except (SweepInterrupted, SweepUnwritableError) as stopped:
        err.print(f"[yellow]{escape(str(stopped))}[/]")
        err.print(f"{again} --resume {run}")
        raise typer.Exit(130 if isinstance(stopped, SweepInterrupted) else 1) from None
    err.print(
        f"{summary.measured} measured, {summary.failed} without a time (the rows say why), "
        f"{summary.skipped} already there; {len(summary.paths)} machines"
    )
    return list(summary.paths)


def run_of(folder: Path, resume: str | None) -> str:
    """Return the name of a new run, or of the one to go on with, whatever its machines."""
    from unpool_xp.bench.rows.provenance import run_id

    if resume is None:
        return run_id()
    runs = sorted(path.stem for path in folder.glob("*/*.jsonl"))
    if resume == "last":
        if not runs:
            fail(f"--resume last: there is no run in {folder}")
        return runs[-1]
    if resume not in runs:
        fail(f"--resume {resume}: there is no {resume}.jsonl in a folder of {folder}")
    return resume
