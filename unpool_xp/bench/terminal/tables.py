"""How every table in the terminal looks."""

from __future__ import annotations

from rich.table import Table


def text_table(*columns: str, align: str = "") -> Table:
    """Return a table without lines, to which rows are added.

    `align` has a letter a column: l for left, r for right, in upper case for cells that never wrap.
    By default the first is L, the others R.
    """
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name, letter in zip(columns, align or "L" + "R" * (len(columns) - 1), strict=True):
        table.add_column(
            name,
            justify="left" if letter in "lL" else "right",
            no_wrap=letter.isupper(),
            overflow="fold",
        )
    return table
