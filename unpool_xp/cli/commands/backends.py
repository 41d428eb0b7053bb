"""The command `backends`."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from unpool_xp import backends
from unpool_xp.cli.common import BackendOption, JsonOption, app, fail, out, progress_bar
from unpool_xp.cli.exits import ExitCode
from unpool_xp.cli.stopping import StoppableCommand

_LOAD_SECONDS = 0.5
_TIMEOUT_SECONDS = 120.0


@app.command("backends", cls=StoppableCommand)
def show_backends(
    backend: BackendOption = None,
    as_json: JsonOption = False,
    quick: Annotated[bool, typer.Option(help="Leave out what has to be measured.")] = False,
) -> None:
    """List the installed backends, their devices, copy and matmul rates, and thread pools."""
    from unpool_xp.bench.measure.host.load import other_cpus
    from unpool_xp.bench.measure.pools import Pool
    from unpool_xp.bench.measure.workers import WorkerError, WorkerLostError
    from unpool_xp.bench.terminal import backends as terminal

    try:
        labels = list(dict.fromkeys(map(backends.full_label, backend or backends.known())))
    except ValueError as error:
        fail(str(error))
    rows: dict[str, dict[str, Any]] = {}
    others = None if quick else other_cpus(_LOAD_SECONDS)
    with progress_bar() as progress, Pool(labels) as pool:
        task = progress.add_task("starting", total=None)
        pool.wait()  # for all of them, before anything is measured
        for label in labels:
            try:
                facts = pool[label].facts
            except (WorkerError, WorkerLostError) as error:
                reason = str(error).removeprefix(f"{label}: ")
                rows[label] = {"backend": label, "missing": reason}
            else:
                names = ("version", "device", "memory_bytes", "threads")
                rows[label] = {"backend": facts["label"], **{name: facts[name] for name in names}}
        progress.remove_task(task)
        present = [label for label in labels if "missing" not in rows[label] and not quick]
        task = progress.add_task("measuring", total=len(present))
        for label in present:
            row = rows[label] | {"other_cpus": others}
            try:
                for command in ("ceilings", "thread_pool"):
                    row |= pool[label].ask(command, timeout=_TIMEOUT_SECONDS)
            except (WorkerError, WorkerLostError) as error:
                row["not_measured"] = str(error)
            rows[label] = row
            progress.advance(task)
    if as_json:
        print(json.dumps([*rows.values()], indent=1))
    else:
        terminal.print_backends(out, [*rows.values()])
        terminal.print_machine(out, others)
    if backend and any("missing" in row for row in rows.values()):
        raise typer.Exit(ExitCode.CANNOT_TELL)
