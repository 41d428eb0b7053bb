"""The numbers behind a page's charts and tables, as columns: small, and quick to read."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from unpool_xp.bench.cases.formatting import sizes_text
from unpool_xp.bench.report_cases import BEYOND_CACHE_BYTES, RankedCase, Timed, by_series
from unpool_xp.bench.report_costs import (
    Change,
    DeviceSeries,
    changes,
    copy_ceilings,
    paybacks,
)
from unpool_xp.bench.rows.schema import Row, failure_reason
from unpool_xp.bench.verdicts.bootstrap import Verdict

_DIGITS = 5


class _Names:
    """Words by number: each stands in the page once."""

    def __init__(self, known: Sequence[Any] = ()) -> None:
        self.numbers: dict[Any, int] = {word: number for number, word in enumerate(known)}

    def __call__(self, word: Any) -> int:
        return self.numbers.setdefault(word, len(self.numbers))

    def words(self) -> list[Any]:
        return list(self.numbers)


def short(number: float | None) -> float | None:
    """Return a number with few digits; None where it is not finite."""
    if number is None or not math.isfinite(number):
        return None
    return float(f"{number:.{_DIGITS}g}")


def machine_data(
    cases: Sequence[RankedCase], devices: Sequence[DeviceSeries], backends: Sequence[str]
) -> dict[str, Any]:
    """Return the numbers of one machine.

    Parameters
    ----------
    cases : sequence of RankedCase
        Of one machine.
    devices : sequence of DeviceSeries
        Of these cases.
    backends : sequence of str
        All of the page; rows name theirs by its number.

    Returns
    -------
    dict
        Plain values. "names" has words, to which numbers refer; "cases", "rows", "failures",
        "tax", "paybacks" have a list a column; "devices", "crossovers", "changes" a list of
        records.
    """
    names = {
        "how": _Names(),
        "backend": _Names(backends),
        **{name: _Names() for name in ("operation", "dtype", "settings", "function", "device")},
        **{name: _Names() for name in ("scope", "reason")},
    }
    ceilings = copy_ceilings(row for case in cases for row in case.rows)
    place = {id(case): number for number, case in enumerate(cases)}
    timed = [(number, t) for number, case in enumerate(cases) for t in case.timed]
    rows = {id(t.row): number for number, (_, t) in enumerate(timed)}

    def how(row: Row) -> int:
        parts = (names["backend"](row["backend"]), row["mode"], row["implementation"])
        return names["how"](parts)

    row_columns: dict[str, list[Any]] = {
        "case": [number for number, _ in timed],
        "how": [how(t.row) for _, t in timed],
        "function": [names["function"](t.row["function"]) for _, t in timed],
        "device": [names["device"](t.row["device"]) for _, t in timed],
        "seconds": [short(t.seconds) for _, t in timed],
        "low": [short(t.low) if math.isfinite(t.high) else 0 for _, t in timed],
        "high": [short(t.high) for _, t in timed],
        "noise": [short(t.noise) for _, t in timed],
        "place": [t.entry.place for _, t in timed],
        "tie": [_tie(t) for _, t in timed],
        "samples": [len(t.row["samples_s"]) for _, t in timed],
        "scope": [names["scope"](t.row["check_scope"] or "yes") for _, t in timed],
        "first": [short(t.row["first_call_s"]) for _, t in timed],
        "copies": [short(t.copies) for _, t in timed],
        "peak": [t.row["peak_bytes"] for _, t in timed],
        "bytes": [t.row["bytes_moved"] for _, t in timed],
    }
    case_columns: dict[str, list[Any]] = {
        "operation": [names["operation"](case.operation) for case in cases],
        "settings": [names["settings"](case.settings) for case in cases],
        "dtype": [names["dtype"](case.first["dtype"]) for case in cases],
        "shape": [sizes_text(case.first["shape"]) for case in cases],
        "elements": [case.elements for case in cases],
        "bytes": [case.bytes_moved for case in cases],
        "notes": [case.notes for case in cases],
    }
    failed = [(n, entry) for n, case in enumerate(cases) for entry in case.failed]
    taxes = [(number, tax) for number, case in enumerate(cases) for tax in case.taxes]
    back = paybacks(cases)
    return {
        "cases": case_columns,
        "rows": row_columns,
        "failures": {
            "case": [number for number, _ in failed],
            "how": [how(entry.row) for _, entry in failed],
            "function": [names["function"](entry.row["function"]) for _, entry in failed],
            "reason": [names["reason"](failure_reason(entry.row)) for _, entry in failed],
        },
        "tax": {
            "case": [number for number, _ in taxes],
            "how": [
                names["how"]((names["backend"](t.backend), t.mode, "portable")) for _, t in taxes
            ],
            "function": [names["function"](t.function) for _, t in taxes],
            "ratio": [short(t.ratio.estimate) for _, t in taxes],
            "low": [short(t.ratio.low) for _, t in taxes],
            "high": [short(t.ratio.high) for _, t in taxes],
        },
        "paybacks": {
            "row": [rows[id(p.compiled.row)] for p in back],
            "eager": [rows[id(p.eager.row)] for p in back],
            "calls": [p.calls for p in back],
            "clear": [int(p.clear) for p in back],
        },
        "devices": [
            {
                "case": [place[id(p.case)] for p in series.points],
                "cpu": [rows[id(p.cpu.row)] for p in series.points],
                "gpu": [rows[id(p.gpu.row)] for p in series.points],
                "ratio": [short(p.ratio) for p in series.points],
                "copied": [short(p.ratio_with_copies) for p in series.points],
            }
            for series in devices
            if series.points
        ],
        "crossovers": [
            {
                "case": place[id(series.first)],
                "backend": names["backend"](here.label),
                "sizes": len(here.verdicts),
                "from": [here.wins_from, copied.wins_from],
                "text": [here.text, copied.text],
            }
            for series in devices
            for here, copied in series.crossings
        ],
        "changes": [
            [_change(change, place, rows, names["backend"]) for change in changes(series)]
            for series in by_series(cases)
            if sum(bool(case.timed) for case in series) > 1
        ],
        "ceilings": [
            [*ceilings[device], device] if device in ceilings else None
            for device in names["device"].words()
        ],
        "beyond_cache": BEYOND_CACHE_BYTES,
        "names": {name: found.words() for name, found in names.items()},
    }


def _tie(timed: Timed) -> int:
    """Return 1 where a row is the same as the best, 2 where that is undecided."""
    if not timed.entry.tied_with_best:
        return 0
    return 1 if timed.entry.verdict is Verdict.SAME else 2


def _change(
    change: Change, place: dict[int, int], rows: dict[int, int], backend: _Names
) -> dict[str, Any]:
    return {
        "case": place[id(change.case)],
        "row": rows[id(change.winner.row)],
        "after": None if change.after is None else place[id(change.after)],
        "tied": [backend(name) for name in change.tied],
    }
