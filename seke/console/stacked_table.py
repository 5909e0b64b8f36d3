"""Tables whose rows take several lines on a narrow terminal: what a wide one shows, they show, too."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seke.console.rich_table import NUMBER, text_table
from seke.console.terminal import printable

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from rich.console import Console
    from rich.text import Text

    Row = Sequence[str | Text]

# Columns of the terminal between two cells, and before all lines of a row but its first.
GAP, INDENT = 2, 2
# Columns that a cell that wraps has at least.
LEAST_FOLDED = 20


def print_rows(
    console: Console, head: Sequence[str], rows: Sequence[Row], first: Sequence[str], folded: Collection[str]
) -> None:
    """Print a table, or where its lines are too long for the terminal several lines for each row.

    first: the columns on a row's first line then; the others follow in their order, as many on each line as
    there is room for. folded: the columns that wrap; the first column does so, too, on lines of its own.
    """
    widths = [max(map(_width, cells)) for cells in zip(head, *rows, strict=True)]
    least = [
        min(width, LEAST_FOLDED) if title in folded else width
        for title, width in zip(head, widths, strict=True)
    ]
    if sum(least) + GAP * (len(head) - 1) <= console.width:
        console.print(text_table(head, rows, folded))
        return
    lines = [[head.index(title) for title in first]]
    room = 0
    for column in (column for column in range(len(head)) if head[column] not in first):
        if least[column] > room:
            lines.append([])
            room = console.width - INDENT
        lines[-1].append(column)
        room -= least[column] + GAP
    numeric = [
        all(NUMBER.fullmatch(_plain(cell)) for cell in cells) for cells in zip(*rows, strict=True)
    ] or [False] * len(head)
    wraps = {head.index(title) for title in (head[0], *folded)}
    for number, columns in enumerate(lines):
        indent = INDENT if number else 0
        room = console.width - indent - GAP * (len(columns) - 1)
        fixed = sum(widths[column] for column in columns if column not in wraps)
        shared = [column for column in columns if column in wraps]
        for place, column in enumerate(shared):
            # Those that wrap share what the others leave; a short one gives the next ones its rest.
            widths[column] = max(min(widths[column], (room - fixed) // (len(shared) - place)), 1)
            fixed += widths[column]
    for row in (head, *rows):
        for number, columns in enumerate(lines):
            _print_line(
                console,
                [(row[column], widths[column], numeric[column]) for column in columns],
                indent=INDENT if number else 0,
                style="bold" if row is head else "",
            )


def _print_line(
    console: Console, cells: Sequence[tuple[str | Text, int, bool]], *, indent: int, style: str
) -> None:
    """Print cells in columns of these widths, numbers to the right; they wrap where they are longer."""
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, show_header=False)
    for _, width, is_number in cells:
        table.add_column(width=width, overflow="fold", justify="right" if is_number else "left")
    table.add_row(
        *(cell if isinstance(cell, Text) else Text(printable(cell)) for cell, _, _ in cells), style=style
    )
    console.print(Padding(table, (0, 0, 0, indent)))


def _plain(cell: str | Text) -> str:
    return printable(cell) if isinstance(cell, str) else cell.plain


def _width(cell: str | Text) -> int:
    """Return how many columns of a terminal a cell takes."""
    from rich.cells import cell_len

    return cell_len(_plain(cell))
