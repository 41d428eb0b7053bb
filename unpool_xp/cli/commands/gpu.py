"""The `gpu` command: check the CUDA backends, then find the size from which they win."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from unpool_xp import backends
from unpool_xp.bench.cases.case import Case
from unpool_xp.bench.measure.host.nvidia import device_labels, on_cuda
from unpool_xp.bench.measure.measurement import Cell
from unpool_xp.bench.rows.schema import Row
from unpool_xp.capabilities import OPERATIONS, why_no_gradients
from unpool_xp.cli.commands.report import write_report_from
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
    report_unknown_commit,
    require_times,
    require_writable,
    status,
    sweep_progress,
)
from unpool_xp.cli.exits import ExitCode
from unpool_xp.cli.resuming import Run
from unpool_xp.cli.stopping import (
    StoppableCommand,
    command_line,
    go_on_with,
    print_command,
)

if TYPE_CHECKING:
    from unpool_xp.bench.report.gpu_targets import TargetResult

_CPU_LABELS = ("numpy", "torch:cpu", "jax:cpu")  # what a GPU has to win against
_MAX_CPU_ELEMENTS = 2**26  # elements: beyond, a call on the CPU takes seconds
_COMPILED_BYTES = 2**28  # torch compiles for seconds each
_MEMORY_BYTES = (2**27, 2**28)  # bytes moved by the cases whose memory is measured
_FUSED = ("max_pool", "avg_pool", "linear_unpool")  # where a fused call differs from an eager one
_CHECK_SHARE = 0.35  # of the time
_REPORT_SECONDS = 30.0  # for the report, and to end the processes


@app.command(cls=StoppableCommand)
def gpu(
    ctx: typer.Context,
    backend: BackendOption = None,
    operation: OperationOption = None,
    threads: ThreadsOption = None,
    minutes: Annotated[float, typer.Option(help="Minutes to spend.", min=0.1)] = 8.0,
    results: ResultsOption = Path("results"),
    resume: Annotated[
        str | None,
        typer.Option(help="Continue a run, by name, or the newest: --resume last."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="With --resume: allow other commits and versions.")
    ] = False,
    report: ReportOption = True,
    wait: WaitOption = False,
) -> None:
    """Check every CUDA backend, then compare it with the CPU; exit 2 if there is none."""
    from unpool_xp.bench.catalog.presets import preset
    from unpool_xp.bench.check.changed import changed_first
    from unpool_xp.bench.check.run import OUT_OF_TIME, check_backends
    from unpool_xp.bench.measure.machine import this_machine
    from unpool_xp.bench.measure.pools import find_loadable, kept_versions
    from unpool_xp.bench.measure.sweep import cells_left, run_sweep
    from unpool_xp.bench.rows.files import read_rows, run_files
    from unpool_xp.bench.terminal import checks

    end = time.monotonic() + 60 * minutes
    if force and resume is None:
        fail("--force is for --resume RUN: a new run has no rows yet")
    numbers = parse_threads(threads)
    require_writable("--results", results / "report")
    require_writable("--results", results / "sweeps")
    with status("looking for devices"):
        labels = _cuda_labels(backend)
        others = [name for name in _CPU_LABELS if name not in labels]
        cpu_labels = [*find_loadable(others, keep=True).found]
    facts = this_machine()
    run = Run.find(results / "sweeps", facts.id, resume)
    run.check_unchanged(kept_versions(), retry_failed=False, force=force)
    chosen, everywhere = preset("gpu"), [*labels, *cpu_labels]
    cases = [case for case in chosen.cases if not operation or case.operation in operation]
    grid: dict[str, Any] = {"modes": chosen.modes, "threads": numbers, "wanted": _should_measure}
    grid["done_in"] = run.done_in(force=force)
    cells = sum(cells_left(cases, everywhere, run.path, **grid).values())
    before = [row for row in read_rows(run_files(run.folder)).rows if on_cuda(row.backend)]
    names = changed_first(operation or tuple(OPERATIONS), before)
    # The sweep checks each case as well, so a suite that takes long must not take its time.
    seconds = _CHECK_SHARE * max(end - time.monotonic(), 0)
    _say_step(1, f"check {', '.join(labels)} for at most {seconds:.0f} s: {', '.join(names)}")
    _say_step(2, f"then measure {cells} cells of {len(cases)} cases, the most telling first")
    with status("checking"):
        checked = check_backends(
            labels,
            operations=names,
            budget_s=seconds,
            stopped=lambda results: checks.print_checks(out, results),
        )
    checks.print_checks(out, checked)
    left_out = sum(result.detail == OUT_OF_TIME for result in checked)
    if left_out:
        err.print(f"{left_out} not checked in the time given; unpool-xp check checks all")
    failed = Counter(result.outcome for result in checked)["failed"]

    report_load(wait=wait)
    report_unknown_commit()
    seconds = max(end - time.monotonic() - (_REPORT_SECONDS if report else 0), 0)
    _say_step(2, f"measure on {', '.join(everywhere)} for {seconds:.0f} s; rows go to {run.path}")
    _say_step(3, f"then the targets, and step 4 the report, both in {results / 'report'}")
    go_on_with(ctx, resume=run.name)
    notes.print("whatever ends it, no row is lost; to go on:")
    print_command(command_line(ctx))
    with sweep_progress("cells") as progress:
        summary = run_sweep(
            cases,
            everywhere,
            out=run.path,
            resume=resume is not None,
            machine=facts,
            memory=_measures_memory,
            budget_s=seconds,
            in_order=True,
            progress=progress,
            **grid,
        )
    notes.print(
        f"{summary.measured} measured, {summary.failed} without a time (the rows say why), "
        f"{summary.skipped} already there, {summary.left} left out for lack of time"
    )
    if summary.left:
        err.print("to measure the rest:")
        print_command(command_line(ctx))
    rows = read_rows([run.path]).rows
    report_disturbed(rows)
    _say_step(3, "the targets")
    _print_targets(rows, results / "report")
    if report:
        _say_step(4, f"the report, which unpool-xp report {run.path} makes as well")
        write_report_from([run.path], results / "report", "--results")
    if failed:
        problem = f"{failed} checks failed, so no time of those operations is worth anything"
        fail(problem, ExitCode.DIFFERS)
    require_times(rows, backend)


def _say_step(number: int, text: str) -> None:
    """Say what is about to be done, so that a run that is cut off shows what was left."""
    notes.print(f"step {number} of 4: {text}", markup=False, soft_wrap=True)


def _should_measure(case: Case, cell: Cell) -> bool:
    """Skip slow, uninformative cells: large sizes on the CPU, most of torch compiled."""
    if cell.mode == "fused" and (
        case.backward or cell.implementation == "native" or case.operation not in _FUSED
    ):
        return False
    if case.backward and why_no_gradients(cell.label.partition(":")[0]):
        return False
    largest = max(math.prod(case.shape), math.prod(case.output_shape))
    if cell.label in _CPU_LABELS and largest > _MAX_CPU_ELEMENTS:
        return False
    if cell.mode == "compiled" and cell.label.startswith("torch"):
        ours = cell.label not in _CPU_LABELS and cell.implementation == "portable"
        return ours and case.bytes_moved >= _COMPILED_BYTES
    return True


def _measures_memory(case: Case, cell: Cell) -> bool:
    """Measure the memory of our own functions on a GPU at one size: a process each."""
    ours = cell.implementation == "portable" and cell.label not in _CPU_LABELS
    return (
        ours
        and not case.backward
        and _MEMORY_BYTES[0] <= case.bytes_moved <= _MEMORY_BYTES[1]
        and case.dtype == "float32"
    )


def _print_targets(rows: list[Row], folder: Path) -> None:
    """Print the targets for a GPU and what was found; write them next to the report."""
    from unpool_xp.bench.report.gpu_targets import check_gpu_targets, write_targets

    lines = check_gpu_targets(rows)
    print_targets(out, lines)
    notes.print(f"the same as Markdown: {write_targets(lines, folder)}")


def print_targets(console: Console, lines: Iterable[TargetResult]) -> None:
    """Print a table of the targets for a GPU and what was found."""
    from unpool_xp.bench.report.gpu_targets import result_cells
    from unpool_xp.bench.terminal.tables import text_table

    table = text_table("target for a GPU", "limit", "found", "", "of", align="llLll")
    for line in lines:
        table.add_row(*map(escape, result_cells(line)))
    console.print(table)


def _cuda_labels(labels: list[str] | None) -> list[str]:
    """Return the requested labels, or those of all GPUs that load; exit with reasons if none."""
    from unpool_xp.bench.measure.pools import find_loadable

    cuda = [name for name in backends.known() if on_cuda(name)]
    requested = labels or [name for first in cuda for name in device_labels(first)]
    found, missing, broken = find_loadable(requested, keep=True)
    if not found or (missing and labels):
        reasons = "\n  ".join(missing.values())
        fail(reasons if labels else f"no CUDA backend is here:\n  {reasons}")
    for label in broken:
        err.print(f"[yellow]left out: {escape(missing[label])}[/]", soft_wrap=True)
    return list(dict.fromkeys(found.values()))
