"""The command `backends`."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from unpool_xp import backends
from unpool_xp.cli.common import BackendOption, JsonOption, app, fail, out, progress_bar


@app.command("backends")
def show_backends(
    backend: BackendOption = None,
    as_json: JsonOption = False,
    quick: Annotated[bool, typer.Option(help="Leave out the measured rates.")] = False,
) -> None:
    """List the installed backends, their devices, and their copy and matmul rates."""
    from unpool_xp.bench.measure import ceilings
    from unpool_xp.bench.terminal import checks

    rows: list[dict[str, object]] = []
    with progress_bar() as progress:
        labels = backend or backends.known()
        task = progress.add_task("measuring", total=len(labels))
        for label in labels:
            try:
                loaded = backends.load(label)
            except ValueError as error:
                fail(str(error))
            except backends.BackendUnavailableError as error:
                rows.append({"backend": label, "missing": str(error).partition(": ")[2]})
            else:
                facts = loaded.facts
                row: dict[str, object] = {
                    "backend": loaded.label,
                    "version": loaded.version,
                    "device": facts.name,
                    "memory_bytes": facts.memory_bytes,
                    "threads": facts.threads,
                }
                if not quick:
                    rates = ceilings.ceilings(loaded)
                    row["copy_gb_s"] = round(rates.copy_gb_s, 1)
                    row["product_gflop_s"] = round(rates.product_gflop_s, 1)
                rows.append(row)
            progress.advance(task)
    if as_json:
        print(json.dumps(rows, indent=1))
    else:
        checks.print_backends(out, rows)
    if backend and any("missing" in row for row in rows):
        raise typer.Exit(2)
