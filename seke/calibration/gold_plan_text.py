"""How much gold is needed, for people and as facts for programs."""

from __future__ import annotations

import textwrap
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from seke.calibration.gold_plan import AMOUNTS, ERROR_INFLATION, LEAST_GOLD, POWER, SD
from seke.console.guarantee_text import promise_text
from seke.console.plain_text import count
from seke.console.rich_table import table_lines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from seke.calibration.gold_plan import GoldPlan, GoldRequirement

WIDTH = 100
# The heading of each kind of calibration; what an earlier one certifies alike is not listed again.
TITLES = {"levels": "by level (--alpha)", "values": "by value (--each-value)", "pooled": "pooled (--pool)"}


def text_of(plan: GoldPlan) -> str:
    """Return the plan as text."""
    return "\n".join(_lines(plan)) + "\n"


def facts_of(plan: GoldPlan) -> dict[str, Any]:
    """Return the plan as one mapping."""
    return {
        "items": plan.items,
        "alpha": plan.promise.alpha,
        "delta": plan.promise.delta,
        "wrong_as_stated_times": list(ERROR_INFLATION),
        "probability": POWER,
        "certificates": [asdict(requirement) for requirement in plan.requirements],
        "sd": SD,
        "rows": [asdict(row) for row in plan.rows],
        "met": {name: {"items": items, "ratio": ratio} for name, (items, ratio) in plan.error_ratios.items()},
        "remarks": list(plan.remarks),
    }


def _lines(plan: GoldPlan) -> Iterator[str]:
    yield f"Gold for certificates: {promise_text(plan.promise.alpha, plan.promise.delta)}"
    yield from _wrap(
        f"items of gold with which it is certified in four of five simulations, based on "
        f"{count(plan.items, 'item')}. A third of the gold goes to the fit. If subjects have several items, "
        "count subjects instead."
    )
    for remark in plan.remarks:
        yield from _wrap(remark)
    titles = [title for factor in ERROR_INFLATION for title in (_column_title(factor), "accepted")]
    for breadth, title in TITLES.items():
        requirements = [requirement for requirement in plan.requirements if requirement.breadth == breadth]
        hopeful = [requirement for requirement in requirements if any(requirement.amounts)]
        hopeless = [requirement.about for requirement in requirements if not any(requirement.amounts)]
        if hopeful:
            yield from table_lines((title, "decided", "wrong", *titles), map(_row, hopeful))
        if hopeless:
            subject = "" if hopeful else f"{title}: "
            yield from _wrap(f"{subject}not even with {AMOUNTS[-1]:,}: {', '.join(hopeless)}")
    ratios = {name: ratio for name, (items, ratio) in plan.error_ratios.items() if items >= LEAST_GOLD}
    if ratios:
        shown = ", ".join(f"{name} {ratio:.2f}" for name, ratio in ratios.items())
        yield from _wrap(f"errors in the gold for each error that the stated risks predict: {shown}")
    elif plan.requirements:
        yield from _wrap(
            "simulated from the stated risks alone; with some gold the plan uses the errors that it shows"
        )
    yield ""
    yield f"Gold to know how often an observer is right, to a standard deviation of {SD:g}"
    yield from _wrap("items of gold in total, drawn at random; the rarest states need the most")
    rows = [
        (
            f"{row.observer} {row.variable} {row.state}",
            f"{row.share:.1%}",
            f"{row.right:.2f}",
            f"{row.sd:.2f}",
            "-" if row.gold is None else f"{row.gold:,}",
        )
        for row in plan.rows
    ]
    yield from table_lines(("truth", "of items", "right", "± now", "gold"), rows)


def _column_title(factor: float) -> str:
    return "gold" if factor == 1 else f"gold if {factor:g} times as many errors"


def _row(requirement: GoldRequirement) -> tuple[str, ...]:
    cells = []
    for amount, coverage in zip(requirement.amounts, requirement.coverage, strict=True):
        cells += ["-", "-"] if amount is None else [f"{amount:,}", f"{coverage:.0%}"]
    return (
        requirement.about,
        f"{requirement.decided:.0%}",
        f"{requirement.wrong:.0%}",
        *cells,
    )


def _wrap(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent="  ", subsequent_indent="  ")
