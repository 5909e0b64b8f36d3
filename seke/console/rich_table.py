"""Text tables: columns without lines between them, numbers flush right."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from seke.console.terminal import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.table import Table
    from rich.text import Text

# Columns of a table that no terminal limits: more than any line has.
UNLIMITED = 100_000
NUMBER = re.compile(r"[-+.,%–±()!e\d ]*|nan")


# Columns between two cells, before the later lines of a row, and of a cell that wraps, at least.
GAP, INDENT, LEAST_FOLDED = 2, 2, 16


def text_table(
    head: Sequence[str], rows: Iterable[Sequence[str | Text]], folded: Iterable[str] = ()
) -> Table:
    """Return a table to print: a column of numbers stands to the right, and those named in `folded` wrap.

    head: titles of the columns, none for a table without them. Rows may be shorter than others.
    """
    from rich.table import Table
    from rich.text import Text

    lines = [[cell if isinstance(cell, Text) else Text(printable(cell)) for cell in row] for row in rows]
    table = Table(box=None, pad_edge=False, header_style="bold", show_header=bool(head))
    for place, title in enumerate(head or [""] * max(map(len, lines), default=0)):
        right = all(NUMBER.fullmatch(row[place].plain) for row in lines if place < len(row))
        wraps = title in folded
        table.add_column(
            Text(title),
            justify="right" if right else "left",
            no_wrap=not wraps,
            overflow="fold" if wraps else "ellipsis",
        )
    for row in lines:
        table.add_row(*row)
    return table


def table_lines(
    head: Sequence[str],
    rows: Iterable[Sequence[str | Text]],
    indent: str = "  ",
    width: int = UNLIMITED,
    folded: Iterable[str] = (),
) -> list[str]:
    """Return the lines of a table of plain text; width: of the longest line where columns wrap."""
    from rich.console import Console

    table = text_table(head, rows, folded)
    console = Console(width=width - len(indent))
    lines = console.render_lines(table, pad=False) if table.columns else []
    return [(indent + "".join(part.text for part in line)).rstrip() for line in lines]
