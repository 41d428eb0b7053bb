"""`choose`, `sweep` and `tax`: what measures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from unpool_xp.capabilities import DTYPES
from unpool_xp.cli.common import Labels, app, bar, err, fail, known_operations, out, wanted
from unpool_xp.cli.report import write_report


def _numbers(name: str, text: str | None, kind: type[int] | type[float]) -> tuple[Any, ...] | None:
    """Return the numbers of an option such as "8,64,112,112"."""
    if text is None:
        return None
    try:
        return tuple(kind(part) for part in text.replace("x", ",").split(","))
    except ValueError:
        fail(f"--{name} {text!r} is no {kind.__name__} or list of them such as 2,2")


def _per_axis(sizes: tuple[Any, ...] | None) -> Any:
    """Return one number for all spatial axes as such, several as they are."""
    return sizes[0] if sizes is not None and len(sizes) == 1 else sizes


@app.command()
def choose(
    operation: Annotated[str, typer.Argument(help="Such as max_unpool.")],
    shape: Annotated[str, typer.Option(help="Of the first array: 8,64,112,112.")],
    kernel: Annotated[str | None, typer.Option(help="2, or 3,2: one an axis.")] = None,
    stride: Annotated[str | None, typer.Option(help="Default: the kernel.")] = None,
    padding: Annotated[str | None, typer.Option(help="Default: none.")] = None,
    scale: Annotated[str | None, typer.Option(help="Output size over input size.")] = None,
    out_channels: Annotated[int | None, typer.Option(help="Of a transposed convolution.")] = None,
    dtype: Annotated[str, typer.Option(help="Of the values.")] = "float32",
    backend: Labels = None,
    budget: Annotated[float, typer.Option(help="Seconds to measure for.", min=1)] = 20.0,
    torch_compiled: Annotated[
        bool, typer.Option(help="Compile with torch too: seconds for each size.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure here and now which backend to use, and from which size on the answer changes."""
    from unpool_xp.bench.cases.case import Case
    from unpool_xp.bench.choose import choose as measure
    from unpool_xp.bench.terminal import choice as show_choice

    if dtype not in DTYPES:
        fail(f"unknown dtype {dtype!r}; known: {', '.join(DTYPES)}")
    try:
        case = Case(
            operation,
            _numbers("shape", shape, int) or (),
            kernel=_per_axis(_numbers("kernel", kernel, int)),
            stride=_per_axis(_numbers("stride", stride, int)),
            padding=_per_axis(_numbers("padding", padding, int)),
            scale=_per_axis(_numbers("scale", scale, float)),
            out_channels=out_channels,
            dtype=dtype,
        )
    except (ValueError, TypeError) as error:
        fail(str(error))
    compiled = ("jax", "torch") if torch_compiled else ("jax",)
    labels = wanted(backend, to_time=True)
    try:
        with err.status("") as status:
            choice = measure(
                case,
                labels,
                budget_s=budget,
                modes=lambda label: (
                    ("eager", "compiled") if label.partition(":")[0] in compiled else ("eager",)
                ),
                progress=status.update,
            )
    except MemoryError as error:
        fail(str(error))
    if as_json:
        print(json.dumps(show_choice.choice_as_json(choice), indent=1))
    else:
        show_choice.print_choice(out, choice)
    if not any(entry.place for entry in choice.ranking()):
        raise typer.Exit(2)


@app.command()
def sweep(
    preset: Annotated[
        str, typer.Option(help="A set of cases: quick, segnet, unet, dcgan, vae, full.")
    ] = "quick",
    operation: Annotated[
        list[str] | None, typer.Option("--operation", "-o", help="May be given several times.")
    ] = None,
    backend: Labels = None,
    results: Annotated[Path, typer.Option(help="The folder of all rows.")] = Path("results"),
    resume: Annotated[
        str | None,
        typer.Option(help="Go on with a run, by its name, or with the last one: --resume last."),
    ] = None,
    memory: Annotated[bool, typer.Option(help="Measure peak memory too.")] = False,
    report: Annotated[bool, typer.Option(help="Write the report at the end.")] = False,
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
    """Measure a set of cases on every backend, a row a measurement."""
    from unpool_xp.bench.catalog.presets import preset as preset_of
    from unpool_xp.bench.measure.machine import this_machine
    from unpool_xp.bench.measure.sweep import SweepInterrupted, SweepUnwritableError, run_sweep
    from unpool_xp.bench.terminal import ranking

    try:
        chosen = preset_of(preset)
    except ValueError as error:
        fail(str(error))
    known_operations(operation)
    cases = [case for case in chosen.cases if not operation or case.operation in operation]
    if not cases:
        fail(f"preset {preset} has no case of {', '.join(operation or ())}")
    if scheduler is not None:
        from unpool_xp.commands.machines import sweep_machines

        paths = sweep_machines(
            cases,
            backend,
            scheduler=scheduler,
            folder=results / "sweeps",
            resume=resume,
            modes=chosen.modes,
            share=share,
            patience_s=patience,
            memory=memory,
            again=f"unpool-xp sweep --preset {preset} --scheduler {scheduler}",
        )
        if report:
            write_report(paths, results / "report")
        return
    labels = wanted(backend, to_time=True)
    folder = results / "sweeps" / this_machine().id
    path = _run_path(folder, resume)
    err.print(f"{len(cases)} cases on {', '.join(labels)}; rows go to {path}")
    try:
        with bar() as progress:
            task = progress.add_task("cells", total=None)
            summary = run_sweep(
                cases,
                labels,
                out=path,
                modes=chosen.modes,
                resume=resume is not None,
                memory=memory,
                progress=lambda at: progress.update(
                    task, completed=at.done, total=at.total, description=at.case.operation
                ),
            )
    except (SweepInterrupted, SweepUnwritableError) as stopped:
        err.print(f"[yellow]{escape(str(stopped))}[/]")
        err.print(f"unpool-xp sweep --preset {preset} --resume {path.stem}")
        raise typer.Exit(130 if isinstance(stopped, SweepInterrupted) else 1) from None
    err.print(
        f"{summary.measured} measured, {summary.failed} without a time (the rows say why), "
        f"{summary.skipped} already there"
    )
    if report:
        ranking.print_rankings(out, path)
        write_report([path], results / "report")


def _run_path(folder: Path, resume: str | None) -> Path:
    """Return the file of a new run, or of the one to go on with."""
    from unpool_xp.bench.rows.provenance import run_id

    if resume is None:
        return folder / f"{run_id()}.jsonl"
    if resume != "last":
        path = folder / f"{resume}.jsonl"
        if not path.exists():
            fail(f"--resume {resume}: there is no {path}")
        return path
    runs = sorted(folder.glob("*.jsonl"))
    if not runs:
        fail(f"--resume last: there is no run in {folder}")
    return runs[-1]


@app.command()
def tax(
    backend: Labels = None,
    operation: Annotated[
        list[str] | None, typer.Option("--operation", "-o", help="May be given several times.")
    ] = None,
    mode: Annotated[str | None, typer.Option(help="eager or compiled; default: both.")] = None,
    quick: Annotated[bool, typer.Option(help="Leave out the middle size.")] = False,
    limits: Annotated[
        bool, typer.Option(help="Measure rates, overhead, growth and memory instead.")
    ] = False,
    results: Annotated[Path, typer.Option(help="The folder of all rows.")] = Path("results"),
    markdown: Annotated[Path | None, typer.Option(help="Write the summary here.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure what portability costs: our time over that of each library's own function."""
    from unpool_xp.bench.portability.measure import measure_taxes, row_keeper
    from unpool_xp.bench.portability.targets import TARGETS, tax_cases
    from unpool_xp.bench.terminal import tax as tax_view

    known_operations(operation)
    labels = wanted(backend)
    if limits:
        _limits(labels, operation, quick, as_json)
        return
    targets = [t for t in TARGETS if t.label in labels and mode in (None, t.mode)]
    if not targets:
        fail(f"no target for these; there are {', '.join(t.where for t in TARGETS)}")
    cases = [c for c in tax_cases(quick) if not operation or c.operation in operation]
    if not cases:
        fail(f"no case of {', '.join(operation or ())}")
    with row_keeper(results / "tax") as keep, bar() as progress:
        task = progress.add_task("measuring", total=len(targets) * len(cases))
        entries = measure_taxes(
            cases,
            targets,
            keep=keep,
            progress=lambda found: progress.update(
                task, advance=len(found), description=found[0].target.label
            ),
        )
    if markdown:
        markdown.write_text(tax_view.markdown(entries), encoding="utf-8")
    if as_json:
        print(json.dumps(tax_view.as_json(entries), indent=1))
    else:
        tax_view.print_entries(out, entries)
        tax_view.print_summaries(out, entries)


def _limits(labels: list[str], operations: list[str] | None, quick: bool, as_json: bool) -> None:
    from unpool_xp.bench import limits_view

    with err.status("") as status:
        found = limits_view.measure_limits(
            labels,
            operations,
            quick=quick,
            progress=lambda one: status.update(f"{one['measure']} {one['backend']} {one['name']}"),
        )
    if as_json:
        print(json.dumps(found, indent=1))
    else:
        limits_view.print_limits(out, found)
