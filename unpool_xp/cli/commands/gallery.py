"""The command `gallery`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from unpool_xp import backends
from unpool_xp.cli.common import (
    JsonOption,
    app,
    fail,
    notes,
    out,
    report_unwritable,
    require_writable,
    resolve_labels,
)
from unpool_xp.cli.stopping import StoppableCommand


@app.command(cls=StoppableCommand)
def gallery(
    image: Annotated[
        Path | None,
        typer.Argument(help="Picture, PNG or JPEG. Default: three of scikit-image's."),
    ] = None,
    stride: Annotated[
        list[float] | None,
        typer.Option(
            "--stride", "-s", help="Stride of the pooling; repeat for several. Default: 2, 3, 4."
        ),
    ] = None,
    to: Annotated[Path, typer.Option(help="Folder to write to.")] = Path("results/gallery"),
    backend: Annotated[
        str,
        typer.Option(
            "--backend", "-b", help="Backend to compute with; all give the same pictures."
        ),
    ] = "numpy",
    as_json: JsonOption = False,
) -> None:
    """Pool and unpool photographs by every method: a grid of pictures, PSNR and SSIM."""
    from unpool_xp.bench.terminal.gallery import print_gallery
    from unpool_xp.gallery.report import make_report
    from unpool_xp.gallery.scores import STRIDES

    require_writable("--to", to)
    try:
        with notes.status("pooling and unpooling") as status:
            shown = make_report(
                image,
                backends.load(resolve_labels([backend])[0]),
                stride or STRIDES,
                progress=status.update,
            )
            status.update("drawing")
            with report_unwritable("--to", to):
                files = shown.write(to)
    except (OSError, ValueError) as error:
        fail(str(error))
    if as_json:
        print(json.dumps(shown.as_json(files), indent=1))
    else:
        print_gallery(out, shown)
    notes.print(f"open {files[0]}", soft_wrap=True)
