"""Rows of a cluster sweep: checked against schema and request, one file per machine."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from unpool_xp.bench.cases.case import Case
from unpool_xp.bench.cluster.jobs import WorkerInfo, read_answer
from unpool_xp.bench.measure.machine import Machine, write_machine
from unpool_xp.bench.measure.measurement import Cell, Measurement
from unpool_xp.bench.measure.sweep import case_fields, make_row, report_disk_errors
from unpool_xp.bench.rows import files, schema
from unpool_xp.bench.rows.files import RowWriter
from unpool_xp.bench.rows.provenance import changes_since
from unpool_xp.bench.rows.schema import Key, Row, case_key, fields_key

LOST_PREFIX = "lost: "  # what a sweep that is resumed measures again begins with


def parse_answer(
    text: object, worker: WorkerInfo, run: str, case: Case, cells: Sequence[Cell]
) -> tuple[list[Row], list[str]]:
    """Return a row per cell, in order, and a message for each row or answer that was refused.

    A row is the worker's own, or one that says why that was refused: anything but JSON of valid
    rows of what it was asked to measure.
    """
    requested = {fields_key(case_fields(case, cell)): cell for cell in cells}
    found: dict[Cell, Row] = {}
    refused = []
    try:
        answer = read_answer(text)
        answered = answer.get("rows")
        if not isinstance(answered, list):
            raise ValueError("its answer has no list of rows")
    except ValueError as error:
        answered = []
        refused.append(str(error))
    for one in answered:
        try:
            row = schema.row_of(one)
            for name, wanted in (("run", run), ("machine", worker.machine.id)):
                if getattr(row, name) != wanted:
                    raise ValueError(f"has {name}={getattr(row, name)!r:.80}, not {wanted!r}")
            cell = requested.get(case_key(row))
            if cell is None or cell in found:
                raise ValueError(f"is {'not what was asked for' if cell is None else 'a second'}")
            found[cell] = row
        except ValueError as error:
            refused.append(f"a row {error}")
    refusal = f"{worker}: " + ("; ".join(refused) or "it sent no row of this")
    rows = [found.get(cell) or failed_row(worker, run, case, cell, refusal) for cell in cells]
    return rows, [f"{worker}: {reason}" for reason in refused]


def failed_row(worker: WorkerInfo, run: str, case: Case, cell: Cell, reason: str) -> Row:
    """Return the row of a cell that has no time, as if its worker had said why."""
    origin = {"run": run, "commit": worker.commit, "machine": worker.machine.id}
    return make_row(origin, case, cell, Measurement(error=reason))


class MachineFiles(contextlib.ExitStack):
    """The files of a run, one in each machine's folder, and the cells they contain."""

    def __init__(self, folder: Path, run: str, *, retry_failed: bool = False) -> None:
        super().__init__()
        self.folder, self.run, self.retry_failed = folder, run, retry_failed
        self._writers: dict[str, RowWriter] = {}
        self.done: dict[str, set[Key]] = {}
        for path in sorted(folder.glob(f"*/{run}.jsonl")):
            self._read(path)

    def _read(self, path: Path) -> None:
        rows = files.read_rows([path]).rows
        self.done[path.parent.name] = schema.done_keys(rows, retry_failed=self.retry_failed)

    @property
    def paths(self) -> list[Path]:
        """The files that there are."""
        return [self.path(machine) for machine in self.done]

    def path(self, machine: str) -> Path:
        """Return the file of a machine."""
        return self.folder / machine / f"{self.run}.jsonl"

    def done_on(self, machine: str | None) -> set[Key]:
        """Return what need not be measured: on a machine, or where there is none on any."""
        if machine is not None:
            return self.done.get(machine, set())
        return set().union(*self.done.values())

    def write(self, machine: Machine, rows: Iterable[Row]) -> list[Row]:
        """Write those rows of a machine that its file does not have yet, and return them."""
        path = self.path(machine.id)
        with report_disk_errors(path):
            if machine.id not in self._writers:
                write_machine(path.parent, machine)
                self._writers[machine.id] = self.enter_context(RowWriter(path))
            done = self.done.setdefault(machine.id, set())
            new = []
            for row in rows:
                if case_key(row) not in done:
                    self._writers[machine.id].write(row)
                    done.add(case_key(row))
                    new.append(row)
        return new

    def changes(self, worker: WorkerInfo) -> list[str]:
        """Return what has changed since a worker's machine has measured what is kept of the run."""
        machine = worker.machine.id
        rows = files.read_rows([self.path(machine)] if machine in self.done else []).rows
        if self.retry_failed:
            rows = [row for row in rows if schema.failure_reason(row) is None]
        return changes_since(rows, commit=worker.commit, version=worker.version)

    def remove_lost(self, remeasure: Callable[[Row], bool]) -> None:
        """Take those rows out that only say that a worker was lost, where `remeasure` is true."""
        for path in self.paths:
            lines = path.read_bytes().split(b"\n")
            kept = [line for line in lines if not _is_lost(line, remeasure)]
            if len(kept) < len(lines):
                new = path.with_name(f".{path.name}.{os.getpid()}")
                with report_disk_errors(path):
                    try:
                        new.write_bytes(b"\n".join(kept))
                        new.replace(path)  # whole or not at all
                    finally:
                        new.unlink(missing_ok=True)
                self._read(path)


def _is_lost(line: bytes, remeasure: Callable[[Row], bool]) -> bool:
    try:
        row = schema.parse_row(line)
    except ValueError:
        return False
    return (row.error or "").startswith(LOST_PREFIX) and remeasure(row)
