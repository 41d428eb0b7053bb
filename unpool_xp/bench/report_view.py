"""What a report shows, as plain values: nothing of HTML or Markdown."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import unpool_xp
from unpool_xp.bench import charts
from unpool_xp.bench.machine import Machine
from unpool_xp.bench.ranking import Ranked, by_workload, crossover, rank, tax
from unpool_xp.bench.results import Problem, Row, elements, failure_reason, latest
from unpool_xp.bench.verdict import Ratio, Verdict
from unpool_xp.bench.wording import (
    case_name,
    count_text,
    digits,
    how_text,
    interval_text,
    ratio_text,
    seconds_text,
    settings_text,
)

# Of what a call moves: where it is less, a cache may well be faster than the memory's copy.
_BEYOND_CACHE_BYTES = 2**27
_MOST_OPEN = 40  # cases: with more, their tables are folded


def report_view(
    rows: list[Row], problems: Sequence[Problem], known: Mapping[str, Machine]
) -> dict[str, Any]:
    """Return what is to be shown, as plain values, grouped by machine.

    Parameters
    ----------
    rows : list of Row
        Of any machines and runs.
    problems : sequence of Problem
        The lines that could not be read.
    known : mapping of str to Machine
        What is known of the machines, by id.

    Returns
    -------
    dict
        "version", "machines", "problems", and "open": whether the tables are few.
    """
    kept = latest(rows)
    backends = sorted({row["backend"] for row in kept})
    names: set[str] = set()
    machines = []
    for machine in sorted({row["machine"] for row in kept}):
        mine = [row for row in kept if row["machine"] == machine]
        older = sum(row["machine"] == machine for row in rows) - len(mine)
        machines.append(_machine_view(machine, mine, older, known.get(machine), backends, names))
    cases = sum(len(part["cases"]) for machine in machines for part in machine["operations"])
    return {
        "version": unpool_xp.__version__,
        "machines": machines,
        "problems": problems,
        "open": cases <= _MOST_OPEN,
    }


def _machine_view(
    name: str,
    rows: list[Row],
    older: int,
    machine: Machine | None,
    backends: Sequence[str],
    names: set[str],
) -> dict[str, Any]:
    operations: list[dict[str, Any]] = []
    answers: list[dict[str, str]] = []
    for operation in sorted({row["operation"] for row in rows}):
        mine = [row for row in rows if row["operation"] == operation]
        rankings = [(rank(case), case) for case in by_workload(mine).values()]
        anchor = _unused(f"{operation}-{name}", names)
        operations.append(
            {
                "name": operation,
                "machine": name,
                "anchor": anchor,
                "png": f"{anchor}.png",
                "spec": charts.time_chart(
                    (ranked for ranked, _ in rankings), backends, settings_text
                ),
                "cases": [_case_view(ranked, case) for ranked, case in rankings],
            }
        )
        answers += _answers(mine)
    failures = [
        {
            **{field: row[field] for field in ("backend", "mode", "function")},
            "case": case_name(row),
            "reason": failure_reason(row),
        }
        for row in rows
        if failure_reason(row)
    ]
    return {
        "id": name,
        "anchor": _unused(f"machine-{name}", names),
        "facts": [*_machine_facts(machine), *_row_facts(rows, older)],
        "answers": answers,
        "operations": operations,
        "failures": failures,
    }


def _machine_facts(machine: Machine | None) -> list[tuple[str, str]]:
    if machine is None:
        return []
    caches = ", ".join(f"{name} {size / 2**10:,.0f} KiB" for name, size in machine.caches.items())
    facts = [
        ("CPU", machine.cpu),
        ("cores in use", f"{machine.physical_cores} ({machine.logical_cores} threads)"),
        ("caches", caches),
        ("memory", f"{machine.memory_bytes / 2**30:.1f} GiB"),
        ("GPU", ", ".join(machine.gpus)),
        ("system", f"{machine.os}, {machine.python}"),
        ("governor", machine.governor or ""),
        ("environment", " ".join(f"{k}={v}" for k, v in machine.environment.items())),
    ]
    return [(name, value) for name, value in facts if value]


def _row_facts(rows: Sequence[Row], older: int) -> list[tuple[str, str]]:
    used = {(row["backend"], row["backend_version"], row["device"], row["threads"]) for row in rows}
    backends = [
        f"{backend} {version} on {device}" + (f" ({threads} threads)" if threads else "")
        for backend, version, device, threads in sorted(used, key=str)
    ]
    days = sorted({row["time"][:10] for row in rows})
    facts = [
        ("backends", "; ".join(backends)),
        ("commit", ", ".join(sorted({row["commit"] or "unknown" for row in rows}))),
        ("measured", days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"),
    ]
    if older:
        facts.append(("left out", f"{older} older rows of the same cases"))
    return facts


def _answers(rows: Sequence[Row]) -> list[dict[str, str]]:
    """Return from which size on which is fastest, for each kernel, stride, dtype and the like."""
    series: dict[str, dict[int, list[Row]]] = {}
    for row in sorted(rows, key=elements):
        series.setdefault(settings_text(row), {}).setdefault(elements(row), []).append(row)
    return [
        {
            "operation": change.row["operation"],
            "settings": settings,
            "size": count_text(change.from_elements),
            "winner": change.winner,
            "function": change.row["function"],
            "tied": ", ".join(change.tied),
        }
        for settings, sizes in series.items()
        for change in crossover(sizes)
    ]


def _case_view(ranked: Sequence[Ranked], rows: Sequence[Row]) -> dict[str, Any]:
    first = ranked[0].row
    placed = [entry for entry in ranked if entry.place]
    taxes = {(found.backend, found.mode): found.ratio for found in tax(rows)}
    return {
        "name": case_name(first),
        "elements": count_text(elements(first)),
        "entries": [_entry_view(entry, placed, taxes) for entry in placed],
        "failed": [how_text(entry.row) for entry in ranked if not entry.place],
        "notes": _notes(placed, rows),
    }


def _entry_view(
    entry: Ranked, placed: Sequence[Ranked], taxes: Mapping[tuple[str, str], Ratio]
) -> dict[str, Any]:
    row = entry.row
    assert entry.seconds is not None
    assert entry.interval is not None
    assert entry.to_best is not None
    shared = sum(other.place == entry.place for other in placed) > 1
    paid = taxes.get((row["backend"], row["mode"]))
    bandwidth = row["bytes_moved"] / entry.seconds / 1e9
    return {
        **row,
        "best": entry.place == 1,
        "place": f"{entry.place}=" if shared else str(entry.place),
        "median": seconds_text(entry.seconds),
        "interval": interval_text(entry.interval, entry.seconds),
        "ratio": f"{digits(entry.to_best.estimate)}x",
        "tie": {Verdict.SAME: "same", Verdict.UNDECIDED: "undecided"}[entry.verdict]
        if entry.tied_with_best and entry.verdict
        else "",
        "bandwidth": digits(bandwidth),
        "doubtful": bool(
            row["copy_gb_s"]
            and bandwidth > row["copy_gb_s"]
            and row["bytes_moved"] > _BEYOND_CACHE_BYTES
        ),
        "checked": row["check_scope"] or "yes",
        "tax": ratio_text(paid) if paid and row["implementation"] == "portable" else "",
        "how": how_text(row),
    }


def _notes(placed: Sequence[Ranked], rows: Sequence[Row]) -> list[str]:
    notes = []
    for field, many in (("run", "runs"), ("commit", "commits")):
        values = {row[field] for row in rows}  # type: ignore[literal-required]
        if len(values) > 1:
            notes.append(f"These rows come from {len(values)} {many}: not measured in turns.")
    if placed:
        there_and_back = rank(rows, with_transfer=True)[0]
        if there_and_back.place and there_and_back.row != placed[0].row:
            assert there_and_back.seconds is not None
            notes.append(
                f"With the copies to and from the device: {how_text(there_and_back.row)}, "
                f"{seconds_text(there_and_back.seconds)}."
            )
    return notes


def _unused(text: str, names: set[str]) -> str:
    """Return a name that is fit for a file and an anchor, and that no other has."""
    slug = re.sub(r"[^a-z0-9_]+", "-", text.lower()).strip("-")[:80] or "x"
    found, number = slug, 2
    while found in names:
        found, number = f"{slug}-{number}", number + 1
    names.add(found)
    return found
