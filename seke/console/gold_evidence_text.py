"""Words about gold that is evidence, too: a data set's label among the answers about the same value."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seke.console.plain_text import first_names

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

KEEP = "--keep-gold-evidence"
# Variables that are named at most.
MOST_NAMED = 3


def gold_evidence_text(
    counts: Mapping[str, int], equal: Mapping[str, int] | None = None, observers: Sequence[str] = ()
) -> str:
    """Return which gold entered as evidence, too, such as "expression (200 items, 198 equal to the gold)".

    counts: variable -> items. equal: those whose label equals the gold, and observers: whose answers the
    labels are, both where known.
    """
    named = [
        f"{name} ({count:,} item{'s' * (count != 1)}"
        + ("" if equal is None else f", {equal[name]:,} equal to the gold")
        + ")"
        for name, count in counts.items()
    ]
    labels = f"a data set's labels ({', '.join(observers)})" if observers else "a data set's labels"
    return f"gold entered as evidence, too, as {labels}: {first_names(named, MOST_NAMED)}"
