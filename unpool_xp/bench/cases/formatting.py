"""Numbers and tables as text, the same on the page, in the summary and in the terminal."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Callable, Iterable, Sequence


def seconds_text(seconds: float) -> str:
    """Return a time in three digits and a fitting unit, such as "12.3 ms"."""
    scale, unit = _unit(seconds)
    return f"{three_digits(seconds / scale)} {unit}"


def _unit(seconds: float) -> tuple[float, str]:
    units = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"))
    return next((unit for unit in units if seconds >= 0.9995 * unit[0]), (1e-9, "ns"))


def three_digits(value: float) -> str:
    """Return a number in three digits, never in powers of ten."""
    if not 0 < value < math.inf:
        return f"{value:g}"
    places = max(0, 2 - math.floor(math.log10(value * 1.0005)))
    return f"{value:,.{min(places, 6)}f}"


def range_text(low: float, high: float, unit: str = "") -> str:
    """Return an interval, such as "0.980 to 1.20"; that of too few samples starts at 0."""
    return f"{three_digits(low)} to {three_digits(high)}{unit}" if low > 0 else "too few samples"


def interval_text(low: float, high: float, near: float) -> str:
    """Return an interval of times in the unit of the time that it is of."""
    scale, unit = _unit(near)
    return range_text(low / scale, high / scale, f" {unit}")


def times_text(ratio: float) -> str:
    """Return a ratio in three digits, such as "1.25x"."""
    return f"{three_digits(ratio)}x"


def number_of(count: int, word: str) -> str:
    """Return a count of things, such as "1,234 rows"."""
    return f"{count_text(count)} {word}{'' if count == 1 else 's'}"


def threads_text(threads: int | None) -> str:
    """Return a number of threads behind a space, " 2 threads"; nothing where none was chosen."""
    return "" if threads is None else f" {number_of(threads, 'thread')}"


def count_text(number: int) -> str:
    """Return a whole number with its thousands set apart."""
    return f"{number:,}"


def sizes_text(sizes: Sequence[float]) -> str:
    """Return sizes with an x between, such as "1x16x32x32"."""
    return "x".join(str(size) if isinstance(size, int) else f"{size:g}" for size in sizes)


def bytes_text(number: float) -> str:
    """Return a size in three digits and a fitting unit, such as "3.94 MiB"."""
    for power, unit in ((3, "GiB"), (2, "MiB"), (1, "KiB")):
        if number >= 1024**power:
            return f"{three_digits(number / 1024**power)} {unit}"
    return f"{number:,.0f} B"


def printable(text: str) -> str:
    """Return a text that comes from a file on one line, without control characters."""
    line = " ".join(text.split())
    if line.isprintable():
        return line
    return "".join(letter if letter.isprintable() else "?" for letter in line)


def csv_cell(value: object) -> object:
    """Return a value as a cell of CSV: a text that no spreadsheet takes for a formula."""
    if not isinstance(value, str):
        return value
    text = printable(value)
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text


def escape_markdown(value: object) -> str:
    """Return a value as Markdown that is its text, within one cell of a table."""
    text = html.escape(printable(str(value)), quote=False)
    # Within a word an underscore is one anyway.
    return re.sub(r"([\\|`*\[\]]|(?<![^\W_])_|_(?![^\W_]))", r"\\\1", text)


def markdown_table(
    head: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    align: str = "",
    text: Callable[[object], str] = escape_markdown,
) -> list[str]:
    """Return the lines of a table.

    `align` has a letter a column, l for left or r for right; `text` makes Markdown of a cell.
    """
    rules = ("--:" if letter == "r" else "---" for letter in align or "l" * len(head))
    lines = [f"| {' | '.join(map(text, cells))} |" for cells in (head, *rows)]
    return [lines[0], f"|{'|'.join(rules)}|", *lines[1:]]
