"""The command `choose`."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated

import typer

from unpool_xp.cli.case_options import (
    SHAPE_HELP,
    ChannelsOption,
    DtypeOption,
    KernelOption,
    PaddingOption,
    PassName,
    PassOption,
    ScaleOption,
    StrideOption,
    case_of,
    in_pass,
)
from unpool_xp.cli.commands.report import read_measured
from unpool_xp.cli.common import (
    TIMEOUT_SECONDS,
    BackendOption,
    JsonOption,
    ThreadsOption,
    TimeoutOption,
    WaitOption,
    app,
    fail,
    open_output,
    out,
    parse_threads,
    report_disturbed,
    report_load,
    resolve_labels,
    status,
)
from unpool_xp.cli.exits import ExitCode
from unpool_xp.cli.stopping import Stop, StoppableCommand


@app.command(cls=StoppableCommand)
def choose(
    ctx: typer.Context,
    operation: Annotated[str, typer.Argument(help="Such as max_unpool.")],
    shape: Annotated[str, typer.Option(help=SHAPE_HELP)],
    kernel: KernelOption = None,
    stride: StrideOption = None,
    padding: PaddingOption = None,
    scale: ScaleOption = None,
    out_channels: ChannelsOption = None,
    dtype: DtypeOption = "float32",
    pass_: PassOption = PassName.FORWARD,
    backend: BackendOption = None,
    threads: ThreadsOption = None,
    budget: Annotated[
        float, typer.Option(help="Seconds for all of it, the start included.", min=1)
    ] = 20.0,
    timeout: TimeoutOption = TIMEOUT_SECONDS,
    torch_compiled: Annotated[
        bool, typer.Option(help="Also measure torch.compile (seconds per size).")
    ] = False,
    wait: WaitOption = False,
    as_json: JsonOption = False,
    markdown: Annotated[
        Path | None, typer.Option(help="Write the answer and the ranking here.")
    ] = None,
    table: Annotated[
        Path | None, typer.Option("--csv", help="Write the ranking here, a line a candidate.")
    ] = None,
    against: Annotated[
        list[Path] | None,
        typer.Option(
            help="Rows of other machines to set beside, files or folders; may be given several "
            "times."
        ),
    ] = None,
) -> None:
    """Measure which library and which function to use, and from which size on that changes."""
    from unpool_xp.bench.choose import Choice
    from unpool_xp.bench.choose import choose as measure
    from unpool_xp.bench.measure.workers import is_loss
    from unpool_xp.bench.terminal import choice as show_choice
    from unpool_xp.bench.terminal import choice_files
    from unpool_xp.bench.verdicts.against import set_beside

    started = ctx.meta.get("unpool_xp.started", time.monotonic())
    case = case_of(
        operation,
        shape=shape,
        kernel=kernel,
        stride=stride,
        padding=padding,
        scale=scale,
        out_channels=out_channels,
        dtype=dtype,
    )
    (case,) = in_pass([case], pass_)
    numbers = parse_threads(threads)
    rows, _, machines = read_measured(against, "nothing was measured") if against else ([], [], {})
    compiled = ("jax", "torch") if torch_compiled else ("jax",)
    with open_output("--markdown", markdown) as page, open_output("--csv", table) as csv_file:
        labels = resolve_labels(backend, to_time=True, with_gradients=case.backward)
        report_load(wait=wait)
        stop, known = Stop(), list[Choice]()
        try:
            with stop, status("") as shown:
                choice = measure(
                    case,
                    labels,
                    budget_s=budget,
                    timeout_s=timeout,
                    modes=lambda label: (
                        ("eager", "compiled") if label.partition(":")[0] in compiled else ("eager",)
                    ),
                    threads=numbers,
                    progress=shown.update,
                    started=started,
                    stopped=known.append,
                )
                known.append(choice)
        except MemoryError as error:
            fail(str(error))
        if not known:
            stop.raise_again()
        (choice,) = known
        others = set_beside({case.name: choice.rows}, rows, machines)
        command = show_choice.sweep_command(case)
        if as_json:
            print(json.dumps(choice_files.choice_as_json(choice, others), indent=1))
        else:
            show_choice.print_choice(out, choice)
            show_choice.print_against(out, others, command)
        if page:
            page.write(choice_files.choice_as_markdown(choice, others, command))
        if csv_file:
            csv_file.write(choice_files.choice_as_csv(choice, others))
    report_disturbed(choice.rows)
    stop.raise_again()
    lost = [row for row in choice.rows if row.implementation == "portable" and is_loss(row.error)]
    if choice.ranking().best is None or (backend and lost):
        raise typer.Exit(ExitCode.CANNOT_TELL)
