"""The commands `sweep runs list` and `sweep runs rm`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer
from rich.markup import escape

from unpool_xp.bench.cases.formatting import bytes_text, number_of, printable
from unpool_xp.bench.terminal.tables import print_line
from unpool_xp.cli.common import ResultsOption, app, err, fail, out
from unpool_xp.cli.stopping import StoppableCommand

if TYPE_CHECKING:
    from unpool_xp.bench.rows.files import ReadResult


@app.command("sweep runs list", cls=StoppableCommand)
def list_runs(results: ResultsOption = Path("results")) -> None:
    """List the runs of sweeps, with their rows, failures, dates, commits and versions."""
    from unpool_xp.bench.rows.files import read_rows, run_files, run_of
    from unpool_xp.bench.rows.provenance import is_tracked

    folder = results / "sweeps"
    files = list(run_files(folder))
    if not files:
        fail(f"there is no run in {folder}")
    runs: dict[str, list[Path]] = {}  # one may be there packed as well
    for path in files:
        runs.setdefault(f"{path.parent.name} {run_of(path)}", []).append(path)
    for title, copies in runs.items():
        where = dict.fromkeys("committed" if is_tracked(one) else "not in git" for one in copies)
        out.print(printable(title), style="bold", markup=False, soft_wrap=True)
        read = read_rows(copies)
        backends = sorted({f"{row.backend} {row.backend_version}" for row in read.rows})
        lines = summary(copies, read, " and ".join(where)), ", ".join(backends) or "no row"
        for line in lines:
            print_line(out, escape(line), indent=2)


@app.command("sweep runs rm", cls=StoppableCommand)
def remove_run(
    run: Annotated[str, typer.Argument(help="Run to remove, as sweep runs list names it.")],
    results: ResultsOption = Path("results"),
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Remove it even if it is in git.")] = False,
) -> None:
    """Remove a run, on all machines."""
    from unpool_xp.bench.rows.files import read_rows, run_files, run_of
    from unpool_xp.bench.rows.provenance import is_tracked

    folder = results / "sweeps"
    files = [path for path in run_files(folder) if run_of(path) == run]
    if not files:
        fail(f"there is no run {run} in {folder}; unpool-xp sweep runs list shows the runs")
    tracked = [str(path) for path in files if is_tracked(path)]
    if tracked and not force:
        fail(f"{', '.join(tracked)} is in git; --force removes it anyway")
    for path in files:
        err.print(
            printable(f"{path}: {summary([path], read_rows([path]))}"), markup=False, soft_wrap=True
        )
    if not yes and not confirmed():
        fail("nothing was removed; --yes removes without asking")
    for path in files:
        path.unlink()
    err.print(f"removed {len(files)} file{'s' if len(files) > 1 else ''}")


def summary(copies: Sequence[Path], read: ReadResult, where: str = "") -> str:
    """Return what the files of a run hold, such as "297 rows, 2 failed, 523 KiB, 2026-11-26".

    A row that several of them hold is one.
    """
    from unpool_xp.bench.rows.schema import failure_reason, latest

    rows = len(read.rows) if len(copies) == 1 else len(set(map(msgspec.json.encode, read.rows)))
    failed = sum(failure_reason(row) is not None for row in latest(read.rows))
    days = sorted({row.time[:10] for row in read.rows})
    commits = sorted({_short(row.commit) for row in read.rows})
    parts = [
        number_of(rows, "row"),
        f"in {len(copies)} files" if len(copies) > 1 else "",
        f"{failed} failed" if failed else "",
        number_of(len(read.problems), "bad line") if read.problems else "",
        bytes_text(sum(path.stat().st_size for path in copies)),
        " to ".join(dict.fromkeys([days[0], days[-1]])) if days else "",
        f"commit {' and '.join(commits)}" if commits else "",
        where,
    ]
    return ", ".join(filter(None, parts))


def _short(commit: str | None) -> str:
    name, plus, changes = (commit or "unknown").partition("+")
    return name[:8] + plus + changes


def confirmed() -> bool:
    """Return whether the user says yes; not where nobody can answer."""
    try:
        return err.input("Remove? [y/N] ", markup=False).strip().lower() in ("y", "yes")
    except EOFError:
        return False
