"""Sweep: every case on every backend in random order, one row per cell.

A crash, a timeout, too little memory or a missing backend becomes a row with the reason.
"""

from __future__ import annotations

import contextlib
import math
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from msgspec.structs import asdict

from unpool_xp import __version__
from unpool_xp.bench.cases.case import Case
from unpool_xp.bench.cases.inputs import OperationError
from unpool_xp.bench.measure.host.cgroup import available_memory
from unpool_xp.bench.measure.host.compile_cache import shared_compilation
from unpool_xp.bench.measure.machine import Machine, this_machine, write_machine
from unpool_xp.bench.measure.measurement import Cell, Measurement, cells_of
from unpool_xp.bench.measure.pools import Pool, open_pools
from unpool_xp.bench.measure.rounds import PROCESSES, TIMEOUT_SECONDS, measure_case
from unpool_xp.bench.measure.workers import Place, WorkerError, WorkerLostError, places_of
from unpool_xp.bench.rows import files, provenance, schema

_START_SHARE = 0.2  # of a budget, for starting several processes of each backend


@dataclass(frozen=True)
class Progress:
    """The progress of a sweep.

    Attributes
    ----------
    done, total : int
        Cells measured, and to be measured, in this run.
    case : Case
        The case that was just measured.
    failed : int
        Cells without a checked result so far.
    machine : str or None
        The id of the machine that it was measured on, where there are several.
    """

    done: int
    total: int
    case: Case
    failed: int
    machine: str | None = None


@dataclass(frozen=True)
class SweepSummary:
    """The result of a sweep.

    Attributes
    ----------
    path : Path
        The file of the rows.
    measured, failed, skipped : int
        Cells with samples, cells with a reason instead, cells that were there already.
    left : int
        Cells that the time ran out for; they have no row, so that `resume` measures them.
    """

    path: Path
    measured: int
    failed: int
    skipped: int
    left: int = 0


class SweepUnwritableError(OSError):
    """The disk is full, or the like; every row in the file is whole, and the message says so."""


def run_sweep(
    cases: Sequence[Case],
    labels: Sequence[str],
    *,
    out: str | Path,
    modes: Callable[[str], Sequence[str]] = lambda label: ("eager",),
    threads: Sequence[int] = (),
    resume: bool = False,
    retry_failed: bool = False,
    done_in: Sequence[Path] = (),
    machine: Machine | None = None,
    progress: Callable[[Progress], None] | None = None,
    timeout_s: float = TIMEOUT_SECONDS,
    budget_s: float | None = None,
    in_order: bool = False,
    wanted: Callable[[Case, Cell], bool] = lambda case, cell: True,
    processes: int | None = None,
    **options: Any,
) -> SweepSummary:
    """Measure cases on backends; append one row per cell to a file.

    Parameters
    ----------
    cases : sequence of Case
        What to measure.
    labels : sequence of str
        On which backends; each has a process of its own.
    out : str or Path
        The file of JSON lines to append to; its name without the ending is the run's.
    modes : callable, optional
        From a label to the modes to measure it in, such as `Preset.modes`. Default: eager.
    threads : sequence of int, optional
        With how many threads the backends of the CPU are measured, each apart. Default: once, with
        as many as they choose.
    resume : bool, optional
        Whether to leave out what the file has a row for.
    retry_failed : bool, optional
        Whether to measure again what has only a row without a time.
    done_in : sequence of Path, optional
        More files, of other machines, whose rows are left out as well.
    machine : Machine, optional
        What the rows say that they were measured on. Default: this one.
    progress : callable, optional
        Called after each case.
    timeout_s : float, optional
        Seconds that a worker may take for one request.
    budget_s : float, optional
        Seconds after which no further case is begun, and a worker that is still busy is ended;
        what was cut off has no row. Default: no end.
    in_order : bool, optional
        Whether the cases keep their order, the most telling first, as a budget wants it.
    wanted : callable, optional
        Whether a case is measured with a cell. Default: each with all.
    processes : int, optional
        How many of each backend measure each cell, one after the other. Default: `PROCESSES`.
    **options
        The `rounds`, the `cell_s`, the `race` and the `memory` of `measure_case`.

    Returns
    -------
    SweepSummary
        How many were measured, failed, and left out.

    Raises
    ------
    ValueError
        If there is no case or no label, or the file exists and `resume` is false.
    KeyboardInterrupt
        On Ctrl-C, with a note on how far it came. Every row in the file is whole.
    SweepUnwritableError
        If a row cannot be written; nothing more is measured.
    """
    out = Path(out)
    if not cases or not labels:
        raise ValueError(f"run_sweep: cases={cases!r} and labels={labels!r} must not be empty")
    if out.exists() and not resume:
        raise ValueError(f"run_sweep: out={str(out)!r} exists; resume it, or name another file")
    end = math.inf if budget_s is None else time.monotonic() + budget_s
    done = _done_keys([out, *done_in], retry_failed=retry_failed)
    places = places_of(labels, threads)
    grid, skipped = build_grid(cases, places, modes, done, random.Random(0), wanted)
    if in_order:
        grid.sort(key=lambda entry: cases.index(entry[0]))
    if not grid:
        places = []
    total = sum(len(cells) for _, cells in grid)
    machine = machine or this_machine()
    origin = provenance_fields(out.stem, machine)
    options |= {"timeout_s": timeout_s, "until": end}
    measured = failed = 0
    try:
        with report_disk_errors(out):
            write_machine(out.parent, machine)
            writer = files.RowWriter(out)
        start_s = math.inf if budget_s is None else _START_SHARE * budget_s
        with (
            shared_compilation(),
            writer,
            open_pools(places, processes or PROCESSES, start_s) as pools,
        ):
            for case, cells in grid:
                if time.monotonic() >= end:
                    break
                rows = measure_rows(pools, origin, case, cells, **options)
                if time.monotonic() >= end:  # what was cut off is for another time
                    rows = [row for row in rows if row.checked and row.samples_s]
                with report_disk_errors(out):
                    for row in rows:
                        writer.write(row)
                good = sum(row.checked for row in rows)
                measured, failed = measured + good, failed + len(rows) - good
                if progress is not None:
                    progress(Progress(measured + failed, total, case, failed))
    except KeyboardInterrupt as stop:
        stop.add_note(f"{measured + failed} of {total} cells measured; every row in {out} is whole")
        raise
    return SweepSummary(out, measured, failed, skipped, total - measured - failed)


def cells_left(
    cases: Sequence[Case],
    labels: Sequence[str],
    out: str | Path,
    *,
    modes: Callable[[str], Sequence[str]] = lambda label: ("eager",),
    threads: Sequence[int] = (),
    wanted: Callable[[Case, Cell], bool] = lambda case, cell: True,
    retry_failed: bool = False,
    done_in: Sequence[Path] = (),
) -> dict[Case, int]:
    """Return how many cells of each case `run_sweep` would measure, with what the file has."""
    done = _done_keys([Path(out), *done_in], retry_failed=retry_failed)
    grid, _ = build_grid(cases, places_of(labels, threads), modes, done, random.Random(0), wanted)
    number = {case: len(cells) for case, cells in grid}
    return {case: number[case] for case in dict.fromkeys(cases) if case in number}


def _done_keys(paths: Sequence[Path], *, retry_failed: bool) -> set[schema.Key]:
    """Return what need not be measured by these files, as far as they are there."""
    rows = files.read_rows(path for path in paths if path.exists()).rows
    return schema.done_keys(rows, retry_failed=retry_failed)


def measure_rows(
    pools: Sequence[Pool],
    origin: dict[str, Any],
    case: Case,
    cells: Sequence[Cell],
    **options: Any,
) -> list[schema.Row]:
    """Return a row for each cell, with a reason where that is known without trying."""
    too_large = memory_shortfall(case, cells)
    reasons = {
        place: too_large
        or case.why_not(place.label.partition(":")[0])
        or device_memory_shortfall(pools[0], place, case)
        for place in {cell.runs_on for cell in cells}
    }
    fits = [cell for cell in cells if reasons[cell.runs_on] is None]
    measured = measure_case(pools, case, fits, **options)
    measured |= {c: Measurement(error=reasons[c.runs_on]) for c in cells if c not in measured}
    return [make_row(origin, case, cell, measured[cell]) for cell in cells]


@contextlib.contextmanager
def report_disk_errors(out: Path) -> Iterator[None]:
    """Turn disk errors into an error that says how to resume."""
    try:
        yield
    except OSError as error:
        raise SweepUnwritableError(
            f"cannot write {error.filename or out}: {error.strerror}; the sweep has ended, and "
            "every row before is whole; run it again with --resume once there is room"
        ) from error


def build_grid(
    cases: Sequence[Case],
    places: Sequence[Place],
    modes: Callable[[str], Sequence[str]],
    done: set[schema.Key],
    rng: random.Random,
    wanted: Callable[[Case, Cell], bool] = lambda case, cell: True,
) -> tuple[list[tuple[Case, list[Cell]]], int]:
    """Return the cases in random order, each with the cells that have no row yet."""
    grid, skipped = [], 0
    for case in dict.fromkeys(cases):
        every = (
            cell
            for label, threads in places
            for cell in cells_of(case, label, modes(label), threads)
        )
        cells = [cell for cell in every if wanted(case, cell)]
        left = [cell for cell in cells if schema.fields_key(case_fields(case, cell)) not in done]
        skipped += len(cells) - len(left)
        rng.shuffle(left)
        if left:
            grid.append((case, left))
    rng.shuffle(grid)
    return grid, skipped


def memory_shortfall(case: Case, cells: Sequence[Cell]) -> str | None:
    """Return why a case does not fit into memory, or None if it fits."""
    processes = len({cell.runs_on for cell in cells})
    needed, available = case.needed_bytes * processes, available_memory()
    if needed <= available:
        return None
    return (
        f"too large: {processes} processes need about {needed} bytes ({needed / 1e9:.1f} GB), "
        f"{available} are available"
    )


def device_memory_shortfall(pool: Pool, place: Place, case: Case) -> str | None:
    """Return why a case does not fit into device memory, or None if it fits."""
    if place.label.partition(":")[2] in ("", "cpu"):  # the host's is looked at apart
        return None
    with contextlib.suppress(WorkerError, WorkerLostError):  # its rows will say why
        memory = pool[place].facts["memory_bytes"]
        if memory is not None and case.needed_bytes > memory:
            return (
                f"too large for the device: about {case.needed_bytes} bytes "
                f"({case.needed_bytes / 1e9:.1f} GB) are needed, it has {memory}"
            )
    return None


def provenance_fields(run: str, machine: Machine | None = None) -> dict[str, Any]:
    """Return the fields of a row that say which run, code and machine it is from."""
    return {
        "run": run,
        "commit": provenance.git_commit(),
        "version": __version__,
        "machine": (machine or this_machine()).id,
    }


def case_fields(case: Case, cell: Cell) -> dict[str, Any]:
    """Return the fields of a row that say what it measures."""
    fields = case.to_json()
    return {
        "backend": cell.label,
        "mode": cell.mode,
        "threads_asked": cell.threads,
        "implementation": cell.implementation,
        "function": cell.function,
        "pass_": fields.pop("pass"),
        **fields,
    }


def make_row(
    origin: Mapping[str, Any], case: Case, cell: Cell, measured: Measurement
) -> schema.Row:
    """Return the row of a cell."""
    known = asdict(measured) | {"flops": 0}
    if measured.bytes_moved is None:  # no user's function is called to find that out
        known["bytes_moved"] = case.bytes_moved if case.definition.output_layout else 0
    with contextlib.suppress(OperationError):  # the row's error says it
        known["flops"] = case.flops
    return schema.Row(
        time=datetime.now(UTC).isoformat(timespec="seconds"),
        **origin,
        **known,
        **case_fields(case, cell),
    )
