"""How tables and sentences look in the terminal, however narrow it is."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from rich.cells import cell_len, chop_cells
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

_GAP = 2  # spaces between columns
_SHORT = 32  # characters: what is no longer stays on one line
_LEAST = 12  # characters: a column that wraps is no narrower
_KEPT = "\N{NO-BREAK SPACE}"  # between a number and its unit
_UNIT = re.compile(_KEPT)
# A line may end here: in "k2-s2", not in "0.9-1.1".
_BREAK = re.compile(r" |(?<=[A-Za-z]\w)-(?=\w)")


@dataclass(frozen=True)
class Wrapped:
    """A text in rich's markup whose lines never end between a number and its unit.

    Attributes
    ----------
    markup : str
        The text.
    style : str, optional
        Of all of it.
    indent : int, optional
        Spaces before it. Lines after the first have two more.
    """

    markup: str
    style: str = ""
    indent: int = 0

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the lines."""
        rest = options.max_width - self.indent - 2
        for number, line in enumerate(wrap(self.markup, rest, first=rest + 2, style=self.style)):
            yield Text(" " * (self.indent + (2 if number else 0))) + line


@dataclass(frozen=True)
class TextTable:
    """A table without lines that loses nothing where the terminal is narrow.

    Where it does not fit, bars go first; then columns that may wrap do so; where that is not enough
    each row becomes a block: its name, and below it each cell after the head of its column.

    Attributes
    ----------
    columns : sequence of str
        The heads. A line break in one is a space in a block.
    align : str
        A letter a column: l for left, r for right, in upper case for cells that never wrap; b for a
        bar, which says nothing that no other column has.
    """

    columns: Sequence[str]
    align: str
    _rows: list[tuple[str, ...] | Wrapped] = field(default_factory=list)

    def add_row(self, *cells: str) -> None:
        """Add a row, a cell a column, each in rich's markup."""
        if len(cells) != len(self.columns):
            raise ValueError(f"add_row: {len(cells)} cells; the table has {len(self.columns)}")
        self._rows.append(cells)

    def add_line(self, markup: str, *, style: str = "", indent: int = 0) -> None:
        """Add a text across all columns: a heading, or a remark on the row above."""
        self._rows.append(Wrapped(markup, style, indent))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the table, or a block a row, whichever fits."""
        width, columns = options.max_width, range(len(self.columns))
        without_bars = [k for k in columns if self.align[k] != "b"]
        widths = self._widths(columns, width) or self._widths(without_bars, width)
        yield from self._as_blocks() if widths is None else self._as_table(widths)

    def _widths(self, shown: Sequence[int], width: int) -> dict[int, int] | None:
        """Return the widths of the columns, or None where they do not fit."""
        has_bars = any(self.align[k] == "b" for k in shown)
        found, least = {}, {}
        for k in shown:
            cells = [self.columns[k], *(row[k] for row in self._rows if isinstance(row, tuple))]
            lines = [line for cell in cells for line in Text.from_markup(cell).plain.split("\n")]
            found[k] = least[k] = max(map(cell_len, lines))
            if self.align[k].islower() and not has_bars:
                words = (word for line in lines for word in _BREAK.split(_keep_units(line)))
                least[k] = min(found[k], max(_LEAST, *(cell_len(word) + 1 for word in words)))
        while sum(found.values()) + _GAP * (len(found) - 1) > width:
            wide = max(found, key=lambda k: (found[k] > least[k], found[k]))
            if found[wide] == least[wide]:
                return None
            found[wide] -= 1
        return found

    def _as_table(self, widths: dict[int, int]) -> Iterator[Text | Wrapped]:
        heads = [tuple(self.columns)] if any(self.columns) else []
        for row in (*heads, *self._rows):
            if isinstance(row, Wrapped):
                yield row
                continue
            style = "bold" if heads and row is heads[0] else ""
            cells = {k: wrap(row[k], width, style=style) for k, width in widths.items()}
            for number in range(max(map(len, cells.values()))):
                line = Text()
                for k, lines in cells.items():
                    cell = lines[number] if number < len(lines) else Text()
                    cell.align("right" if self.align[k] in "rR" else "left", widths[k])
                    line += (Text(" " * _GAP) if line else Text()) + cell
                line.rstrip()
                yield line

    def _as_blocks(self) -> Iterator[Wrapped]:
        # A row goes by its first columns, up to its name.
        named = next((k for k, letter in enumerate(self.align) if letter in "lL"), 0) + 1
        heads = [head.replace("\n", " ") for head in self.columns]
        if any(heads[:named]):
            yield Wrapped(" ".join(filter(None, heads[:named])), "bold")
        for row in self._rows:
            if isinstance(row, Wrapped):
                yield row
                continue
            cells = [cell.replace("\n", "; ").strip() for cell in row]
            yield Wrapped(" ".join(filter(None, cells[:named])))
            said = [
                _keep(f"{head}: {cell}" if head else cell)
                for head, cell, letter in list(zip(heads, cells, self.align, strict=True))[named:]
                if letter != "b" and cell not in ("", "-")
            ]
            if said:
                yield Wrapped("; ".join(said), indent=2)


def text_table(*columns: str, align: str = "") -> TextTable:
    """Return an empty table; by default the first column is L, the others R."""
    return TextTable(columns, align or "L" + "R" * (len(columns) - 1))


def print_line(console: Console, markup: str, *, style: str = "", indent: int = 0) -> None:
    """Print a sentence in rich's markup; no line of it ends between a number and its unit."""
    console.print(Wrapped(markup, style, indent))


def wrap(markup: str, width: int, *, first: int | None = None, style: str = "") -> list[Text]:
    """Return the lines of a text in rich's markup, the first of another width where given."""
    lines = []
    for part in Text.from_markup(markup, style=style).split("\n", allow_blank=True):
        for line in part.divide(_breaks(part.plain, width, first or width)):
            line.rstrip()
            line.plain = line.plain.replace(_KEPT, " ")
            lines.append(line)
    return lines


def _keep(part: str) -> str:
    """Return a text that stays on one line if it is short."""
    return part.replace(" ", _KEPT) if len(part) <= _SHORT else part


def _keep_units(text: str) -> str:
    """Return a text of the same length with numbers, units and the ends of intervals as one."""
    return re.sub(r"(?<=\d) (?=\S)|(?<=\d to) (?=\d)|(?<=\dx) (?=[?=!])", _KEPT, text)


def _breaks(text: str, width: int, first: int) -> list[int]:
    """Return where the lines after the first begin."""
    text, start, found = _keep_units(text), 0, list[int]()
    while cell_len(text[start:]) > (room := max(width if found else first, 1)):
        fits = start + len(chop_cells(text[start:], room)[0])
        # What is longer than a line ends at a unit if it has to, or anywhere.
        ends = _ends(_BREAK, text, start, fits) or _ends(_UNIT, text, start, fits)
        start = ends[-1] if ends else max(fits, start + 1)
        found.append(start)
    return found


def _ends(pattern: re.Pattern[str], text: str, start: int, fits: int) -> list[int]:
    """Return where the next line may begin; the space before it need not fit."""
    matches = pattern.finditer(text, start + 1, fits + 2)
    return [end for match in matches if (end := match.end()) <= fits + match.group().isspace()]
