"""How much gold is needed, for people and as facts for programs."""

from __future__ import annotations

import textwrap
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from seke.calibration.gold_plan import AMOUNTS, FACTORS, MET, OFTEN, SD
from seke.console.columns import columns, count

if TYPE_CHECKING:
    from collections.abc import Iterator

    from seke.calibration.gold_plan import Needed, Plan

WIDTH = 100


def text_of(plan: Plan) -> str:
    """Return the plan as text."""
    return "\n".join(_lines(plan)) + "\n"


def facts_of(plan: Plan) -> dict[str, Any]:
    """Return the plan as one mapping."""
    return {
        "items": plan.items,
        "alpha": plan.promise.alpha,
        "delta": plan.promise.delta,
        "wrong_as_stated_times": list(FACTORS),
        "probability": OFTEN,
        "certificates": [asdict(one) for one in plan.needed],
        "sd": SD,
        "rows": [asdict(one) for one in plan.rows],
        "met": {name: {"items": items, "ratio": ratio} for name, (items, ratio) in plan.met.items()},
    }


def _lines(plan: Plan) -> Iterator[str]:
    promise = f"at most {100 * plan.promise.alpha:g} % wrong, all at once with probability "
    yield f"Gold for certificates: {promise}{1 - plan.promise.delta:g}"
    yield from _wrapped(
        f"items of gold with which a value is certified four times of five, imagined on "
        f"{count(plan.items, 'item')}; a third of it fits. Where items cluster it is subjects that count."
    )
    hopeful = [one for one in plan.needed if any(one.amounts)]
    titles = [title for factor in FACTORS for title in (_titled(factor), "accepted")]
    yield from columns(("value", "decided", "wrong", *titles), [_row(one) for one in hopeful])
    hopeless = [f"{one.variable} {one.value}" for one in plan.needed if not any(one.amounts)]
    if hopeless:
        yield from _wrapped(f"not with {AMOUNTS[-1]:,} either: {', '.join(hopeless)}")
    told = {name: ratio for name, (items, ratio) in plan.met.items() if items >= MET}
    if told:
        shown = ", ".join(f"{name} {ratio:.2f}" for name, ratio in told.items())
        yield from _wrapped(f"wrong in the gold for each that was stated to be: {shown}")
    elif plan.needed:
        yield from _wrapped(
            "imagined from stated risks alone; give some gold to plan with the errors that it shows"
        )
    yield ""
    yield f"Gold to know how often an observer is right, to a standard deviation of {SD:g}"
    yield from _wrapped("items of gold in all, as they come; rows that few items have decide")
    rows = [
        (
            f"{one.observer} {one.variable} {one.state}",
            f"{one.share:.1%}",
            f"{one.right:.2f}",
            f"{one.sd:.2f}",
            "-" if one.gold is None else f"{one.gold:,}",
        )
        for one in plan.rows
    ]
    yield from columns(("truth", "of items", "right", "± now", "gold"), rows)


def _titled(factor: float) -> str:
    return "gold" if factor == 1 else f"gold if {factor:g} times as wrong"


def _row(one: Needed) -> tuple[str, ...]:
    cells = []
    for amount, coverage in zip(one.amounts, one.coverage, strict=True):
        cells += ["-", "-"] if amount is None else [f"{amount:,}", f"{coverage:.0%}"]
    return f"{one.variable} {one.value}", f"{one.decided:.0%}", f"{one.wrong:.0%}", *cells


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent="  ", subsequent_indent="  ")
