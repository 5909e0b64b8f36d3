"""A plan for people: a table on the terminal."""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING, Any, Protocol

from seke.console.rich_table import text_table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console
    from rich.table import Table

    Record = dict[str, Any]

# Columns of the terminal from which the table has room for reasons, and for questions beside them.
WITH_REASONS, WITH_QUESTIONS = 100, 118


class PlanFigures(Protocol):
    """The figures that are shown."""

    @property
    def about(self) -> Record:
        """Return what they are about."""

    @property
    def rows(self) -> tuple[Record, ...]:
        """Return the records of rows."""


def show(plan: PlanFigures, console: Console) -> None:
    """Print the figures of each setting, the ceiling, and the totals of a whole data set."""
    heads = ["setting", "calls\n(5-95 %)", "cost", "level", "accepted", "wrong\n(95 %)", "stated"]
    heads += ["rejected"] * (console.width >= WITH_REASONS) + ["asked"] * (console.width >= WITH_QUESTIONS)
    rows: list[tuple[str, ...]] = []
    for row in plan.rows:
        rows += [()] * bool(rows) + [cells[: len(heads)] for cells in _lines(row, heads)]
    console.print(text_table(heads, rows, folded=("setting", "rejected", "asked")))
    shares = ", ".join(
        f"{level.replace('_', ' ')} {percent(part)}" for level, part in plan.about["ceiling"].items()
    )
    observers = " and ".join(plan.about["observers"])
    console.print(
        f"\naccepted with endless answers of {observers} by the limits as declared (×1), if they are as "
        f"declared: {shares}; a policy that stops where answers look good may get a little more"
    )
    for name in plan.rows[0].get("people", ()):
        waits = ", ".join(f"{row['setting']} {percent(row['people'][name])}" for row in plan.rows)
        console.print(f"items that would wait for {name}: {waits}")
    totals = [row for row in plan.rows if "total" in row]
    if totals:
        console.print()
        console.print(_totals(totals))


def _lines(row: Record, heads: list[str]) -> Iterator[tuple[str, ...]]:
    """Yield a line for the items, and one for each level."""
    calls = row["calls"]
    counts = f"{calls['mean']:.1f} ({calls['q05']:g}-{calls['q95']:g})"
    first = [(row["setting"], counts, f"{row['cost']['mean']:.2f}")]
    levels = [("whole items", percent(row["accepted"]["share"]), _interval(row["wrong"]), "")]
    for name, figures in row["levels"].items():
        stated = "" if figures["stated"] is None else percent(figures["stated"])
        shares = percent(figures["accepted"]["share"]), _interval(figures["wrong"])
        levels.append((name.replace("_", " "), *shares, stated))
    reasons = [f"{reason} {percent(part)}" for reason, part in row["reasons"].items() if "rejected" in heads]
    asked = [f"{name} {mean:.2f}" for name, mean in row["asked"].items() if "asked" in heads]
    for head, level, reason, question in zip_longest(first, levels, reasons, asked):
        yield (*(head or ("",) * 3), *(level or ("",) * 4), reason or "", question or "")


def percent(share: float) -> str:
    """Return a share as people write it: a digit after the point below 10 %."""
    return f"{100 * share:.0f} %" if share >= 0.0995 else f"{100 * share:.1f} %"


def _interval(share: Record) -> str:
    if not share["of"]:
        return "-"
    low, high = (percent(share[end]).removesuffix(" %") for end in ("low", "high"))
    return f"{percent(share['share'])} ({low}-{high})"


def _totals(rows: list[Record]) -> Table:
    names = ["calls", "cost"] + ["price"] * ("price" in rows[0]["total"])
    cells = []
    for row in rows:
        total = row["total"]
        digits = {name: ",.2f" if name == "price" else ",.0f" for name in names}
        numbers = (f"{total[name]:{d}} ±{total[f'{name}_error']:{d}}" for name, d in digits.items())
        cells.append((row["setting"], *numbers))
    return text_table([f"for {rows[0]['total']['items']:,} items", *names], cells)
