"""Assign cases to workers: plain data, no dask.

A job is a case with some of its cells. It belongs to a machine, or, where the machines share the
cases, to none.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from unpool_xp.bench.cases.case import Case
from unpool_xp.bench.measure.machine import Machine
from unpool_xp.bench.measure.measurement import Cell
from unpool_xp.bench.measure.workers import on_cpu
from unpool_xp.bench.rows.schema import ROW_SCHEMA
from unpool_xp.capabilities import LIBRARIES

MAX_LOSSES = 3  # then the case itself must be what kills the workers


@dataclass(frozen=True)
class WorkerInfo:
    """A cluster worker, from its own description."""

    address: str
    name: str
    host: str  # the same for all workers that would disturb each other
    machine: Machine
    labels: tuple[str, ...]  # the backends that it measures
    missing: dict[str, str]  # the backends that it lacks, each with the reason
    resources: dict[str, float]  # as it declares them
    version: str  # of unpool_xp
    commit: str | None  # of unpool_xp, if it runs from a checkout

    def __str__(self) -> str:
        return f"worker {self.name} ({self.address})"

    @classmethod
    def from_answer(cls, address: str, text: object) -> WorkerInfo:
        """Return the worker that an answer of `describe` describes.

        It has the backends that it both declares and loads. A ValueError says why it cannot
        measure, or why the text is not an answer.
        """
        answer = read_answer(text)
        try:
            if answer["schema"] != ROW_SCHEMA:
                raise ValueError(
                    f"it writes rows of schema {answer['schema']!r}, this is {ROW_SCHEMA}: "
                    "install the same unpool-xp on both"
                )
            resources = {str(name): float(n) for name, n in answer["resources"].items()}
            found, missing = {}, {}
            for asked, found_backend in answer["backends"].items():
                if "label" not in found_backend:
                    missing[asked] = str(found_backend["reason"])
                elif not allows_backend(resources, found_backend["label"]):
                    missing[asked] = f"its resources {resources} do not have it"
                else:
                    found[str(found_backend["label"])] = asked
            identity = [answer[name] for name in ("name", "host", "version", "commit")]
            if not all(isinstance(word, str) for word in identity[:3]):
                raise TypeError(f"name, host and version are {identity[:3]!r}")
            machine = Machine.from_json(answer["machine"])
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"its description cannot be read: {error!r}") from error
        name, host, version, commit = identity
        commit = None if commit is None else str(commit)
        return cls(address, name, host, machine, tuple(found), missing, resources, version, commit)


def read_answer(text: object) -> dict[str, Any]:
    """Return the object that a worker answered; raise a ValueError if it is an error, or none."""
    try:
        answer = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        raise ValueError(f"its answer is not a JSON object: {text!r:.80}")
    if "error" in answer:
        raise ValueError(str(answer["error"]))
    return answer


def allows_backend(resources: Mapping[str, float], label: str) -> bool:
    """Return whether the resources of a worker (``dask worker --resources``) allow a backend.

    Nothing declared allows all. A worker that declares a GPU has the labels of all libraries, and
    one that declares libraries has those alone; on a GPU only with both.
    """
    library = label.partition(":")[0]
    named = {name for name in resources if name in LIBRARIES or name == library}
    if named and resources.get(library, 0) <= 0:
        return False
    if on_cpu(label):
        return True
    return resources.get("GPU", 0 if named else 1) > 0


def required_resources(worker: WorkerInfo, cells: Iterable[Cell]) -> dict[str, float]:
    """Return the worker resources to reserve for these cells."""
    names = {cell.label.partition(":")[0] for cell in cells}
    if not all(on_cpu(cell.label) for cell in cells):
        names.add("GPU")
    return {name: min(1.0, n) for name, n in worker.resources.items() if name in names and n > 0}


@dataclass
class Job:
    """A case with those of its cells that have no row yet."""

    machine: str | None  # None if any machine may measure it
    case: Case
    cells: list[Cell]
    losses: int = 0  # workers that were lost over it
    unassignable_since: float | None = None

    def cells_for(self, worker: WorkerInfo) -> list[Cell]:
        """Return the cells that a worker can measure."""
        if self.machine not in (None, worker.machine.id):
            return []
        return [cell for cell in self.cells if cell.label in worker.labels]


@dataclass
class JobQueue:
    """The jobs that wait."""

    jobs: list[Job] = field(default_factory=list)

    def take(self, worker: WorkerInfo, workers: Collection[WorkerInfo]) -> Job | None:
        """Take a job for a worker, with the cells that it can measure; the others stay.

        A case goes to the worker that can measure the most of it, since what is compared is
        measured in turns.
        """
        for number, job in enumerate(self.jobs):
            mine = job.cells_for(worker)
            if mine and len(mine) >= max(len(job.cells_for(other)) for other in workers):
                rest = [cell for cell in job.cells if cell not in mine]
                self.jobs[number : number + 1] = [replace(job, cells=rest)] if rest else []
                return replace(job, cells=mine)
        return None

    def take_unassignable(
        self, workers: Collection[WorkerInfo], now: float, worker_timeout_s: float
    ) -> list[Job]:
        """Remove and return the jobs, with their cells, that no worker could run for too long."""
        expired = []
        for job in list(self.jobs):
            able = {cell for member in workers for cell in job.cells_for(member)}
            if len(able) == len(job.cells):
                job.unassignable_since = None
                continue
            if job.unassignable_since is None:
                job.unassignable_since = now
            if now - job.unassignable_since < worker_timeout_s:
                continue
            expired.append(replace(job, cells=[cell for cell in job.cells if cell not in able]))
            job.cells = [cell for cell in job.cells if cell in able]
            if not job.cells:
                self.jobs.remove(job)
        return expired
