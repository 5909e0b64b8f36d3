"""What `seke annotate --status` and `seke runs status` print of a run, and of several."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from seke.cli import model_options as asking
from seke.cli.output import print_json, print_text, table_console

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

# What the table of several runs sums up of each account.
COUNTED = ("requests", "answers", "failed", "unknown", "spent", "perhaps")
# Its columns, and those that it has only where something is there.
HEAD = (
    "run",
    "shard",
    "settled",
    "of",
    "waiting",
    "answers",
    "failed",
    "unknown",
    "USD",
    "perhaps more",
    "last",
)
OPTIONAL = ("shard", "waiting", "failed", "unknown", "USD", "perhaps more", "last")


def print_status(folder: Path, *, as_json: bool) -> None:
    """Print what a run has done so far, also while a process is at it."""
    from dataclasses import asdict

    from seke.annotation.run_shard import shard_in
    from seke.runs.failures import failure_lines, failures_of
    from seke.runs.ledger import last_request, process_at, status_of, totals_by_observer
    from seke.runs.read_counts import read_counts, read_lines

    facts, settled, totals = status_of(folder)
    several = totals_by_observer(folder) if facts.get("also") else []
    failures = failures_of(folder)
    process, last = process_at(folder), last_request(folder)
    if as_json:
        by_observer = (
            {"observers": [asdict(observer_totals) for observer_totals in several]} if several else {}
        )
        about_requests = {"totals": asdict(totals), "failures": failures, "reading": read_counts(folder)}
        state = {"settled": settled, "running": process is not None, "last": last}
        print_json({**facts, **state, **about_requests, **by_observer})
        return
    shard = shard_in(facts)
    settings = (str(facts.get(name)) for name in ("observer", "knowledge", "strategy"))
    print_text(
        f"{folder}: {f'shard {shard}, ' if shard else ''}{facts.get('model')} as {', '.join(settings)}"
    )
    for observer, model in facts.get("also", {}).items():
        print_text(f"  besides {model} as {observer}")
    print_text(f"  {settled:,} of {facts.get('items', 0):,} items are settled")
    for people, count in facts.get("waiting", {}).items():
        print_text(f"  {count:,} wait{'s' * (count == 1)} for {people}")
    at_it = "no process is at it now" if process is None else f"under way, by process {process}".rstrip()
    print_text(f"  {at_it}" + ("" if last is None else f"; last request {_ago(last)}"))
    print_text(f"  {asking.account_line(totals)}")
    for line in (*failure_lines(failures), *read_lines(read_counts(folder))):
        print_text(f"  {line}")
    for observer_totals in several:
        spent = f"; {observer_totals.spent:.4f} USD" if observer_totals.answers else ""
        if observer_totals.unpriced and not observer_totals.spent:
            spent = "; no prices known"
        print_text(
            f"  {observer_totals.observer}: {observer_totals.answers:,} answers in "
            f"{observer_totals.requests:,} requests{spent}"
        )
    for line in _price_status(facts):
        print_text(f"  {line}")


def print_statuses(folders: Sequence[Path], *, as_json: bool) -> None:
    """Print what several runs have done so far, and their sum."""
    from seke.annotation.run_shard import shard_in
    from seke.runs.ledger import last_request, process_at, status_of

    rows: list[dict[str, Any]] = []
    # One that is named twice counts once, under the name that was given first.
    named: dict[Path, Path] = {}
    for folder in folders:
        named.setdefault(folder.resolve(), folder)
    for folder in named.values():
        facts, settled, totals = status_of(folder)
        shard = shard_in(facts)
        counts = {"items": facts.get("items", 0), "settled": settled}
        counts["waiting"] = sum(facts.get("waiting", {}).values())
        row = {"run": str(folder), "shard": shard and str(shard), **counts}
        row |= {name: getattr(totals, name) for name in COUNTED}
        rows.append(row | {"last": last_request(folder), "running": process_at(folder) is not None})
    if all(row["shard"] for row in rows):
        rows.sort(key=lambda row: [int(part) for part in row["shard"].split("/")])
    total = {name: sum(row[name] for row in rows) for name in ("items", "settled", "waiting", *COUNTED)}
    total["last"] = max((row["last"] for row in rows if row["last"]), default=None)
    total["running"] = any(row["running"] for row in rows)
    if as_json:
        print_json({"runs": rows, "total": total})
        return
    from seke.console.stacked_table import print_rows

    lines = [_status_cells(row) for row in (*rows, {"run": "all", **total})]
    empty = {
        place
        for place, title in enumerate(HEAD)
        if title in OPTIONAL and not any(cells[place] for cells in lines)
    }
    kept = [place for place in range(len(HEAD)) if place not in empty]
    shown = [[cells[place] for place in kept] for cells in lines]
    print_rows(table_console(), [HEAD[place] for place in kept], shown, ("run", "settled", "of"), ("run",))


def _status_cells(row: Mapping[str, Any]) -> list[str]:
    """Return the cells of a run in the table of several; empty where there is nothing to say."""
    counts = [f"{row[name]:,}" if row[name] else "" for name in ("waiting", "answers", "failed", "unknown")]
    money = [f"{row[name]:.4f}" if row[name] else "" for name in ("spent", "perhaps")]
    last = "" if row["last"] is None else _ago(row["last"])
    if row["running"]:
        last = f"{last}, under way".removeprefix(", ")
    return [
        row["run"],
        row.get("shard") or "",
        f"{row['settled']:,}",
        f"{row['items']:,}",
        *counts,
        *money,
        last,
    ]


def _ago(when: float) -> str:
    """Return how long ago a time is, in its largest whole unit; when: seconds since 1970."""
    seconds = time.time() - when
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length:.0f} {unit} ago"
    return f"{max(seconds, 0):.0f} s ago"


def _price_status(facts: Mapping[str, Any]) -> list[str]:
    """Return in words by which prices of questions a run asks."""
    from seke.annotation.measured_prices import ESTIMATED, price_lines

    begun = "as the base declares them"
    estimated = [f"  {line}" for line in price_lines(facts.get(ESTIMATED, {}))]
    if estimated:
        begun = "estimated from the lengths of texts, picture and answers"
    if not facts.get("pilot"):
        return [f"prices of questions: {begun}", *estimated]
    count = len(facts["pilot"])
    if "prices" not in facts:
        return [f"prices of questions: {begun}, until the first {count} items are settled", *estimated]
    if not facts["prices"]:
        return [f"prices of questions: {begun}; the first {count} items had too few answers", *estimated]
    headline = f"prices of questions: measured on the first {count} items, and used for all others"
    return [headline, *(f"  {line}" for line in price_lines(facts["prices"]))]
