"""Text tables: columns without lines between them, numbers flush right."""

from __future__ import annotations

import re
import textwrap
from typing import TYPE_CHECKING

from seke.console.terminal import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from rich.table import Table
    from rich.text import Text

# Columns of a table that no terminal limits: more than any line has.
UNLIMITED = 100_000
NUMBER = re.compile(r"[-+.,%–±()!e\d ]*|nan")


# Columns between two cells.
GAP = 2


def text_table(
    head: Sequence[str], rows: Iterable[Sequence[str | Text]], folded: Iterable[str | int] = ()
) -> Table:
    """Return a table to print: a column of numbers stands to the right, and those in `folded` wrap.

    folded: titles of columns, or their numbers.
    head: titles of the columns, none for a table without them. Rows may be shorter than others.
    """
    from rich.table import Table
    from rich.text import Text

    lines = [[cell if isinstance(cell, Text) else Text(printable(cell)) for cell in row] for row in rows]
    table = Table(box=None, pad_edge=False, header_style="bold", show_header=bool(head))
    for place, title in enumerate(head or [""] * max(map(len, lines), default=0)):
        right = all(NUMBER.fullmatch(row[place].plain) for row in lines if place < len(row))
        wraps = title in folded or place in folded
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
    folded: Iterable[str | int] = (),
) -> list[str]:
    """Return the lines of a table of plain text.

    width: of the longest line where columns wrap. Of a table without such columns that is wider the titles
    wrap, and where that is not enough it is told in several tables, one below the other.
    """
    from rich.console import Console

    rows, folded = list(rows), tuple(folded)
    if head and not folded and width < UNLIMITED:
        parts = list(_narrow_parts(head, rows, width - len(indent)))
        if len(parts) > 1:
            return [line for part in parts for line in (*table_lines(*part, indent), "")][:-1]
        head, rows = parts[0]
    table = text_table(head, rows, folded)
    console = Console(width=width - len(indent))
    lines = console.render_lines(table, pad=False) if table.columns else []
    return [(indent + "".join(part.text for part in line)).rstrip() for line in lines]


def _narrow_parts(
    head: Sequence[str], rows: Sequence[Sequence[str | Text]], width: int
) -> Iterator[tuple[list[str], list[Sequence[str | Text]]]]:
    """Yield a table in parts of at most a width, where one column is not wider; each has the first column."""
    cells = [
        max((_columns(row[place]) for row in rows if place < len(row)), default=0)
        for place in range(len(head))
    ]
    if sum(map(max, cells, map(_columns, head))) + GAP * (len(head) - 1) <= width:
        yield list(head), list(rows)
        return
    titles = [_wrapped_title(title, wide) for title, wide in zip(head, cells, strict=True)]
    widths = [max(wide, *map(_columns, title.split("\n"))) for title, wide in zip(titles, cells, strict=True)]
    shown = [0]
    for place in range(1, len(head)):
        if len(shown) > 1 and sum(widths[at] + GAP for at in shown) + widths[place] > width:
            yield _selected(titles, rows, shown)
            shown = [0]
        shown.append(place)
    yield _selected(titles, rows, shown)


def _selected(
    titles: Sequence[str], rows: Sequence[Sequence[str | Text]], places: Sequence[int]
) -> tuple[list[str], list[Sequence[str | Text]]]:
    return [titles[at] for at in places], [[row[at] for at in places if at < len(row)] for row in rows]


def _wrapped_title(title: str, wide: int) -> str:
    """Return a title in lines as wide as the cells, or as its longest word."""
    return "\n".join(textwrap.wrap(title, max([wide, *map(len, title.split())], default=1) or 1))


def _columns(cell: str | Text) -> int:
    """Return the columns of the terminal that a cell takes."""
    from rich.cells import cell_len

    return cell_len(cell if isinstance(cell, str) else cell.plain)
