"""The run that a sweep continues, and whether its rows and new ones belong together."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import typer
from rich.markup import escape

from unpool_xp import __version__
from unpool_xp.bench.rows.files import read_rows, run_files, run_of
from unpool_xp.bench.rows.provenance import changes_since, git_commit, run_id
from unpool_xp.bench.rows.schema import Row, done_keys, failure_reason
from unpool_xp.cli.common import err, fail
from unpool_xp.cli.stopping import command_line, print_command


@dataclass(frozen=True)
class Run:
    """A run of a sweep.

    Parameters
    ----------
    name : str
        Its name.
    folder : Path
        The folder of the machines' folders.
    machine : str
        The id of this machine; empty where the run is that of a cluster.
    files : tuple of Path
        What there is of it so far, of all machines.
    """

    name: str
    folder: Path
    machine: str
    files: tuple[Path, ...] = ()

    @classmethod
    def find(cls, folder: Path, machine: str, resume: str | None) -> Run:
        """Return a new run, or the one to go on with; exit where there is no such run."""
        if resume is None:
            return cls(run_id(), folder, machine)
        if re.search(r"[/\\]", resume) or resume in ("", ".", ".."):
            fail(f"--resume {resume}: a run has a name, not a path; it is looked for in {folder}")
        every = run_files(folder)
        here = [path for path in every if machine in ("", path.parent.name)]
        if resume == "last":
            if not here:
                fail(f"--resume last: there is no run in {folder / machine}")
            resume = max(map(run_of, here))
        files = [path for path in every if path.name == f"{resume}.jsonl"]
        packed = [path for path in here if path.name == f"{resume}.jsonl.gz"]
        if packed and not files:
            fail(f"--resume {resume}: the run is compressed; first run gunzip {packed[0]}")
        if not files:
            fail(f"--resume {resume}: there is no {folder / (machine or '*') / resume}.jsonl")
        return cls(resume, folder, machine, tuple(files))

    @property
    def path(self) -> Path:
        """The file of this machine's rows."""
        return self.folder / self.machine / f"{self.name}.jsonl"

    def done_in(self, *, force: bool) -> list[Path]:
        """Return the files whose rows count: this machine's, and on request those of others."""
        mixed = force or not self.machine or self.path not in self.files
        return [*self.files] if mixed else [self.path]

    def check_unchanged(
        self, versions: Mapping[str, str], *, retry_failed: bool, force: bool
    ) -> None:
        """Say what has changed since its rows were measured; exit with 2 unless that is wanted."""
        rows = read_rows(self.done_in(force=force)).rows
        if retry_failed:  # what is measured again is mixed with nothing
            rows = [row for row in rows if failure_reason(row) is None]
        here = {"commit": git_commit(), "version": __version__, "machine": self.machine}
        changes = changes_since(rows, **here, **versions)
        if changes:
            said = "\n  ".join([f"--resume {self.name}: not as its rows were measured", *changes])
            if not force:
                fail(f"{said}\n--force continues; each row records what it was measured with")
            err.print(f"[yellow]{escape(said)}[/]", soft_wrap=True)


def report_failed(ctx: typer.Context, run: str, rows: list[Row]) -> None:
    """Say how many cells of a run have no time, and what measures them again."""
    failed = done_keys(rows) - done_keys(rows, retry_failed=True)
    if failed:
        err.print(f"{len(failed)} failed rows are left; to measure them again:")
        print_command(command_line(ctx, resume=run, retry_failed=True))
