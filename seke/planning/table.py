"""A plan for people: a table on the terminal."""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from seke.planning.plan import Plan

    Record = dict[str, Any]

WITH_REASONS, WITH_QUESTIONS = 100, 118


def show(plan: Plan, console: Console) -> None:
    """Print what becomes of the items under each setting, and below it what all would cost."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    heads = ["setting", "calls (5-95 %)", "cost", "level", "accepted", "wrong (95 %)", "stated"]
    heads += ["rejected"] * (console.width >= WITH_REASONS) + ["asked"] * (console.width >= WITH_QUESTIONS)
    for head in heads:
        right = head in ("cost", "accepted", "wrong (95 %)", "stated")
        table.add_column(head, justify="right" if right else "left", no_wrap=True)
    for number, row in enumerate(plan.rows):
        if number:
            table.add_row()
        for cells in _lines(row, heads):
            table.add_row(*(Text(cell) for cell in cells[: len(heads)]))
    console.print(table)
    shares = ", ".join(
        f"{level.replace('_', ' ')} {percent(part)}" for level, part in plan.about["ceiling"].items()
    )
    observers = " and ".join(plan.about["observers"])
    console.print(f"\nendless answers of {observers}, as the base has them, would get accepted: {shares}")
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


def _totals(rows: list[Record]) -> Any:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    names = ["calls", "cost"] + ["price"] * ("price" in rows[0]["total"])
    table.add_column(f"for {rows[0]['total']['items']:,} items", no_wrap=True)
    for name in names:
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        total = row["total"]
        digits = {"price": ",.2f"}
        cells = [
            f"{total[name]:{digits.get(name, ',.0f')}} ±{total[f'{name}_error']:{digits.get(name, ',.0f')}}"
            for name in names
        ]
        table.add_row(row["setting"], *cells)
    return table
