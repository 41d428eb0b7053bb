"""Words for rows and numbers, the same on the page, in the summary and in the terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from unpool_xp.bench.rows.schema import Row
from unpool_xp.bench.verdicts.bootstrap import Interval, Ratio

_SETTINGS = ("kernel", "stride", "padding", "scale", "out_channels")


def seconds_text(seconds: float) -> str:
    """Return a time in three digits and a fitting unit, such as "12.3 ms"."""
    scale, unit = _unit(seconds)
    return f"{digits(seconds / scale)} {unit}"


def _unit(seconds: float) -> tuple[float, str]:
    units = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"))
    return next((unit for unit in units if seconds >= 0.9995 * unit[0]), (1e-9, "ns"))


def digits(value: float) -> str:
    """Return a number in three digits, never in powers of ten."""
    if not 0 < value < math.inf:
        return f"{value:g}"
    places = max(0, 2 - math.floor(math.log10(value * 1.0005)))
    return f"{value:,.{min(places, 6)}f}"


def interval_text(interval: Interval, near: float) -> str:
    """Return an interval of times in the unit of the time that it is of."""
    if interval.low == 0:
        return "too few samples"
    scale, unit = _unit(near)
    return f"{digits(interval.low / scale)} to {digits(interval.high / scale)} {unit}"


def ratio_text(ratio: Ratio) -> str:
    """Return a ratio and its interval, such as "2.00x (1.90 to 2.10)"."""
    limits = "too few samples"
    if ratio.low > 0:
        limits = f"{digits(ratio.low)} to {digits(ratio.high)}"
    return f"{digits(ratio.estimate)}x ({limits})"


def count_text(number: int) -> str:
    """Return a whole number with its thousands set apart."""
    return f"{number:,}"


def sizes_text(sizes: Sequence[float]) -> str:
    """Return sizes with an x between, such as "1x16x32x32"."""
    return "x".join(str(size) if isinstance(size, int) else f"{size:g}" for size in sizes)


def settings_text(row: Row) -> str:
    """Return what a case has beside its operation and shape, such as "kernel 2x2, float32"."""
    parts = []
    for name in _SETTINGS:
        value: Any = row[name]  # type: ignore[literal-required]
        if value is not None:
            size = sizes_text(value) if isinstance(value, list) else str(value)
            parts.append(f"{name.replace('_', ' ')} {size}")
    return ", ".join([*parts, row["dtype"]])


def case_name(row: Row) -> str:
    """Return what a row measures, whatever the backend, in words."""
    return f"{row['operation']} {sizes_text(row['shape'])}, {settings_text(row)}"


def how_text(row: Row) -> str:
    """Return a row's backend, mode and function, as short as they can be told apart."""
    last = row["function"].rsplit(".", 1)[-1]
    native = f"native {last}" if row["implementation"] == "native" else "portable"
    return f"{row['backend']} {row['mode']} {native}"


def bytes_text(number: float) -> str:
    """Return a size in three digits and a fitting unit, such as "3.94 MiB"."""
    for power, unit in ((3, "GiB"), (2, "MiB"), (1, "KiB")):
        if number >= 1024**power:
            return f"{digits(number / 1024**power)} {unit}"
    return f"{number:,.0f} B"
