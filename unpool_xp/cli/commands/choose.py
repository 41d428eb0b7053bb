"""The command `choose`."""

from __future__ import annotations

import dataclasses
import json
import re
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from unpool_xp.bench.cases.case import Case
from unpool_xp.capabilities import DTYPES
from unpool_xp.cli.common import (
    BackendOption,
    JsonOption,
    ThreadsOption,
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


def _parse_numbers(
    name: str, text: str | None, kind: type[int] | type[float]
) -> tuple[Any, ...] | None:
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


def as_options(message: str) -> str:
    """Return what is wrong with a case in the words of the command line, its options."""
    message = message.removeprefix("Case: ")
    missing = re.fullmatch(r"(\w+)=None; (.*) needs it", message)
    if missing:
        return f"{_option(missing[1])} is missing: {missing[2]} needs it"
    fields = "|".join(field.name for field in dataclasses.fields(Case))
    message = re.sub(rf"\b({fields})=", lambda field: f"{_option(field[1])} ", message)
    subject, takes, known = message.partition(", which takes ")
    return subject + takes + ", ".join(map(_option, known.split(", "))) if takes else message


def _option(field: str) -> str:
    return f"--{field.replace('_', '-')}"


@app.command(cls=StoppableCommand)
def choose(
    operation: Annotated[str, typer.Argument(help="Such as max_unpool.")],
    shape: Annotated[str, typer.Option(help="Shape of the first array, e.g. 8,64,112,112.")],
    kernel: Annotated[str | None, typer.Option(help="Kernel size, e.g. 2 or 3,2.")] = None,
    stride: Annotated[str | None, typer.Option(help="Default: the kernel.")] = None,
    padding: Annotated[str | None, typer.Option(help="Default: none.")] = None,
    scale: Annotated[str | None, typer.Option(help="Output size over input size.")] = None,
    out_channels: Annotated[int | None, typer.Option(help="Output channels.")] = None,
    dtype: Annotated[str, typer.Option(help="Of the values.")] = "float32",
    backend: BackendOption = None,
    threads: ThreadsOption = None,
    budget: Annotated[
        float, typer.Option(help="Seconds for all of it, the start included.", min=1)
    ] = 20.0,
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
) -> None:
    """Measure which library and which function to use, and from which size on that changes."""
    from unpool_xp.bench.choose import Choice
    from unpool_xp.bench.choose import choose as measure
    from unpool_xp.bench.measure.workers import is_loss
    from unpool_xp.bench.terminal import choice as show_choice
    from unpool_xp.bench.terminal import choice_files

    started = time.monotonic()
    if dtype not in DTYPES:
        fail(f"unknown dtype {dtype!r}; known: {', '.join(DTYPES)}")
    try:
        case = Case(
            operation,
            _parse_numbers("shape", shape, int) or (),
            kernel=_per_axis(_parse_numbers("kernel", kernel, int)),
            stride=_per_axis(_parse_numbers("stride", stride, int)),
            padding=_per_axis(_parse_numbers("padding", padding, int)),
            scale=_per_axis(_parse_numbers("scale", scale, float)),
            out_channels=out_channels,
            dtype=dtype,
        )
    except (ValueError, TypeError) as error:
        fail(as_options(str(error)))
    numbers = parse_threads(threads)
    compiled = ("jax", "torch") if torch_compiled else ("jax",)
    with open_output("--markdown", markdown) as page, open_output("--csv", table) as csv_file:
        labels = resolve_labels(backend, to_time=True)
        report_load(wait=wait)
        stop, known = Stop(), list[Choice]()
        try:
            with stop, status("") as shown:
                choice = measure(
                    case,
                    labels,
                    budget_s=budget,
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
        if as_json:
            print(json.dumps(choice_files.choice_as_json(choice), indent=1))
        else:
            show_choice.print_choice(out, choice)
        if page:
            page.write(choice_files.choice_as_markdown(choice))
        if csv_file:
            csv_file.write(choice_files.choice_as_csv(choice))
    report_disturbed(choice.rows)
    stop.raise_again()
    lost = [row for row in choice.rows if row.implementation == "portable" and is_loss(row.error)]
    if choice.ranking().best is None or (backend and lost):
        raise typer.Exit(ExitCode.CANNOT_TELL)
