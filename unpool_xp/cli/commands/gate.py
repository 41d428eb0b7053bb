"""The command `gate`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from unpool_xp.capabilities import OPERATIONS
from unpool_xp.cli.common import (
    AllOption,
    JsonOption,
    OperationOption,
    PullRequestOption,
    WaitOption,
    app,
    fail,
    open_output,
    out,
    report_load,
    require_writable,
    status,
)
from unpool_xp.cli.stopping import Stop, StoppableCommand


@app.command(cls=StoppableCommand)
def gate(
    base: Annotated[str, typer.Argument(help="What to compare with: a branch, a tag, a hash.")],
    head: Annotated[
        str | None, typer.Option(help="The same for the other side.", show_default="working tree")
    ] = None,
    backend: Annotated[
        list[str] | None,
        typer.Option(
            "--backend",
            "-b",
            help="A label; jax compiled, others eager, or as in torch:cpu/compiled.",
        ),
    ] = None,
    operation: OperationOption = None,
    size: Annotated[str | None, typer.Option(help="small or large; default: both.")] = None,
    budget: Annotated[float, typer.Option(help="Seconds to measure, at most.", min=1)] = 120.0,
    timeout: Annotated[float, typer.Option(help="Seconds for one request.", min=1)] = 60.0,
    wait: WaitOption = False,
    everything: AllOption = False,
    as_json: JsonOption = False,
    markdown: PullRequestOption = None,
    folder: Annotated[Path, typer.Option(help="Environments and rows.")] = Path(".gate"),
) -> None:
    """Build two commits, time them in turns; exit 0: none slower, 1: some, 2: cannot tell."""
    from unpool_xp.bench.catalog import SINGLE_OPERATIONS
    from unpool_xp.bench.catalog.panel import SIZES, STRIDES, panel_case
    from unpool_xp.bench.gate import build
    from unpool_xp.bench.gate.run import (
        GateResult,
        available_backend_modes,
        resolve_backend_modes,
        run_gate,
    )
    from unpool_xp.bench.rows.provenance import GitError
    from unpool_xp.bench.terminal import gate as show_gate
    from unpool_xp.bench.verdicts.thresholds import Thresholds

    if size not in (None, *SIZES):
        fail(f"unknown size {size!r}; known: {', '.join(SIZES)}")
    wanted_sizes = (size,) if size else SIZES
    cases = [
        panel_case(name, which, stride)
        for name in operation or OPERATIONS
        if name in SINGLE_OPERATIONS
        for which in wanted_sizes
        for stride in STRIDES
    ]
    if not cases:
        fail(f"{', '.join(operation or ())} is not timed; timed are {', '.join(SINGLE_OPERATIONS)}")
    with open_output("--markdown", markdown) as summary:
        require_writable("--folder", folder)
        stop, known = Stop(), list[GateResult]()
        try:
            backend_modes, notes = (
                (resolve_backend_modes(backend), []) if backend else available_backend_modes()
            )
            sources = [build.find_source(Path.cwd(), ref) for ref in (base, head)]
            thresholds = Thresholds.read(sources[1].repository / "pyproject.toml")
            report_load(wait=wait)
            with stop, status() as shown:
                builds = []
                for source in sources:
                    shown.update(escape(f"building {source.ref}"))
                    builds.append(build.build(source, folder / "environments"))
                found = run_gate(
                    builds[0],
                    builds[1],
                    cases,
                    backend_modes,
                    out=folder / "runs",
                    thresholds=thresholds,
                    budget_s=budget,
                    timeout_s=timeout,
                    notes=[*notes, *build.dependency_notes(*sources)],
                    progress=lambda text: shown.update(escape(text)),
                    stopped=known.append,
                )
                known.append(found)
        except (build.GateError, GitError, FileNotFoundError, ImportError, ValueError) as error:
            fail(str(error))
        if not known:
            stop.raise_again()
        (found,) = known
        if as_json:
            print(json.dumps(show_gate.gate_as_json(found), indent=1))
        else:
            show_gate.print_gate(out, found, everything=everything)
        if summary:
            summary.write(show_gate.gate_as_markdown(found, everything=everything))
    stop.raise_again()
    raise typer.Exit(found.exit_code)
