"""Measure the tax: ours and the library's own function interleaved in one process (A B B A).

If a library has several natives for a case, all run and the fastest is the baseline. The tax is the
median of the ratios taken within a round.
"""

from __future__ import annotations

import contextlib
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import msgspec

from unpool_xp.bench.cases.case import Case
from unpool_xp.bench.measure.machine import write_machine
from unpool_xp.bench.measure.measurement import Cell, Measurement
from unpool_xp.bench.measure.pools import Pool, open_pools
from unpool_xp.bench.measure.rounds import TIMEOUT_SECONDS
from unpool_xp.bench.measure.sweep import make_row, provenance_fields
from unpool_xp.bench.measure.workers import Place, WorkerError, WorkerLostError
from unpool_xp.bench.portability.targets import TARGETS, TaxEntry, TaxTarget
from unpool_xp.bench.rows.files import RowWriter
from unpool_xp.bench.rows.provenance import run_id
from unpool_xp.bench.verdicts.bootstrap import Ratio, Times

PROCESSES = 3  # one after the other
SECONDS = 1.5  # of samples for a case on a backend
_SLOW_FACTOR = 2.0  # a native this many times slower than the fastest is out of the running

Measurements: TypeAlias = dict[Cell, Measurement]


def measure_taxes(
    cases: Sequence[Case],
    targets: Sequence[TaxTarget] = TARGETS,
    *,
    seconds: float = SECONDS,
    timeout_s: float = TIMEOUT_SECONDS,
) -> Iterator[tuple[Case, Measurements, list[TaxEntry]]]:
    """Measure the tax of cases on backends, one case on one backend at a time.

    Parameters
    ----------
    cases : sequence of Case
        What to measure.
    targets : sequence of TaxTarget, optional
        Where. Targets of one backend and as many threads share its process, and its natives' times.
    seconds : float, optional
        Of samples for each case on each backend.
    timeout_s : float, optional
        Seconds that a worker may take for one request.

    Yields
    ------
    tuple of Case, Measurements and list of TaxEntry
        A case, what was measured of it on a backend, and an entry for each target there.
    """
    by_place: dict[Place, list[TaxTarget]] = {}
    for target in targets:
        by_place.setdefault(Place(target.label, target.threads), []).append(target)
    for place, here in by_place.items():
        with open_pools([place], PROCESSES) as pools:
            for case in cases:
                measured = _measure(pools, case, _cells(case, place, here), seconds, timeout_s)
                yield case, measured, [make_entry(target, case, measured) for target in here]


def _cells(case: Case, place: Place, targets: Sequence[TaxTarget]) -> list[Cell]:
    label, threads = place
    portable = case.definition.title
    return [
        *(
            Cell(label, mode, "portable", portable, threads)
            for mode in dict.fromkeys(target.mode for target in targets)
        ),
        *(
            Cell(label, mode, "native", native.name(case), threads)
            for mode in dict.fromkeys(target.native_mode for target in targets)
            for native in case.natives(label.partition(":")[0])
            if not native.values_only and native.reason(case) is None
        ),
    ]


def _measure(
    pools: Sequence[Pool], case: Case, cells: Sequence[Cell], seconds: float, timeout_s: float
) -> Measurements:
    """Measure in one process after the other; the first says which natives are worth timing."""
    found: Measurements = {}
    for number, pool in enumerate(pools):
        share = seconds / len(pools)
        part = _measure_in_process(pool, case, cells, share, timeout_s, every=number > 0)
        for cell, one in part.items():
            if number and one.checked and found[cell].samples_s:
                found[cell].extend(one, number)
            elif not number or one.error is not None:
                found[cell] = one
        cells = [cell for cell, one in found.items() if one.samples_s]
        if not cells:
            break
    return found


def _measure_in_process(
    pool: Pool,
    case: Case,
    cells: Sequence[Cell],
    seconds: float,
    timeout_s: float,
    *,
    every: bool,
) -> Measurements:
    """Prepare every cell, then take samples in turns."""
    measured = {cell: Measurement(error="not measured") for cell in cells}
    place, names = cells[0].runs_on, {cell.session: cell for cell in cells}
    facts: dict[str, Any] = {}
    call_s: dict[str, float] = {}  # of the sessions whose results are right
    try:
        facts = pool[place].facts
        for name, cell in names.items():
            arguments = cell.request(case)
            answer = pool[place].ask("prepare", timeout=timeout_s, session=name, **arguments)
            measured[cell] = msgspec.convert(answer["measured"], Measurement)
            if measured[cell].checked:
                call_s[name] = answer["call_s"]
        candidates = list(call_s) if every else _candidates(names, call_s)
        answer = pool[place].ask(
            "sample_rounds", timeout=timeout_s, sessions=candidates, seconds=seconds
        )
        for name in candidates:
            measured[names[name]] = msgspec.convert(answer["sessions"][name], Measurement)
    except (WorkerError, WorkerLostError) as error:
        measured = {cell: Measurement(error=str(error)) for cell in cells}
    finally:
        with contextlib.suppress(WorkerError, WorkerLostError):
            pool[place].ask("drop", timeout=timeout_s)
    for one in measured.values():
        one.describe(facts)
    return measured


def _candidates(names: Mapping[str, Cell], call_s: Mapping[str, float]) -> list[str]:
    """Return the sessions to time: all but the natives that are far slower than the fastest."""
    natives = {name for name in call_s if names[name].implementation == "native"}
    fastest = min((call_s[name] for name in natives), default=0.0)
    return [
        name for name in call_s if name not in natives or call_s[name] <= _SLOW_FACTOR * fastest
    ]


def make_entry(target: TaxTarget, case: Case, measured: Measurements) -> TaxEntry:
    """Return the tax that the cells of a target's modes show, or the reason why there is none.

    Samples of one round have one place in each cell's list.
    """
    modes = {"portable": target.mode, "native": target.native_mode}
    cells = [cell for cell in measured if cell.mode == modes[cell.implementation]]
    portable = next(cell for cell in cells if cell.implementation == "portable")
    own = [
        (statistics.median(measured[cell].samples_s), cell)
        for cell in cells
        if cell.implementation == "native" and measured[cell].samples_s
    ]
    ours = measured[portable].samples_s
    if not ours:
        reason = measured[portable].error or "not measured"
        return TaxEntry(target, case, reason=f"{portable.function}: {reason}")
    if not own:
        return TaxEntry(target, case, reason=f"{target.label} has nothing that does it")
    native_s, best = min(own, key=lambda pair: pair[0])
    process = measured[portable].process
    ratio = ratio_of_pairs(ours, measured[best].samples_s, process)
    flags = [*measured[portable].disturbed, *measured[best].disturbed]
    return TaxEntry(
        target,
        case,
        best.function,
        statistics.median(ours),
        native_s,
        ratio,
        disturbed=2 * sum(flags) > len(flags),
    )


def ratio_of_pairs(
    a_samples: Sequence[float], b_samples: Sequence[float], process: Sequence[int] = ()
) -> Ratio:
    """Return the typical ratio of a over b, pair by pair, and its bootstrap interval.

    The pairs are of those processes; by default all of one.
    """
    ratios = [a / b for a, b in zip(a_samples, b_samples, strict=True)]
    found = Times(ratios, process)
    return Ratio(found.typical, found.interval.low, found.interval.high)


@contextlib.contextmanager
def row_recorder(folder: str | Path) -> Iterator[Callable[[Case, Measurements], None]]:
    """Yield what `measure_taxes` can keep rows with, in a new file of this machine's folder."""
    run = run_id()
    origin = provenance_fields(run)
    machine_folder = Path(folder) / origin["machine"]
    with RowWriter(machine_folder / f"{run}.jsonl") as writer:
        write_machine(machine_folder)

        def record(case: Case, measured: Measurements) -> None:
            for cell, one in measured.items():
                writer.write(make_row(origin, case, cell, one))

        yield record
