"""Coordinate a cluster sweep: workers, assigned jobs and their answers.

One case at a time per host, so that no measurement disturbs another. What comes back is a text of
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
from unpool_xp.bench.cluster.files import LOST_PREFIX, MachineFiles, failed_row, parse_answer
from unpool_xp.bench.cluster.jobs import MAX_LOSSES, Job, JobQueue, WorkerInfo, required_resources
from unpool_xp.bench.measure.measurement import Cell
from unpool_xp.bench.measure.sweep import Progress, build_grid
from unpool_xp.bench.measure.workers import places_of
from unpool_xp.bench.rows.provenance import git_commit
from unpool_xp.bench.rows.schema import Row

_POLL_SECONDS = 0.5
_DESCRIBE_SECONDS = 600.0
_RESULT_SECONDS = 60.0
_CLOSE_SECONDS = 15.0


class ClusterError(RuntimeError):
    """The cluster cannot run the sweep; the message says what is missing, and where."""


@dataclass
class ClusterSummary:
    """What a sweep over machines has done."""

    paths: list[Path] = field(default_factory=list)  # the files of the rows, one per machine
    measured: int = 0  # cells with samples
    failed: int = 0  # cells with a reason instead
    skipped: int = 0  # cells that were there already
    notes: list[str] = field(default_factory=list)  # left out, other commits, refused rows


@dataclass
class ClusterSweep:
    """State of a cluster sweep: pending jobs, workers and running jobs, handled by one thread."""

    client: Any
    cases: Sequence[Case]
    labels: Sequence[str] | None
    modes: Callable[[str], Sequence[str]]
    files: MachineFiles
    share: bool
    options: dict[str, Any]
    worker_timeout_s: float
    progress: Callable[[Progress], None]
    notify: Callable[[str], None]
    threads: Sequence[int] = ()
    job_queue: JobQueue = field(default_factory=JobQueue)
    workers: dict[str, WorkerInfo] = field(default_factory=dict)
    lost_workers: list[WorkerInfo] = field(default_factory=list)
    unusable: dict[str, str] = field(default_factory=dict)  # workers that cannot measure, and why
    describing: dict[str, Any] = field(default_factory=dict)  # futures of `describe`, by address
    running: dict[str, tuple[WorkerInfo, Job, Any]] = field(default_factory=dict)  # by key
    planned: dict[str | None, set[str]] = field(default_factory=dict)
    answers: queue.SimpleQueue[Any] = field(default_factory=queue.SimpleQueue)
    summary: ClusterSummary = field(default_factory=ClusterSummary)  # so far
    total: int = 0

    def run(self, resume: bool, *, check_unchanged: bool = False) -> ClusterSummary:
        """Go on until nothing waits and nothing runs."""
        try:
            self._await_workers()
            if resume:
                self.files.remove_lost(self._can_remeasure)
            if check_unchanged:
                self._check_unchanged()
            self._plan_jobs()
            while True:
                self._update_workers()
                self._fail_unassignable()
                self._assign_jobs()
                if not self.running and not self.job_queue.jobs:
                    break
                self._await_answer()
            self._close()
        except KeyboardInterrupt as stop:
            stop.add_note(
                f"{self._done} of {self.total} cells measured; every row in {self.files.folder} is "
                "whole; a worker ends the case that it is at, and its answer is dropped"
            )
            raise
        finally:
            for _, _, future in self.running.values():
                future.cancel()
        self.summary.paths = self.files.paths
        return self.summary

    @property
    def _done(self) -> int:
        return self.summary.measured + self.summary.failed

    # --- who is there ----------------------------------------------------------------------------

    def _await_workers(self) -> None:
        """Wait until all present workers have described themselves, or cannot."""
        deadline = time.monotonic() + _DESCRIBE_SECONDS
        while not self.workers or self.describing:
            self._update_workers()
            if not self.describing and not self.workers:
                reasons = "".join(f"; {at}: {why}" for at, why in self.unusable.items())
                raise ClusterError(
                    f"no worker of the scheduler at {self.client.scheduler.address} can "
                    f"measure: {reasons.lstrip('; ') or 'it has none; start dask worker'}"
                )
            if time.monotonic() > deadline:
                for address in self.describing:
                    self._exclude_worker(address, "it did not describe itself in time")
                self.describing.clear()
            else:
                self._await_answer()
        for label in self.labels or ():
            if not any(label not in m.missing for m in self.workers.values()):
                everyone = sorted(self.workers.values(), key=str)
                reasons = "; ".join(f"{member}: {member.missing[label]}" for member in everyone)
                raise ClusterError(f"no worker has the backend {label!r}: {reasons}")

    def _update_workers(self) -> None:
        """Ask new workers to describe themselves; put the jobs of lost ones back."""
        try:
            there = set(self.client.nthreads())
        except (OSError, TimeoutError) as error:
            raise ClusterError(
                f"the scheduler is lost: {error}; every row is whole, and --resume goes on"
            ) from error
        for address in set(self.workers) - there:
            worker = self.workers.pop(address)
            self.lost_workers.append(worker)
            self._note(f"{worker} left")
            for key in [k for k, (m, _, _) in self.running.items() if m is worker]:
                self._requeue(key)
        for address in set(self.describing) - there:
            self.describing.pop(address).cancel()
        busy = {_host(member.address) for member, _, _ in self.running.values()}
        known = {*self.workers, *self.describing, *self.unusable}
        for address in sorted(there - known):
            if _host(address) not in busy:  # looking for backends would disturb what is measured
                request = {"labels": self.labels}
                self.describing[address] = self._submit(remote.describe, address, request)

    def _add_worker(self, address: str, text: object) -> None:
        try:
            worker = WorkerInfo.from_answer(address, text)
        except ValueError as error:
            self._exclude_worker(address, str(error))
            return
        self.workers[address] = worker
        ours = git_commit()
        if worker.commit != ours:
            self._note(f"{worker} runs commit {worker.commit}, this is {ours}")
        for label, reason in worker.missing.items() if self.labels is not None else ():
            self._note(f"{worker} does not measure {label}: {reason}")

    def _exclude_worker(self, address: str, reason: str) -> None:
        self.unusable[address] = reason
        self._note(f"worker {address} is left out: {reason}")

    # --- what is to do ---------------------------------------------------------------------------

    def _can_remeasure(self, row: Row) -> bool:
        return any(
            row.backend in member.labels and (self.share or member.machine.id == row.machine)
            for member in self.workers.values()
        )

    def _check_unchanged(self) -> None:
        changes = [
            f"\n  {worker}: {change}"
            for worker in self.workers.values()
            for change in self.files.changes(worker)
        ]
        if changes:
            raise ClusterError(
                f"not as the run's rows were measured{''.join(changes)}\n--force continues"
            )

    def _plan_jobs(self) -> None:
        """Queue the jobs that the connected workers can run."""
        labels_by_group: dict[str | None, set[str]] = {}
        for worker in self.workers.values():
            group = None if self.share else worker.machine.id
            labels_by_group.setdefault(group, set()).update(
                label
                for label in worker.labels
                if self.labels is not None or not label.endswith("strict")
            )
        for group, labels in labels_by_group.items():
            planned = self.planned.setdefault(group, set())
            new = sorted(labels - planned)
            planned |= labels
            done, rng = self.files.done_on(group), random.Random(0)
            grid, skipped = build_grid(
                self.cases, places_of(new, self.threads), self.modes, done, rng
            )
            self.job_queue.jobs += [Job(group, case, cells) for case, cells in grid]
            self.summary.skipped += skipped
            self.total += sum(len(cells) for _, cells in grid)

    def _assign_jobs(self) -> None:
        """Give each host that is free a job."""
        for worker in list(self.workers.values()):
            if any(worker.host == other.host for other, _, _ in self.running.values()):
                continue
            if any(_host(worker.address) == _host(address) for address in self.describing):
                continue
            job = self.job_queue.take(worker, self.workers.values())
            if job is None:
                continue
            request = {
                "run": self.files.run,
                "case": job.case.to_json(),
                "cells": [asdict(cell) for cell in job.cells],
                "options": self.options,
            }
            resources = required_resources(worker, job.cells)
            future = self._submit(remote.measure, worker.address, request, resources)
            self.running[future.key] = (worker, job, future)

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
        future.add_done_callback(self.answers.put)
        return future

    # --- what came back --------------------------------------------------------------------------

    def _await_answer(self) -> None:
        """Wait for an answer, or a little while."""
        try:
            future = self.answers.get(timeout=_POLL_SECONDS)
        except queue.Empty:
            return
        address = next((a for a, f in self.describing.items() if f.key == future.key), None)
        if address is not None:
            del self.describing[address]
            self._add_worker(address, self._answer_text(future) or '{"error": "it did not answer"}')
            if self.planned:
                self._plan_jobs()
        elif future.key in self.running:
            text = self._answer_text(future)
            if text is None:
                self._requeue(future.key)
            else:
                worker, job, _ = self.running.pop(future.key)
                rows, refused = parse_answer(text, worker, self.files.run, job.case, job.cells)
                for reason in refused:
                    self._note(f"refused: {reason}")
                self._write(worker, job.case, rows)
        # Any other is late: its worker was thought to be lost, and its cells are elsewhere.

    def _answer_text(self, future: Any) -> object:
        """Return what a worker answered; None where the cluster lost it."""
        import distributed

        if future.status == "error":
            error = future.exception(timeout=_RESULT_SECONDS)
            if not isinstance(error, distributed.KilledWorker):
                return json.dumps({"error": f"{type(error).__name__}: {error}"})
        if future.status != "finished":
            return None
        try:
            text: object = future.result(timeout=_RESULT_SECONDS)
        except (OSError, TimeoutError, distributed.CancelledError):
            return None
        return text

    def _write(self, worker: WorkerInfo, case: Case, rows: list[Row]) -> None:
        new = self.files.write(worker.machine, rows)
        good = sum(row.checked for row in new)
        self.summary.measured += good
        self.summary.failed += len(rows) - good
        failed, machine = self.summary.failed, worker.machine.id
        self.progress(Progress(self._done, self.total, case, failed, machine))

    def _requeue(self, key: str) -> None:
        """Put the job of a lost worker back; it is measured elsewhere, and counted once."""
        worker, job, future = self.running.pop(key)
        future.cancel()
        job.losses += 1
        if job.losses >= MAX_LOSSES:
            reason = f"{LOST_PREFIX}{job.losses} workers left while they measured this"
            self._fail_job(worker, job, reason)
        else:
            self.job_queue.jobs.insert(0, job)

    def _fail_unassignable(self) -> None:
        now = time.monotonic()
        members = self.workers.values()
        for job in self.job_queue.take_unassignable(members, now, self.worker_timeout_s):
            # Each cell in the name of the last worker that could measure it.
            last: dict[Cell, WorkerInfo] = {}
            for worker in self.lost_workers:
                last |= dict.fromkeys(job.cells_for(worker), worker)
            for worker in {member.address: member for member in last.values()}.values():
                cells = [cell for cell in job.cells if last[cell] is worker]
                labels = ", ".join(dict.fromkeys(cell.label for cell in cells))
                reason = f"{LOST_PREFIX}{worker} left and no other has {labels}"
                self._fail_job(worker, replace(job, cells=cells), reason)

    def _fail_job(self, worker: WorkerInfo, job: Job, reason: str) -> None:
        run = self.files.run
        rows = [failed_row(worker, run, job.case, cell, reason) for cell in job.cells]
        self._write(worker, job.case, rows)

    def _note(self, text: str) -> None:
        self.summary.notes.append(text)
        self.notify(text)

    def _close(self) -> None:
        """End the processes that the workers keep."""
        import distributed

        closing = [self._submit(remote.close, address, {}) for address in sorted(self.workers)]
        for future in closing:
            try:
                future.result(timeout=_CLOSE_SECONDS)
            except (OSError, TimeoutError, distributed.CancelledError, distributed.KilledWorker):
                future.cancel()  # they end by themselves later


def _host(address: str) -> str:
    """Return the host of an address such as "tcp://10.0.0.1:41234"."""
    return address.rpartition("/")[2].rpartition(":")[0]
