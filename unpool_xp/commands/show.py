"""`report` and `gallery`: what is to be looked at."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from unpool_xp import backends
from unpool_xp.commands.common import app, err, fail, out, wanted


@app.command()
def report(
    paths: Annotated[list[Path], typer.Argument(help="Files of rows, or folders of them.")],
    to: Annotated[Path, typer.Option(help="Where to write.")] = Path("results/report"),
) -> None:
    """Write one self-contained HTML page, charts beside it, and a summary in Markdown."""
    write_report(paths, to)


def write_report(paths: list[Path], to: Path) -> None:
    """Read files of results and write the report of them."""
    from unpool_xp.bench.machine import read_machines
    from unpool_xp.bench.readers import read_results
    from unpool_xp.bench.report import write_report

    try:
        read = read_results(paths)
    except FileNotFoundError as error:
        fail(str(error))
    for problem in read.problems:
        err.print(f"[yellow]{escape(f'{problem.path}:{problem.line}: {problem.reason}')}[/]")
    files = write_report(read.rows, read.problems, to, machines=read_machines(paths))
    err.print(f"{len(read.rows)} rows; open {files.html}")


@app.command()
def gallery(
    image: Annotated[
        Path | None,
        typer.Argument(help="A picture, PNG or JPEG. Default: those of scikit-image."),
    ] = None,
    stride: Annotated[
        list[float] | None,
        typer.Option("--stride", "-s", help="May be given several times. Default: 2, 3, 4."),
    ] = None,
    to: Annotated[Path, typer.Option(help="Where to write.")] = Path("results/gallery"),
    backend: Annotated[
        str, typer.Option("--backend", "-b", help="A label; the pictures do not depend on it.")
    ] = "numpy",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Pool and unpool photographs by every method: a grid of pictures, PSNR and SSIM."""
    from unpool_xp.gallery.report import make_report
    from unpool_xp.gallery.scores import STRIDES

    try:
        with err.status("pooling and unpooling") as status:
            shown = make_report(
                image,
                backends.load(wanted([backend])[0]),
                stride or STRIDES,
                progress=status.update,
            )
            status.update("drawing")
            files = shown.write(to)
    except (OSError, ValueError) as error:
        fail(str(error))
    if as_json:
        print(json.dumps(shown.as_json(files), indent=1))
    else:
        shown.print(out)
    err.print(f"open {files[0]}", soft_wrap=True)
