"""What `backends` prints."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape

from unpool_xp.backends.base import usable_cores
from unpool_xp.bench.cases.formatting import bytes_text, number_of, seconds_text, times_text
from unpool_xp.bench.measure.host.cgroup import cpu_quota, memory_limit
from unpool_xp.bench.terminal.tables import print_line, text_table

_BUSY_SHARE = 0.1  # of the cores: beyond it, times are not to be trusted


def print_backends(console: Console, rows: Sequence[Mapping[str, Any]]) -> None:
    """Print what is here, what its threads cost, and what is missing and why."""
    present = [row for row in rows if "missing" not in row and "tried" not in row]
    columns = ("backend", "version", "threads", "copy\nGB/s", "matmul\nGFLOP/s", "device")
    table = text_table(*columns, align="LLRRRl")
    for row in present:
        rates = (_rate(row.get(name)) for name in ("copy_gb_s", "product_gflop_s"))
        threads = str(row["threads"] or "-")
        table.add_row(row["backend"], row["version"], threads, *rates, _short(row["device"]))
    if present:
        console.print(table)
    measured = [row for row in present if "pool_threads" in row]
    if measured:
        heads = ("thread pool", "threads", "spins after a call", "first call after a rest")
        pools = text_table(*heads, align="LRRR")
        for row in measured:
            threads = str(row["pool_threads"] or "-")
            pools.add_row(row["backend"], threads, _spin(row), _waking(row))
        console.print()
        console.print(pools)
    for row in rows:
        reason = row.get("missing") or row.get("not_measured")
        if reason:
            what = "not here" if "missing" in row else "not measured"
            print_line(console, escape(f"{what}: {row['backend']}: {reason}"), style="dim")
    _print_tried(console, [row for row in rows if "tried" in row])


def _print_tried(console: Console, rows: Sequence[Mapping[str, Any]]) -> None:
    """Print the libraries that have no backend here, and what two operations lack on each."""
    if not rows:
        return
    console.print()
    operations = list(rows[0]["tried"])
    table = text_table("other library", "version", *operations, align="LL" + "l" * len(operations))
    for row in rows:
        passed = (row["tried"][name]["outcome"] == "passed" for name in operations)
        table.add_row(row["backend"], row["version"], *("ok" if ok else "no" for ok in passed))
    console.print(table)
    for row in rows:
        reasons: dict[str, list[str]] = {}
        for operation, result in row["tried"].items():
            if result["outcome"] != "passed":
                lacks = ", ".join(result["lacks"])
                reason = f"the library has no {lacks}" if lacks else result["detail"]
                reasons.setdefault(reason, []).append(operation)
        for reason, names in reasons.items():
            said = f"{row['backend']}: no {' or '.join(names)}: {reason}"
            print_line(console, escape(said), style="dim")


def print_machine(console: Console, other_cpus: float | None) -> None:
    """Print what a container allows, and how busy other programs keep the cores, if measured."""
    cores, quota, limit = usable_cores(), cpu_quota(), memory_limit()
    if quota is not None and quota < cores:
        print_line(console, f"the container's limit: {quota:g} of {number_of(cores, 'core')}")
    if limit is not None:
        print_line(console, f"the container's limit: {bytes_text(limit)} of memory")
    if other_cpus is not None:
        style = "yellow" if other_cpus > _BUSY_SHARE * cores else "dim"
        text = f"other programs keep {other_cpus:.1f} of {number_of(cores, 'core')} busy"
        print_line(console, text, style=style)


def _short(device: str) -> str:
    """Return the name of a processor without the words that all of them have."""
    return " ".join(re.sub(r"\((R|TM)\)|\bCPU\b|\bProcessor\b", " ", device).split())


def _rate(rate: float | None) -> str:
    return "-" if rate is None else f"{rate:.1f}"


def _spin(row: Mapping[str, Any]) -> str:
    return "-" if row["spin_s"] is None else seconds_text(row["spin_s"])


def _waking(row: Mapping[str, Any]) -> str:
    """Return what a call after a rest takes beyond one right after another, and how many times."""
    rested, warm = row["rested_s"], row["warm_s"]
    if rested is None:
        return "-"
    if rested <= warm:
        return "no slower"
    return f"+{seconds_text(rested - warm)} ({times_text(rested / warm)})"
