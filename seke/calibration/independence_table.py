"""How far answers err together, for people: tables on the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from seke.console.rich_table import table_lines, text_table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import Console

    Record = dict[str, Any]

TITLES = {
    "draws": "Draws of a reading: the first against the second",
    "readings": "Readings of an observer",
    "observers": "Observers",
}
HEADS: tuple[str, ...] = ("", "items", "right", "both wrong", "by chance", "ratio", "same answer")
HEADS += ("wrong if the other is", "declared", "phi")
DECLARED = HEADS.index("declared")
# Columns that a narrow terminal leaves out, in this order.
DISPENSABLE = ("same answer", "ratio", "items", "by chance", "both wrong", "right", "phi")
# Marks a declared figure outside the measured interval.
OUTSIDE = "!"


class PairFigures(Protocol):
    """The figures that are shown."""

    @property
    def about(self) -> Record:
        """Return what they are about."""

    @property
    def pairs(self) -> tuple[Record, ...]:
        """Return the records of pairs."""

    @property
    def effective(self) -> tuple[Record, ...]:
        """Return the records of effective."""


def show(result: PairFigures, console: Console) -> None:
    """Print a table for each kind of pair, and how many independent answers they are worth."""
    from rich.text import Text

    for number, kind in enumerate(kind for kind in TITLES if any(p["kind"] == kind for p in result.pairs)):
        if number:
            console.print()
        console.print(Text(TITLES[kind], style="bold"))
        _show_pairs([pair for pair in result.pairs if pair["kind"] == kind], console)
    console.print()
    console.print(
        Text("Effective number of independent answers (a summary; inference does not use it)", style="bold")
    )
    for line in effective_lines(result.effective):
        console.print(Text(line))
    if any(OUTSIDE in cells[DECLARED] for pair in result.pairs for cells in pair_cells(pair)):
        level = f"{100 * result.about['level']:g} %"
        console.print()
        console.print(Text(f"{OUTSIDE} the declared figure lies outside the measured {level} interval"))


def _show_pairs(pairs: Sequence[Record], console: Console) -> None:
    rows = [dict(zip(HEADS, cells, strict=True)) for pair in pairs for cells in pair_cells(pair)]
    for omitted in range(len(DISPENSABLE) + 1):
        heads = [head for head in HEADS if head not in DISPENSABLE[:omitted]]
        cells = [[row[head] for head in heads] for row in rows]
        if max(map(len, table_lines(heads, cells, indent=""))) <= console.width:
            break
    console.print(text_table(heads, cells))


def pair_cells(pair: Record) -> Iterator[tuple[str, ...]]:
    """Yield two lines of cells, one for each side of a pair."""
    names = [pair["a"], pair["b"]]
    if pair["kind"] == "draws":
        names = [f"{pair['observer']}, {pair['reading']}", ""]
    elif pair["kind"] == "readings":
        names = [f"{pair['observer']}, {pair['a']}", f"{' ' * len(pair['observer'])}  {pair['b']}"]
    elif pair["family"]:
        names[1] += f" (family {pair['family']})"
    both = (
        str(pair["items"]),
        decimal(pair["both_wrong"]),
        decimal(pair["chance"]),
        decimal(pair["ratio"]),
        decimal(pair["same_wrong_answer"]),
        interval(pair["phi"]),
    )
    keys = ("a_wrong_given_b_wrong", "b_wrong_given_a_wrong")
    for side, key in enumerate(keys):
        items, *shares, phi = both if not side else ("",) * len(both)
        also_wrong = pair[key]
        declared = pair["declared"][key]
        mark = OUTSIDE if _outside(declared, also_wrong) else ""
        yield (
            names[side],
            items,
            decimal(pair["accuracy"][side]),
            *shares,
            interval(also_wrong),
            f"{mark} {decimal(declared)}".strip(),
            phi,
        )


def _outside(value: float | None, measured: Record) -> bool:
    low, high = measured["low"], measured["high"]
    return value is not None and low is not None and not low <= value <= high


def decimal(value: float | None) -> str:
    """Return a number with two decimal places, a dash where it is not defined."""
    return "-" if value is None else f"{value:.2f}"


def interval(measured: Record) -> str:
    """Return a value and its interval."""
    if measured["low"] is None:
        return decimal(measured["value"])
    return f"{decimal(measured['value'])} ({decimal(measured['low'])} to {decimal(measured['high'])})"


def effective_lines(effective: Sequence[Record]) -> Iterator[str]:
    """Yield a line for each set of answers."""
    for record in effective:
        names = [record[key] for key in ("observer", "reading") if key in record]
        count, kind = record["count"], record["kind"]
        answer_set = f"{count} {kind}" + (f" of {', '.join(names)}" if names else "")
        if record["effective"] is None:
            yield f"{answer_set}: not defined, errors correlate by {decimal(record['correlation'])}"
        else:
            worth, correlation = record["effective"], decimal(record["correlation"])
            yield f"{answer_set}: {worth:.2f} (errors correlate by {correlation})"
