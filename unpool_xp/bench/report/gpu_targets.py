"""GPU acceptance targets for the H100 class, evaluated from rows alone."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from unpool_xp.bench.cases.formatting import markdown_table
from unpool_xp.bench.cases.operation import total_bytes
from unpool_xp.bench.report.ranked import outputs_of
from unpool_xp.bench.rows.names import case_name, operation_text
from unpool_xp.bench.rows.schema import Row, elements, failure_reason, latest
from unpool_xp.bench.verdicts.ranking import by_workload

LARGE_BYTES = 10**9  # of the first array or the output, more than; no cache has as many
MOST_EAGER, MOST_COMPILED = 1.2, 0.8  # portable over native, at most
MOST_FIRST_SECONDS = 1.0
# Operation, backend, and of the rate of the device's own copy at least so much.
_COPY_SHARES = (
    ("nearest_unpool", "torch:cuda", 0.85),
    ("max_unpool", "torch:cuda", 0.85),
    ("nearest_unpool", "cupy:cuda", 0.85),
    ("max_unpool", "cupy:cuda", 0.85),
    ("max_pool", "cupy:cuda", 0.6),
    ("avg_pool", "cupy:cuda", 0.6),
    ("linear_unpool", "cupy:cuda", 0.6),
)


@dataclass(frozen=True)
class TargetResult:
    """One target and its result."""

    text: str  # what
    target: str  # how much of it
    measured: float | None  # how much there is; None where it was not measured
    met: bool | None  # whether that is enough
    note: str  # of what it is, or why it was not measured

    @property
    def verdict(self) -> str:
        """Met, missed, or not measured."""
        return {True: "met", False: "missed", None: "not measured"}[self.met]


def check_gpu_targets(rows: Iterable[Row]) -> list[TargetResult]:
    """Evaluate the GPU targets on rows of one machine; the newest of each case counts.

    For each operation and library the least share of the copy; for each mode the geometric mean of
    portable over native on PyTorch; the longest first call on CuPy. The clock of the host counts,
    as everywhere.
    """
    kept = latest(rows)
    limits = (("eager or fused", MOST_EAGER), ("compiled", MOST_COMPILED))
    return [
        *(_copy_result(kept, *target) for target in _COPY_SHARES),
        *(_tax_result(kept, mode, most) for mode, most in limits),
        _first_call_result(kept),
    ]


def _copy_result(rows: Sequence[Row], operation: str, label: str, least: float) -> TargetResult:
    text = f"{operation} on {label}, arrays over 1 GB: share of the device's own copy"
    target = f"at least {least:.0%}"
    shares, reasons = [], []
    mine = [r for r in rows if (r.backend, operation_text(r)) == (label, operation)]
    for row in sorted(mine, key=elements):
        if not _is_portable(row, "eager") or _largest_bytes(row) <= LARGE_BYTES:
            continue
        reason, rate = failure_reason(row), row.copy_gb_s
        if reason is None and rate:
            gb_s = row.bytes_moved / statistics.median(row.samples_s) / 1e9
            shares.append((gb_s / rate, case_name(row)))
        else:
            reasons.append(reason or "the copy was not measured")
    if not shares:
        return TargetResult(text, target, None, None, reasons[0] if reasons else "no row")
    share, name = min(shares)
    note = f"the least of {len(shares)}: {name}"
    if reasons:
        note += f"; {len(reasons)} without a time ({reasons[0]})"
    return TargetResult(text, target, share, share >= least, note)


def _largest_bytes(row: Row) -> int:
    first = {"x": (tuple(row.shape), row.dtype)}
    return max(total_bytes(first), total_bytes(outputs_of(row) or {}))


def _first_call_result(rows: Sequence[Row]) -> TargetResult:
    text, target = "the first call of an operation on cupy:cuda, seconds", "at most 1"
    timed = [
        (row.first_call_s, operation_text(row))
        for row in rows
        if row.backend == "cupy:cuda" and _is_portable(row, "eager") and row.first_call_s
    ]
    if not timed:
        return TargetResult(text, target, None, None, "no row")
    seconds, operation = max(timed)
    met = seconds <= MOST_FIRST_SECONDS
    return TargetResult(text, target, seconds, met, f"the longest of {len(timed)}: {operation}")


def _tax_result(rows: Sequence[Row], mode: str, most: float) -> TargetResult:
    text = f"portable over native on torch:cuda, {mode}, geometric mean"
    target = f"at most {most:g}"
    mine = [row for row in rows if row.backend == "torch:cuda" and not failure_reason(row)]
    # Compiled, ours is compared with torch's own function both eager and compiled.
    modes = ("eager", "compiled") if mode == "compiled" else ("eager",)
    ratios = []
    for case in by_workload(mine).values():
        seconds = [(row, statistics.median(row.samples_s)) for row in case]
        ours = [
            time for row, time in seconds if any(_is_portable(row, m) for m in mode.split(" or "))
        ]
        own = [time for row, time in seconds if row.mode in modes and _is_torch_native(row)]
        if ours and own:
            ratios.append(min(ours) / min(own))
    if not ratios:
        return TargetResult(text, target, None, None, "no case has both")
    mean = statistics.geometric_mean(ratios)
    return TargetResult(text, target, mean, mean <= most, f"of {len(ratios)} cases")


def _is_portable(row: Row, mode: str) -> bool:
    return row.implementation == "portable" and row.mode == mode


def _is_torch_native(row: Row) -> bool:
    return row.implementation == "native" and row.function.startswith("torch.nn.functional.")


def result_cells(line: TargetResult) -> list[str]:
    """Return the words of a line."""
    found = "" if line.measured is None else f"{line.measured:.3g}"
    return [line.text, line.target, found, line.verdict, line.note]


def write_targets(lines: Sequence[TargetResult], folder: str | Path) -> Path:
    """Write the table to ``reach.md`` of a folder, which is made."""
    path = Path(folder) / "reach.md"
    table = markdown_table(("what", "limit", "found", "", "of"), map(result_cells, lines))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(["# Targets for a GPU", "", *table, ""]), encoding="utf-8")
    return path
