"""Rows of a cluster sweep: checked against schema and request, one file per machine."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from unpool_xp.bench.cases.case import Case
from unpool_xp.bench.cluster.jobs import Member, read_answer
from unpool_xp.bench.measure.machine import Machine, write_machine
from unpool_xp.bench.measure.rounds import Cell, failure
from unpool_xp.bench.measure.sweep import make_row, question, writing
from unpool_xp.bench.rows import files, schema
from unpool_xp.bench.rows.files import RowWriter
from unpool_xp.bench.rows.schema import Key, Row, case_key

LOST = "lost: "  # what a sweep that is resumed measures again begins with


def rows_of_answer(
    text: object, member: Member, run: str, case: Case, cells: Sequence[Cell]
) -> tuple[list[Row], list[str]]:
    """Return a row a cell: the worker's own, or one that says why that was refused.

    Parameters
    ----------
    text : object
        What a worker answered; anything but a text of JSON is refused.
    member : Member
        The worker.
    run, case, cells : str, Case, sequence of Cell
        What it was asked to measure.

    Returns
    -------
    rows : list of Row
        In the order of the cells.
    refused : list of str
        A message for each row, or whole answer, that does not fit.
    """
    asked = {case_key(question(case, cell)): cell for cell in cells}
    found: dict[Cell, Row] = {}
    refused = []
    try:
        answer = read_answer(text)
        given = answer.get("rows")
        if not isinstance(given, list):
            raise ValueError("its answer has no list of rows")
    except ValueError as error:
        given = []
        refused.append(str(error))
    for one in given:
        try:
            row = schema.parse_row(json.dumps(one).encode())
            for name, wanted in (("run", run), ("machine", member.machine.id)):
                if row[name] != wanted:  # type: ignore[literal-required]
                    raise ValueError(f"has {name}={row[name]!r:.80}, not {wanted!r}")  # type: ignore[literal-required]
            cell = asked.get(case_key(row))
            if cell is None or cell in found:
                raise ValueError(f"is {'not what was asked for' if cell is None else 'a second'}")
            found[cell] = row
        except ValueError as error:
            refused.append(f"a row {error}")
    said = f"{where(member)}: " + ("; ".join(refused) or "it sent no row of this")
    rows = [found.get(cell) or reason_row(member, run, case, cell, said) for cell in cells]
    return rows, [f"{where(member)}: {reason}" for reason in refused]


def reason_row(member: Member, run: str, case: Case, cell: Cell, reason: str) -> Row:
    """Return the row of a cell that has no time, as if its worker had said why."""
    origin = {"run": run, "commit": member.commit, "machine": member.machine.id}
    return make_row(origin, case, cell, failure(reason))


def where(member: Member) -> str:
    """Return a worker in words."""
    return f"worker {member.name} ({member.address})"


class MachineFiles:
    """The files of a run, one per machine, and the cells they contain.

    Parameters
    ----------
    folder : Path
        The folder of the machines' folders.
    run : str
        The run's name.
    """

    def __init__(self, folder: Path, run: str) -> None:
        self.folder, self.run = folder, run
        self._open = contextlib.ExitStack()
        self._writers: dict[str, RowWriter] = {}
        self.done: dict[str, set[Key]] = {}
        for path in sorted(folder.glob(f"*/{run}.jsonl")):
            rows = files.read_rows([path]).rows
            self.done[path.parent.name] = schema.done_keys(rows)

    def __enter__(self) -> MachineFiles:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    @property
    def paths(self) -> list[Path]:
        """The files that there are."""
        return [self.path(machine) for machine in self.done]

    def path(self, machine: str) -> Path:
        """Return the file of a machine."""
        return self.folder / machine / f"{self.run}.jsonl"

    def known(self, machine: str | None) -> set[Key]:
        """Return what need not be measured: on a machine, or where there is none on any."""
        if machine is not None:
            return self.done.get(machine, set())
        return set().union(*self.done.values())

    def write(self, machine: Machine, rows: Iterable[Row]) -> list[Row]:
        """Write those rows of a machine that its file does not have yet, and return them."""
        path = self.path(machine.id)
        with writing(path):
            if machine.id not in self._writers:
                write_machine(path.parent, machine)
                self._writers[machine.id] = self._open.enter_context(RowWriter(path))
            done = self.done.setdefault(machine.id, set())
            new = []
            for row in rows:
                if case_key(row) not in done:
                    self._writers[machine.id].write(row)
                    done.add(case_key(row))
                    new.append(row)
        return new

    def forget_lost(self, again: Callable[[Row], bool]) -> None:
        """Take those rows out that only say that a worker was lost, where `again` is true."""
        for path in self.paths:
            lines = path.read_bytes().split(b"\n")
            kept = [line for line in lines if not _lost(line, again)]
            if len(kept) < len(lines):
                new = path.with_name(f".{path.name}.{os.getpid()}")
                with writing(path):
                    try:
                        new.write_bytes(b"\n".join(kept))
                        new.replace(path)  # whole or not at all
                    finally:
                        new.unlink(missing_ok=True)
                rows = files.read_rows([path]).rows
                self.done[path.parent.name] = schema.done_keys(rows)


def _lost(line: bytes, again: Callable[[Row], bool]) -> bool:
    try:
        row = schema.parse_row(line)
    except ValueError:
        return False
    return (row["error"] or "").startswith(LOST) and again(row)
