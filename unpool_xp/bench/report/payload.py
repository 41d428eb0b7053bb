"""The numbers behind a page's charts and tables, as columns: small, and quick to read."""

from __future__ import annotations

import base64
import functools
import gzip
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec.structs import replace

from unpool_xp.bench.cases.formatting import sizes_text
from unpool_xp.bench.report import charts
from unpool_xp.bench.report.chart_specs import chart_specs
from unpool_xp.bench.report.ranked import BEYOND_CACHE_BYTES, Contender
from unpool_xp.bench.rows.names import contender_text
from unpool_xp.bench.rows.schema import Row
from unpool_xp.bench.verdicts.bootstrap import Verdict
from unpool_xp.bench.verdicts.crossover import WinnerChange
from unpool_xp.bench.verdicts.ranking import copy_seconds

_DIGITS = 5
_NAMES = (
    *("how", "backend", "name", "operation", "dtype", "settings", "function", "device"),
    *("scope", "reason"),
)


def round_number(number: float | None) -> float | None:
    """Return a number with few digits; None where it is not finite."""
    if number is None or not math.isfinite(number):
        return None
    return float(f"{number:.{_DIGITS}g}")


def page_data(view: Mapping[str, Any], rows: Sequence[Row]) -> dict[str, Any]:
    """Return all numbers of a page, and how its charts look; `rows` are those it carries."""
    lines = {id(row): number for number, row in enumerate(rows)}
    backends = [backend["name"] for backend in view["backends"]]
    return {
        "backends": view["backends"],
        "specs": chart_specs(backends),
        "themes": {"light": charts.theme(backends), "dark": charts.theme(backends, dark=True)},
        "machines": [
            {
                **{name: machine[name] for name in ("id", "title", "anchor")},
                **_machine_data(machine, backends, lines),
            }
            for machine in view["machines"]
        ],
    }


def _machine_data(
    machine: Mapping[str, Any], backends: Sequence[str], lines: Mapping[int, int]
) -> dict[str, Any]:
    """Return the numbers of one of the "machines" of `report_view`, as plain values.

    "names" has words, to which numbers refer; "cases", "rows", "failures", "tax" and "paybacks"
    have a list a column; "devices", "crossovers" and "changes" a list of records.
    """
    # Words by number: each stands in the page once.
    numbers: dict[str, dict[Any, int]] = {name: {} for name in _NAMES}
    numbers["backend"] = {backend: number for number, backend in enumerate(backends)}
    cases, ceilings = machine["cases"], machine["ceilings"]
    case_numbers = {id(case): number for number, case in enumerate(cases)}
    timed = [(number, t) for number, case in enumerate(cases) for t in case.timed]
    rows = {id(t.row): number for number, (_, t) in enumerate(timed)}

    def number_of(name: str, word: Any) -> int:
        return numbers[name].setdefault(word, len(numbers[name]))

    def contender_number(contender: Contender) -> int:
        on, implementation = contender
        backend = number_of("backend", on.label)
        return number_of("how", (backend, on.mode, implementation, on.threads))

    def change_data(change: WinnerChange) -> dict[str, Any]:
        at, before = rows[id(change.row)], change.before
        return {
            "case": timed[at][0],
            "row": at,
            "after": None if before is None else timed[rows[id(before)]][0],
            "tied": list(change.tied),
        }

    row_columns: dict[str, list[Any]] = {
        "case": [number for number, _ in timed],
        "line": [lines[id(t.row)] for _, t in timed],
        "how": [contender_number(Contender.of(t.row)) for _, t in timed],
        "name": [number_of("name", contender_text(t.row)) for _, t in timed],
        "function": [number_of("function", t.row.function) for _, t in timed],
        "device": [number_of("device", t.row.device) for _, t in timed],
        "limit": [round_number(rate) for limits in machine["limits"] for rate in limits],
        "seconds": [round_number(t.seconds) for _, t in timed],
        "low": [round_number(t.interval.low) for _, t in timed],
        "high": [round_number(t.interval.high) for _, t in timed],
        "disturbed": [int(t.disturbed) for _, t in timed],
        "between": [t.disagreement_text for _, t in timed],
        "cold": [round_number(t.row.cold_s) for _, t in timed],
        "place": [t.place for _, t in timed],
        "undecided": [int(t.verdict is Verdict.UNDECIDED) for _, t in timed],
        "needed": [round_number(t.needed) for _, t in timed],
        "samples": [len(t.row.samples_s) for _, t in timed],
        "scope": [number_of("scope", t.row.check_scope or "yes") for _, t in timed],
        "first": [round_number(t.row.first_call_s) for _, t in timed],
        "copies": [round_number(copy_seconds(t.row)) for _, t in timed],
        "peak": [t.row.peak_bytes for _, t in timed],
        "bytes": [t.row.bytes_moved for _, t in timed],
    }
    case_columns: dict[str, list[Any]] = {
        "operation": [number_of("operation", case.operation) for case in cases],
        "settings": [number_of("settings", case.settings) for case in cases],
        "dtype": [number_of("dtype", case.first_row.dtype) for case in cases],
        "shape": [sizes_text(case.first_row.shape) for case in cases],
        "elements": [case.elements for case in cases],
        "bytes": [case.bytes_moved for case in cases],
        "copy": [round_number(rate) for rate in machine["copies"]],
        "notes": [case.notes for case in cases],
    }
    failed = [(number, *found) for number, case in enumerate(cases) for found in case.failed]
    taxes = [(number, tax) for number, case in enumerate(cases) for tax in case.taxes]
    break_evens = machine["break_evens"]
    return {
        "cases": case_columns,
        "rows": row_columns,
        "failures": {
            "case": [number for number, _, _ in failed],
            "how": [contender_number(Contender.of(row)) for _, row, _ in failed],
            "function": [number_of("function", row.function) for _, row, _ in failed],
            "reason": [number_of("reason", reason) for _, _, reason in failed],
        },
        "tax": {
            "case": [number for number, _ in taxes],
            "how": [contender_number(Contender(t.backend_mode, "portable")) for _, t in taxes],
            "function": [number_of("function", t.function) for _, t in taxes],
            "ratio": [round_number(t.ratio.estimate) for _, t in taxes],
            "low": [round_number(t.ratio.low) for _, t in taxes],
            "high": [round_number(t.ratio.high) for _, t in taxes],
        },
        "paybacks": {
            "row": [rows[id(p.compiled.row)] for p in break_evens],
            "eager": [rows[id(p.eager.row)] for p in break_evens],
            "calls": [p.calls for p in break_evens],
            "clear": [int(p.clear) for p in break_evens],
        },
        "devices": [
            {
                "case": [case_numbers[id(p.case)] for p in points],
                "cpu": [rows[id(p.cpu.row)] for p in points],
                "gpu": [rows[id(p.gpu.row)] for p in points],
                "ratio": [round_number(p.ratio) for p in points],
                "copied": [round_number(p.ratio_with_copies) for p in points],
            }
            for points in machine["devices"]
        ],
        "crossovers": [
            {
                "case": case_numbers[id(first)],
                "backend": number_of("backend", here.label),
                "sizes": len(here.verdicts),
                "from": [here.wins_from, copied.wins_from],
                "text": [here.text, copied.text],
            }
            for first, here, copied in machine["crossovers"]
        ],
        "changes": [[change_data(change) for change in changes] for changes in machine["changes"]],
        "ceilings": [
            [*ceilings[device], device] if device in ceilings else None
            for device in numbers["device"]
        ],
        "beyond_cache": BEYOND_CACHE_BYTES,
        "names": {name: list(words) for name, words in numbers.items()},
    }


RAW_BYTES = 5_500_000  # of the rows in a page, squeezed and in base64


@dataclass(frozen=True)
class PackedRows:
    """The rows of a page."""

    text: str  # JSON lines, squeezed, in base64
    count: int
    samples: str  # what is left of their samples, in words
    whole: bool  # whether that is all of them


def gzip_base64(data: bytes) -> str:
    """Return data gzipped, in base64."""
    return base64.b64encode(gzip.compress(data, 6, mtime=0)).decode("ascii")


def gzip_base64_json(value: Any) -> str:
    """Return a value as JSON, squeezed; NaN and the infinities are not JSON."""
    text = json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    return gzip_base64(text.encode("utf-8", "replace"))


def pack_rows(rows: Sequence[Row], most: int = RAW_BYTES) -> PackedRows:
    """Return rows to be carried by a page, in no more than so many bytes if that can be.

    With every row, and every field but the conditions of each sample. Where all samples are too
    much they are rounded, and where that is too much, few are kept, evenly from the smallest to the
    largest.
    """
    # Without samples more rows than a page should have are no reason to lose one.
    for words, reduced in _SAMPLE_REDUCTIONS.items():
        # What else went on during each sample would take most of the room.
        kept = (msgspec.to_builtins(replace(reduced(row), conditions=None)) for row in rows)
        lines = "".join(json.dumps(row, separators=(",", ":")) + "\n" for row in kept)
        text = gzip_base64(lines.encode("utf-8", "replace"))
        packed = PackedRows(text, len(rows), words, whole=reduced is _all_samples)
        if len(text) <= most:
            break
    return packed


def _all_samples(row: Row) -> Row:
    return row


def _reduce_samples(row: Row, most: float) -> Row:
    """Return a row with no more than so many samples, evenly from the smallest, in four digits."""
    kept, last = list(range(len(row.samples_s))), len(row.samples_s) - 1
    if last >= most:
        ordered = sorted(kept, key=row.samples_s.__getitem__)
        kept = [ordered[round(i * last / (most - 1))] for i in range(int(most))]
    return replace(
        row,
        samples_s=[float(f"{row.samples_s[i]:.4g}") for i in kept],
        process=[row.process[i] for i in kept if row.process],
        disturbed=row.disturbed and [row.disturbed[i] for i in kept],
    )


_SAMPLE_REDUCTIONS: dict[str, Callable[[Row], Row]] = {
    "as they were read": _all_samples,
    "rounded to four digits": functools.partial(_reduce_samples, most=math.inf),
    "nine a row, evenly from the smallest to the largest": functools.partial(
        _reduce_samples, most=9
    ),
    "five a row, evenly from the smallest to the largest": functools.partial(
        _reduce_samples, most=5
    ),
    "left out": functools.partial(_reduce_samples, most=0),
}
