"""Machines side by side: what takes how long on each, over the cases that they all have."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from typing import Any

from unpool_xp.bench.cases.formatting import (
    range_text,
    seconds_text,
    threads_text,
    times_text,
)
from unpool_xp.bench.report.answers import mean_ratio
from unpool_xp.bench.report.ranked import RankedCase, RankedMachine
from unpool_xp.bench.rows.schema import Key, workload_key
from unpool_xp.bench.verdicts.ranking import Ranked

PortableKey = tuple[str, str, str, str]


def compare_machines(machines: Sequence[RankedMachine]) -> list[dict[str, Any]]:
    """Return a line for each operation and way to run it that several machines have.

    Of unpool_xp's own functions alone: the same code everywhere. "cases" is how many cases all
    the machines of the line have. "cells" has one for each machine: None, or the geometric mean of
    its times ("seconds"), over that of the fastest machine ("ratio", with its 95 % interval in
    "limits"), and whether it is the fastest ("first").
    """
    times = {machine.name: _times(machine.cases) for machine in machines}
    lines = []
    for way in sorted({way for found in times.values() for way in found}):
        having = {name: found[way] for name, found in times.items() if way in found}
        common = set.intersection(*(set(found) for found in having.values()))
        if len(having) < 2 or not common:
            continue
        ours = {name: [found[key] for key in common] for name, found in having.items()}
        means = {
            name: statistics.geometric_mean(t.seconds for t in timed)
            for name, timed in ours.items()
        }
        first = min(means, key=means.__getitem__)
        lines.append(
            {
                **dict(zip(("operation", "dtype", "backend", "mode"), way, strict=True)),
                "cases": len(common),
                "cells": [
                    _cell(ours[name], ours[first], means[name], name == first)
                    if name in ours
                    else None
                    for name in times
                ],
            }
        )
    return lines


def _times(cases: Iterable[RankedCase]) -> dict[PortableKey, dict[Key, Ranked]]:
    found: dict[PortableKey, dict[Key, Ranked]] = {}
    for case in cases:
        for timed in case.timed:
            row = timed.row
            if row.implementation == "portable":
                mode = f"{row.mode}{threads_text(row.threads_asked)}"
                way = (row.operation, row.dtype, row.backend, mode)
                found.setdefault(way, {})[workload_key(row)] = timed
    return found


def _cell(
    mine: Sequence[Ranked], best: Sequence[Ranked], seconds: float, first: bool
) -> dict[str, Any]:
    ratio, _ = mean_ratio(list(zip(mine, best, strict=True)))
    return {
        "seconds": seconds_text(seconds),
        "ratio": "" if first else times_text(ratio.estimate),
        "limits": "" if first else range_text(ratio.low, ratio.high),
        "first": first,
    }
