"""What a summary has counted as plain values, so that those of several shards become one."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine import LabelLooks
    from seke.console.infer_summary import InferSummary

# Attributes of `InferSummary` that add up: numbers, and numbers by name.
ADDED = (
    *("items", "reasons", "samples", "outside", "bases", "items_by_basis", "inferred", "read", "lacking"),
    *("overruled", "waiting", "doubt", "checks", "of_knowledge", "accepted", "accepted_risk"),
)


def counts_of(summary: InferSummary) -> dict[str, Any]:
    """Return what a summary has counted; what is 0 or empty is left out.

    Without the looks at labels and the open risks, which are a list of items, and without the table.
    """
    counts = {name: getattr(summary, name) for name in ADDED}
    counts |= {"seen": sorted(summary.seen), "why_outside": summary.why_outside}
    return {
        name: dict(value) if isinstance(value, Counter) else value for name, value in counts.items() if value
    }


def add_counts(summary: InferSummary, counts: Mapping[str, Any]) -> None:
    """Add to a summary what another one has counted."""
    for name in ADDED:
        before, further = getattr(summary, name), counts.get(name)
        if isinstance(before, Counter):
            before.update(further or {})
        else:
            setattr(summary, name, before + (further or 0))
    summary.seen.update(counts.get("seen", ()))
    summary.why_outside = summary.why_outside or counts.get("why_outside", "")


@dataclass(frozen=True)
class SummaryPart:
    """All that a summary has noted of some records, to be added to that of the records before them."""

    counts: dict[str, Any]
    looks: dict[str, LabelLooks]
    unresolved: dict[str, list[float | None]]
    rows: list[dict[str, Any]]


def part_of(summary: InferSummary, *, with_rows: bool) -> SummaryPart:
    """Return what a summary has noted; with_rows: also the records of its table."""
    rows = summary.rows if with_rows else []
    return SummaryPart(counts_of(summary), summary.looks, summary.unresolved, rows)


def add_part(summary: InferSummary, part: SummaryPart) -> None:
    """Add to a summary what another one has noted of the records that follow."""
    add_counts(summary, part.counts)
    summary.join_looks(part.looks)
    for name, risks in part.unresolved.items():
        summary.unresolved.setdefault(name, []).extend(risks)
    summary.keep_rows(part.rows)
