"""The command `gate`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from unpool_xp.cli.case_options import (
    SHAPE_HELP,
    CaseCommand,
    case_of,
    given_parameters,
    own_cases,
    require_absent,
)
from unpool_xp.cli.common import (
    AllOption,
    JsonOption,
    OperationOption,
    PullRequestOption,
    WaitOption,
    app,
    fail,
    open_output,
    operation_names,
    out,
    report_load,
    require_writable,
    status,
)
from unpool_xp.cli.stopping import Stop

if TYPE_CHECKING:
    from unpool_xp.bench.cases.case import Case


@app.command(cls=CaseCommand)
def gate(
    ctx: typer.Context,
    base: Annotated[str, typer.Argument(help="Commit to compare with: a branch, a tag or a hash.")],
    head: Annotated[
        str | None, typer.Option(help="Commit to test.", show_default="working tree")
    ] = None,
    backend: Annotated[
        list[str] | None,
        typer.Option(
            "--backend",
            "-b",
            help="Backend, e.g. torch:cpu or torch:cpu/compiled; repeat for several.",
        ),
    ] = None,
    operation: OperationOption = None,
    shape: Annotated[
        str | None, typer.Option(help=f"{SHAPE_HELP} Default: an operation's own shapes.")
    ] = None,
    size: Annotated[
        str | None, typer.Option(help="Size of the cases: small or large. Default: both.")
    ] = None,
    budget: Annotated[float, typer.Option(help="Seconds to measure, at most.", min=1)] = 120.0,
    timeout: Annotated[
        float, typer.Option(help="Seconds for one request before a process is stopped.", min=1)
    ] = 60.0,
    wait: WaitOption = False,
    everything: AllOption = False,
    as_json: JsonOption = False,
    markdown: PullRequestOption = None,
    folder: Annotated[Path, typer.Option(help="Folder for environments and rows.")] = Path(".gate"),
    repository: Annotated[
        Path, typer.Option(help="Repository of the package.", show_default="this folder's")
    ] = Path(),
) -> None:
    """Time two commits of a package in turns; exit 0: none slower, 1: some, 2: cannot tell."""
    from unpool_xp.bench.cases.loading import operations
    from unpool_xp.bench.catalog import SINGLE_OPERATIONS
    from unpool_xp.bench.catalog.panel import SIZES
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
    sizes = (size,) if size else SIZES
    with open_output("--markdown", markdown) as summary:
        require_writable("--folder", folder)
        if not folder.exists():  # what is in there is not part of anybody's working tree
            folder.mkdir(parents=True)
            (folder / ".gitignore").write_text("*\n")
        stop, known = Stop(), list[GateResult]()
        try:
            backend_modes, notes = (
                (resolve_backend_modes(backend), []) if backend else available_backend_modes()
            )
            sources = [build.find_source(repository.absolute(), ref) for ref in (base, head)]
            ours = (sources[1].repository / "unpool_xp").is_dir()
            names = operation_names(operation) or [
                name
                for name, one in operations().items()
                if (name in SINGLE_OPERATIONS if ours else not one.title.startswith("unpool_xp."))
            ]
            if not names:
                fail("name what to time, as in --operation my_ops.py")
            cases = _cases(names, shape, given_parameters(ctx), sizes)
            settings = sources[1].repository / "pyproject.toml"
            thresholds = Thresholds.read(settings) if settings.exists() else Thresholds()
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


def _cases(
    names: Sequence[str],
    shape: str | None,
    parameters: Mapping[str, str],
    sizes: Sequence[str],
) -> list[Case]:
    """Return the cases of operations: one of a shape, those of its shapes, or those of ours."""
    from unpool_xp.bench.catalog import SINGLE_OPERATIONS
    from unpool_xp.bench.catalog.panel import STRIDES, panel_case

    cases: list[Case] = []
    for name in names:
        if shape is not None:
            cases.append(case_of(name, shape, parameters, "float32"))
        elif name in SINGLE_OPERATIONS:
            require_absent(parameters, "describes one case: add --shape")
            cases += [panel_case(name, size, stride) for size in sizes for stride in STRIDES]
        elif own := own_cases(name, parameters, None):
            cases += own
        else:
            fail(f"{name} has no shapes of its own: give a --shape")
    return cases
