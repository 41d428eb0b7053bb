"""The command `backends`."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from unpool_xp import backends
from unpool_xp.bench.measure.pools import Pool
from unpool_xp.bench.measure.workers import WorkerError, WorkerLostError
from unpool_xp.cli.common import BackendOption, JsonOption, app, fail, out, progress_bar
from unpool_xp.cli.exits import ExitCode
from unpool_xp.cli.stopping import Stop, StoppableCommand

_LOAD_SECONDS = 0.5
_TIMEOUT_SECONDS = 120.0
_TRIED = ("max_pool", "max_unpool")  # together they need most of what any operation does


@app.command("backends", cls=StoppableCommand)
def show_backends(
    backend: BackendOption = None,
    as_json: JsonOption = False,
    quick: Annotated[bool, typer.Option(help="Skip the measurements.")] = False,
) -> None:
    """List the installed backends, their devices, copy and matmul rates, and thread pools.

    Other installed libraries of the array API standard are tried with two operations.
    """
    from unpool_xp.bench.measure.host.load import other_cpus
    from unpool_xp.bench.terminal import backends as terminal

    try:
        unlisted = backends.unlisted()
        everything = backend or [*backends.known(), *unlisted]
        labels = list(dict.fromkeys(map(backends.full_label, everything)))
    except ValueError as error:
        fail(str(error))
    rows: dict[str, dict[str, Any]] = {}
    others = None if quick else other_cpus(_LOAD_SECONDS)
    stop = Stop()
    with stop, progress_bar() as progress, Pool(labels) as pool:
        task = progress.add_task("starting", total=None)
        try:
            pool.wait()  # for all of them, before anything is measured
        finally:  # where it is stopped, those that have started are known
            rows |= {label: row for label in labels if (row := _describe(pool, label))}
        progress.remove_task(task)
        asked = [name for name in labels if "missing" not in rows[name]]
        asked = [name for name in asked if name in unlisted or not quick]
        task = progress.add_task("measuring", total=len(asked))
        for label in asked:
            if label in unlisted:
                rows[label]["tried"] = _try(pool, label)
            else:
                rows[label] |= {"other_cpus": others} | _measure(pool, label)
            progress.advance(task)
    if not rows:
        stop.raise_again()
    if as_json:
        print(json.dumps([*rows.values()], indent=1))
    else:
        terminal.print_backends(out, [*rows.values()])
        terminal.print_machine(out, others)
    stop.raise_again(f"{len(rows)} of {len(labels)} backends looked at")
    if backend and any("missing" in row for row in rows.values()):
        raise typer.Exit(ExitCode.CANNOT_TELL)


def _describe(pool: Pool, label: str) -> dict[str, Any]:
    """Return what a backend's process says of itself, or why it is missing; empty: not yet."""
    try:
        if not pool[label].is_ready(0.0):
            return {}
        facts = pool[label].facts
    except (WorkerError, WorkerLostError) as error:
        return {"backend": label, "missing": str(error).removeprefix(f"{label}: ")}
    names = ("version", "device", "memory_bytes", "threads")
    return {"backend": facts["label"], **{name: facts[name] for name in names}}


def _measure(pool: Pool, label: str) -> dict[str, Any]:
    """Return the rates and the thread pool of a library, or why they cannot be measured."""
    row: dict[str, Any] = {}
    try:
        for command in ("ceilings", "thread_pool"):
            row |= pool[label].ask(command, timeout=_TIMEOUT_SECONDS)
    except (WorkerError, WorkerLostError) as error:
        row["not_measured"] = str(error)
    return row


def _try(pool: Pool, label: str) -> dict[str, dict[str, Any]]:
    """Return how two operations fare on a library that has no backend here."""
    tried: dict[str, dict[str, Any]] = {}
    for operation in _TRIED:
        ask = {"operation": operation, "dtype": "float32"}
        try:
            (checked,) = pool[label].ask("check", timeout=_TIMEOUT_SECONDS, **ask)["checked"]
        except (WorkerError, WorkerLostError) as error:
            checked = {"outcome": "failed", "detail": str(error), "lacks": []}
        tried[operation] = {name: checked[name] for name in ("outcome", "detail", "lacks")}
    return tried
