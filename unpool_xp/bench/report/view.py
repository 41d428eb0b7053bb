"""What a report shows, as plain values: nothing of HTML, JavaScript or Markdown."""

from __future__ import annotations

import itertools
import re
import statistics
from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Any

import unpool_xp
from unpool_xp.bench.cases.formatting import (
    bytes_text,
    count_text,
    number_of,
    three_digits,
    times_text,
)
from unpool_xp.bench.measure.machine import Machine
from unpool_xp.bench.report.chart_specs import time_png_spec
from unpool_xp.bench.report.charts import styles
from unpool_xp.bench.report.claims import judge_claims
from unpool_xp.bench.report.costs import (
    backend_changes,
    compile_break_evens,
    crossovers,
    device_points,
)
from unpool_xp.bench.report.headline import Headline, headline
from unpool_xp.bench.report.machines import compare_machines
from unpool_xp.bench.report.ranked import RankedMachine, ranked_machines
from unpool_xp.bench.rows.files import Problem
from unpool_xp.bench.rows.schema import Row
from unpool_xp.bench.verdicts.crossover import is_gpu
from unpool_xp.bench.verdicts.decisions import Decision, decide
from unpool_xp.capabilities import OPERATIONS


def report_view(
    rows: Sequence[Row], problems: Sequence[Problem], known: Mapping[str, Machine]
) -> dict[str, Any]:
    """Return what is to be shown, grouped by machine.

    "backends" has labels and how they look, "pairs" is as `compare_machines` returns it. A machine
    has what was found once, for all that is made of it: "cases", "failed", "ceilings",
    "limits" (of each case, one per timed row), "copies" (one per case), "decisions", "devices",
    "crossovers", "break_evens" and "changes".
    """
    ranked = ranked_machines(rows, known)
    backends = sorted({row.backend for machine in ranked for row in machine.rows})
    names: set[str] = set()
    looks = [
        {"name": name, "light": style.light, "dark": style.dark, "glyph": style.glyph}
        for name, style in zip(backends, styles(backends), strict=True)
    ]
    return {
        "version": unpool_xp.__version__,
        "backends": looks,
        "machines": [_machine_view(one, known.get(one.name), backends, names) for one in ranked],
        "pairs": compare_machines(ranked),
        "problems": problems,
    }


def _machine_view(
    ranked: RankedMachine, machine: Machine | None, backends: Sequence[str], names: set[str]
) -> dict[str, Any]:
    cases = ranked.cases
    first, decisions = headline(cases), decide(cases)
    failed = [failure for case in cases for failure in case.failed]
    by_operation = itertools.groupby(cases, key=attrgetter("operation"))
    groups = {operation: list(same) for operation, same in by_operation}
    rows, of = number_of(len(ranked.rows), "row"), number_of(len(cases), "case")
    return {
        "id": ranked.name,
        "anchor": _unique_slug(f"machine-{ranked.name}", names),
        "title": _title(ranked.name, machine),
        "line": f"{rows} of {of}",
        "facts": [*_machine_facts(machine), *_row_facts(ranked)],
        "summary": _summary(first, {row.backend for row in ranked.rows}),
        "tiles": _tiles(ranked, first, len(failed)),
        "decisions": decisions,
        "answers": _by_dtype(decisions) if first.cases else [],
        # They are about our operations.
        "claims": judge_claims(ranked) if first.cases and groups.keys() & OPERATIONS else [],
        "gpu": any(is_gpu(row.backend) for row in ranked.rows),
        "devices": device_points(cases),
        "crossovers": crossovers(cases),
        "break_evens": compile_break_evens(cases),
        "changes": backend_changes(cases),
        "ceilings": ranked.ceilings,
        "limits": [[ranked.limit(case, t.row.device) for t in case.timed] for case in cases],
        "copies": [ranked.host_copy_rate(case) for case in cases],
        "has_disturbed": any(timed.disturbed for case in cases for timed in case.timed),
        "has_cold": any(timed.row.cold_s is not None for case in cases for timed in case.timed),
        "cases": cases,
        "failed": failed,
        "operations": [
            {
                "name": operation,
                "png": _unique_slug(f"{operation}-{ranked.name}", names) + ".png",
                "spec": time_png_spec(mine, backends, ranked.host_copy_rate),
                "cases": mine,
            }
            for operation, mine in groups.items()
        ],
    }


# --- the machine ---------------------------------------------------------------------------------


def _title(name: str, machine: Machine | None) -> str:
    if machine is None:
        return name
    gpus = "".join(f" + {gpu}" for gpu in machine.gpus)
    cores = number_of(machine.physical_cores, "core")
    if machine.cpu_quota is not None:
        cores = f"{machine.cpu_quota:g} of {cores}"
    return f"{machine.cpu}, {cores}{gpus}"


def _machine_facts(machine: Machine | None) -> list[tuple[str, str]]:
    if machine is None:
        return []
    caches = ", ".join(f"{name} {bytes_text(size)}" for name, size in machine.caches.items())
    quota, limit = machine.cpu_quota, machine.memory_limit_bytes
    facts = [
        ("CPU", machine.cpu),
        ("cores in use", f"{machine.physical_cores} ({machine.logical_cores} threads)"),
        ("limit of CPU time", "" if quota is None else f"{quota:g} cores"),
        ("caches", caches),
        ("memory", bytes_text(machine.memory_bytes)),
        ("limit of memory", "" if limit is None else bytes_text(limit)),
        ("GPU", ", ".join(machine.gpus)),
        *(("of a GPU", ", ".join(f"{k} {v}" for k, v in gpu.items())) for gpu in machine.gpu_facts),
        ("system", f"{machine.os}, {machine.python}"),
        ("governor", machine.governor or ""),
        ("environment", " ".join(f"{k}={v}" for k, v in machine.environment.items())),
    ]
    return [(name, value) for name, value in facts if value]


def _row_facts(ranked: RankedMachine) -> list[tuple[str, str]]:
    rows = ranked.rows
    used = {(row.backend, row.backend_version, row.device, row.threads) for row in rows}
    backends = [
        f"{backend} {version} on {device}"
        + (f" ({number_of(threads, 'thread')})" if threads else "")
        for backend, version, device, threads in sorted(used, key=str)
    ]
    copies = [
        f"{three_digits(copy.gb_s)} GB/s on {device} (reached by {copy.backend})"
        + (f", {bytes_text(copy.bytes_moved)} in and out" if copy.bytes_moved else "")
        for device, copy in sorted(ranked.ceilings.items())
    ]
    days = sorted({row.time[:10] for row in rows})
    facts = [
        ("backends", "; ".join(backends)),
        ("plain copy", "; ".join(copies) or "not measured"),
        ("commit", ", ".join(sorted({row.commit or "unknown" for row in rows}))),
        ("measured", days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"),
    ]
    if ranked.older:
        facts.append(("left out", f"{count_text(ranked.older)} older rows of the same cases"))
    return facts


# --- the answer ----------------------------------------------------------------------------------


def _summary(first: Headline, backends: set[str]) -> str:
    """Return the answer in a sentence."""
    if not first.cases:
        return "No row has a checked result, so there is no time to compare."
    if len(backends) == 1:
        return f"Only {next(iter(backends))} was measured: there is no other backend to compare."
    return first.text


def _tiles(ranked: RankedMachine, first: Headline, failed: int) -> list[dict[str, str]]:
    """Return the few numbers to know first: a value, what it is, and a word about it."""
    tiles = []
    if first.counts:
        _, alone, tied = first.counts[0]
        about = f"{alone} of {number_of(first.cases, 'case')}"
        about += f", and tied in {tied}" if tied else ""
        tiles.append((", ".join(first.leaders), "fastest most often", about))
    taxes = [tax.ratio.estimate for case in ranked.cases for tax in case.taxes]
    if taxes:
        about = f"portable over native, geometric mean of {count_text(len(taxes))}"
        tiles.append((times_text(statistics.geometric_mean(taxes)), "portability tax", about))
    for device, copy in sorted(ranked.ceilings.items()):
        size = f", {bytes_text(copy.bytes_moved)} in and out" if copy.bytes_moved else ""
        about = f"reached by {copy.backend}{size}"
        tiles.append((f"{three_digits(copy.gb_s)} GB/s", f"copy on {device}", about))
    about = f"of {count_text(len(ranked.rows))} rows" + ("; reasons below" if failed else "")
    tiles.append((count_text(failed), "without a time", about))
    return [dict(zip(("value", "name", "about"), tile, strict=True)) for tile in tiles]


def _by_dtype(decisions: Sequence[Decision]) -> list[tuple[str, list[Decision]]]:
    """Return the decisions of each dtype, that of the most cases first."""
    found: dict[str, list[Decision]] = {}
    for decision in decisions:
        found.setdefault(decision.row.dtype, []).append(decision)
    return sorted(found.items(), key=lambda item: -sum(len(one.cases) for one in item[1]))


def _unique_slug(text: str, names: set[str]) -> str:
    """Return a name that is fit for a file and an anchor, and that no other has."""
    slug = re.sub(r"[^a-z0-9_]+", "-", text.lower()).strip("-")[:80] or "x"
    found, number = slug, 2
    while found in names:
        found, number = f"{slug}-{number}", number + 1
    names.add(found)
    return found
