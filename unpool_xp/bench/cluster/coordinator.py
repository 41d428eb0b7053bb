"""Coordinate a cluster sweep: workers, assigned jobs and their answers.

One case at a time a host, so that no measurement disturbs another. What comes back is a text of
JSON; each row is checked against the schema and the request before it is written.
"""

from __future__ import annotations

import json
import queue
import random
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from unpool_xp.bench.cases.case import Case
from unpool_xp.bench.cluster import remote
from unpool_xp.bench.cluster.files import LOST, MachineFiles, reason_row, rows_of_answer, where
from unpool_xp.bench.cluster.jobs import MOST_LOSSES, Board, Job, Member, needed
from unpool_xp.bench.measure.rounds import Cell
from unpool_xp.bench.measure.sweep import Progress, SweepInterrupted, grid_of
from unpool_xp.bench.rows.provenance import git_commit
from unpool_xp.bench.rows.schema import Row

_POLL_SECONDS = 0.5
_DESCRIBE_SECONDS = 600.0
_RESULT_SECONDS = 60.0
_CLOSE_SECONDS = 15.0


class ClusterError(RuntimeError):
    """The cluster cannot run the sweep; the message says what is missing, and where."""


@dataclass(frozen=True)
class ClusterSummary:
    """What a sweep over machines has done.

    Attributes
    ----------
    paths : tuple of Path
        The files of the rows, one a machine.
    measured, failed, skipped : int
        Cells with samples, cells with a reason instead, cells that were there already.
    notes : tuple of str
        What else is to be known: workers left out, other commits, rows that were refused.
    """

    paths: tuple[Path, ...]
    measured: int
    failed: int
    skipped: int
    notes: tuple[str, ...]


@dataclass
class ClusterSweep:
    """State of a cluster sweep: pending jobs, workers and running jobs, handled by one thread."""

    client: Any
    cases: Sequence[Case]
    labels: Sequence[str] | None
    modes: Callable[[str], Sequence[str]]
    files: MachineFiles
    share: bool
    how: dict[str, Any]
    patience_s: float
    seed: int
    progress: Callable[[Progress], None] | None = None
    tell: Callable[[str], None] | None = None
    board: Board = field(default_factory=Board)
    members: dict[str, Member] = field(default_factory=dict)
    gone: list[Member] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)  # workers that cannot measure, and why
    asked: dict[str, Any] = field(default_factory=dict)  # futures of `describe`, by address
    running: dict[str, tuple[Member, Job, Any]] = field(default_factory=dict)  # by key
    planned: dict[str | None, set[str]] = field(default_factory=dict)
    done: queue.SimpleQueue[Any] = field(default_factory=queue.SimpleQueue)
    notes: list[str] = field(default_factory=list)
    measured: int = 0
    failed: int = 0
    skipped: int = 0
    total: int = 0

    def run(self, resume: bool) -> ClusterSummary:
        """Go on until nothing waits and nothing runs."""
        try:
            self._gather()
            if resume:
                self.files.forget_lost(self._comes_again)
            self._plan()
            while True:
                self._look()
                self._give_up()
                self._hand_out()
                if not self.running and not self.board.jobs:
                    break
                self._wait()
            self._close()
        except KeyboardInterrupt:
            raise SweepInterrupted(
                f"interrupted after {self.measured + self.failed} of {self.total} cells; every row "
                f"in {self.files.folder} is whole; run the same sweep with --resume to measure the "
                "rest (a worker ends the case that it is at, and its answer is dropped)"
            ) from None
        finally:
            for _, _, future in self.running.values():
                future.cancel()
        counts = (self.measured, self.failed, self.skipped)
        return ClusterSummary(tuple(self.files.paths), *counts, tuple(self.notes))

    # --- who is there ----------------------------------------------------------------------------

    def _gather(self) -> None:
        """Wait until all workers that are there have described themselves, or cannot."""
        deadline = time.monotonic() + _DESCRIBE_SECONDS
        while not self.members or self.asked:
            self._look()
            if not self.asked and not self.members:
                reasons = "".join(f"; {at}: {why}" for at, why in self.left_out.items())
                raise ClusterError(
                    f"no worker of the scheduler at {self.client.scheduler.address} can "
                    f"measure: {reasons.lstrip('; ') or 'it has none; start dask worker'}"
                )
            if time.monotonic() > deadline:
                for address in self.asked:
                    self._leave_out(address, "it did not describe itself in time")
                self.asked.clear()
            else:
                self._wait()
        for label in self.labels or ():
            if not any(label not in m.missing for m in self.members.values()):
                everyone = sorted(self.members.values(), key=where)
                reasons = "; ".join(f"{where(m)}: {m.missing[label]}" for m in everyone)
                raise ClusterError(f"no worker has the backend {label!r}: {reasons}")

    def _look(self) -> None:
        """See who came and who is gone."""
        try:
            there = set(self.client.nthreads())
        except (OSError, TimeoutError) as error:
            raise ClusterError(
                f"the scheduler is lost: {error}; every row is whole, and --resume goes on"
            ) from error
        for address in set(self.members) - there:
            member = self.members.pop(address)
            self.gone.append(member)
            self._note(f"{where(member)} left")
            for key in [k for k, (m, _, _) in self.running.items() if m is member]:
                self._lose(key)
        for address in set(self.asked) - there:
            self.asked.pop(address).cancel()
        busy = {_host(member.address) for member, _, _ in self.running.values()}
        for address in sorted(there - set(self.members) - set(self.asked) - set(self.left_out)):
            if _host(address) not in busy:  # looking for backends would disturb what is measured
                asking = remote.describe
                self.asked[address] = self._submit(asking, address, {"labels": self.labels})

    def _welcome(self, address: str, text: object) -> None:
        try:
            member = Member.from_answer(address, text)
        except ValueError as error:
            self._leave_out(address, str(error))
            return
        self.members[address] = member
        ours = git_commit()
        if member.commit != ours:
            self._note(f"{where(member)} runs commit {member.commit}, this is {ours}")
        for label, reason in member.missing.items() if self.labels is not None else ():
            self._note(f"{where(member)} does not measure {label}: {reason}")

    def _leave_out(self, address: str, reason: str) -> None:
        self.left_out[address] = reason
        self._note(f"worker {address} is left out: {reason}")

    # --- what is to do ---------------------------------------------------------------------------

    def _timed(self, member: Member) -> list[str]:
        """Return the labels of a worker that this sweep measures."""
        if self.labels is None:
            return [label for label in member.labels if not label.endswith("strict")]
        return list(member.labels)

    def _comes_again(self, row: Row) -> bool:
        return any(
            row["backend"] in member.labels and (self.share or member.machine.id == row["machine"])
            for member in self.members.values()
        )

    def _plan(self) -> None:
        """Queue the jobs that the connected workers can run."""
        brought: dict[str | None, dict[str, None]] = {}
        for member in self.members.values():
            group = None if self.share else member.machine.id
            brought.setdefault(group, {}).update(dict.fromkeys(self._timed(member)))
        for group, labels in brought.items():
            planned = self.planned.setdefault(group, set())
            new = sorted(set(labels) - planned)
            planned |= set(new)
            done, chance = self.files.known(group), random.Random(self.seed)
            grid, skipped = grid_of(self.cases, new, self.modes, done, chance)
            self.board.jobs += [Job(group, case, cells) for case, cells in grid]
            self.skipped += skipped
            self.total += sum(len(cells) for _, cells in grid)

    def _hand_out(self) -> None:
        """Give each host that is free a job."""
        for member in list(self.members.values()):
            if any(member.host == other.host for other, _, _ in self.running.values()):
                continue
            if any(_host(member.address) == _host(address) for address in self.asked):
                continue
            job = self.board.take(member, self.members.values())
            if job is None:
                continue
            request = {
                "run": self.files.run,
                "case": job.case.to_json(),
                "cells": [asdict(cell) for cell in job.cells],
                "how": self.how,
            }
            resources = needed(member, job.cells)
            future = self._submit(remote.measure, member.address, request, resources)
            self.running[future.key] = (member, job, future)

    def _submit(
        self,
        function: Callable[[str], str],
        address: str,
        request: dict[str, Any],
        resources: dict[str, float] | None = None,
    ) -> Any:
        future = self.client.submit(
            function,
            json.dumps(request),
            key=f"unpool-xp-{function.__name__}-{uuid.uuid4().hex}",
            workers=[address],
            allow_other_workers=False,
            resources=resources or None,
            pure=False,
        )
        future.add_done_callback(self.done.put)
        return future

    # --- what came back --------------------------------------------------------------------------

    def _wait(self) -> None:
        """Wait for an answer, or a little while."""
        try:
            future = self.done.get(timeout=_POLL_SECONDS)
        except queue.Empty:
            return
        address = next((a for a, f in self.asked.items() if f.key == future.key), None)
        if address is not None:
            del self.asked[address]
            self._welcome(address, self._text(future) or '{"error": "it did not answer"}')
            if self.planned:
                self._plan()
        elif future.key in self.running:
            text = self._text(future)
            if text is None:
                self._lose(future.key)
            else:
                member, job, _ = self.running.pop(future.key)
                self._keep(member, job, text)
        # Any other is late: its worker was thought to be lost, and its cells are elsewhere.

    def _text(self, future: Any) -> object:
        """Return what a worker answered; None where the cluster lost it."""
        import distributed

        if future.status == "error":
            said = future.exception(timeout=_RESULT_SECONDS)
            if not isinstance(said, distributed.KilledWorker):
                return json.dumps({"error": f"{type(said).__name__}: {said}"})
        if future.status != "finished":
            return None
        try:
            text: object = future.result(timeout=_RESULT_SECONDS)
        except (OSError, TimeoutError, distributed.CancelledError):
            return None
        return text

    def _keep(self, member: Member, job: Job, text: object) -> None:
        rows, refused = rows_of_answer(text, member, self.files.run, job.case, job.cells)
        for reason in refused:
            self._note(f"refused: {reason}")
        self._write(member, job.case, rows)

    def _write(self, member: Member, case: Case, rows: list[Row]) -> None:
        new = self.files.write(member.machine, rows)
        good = sum(row["checked"] for row in new)
        self.measured, self.failed = self.measured + good, self.failed + len(rows) - good
        if self.progress is not None:
            done = self.measured + self.failed
            self.progress(Progress(done, self.total, case, self.failed, member.machine.id))

    def _lose(self, key: str) -> None:
        """Put the job of a lost worker back; it is measured elsewhere, and counted once."""
        member, job, future = self.running.pop(key)
        future.cancel()
        job.losses += 1
        if job.losses >= MOST_LOSSES:
            self._fail(member, job, f"{LOST}{job.losses} workers left while they measured this")
        else:
            self.board.jobs.insert(0, job)

    def _give_up(self) -> None:
        now = time.monotonic()
        for job in self.board.stranded(self.members.values(), now, self.patience_s):
            # Each cell in the name of the last worker that could measure it.
            last: dict[Cell, Member] = {}
            for member in self.gone:
                last |= dict.fromkeys(job.cells_for(member), member)
            for member in {member.address: member for member in last.values()}.values():
                cells = [cell for cell in job.cells if last[cell] is member]
                labels = ", ".join(dict.fromkeys(cell.label for cell in cells))
                reason = f"{LOST}{where(member)} left and no other has {labels}"
                self._fail(member, replace(job, cells=cells), reason)

    def _fail(self, member: Member, job: Job, reason: str) -> None:
        run = self.files.run
        rows = [reason_row(member, run, job.case, cell, reason) for cell in job.cells]
        self._write(member, job.case, rows)

    def _note(self, text: str) -> None:
        self.notes.append(text)
        if self.tell is not None:
            self.tell(text)

    def _close(self) -> None:
        """End the processes that the workers keep."""
        import distributed

        closing = [self._submit(remote.close, address, {}) for address in sorted(self.members)]
        for future in closing:
            try:
                future.result(timeout=_CLOSE_SECONDS)
            except (OSError, TimeoutError, distributed.CancelledError, distributed.KilledWorker):
                future.cancel()  # they end by themselves later


def _host(address: str) -> str:
    """Return the host of an address such as "tcp://10.0.0.1:41234"."""
    return address.rpartition("/")[2].rpartition(":")[0]
