"""What `seke annotate --status` prints of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seke.cli import model_options as asking
from seke.cli.output import print_json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def print_status(folder: Path, *, as_json: bool) -> None:
    """Print what a run has done so far, also while a process is at it."""
    from dataclasses import asdict

    from seke.runs.failures import failure_lines, failures_of
    from seke.runs.ledger import status_of, totals_by_observer
    from seke.runs.read_counts import read_counts, read_lines

    facts, settled, totals = status_of(folder)
    several = totals_by_observer(folder) if facts.get("also") else []
    failures = failures_of(folder)
    if as_json:
        by_observer = (
            {"observers": [asdict(observer_totals) for observer_totals in several]} if several else {}
        )
        about_requests = {"totals": asdict(totals), "failures": failures, "reading": read_counts(folder)}
        print_json({**facts, "settled": settled, **about_requests, **by_observer})
        return
    settings = (str(facts.get(name)) for name in ("observer", "knowledge", "strategy"))
    print(f"{folder}: {facts.get('model')} as {', '.join(settings)}")
    for observer, model in facts.get("also", {}).items():
        print(f"  besides {model} as {observer}")
    print(f"  {settled:,} of {facts.get('items', 0):,} items are settled")
    for people, count in facts.get("waiting", {}).items():
        print(f"  {count:,} wait{'s' * (count == 1)} for {people}")
    print(f"  {asking.account_line(totals)}")
    for line in (*failure_lines(failures), *read_lines(read_counts(folder))):
        print(f"  {line}")
    for observer_totals in several:
        spent = f"; {observer_totals.spent:.4f} USD" if observer_totals.answers else ""
        if observer_totals.unpriced and not observer_totals.spent:
            spent = "; no prices known"
        print(
            f"  {observer_totals.observer}: {observer_totals.answers:,} answers in "
            f"{observer_totals.requests:,} requests{spent}"
        )
    for line in _price_status(facts):
        print(f"  {line}")


def _price_status(facts: Mapping[str, Any]) -> list[str]:
    """Return in words by which prices of questions a run asks."""
    from seke.annotation.measured_prices import ESTIMATED, price_lines

    begun = "as the base declares them"
    estimated = [f"  {line}" for line in price_lines(facts.get(ESTIMATED, {}))]
    if estimated:
        begun = "estimated from the lengths of texts, picture and answers"
    if "pilot" not in facts:
        return [f"prices of questions: {begun}", *estimated]
    count = len(facts["pilot"])
    if "prices" not in facts:
        return [f"prices of questions: {begun}, until the first {count} items are settled", *estimated]
    if not facts["prices"]:
        return [f"prices of questions: {begun}; the first {count} items had too few answers", *estimated]
    headline = f"prices of questions: measured on the first {count} items, and used for all others"
    return [headline, *(f"  {line}" for line in price_lines(facts["prices"]))]
