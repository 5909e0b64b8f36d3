"""What the commands print of a run that they have ended."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from seke.cli import model_options as asking
from seke.cli.output import print_json, print_message, print_text, say_next

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from seke.annotation.run_summary import RunSummary

# Why items without any answer are rejected.
UNANSWERED = "unanswered"


def print_conclusion(summary: RunSummary, folder: Path, base: Sequence[str], *, as_json: bool) -> bool:
    """Print what the run did; return whether something of it is open or its guarantee is refused.

    base: options that name the run's base and population, as typed.
    """
    from seke.runs.failures import failure_lines
    from seke.runs.item_list import ITEMS, KnownItem, decoded_lines
    from seke.runs.read_counts import read_lines

    if as_json:
        print_json(summary.as_facts())
    else:
        total = sum(summary.items.values())
        print_text(
            f"{total:,} items: "
            + ", ".join(f"{count:,} {name}" for name, count in sorted(summary.items.items()))
        )
        for reason, count in summary.reasons.items():
            print_text(f"  rejected {count:,}: {reason}")
        per_item = summary.per_item
        print_text(
            f"  {per_item['mean']:.2f} samples an item ({per_item['q05']} to {per_item['q95']}); "
            f"this call took {summary.seconds:,.1f} s"
        )
        if summary.facts["also"] or len(summary.observers) > 1:
            print_text(f"  answers of {', '.join(f'{name} {n:,}' for name, n in summary.observers.items())}")
        shares = (f"{name.replace('_', ' ')} {share:.0%}" for name, share in summary.levels.items())
        print_text(f"  values accepted: {', '.join(shares)}")
        print_text(f"  {asking.account_line(summary.totals)}")
        for line in (*failure_lines(summary.failures), *read_lines(summary.reading)):
            print_text(f"  {line}")
        print(folder / "posteriors.jsonl")
    # Promises name the items that they are refused for.
    refused = [f"the guarantee is refused: {reason}" for reason in summary.refused if not summary.promises]
    for line in (*summary.notes, *summary.promises, *refused):
        print_message(line)
    unanswered = summary.reasons.get(UNANSWERED, 0)
    if unanswered and not summary.stopped:
        print_message(f"no answer came about {unanswered:,} items; the same command asks about them again")
    if summary.stopped:
        more_money = " with a higher --max-cost" if "could exceed" in summary.stopped else ""
        print_message(f"stopped before the end: {summary.stopped}; the same command{more_money} continues")
    else:
        for first in islice(decoded_lines(folder / ITEMS, KnownItem), 1):
            say_next(["seke", "explain", folder, first.item, *base])
    return bool(summary.stopped or summary.refused or unanswered or not summary.finished)
