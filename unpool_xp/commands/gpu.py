"""The command for machines with a GPU: is it right there, and from which size does it win."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from unpool_xp import backends
from unpool_xp.bench.check import check_backends
from unpool_xp.capabilities import OPERATIONS
from unpool_xp.commands.common import Labels, app, bar, err, fail, known_operations, out
from unpool_xp.commands.show import write_report

_HOSTS = ("numpy", "torch:cpu", "jax:cpu")  # what a GPU has to win against


@app.command()
def gpu(
    backend: Labels = None,
    operation: Annotated[
        list[str] | None, typer.Option("--operation", "-o", help="May be given several times.")
    ] = None,
    minutes: Annotated[float, typer.Option(help="For everything.", min=0.1)] = 8.0,
    results: Annotated[Path, typer.Option(help="The folder of all rows.")] = Path("results"),
    report: Annotated[bool, typer.Option(help="Write the report at the end.")] = True,
) -> None:
    """Check every CUDA backend, then measure it beside the CPU's; exit 2 where there is none."""
    from unpool_xp.bench import show
    from unpool_xp.bench.machine import this_machine
    from unpool_xp.bench.presets import preset
    from unpool_xp.bench.results import run_id
    from unpool_xp.bench.sweep import SweepInterrupted, SweepUnwritableError, run_sweep

    end = time.monotonic() + 60 * minutes
    known_operations(operation)
    labels = _found(backend)
    with err.status("") as status:
        status.update(f"checking {', '.join(labels)}")
        # One after the other: they share the device.
        checked = check_backends(labels, operations=operation or tuple(OPERATIONS), workers=1)
    show.print_checks(out, checked)
    failed = Counter(result.outcome for result in checked)["failed"]

    chosen = preset("gpu")
    cases = [case for case in chosen.cases if not operation or case.operation in operation]
    path = results / "sweeps" / this_machine().id / f"{run_id()}.jsonl"
    beside = backends.available(label for label in _HOSTS if label not in labels)
    err.print(f"{len(cases)} cases on {', '.join([*labels, *beside])}; rows go to {path}")
    try:
        with bar() as progress:
            task = progress.add_task("cells", total=None)
            summary = run_sweep(
                cases,
                [*labels, *beside],
                out=path,
                modes=chosen.modes,
                budget_s=end - time.monotonic(),
                in_order=True,
                progress=lambda at: progress.update(
                    task, completed=at.done, total=at.total, description=at.case.operation
                ),
            )
    except (SweepInterrupted, SweepUnwritableError) as stopped:
        fail(str(stopped), 130 if isinstance(stopped, SweepInterrupted) else 1)
    err.print(
        f"{summary.measured} measured, {summary.failed} without a time (the rows say why), "
        f"{summary.left} left out for want of time"
    )
    if summary.left:
        err.print(f"unpool-xp sweep --preset gpu --resume {path.stem} measures the rest")
    if report:
        write_report([path], results / "report")
    if failed:
        fail(f"{failed} checks failed, so no time of those operations is worth anything", 1)


def _found(labels: list[str] | None) -> list[str]:
    """Return the labels asked for, or all of CUDA's that load; leave with the reasons if none."""
    found, missing = [], []
    for label in labels or [name for name in backends.known() if name.endswith(":cuda")]:
        try:
            found.append(backends.load(label).label)
        except (ValueError, backends.BackendUnavailableError) as error:
            missing.append(str(error))
    if missing and (labels or not found):
        fail("no CUDA backend is here:\n  " + "\n  ".join(missing) if not labels else missing[0])
    return found
