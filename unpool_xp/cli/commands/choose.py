"""The command `choose`."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from unpool_xp.cli.case_options import (
    SHAPE_HELP,
    CaseCommand,
    PassName,
    PassOption,
    decoder_of,
    given_parameters,
    in_pass,
    one_case,
    require_absent,
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
    parse_counts,
    parse_threads,
    report_disturbed,
    report_load,
    resolve_labels,
    status,
)
from unpool_xp.cli.exits import ExitCode
from unpool_xp.cli.stopping import Stop


@app.command(cls=CaseCommand)
def choose(
    ctx: typer.Context,
    operation: Annotated[
        str | None,
        typer.Argument(help="Operation, e.g. max_unpool or my_ops.py:cov."),
    ] = None,
    shape: Annotated[str | None, typer.Option(help=SHAPE_HELP)] = None,
    preset: Annotated[
        str | None, typer.Option(help="Decoder to measure: segnet, unet, dcgan, vae.")
    ] = None,
    layers: Annotated[Path | None, typer.Option(help="File with a decoder, TOML or JSON.")] = None,
    check_layers: Annotated[
        Path | None, typer.Option(help="Print the shapes in a decoder's file, and stop.")
    ] = None,
    batch: Annotated[
        str | None, typer.Option(help="Batch of a decoder, e.g. 4, or 1,4,16 to compare.")
    ] = None,
    scale_channels: Annotated[
        float | None, typer.Option(help="Factor for the channels of a decoder, e.g. 0.5.")
    ] = None,
    dtype: Annotated[
        str | None,
        typer.Option(help="Data type of the values. Default: float32, or the decoder's."),
    ] = None,
    pass_: PassOption = PassName.FORWARD,
    backend: BackendOption = None,
    threads: ThreadsOption = None,
    budget: Annotated[
        float, typer.Option(help="Seconds to spend, start-up included.", min=1)
    ] = 20.0,
    timeout: TimeoutOption = TIMEOUT_SECONDS,
    torch_compiled: Annotated[
        bool, typer.Option(help="Also measure torch.compile and mx.compile (seconds per size).")
    ] = False,
    wait: WaitOption = False,
    as_json: JsonOption = False,
    markdown: Annotated[
        Path | None, typer.Option(help="Write the answer and the ranking to this file.")
    ] = None,
    table: Annotated[
        Path | None,
        typer.Option("--csv", help="Write the ranking to this file, one line per candidate."),
    ] = None,
    against: Annotated[
        list[Path] | None,
        typer.Option(
            help="Rows of other machines to compare with, a file or a folder; repeat for several."
        ),
    ] = None,
) -> None:
    """Measure which library and which function to use, for an operation or for a whole decoder."""
    from unpool_xp.bench.budget import BudgetedRun
    from unpool_xp.bench.choose import Choice
    from unpool_xp.bench.choose import choose as measure_operation
    from unpool_xp.bench.decoders import DecoderChoice, choose_decoder
    from unpool_xp.bench.measure.workers import is_loss
    from unpool_xp.bench.terminal import choice as answer
    from unpool_xp.bench.terminal import choice_files, decoder
    from unpool_xp.bench.verdicts.against import set_beside

    started = ctx.meta.get("unpool_xp.started", time.monotonic())
    if check_layers is not None:
        decoder.print_layers(out, decoder_of(None, check_layers))
        return
    parameters = given_parameters(ctx)
    batches = parse_counts("--batch", batch, "batch", 1_000_000)
    if preset is None and layers is None:
        of_decoders = {"batch": batch, "scale_channels": scale_channels}
        require_absent(of_decoders, "is for a decoder: add --preset or --layers")
        if operation is None:
            fail("give an operation and its --shape, or a decoder by --preset or --layers")
        case = one_case(operation, shape, parameters, dtype)
        measure: Callable[..., Choice | DecoderChoice] = measure_operation
    else:
        if operation is not None:
            fail(f"{operation} and a decoder: give only one of them")
        require_absent({"shape": shape, **parameters}, "is not for a decoder")
        first = batches[0] if batches else None
        case = decoder_of(preset, layers, batch=first, dtype=dtype, scale_channels=scale_channels)
        measure = partial(choose_decoder, batches=batches)
    (case,) = in_pass([case], pass_)
    numbers = parse_threads(threads)
    rows, _, machines = read_measured(against, "nothing was measured") if against else ([], [], {})
    compiled = ("jax", "torch", "mlx") if torch_compiled else ("jax",)
    with open_output("--markdown", markdown) as page, open_output("--csv", table) as csv_file:
        labels = resolve_labels(backend, to_time=True, with_gradients=case.backward)
        report_load(wait=wait)
        stop, known = Stop(), list[Choice | DecoderChoice]()
        try:
            with stop, status("") as shown:
                run = BudgetedRun(
                    labels,
                    lambda label: (
                        ("eager", "compiled") if label.partition(":")[0] in compiled else ("eager",)
                    ),
                    budget,
                    threads=numbers,
                    started=started,
                    timeout_s=timeout,
                )
                known.append(measure(case, run, progress=shown.update, stopped=known.append))
        except MemoryError as error:
            fail(str(error))
        if not known:
            stop.raise_again()
        (choice,) = known
        if isinstance(choice, DecoderChoice):
            whole, parts = choice.whole, choice.parts
            command = _sweep_command(
                preset,
                layers,
                batch=batch,
                dtype=dtype,
                scale_channels=scale_channels,
                **({"pass": "backward"} if case.backward else {}),
            )
            print_answer: Callable[..., None] = decoder.print_decoder
            as_data: Callable[..., Any] = decoder.decoder_as_json
            as_document: Callable[..., str] = decoder.decoder_as_markdown
            as_table: Callable[..., str] = decoder.decoder_as_csv
        else:
            whole, parts = choice, {case.name: choice}
            command = answer.sweep_command(case)
            print_answer, as_data = answer.print_choice, choice_files.choice_as_json
            as_document = choice_files.choice_as_markdown
            as_table = choice_files.choice_as_csv
        others = set_beside({name: one.rows for name, one in parts.items()}, rows, machines)
        if as_json:
            print(json.dumps(as_data(choice, others), indent=1))
        else:
            print_answer(out, choice)
            answer.print_against(out, others, command)
        if page:
            page.write(as_document(choice, others, command))
        if csv_file:
            csv_file.write(as_table(choice, others))
    report_disturbed(choice.rows)
    stop.raise_again()
    lost = [row for row in whole.rows if row.implementation == "portable" and is_loss(row.error)]
    if whole.ranking().best is None or (backend and lost):
        raise typer.Exit(ExitCode.CANNOT_TELL)


def _sweep_command(preset: str | None, layers: Path | None, **more: object) -> str:
    """Return the command that measures a decoder on another machine and keeps its rows."""
    given = {"preset": preset, "layers": layers, **more}
    words = ["unpool-xp", "sweep"]
    for name, value in given.items():
        if value is not None:
            words += [f"--{name.replace('_', '-')}", str(value)]
    return shlex.join(words)
