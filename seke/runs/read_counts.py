"""How many answers of a run were read whole, in part, or not at all, with an example of each."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from seke.runs.ledger import NAME, plain_errors

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from seke.vision.messages import Choice

# How an answer was read -> in words. Refused answers, and those that judge nothing, are counted elsewhere.
WAYS = {"whole": "whole", "in_part": "in part", "unread": "not at all"}
# Characters of an example.
LONGEST_EXAMPLE = 120
COUNTS = """
SELECT CASE WHEN status = 'unreadable' THEN 'unread'
WHEN json_extract(record, '$.extra.unread') IS NOT NULL THEN 'in_part' ELSE 'whole' END AS way,
count(*), min(request), item, question, text, json_extract(record, '$.extra.unread')
FROM choices WHERE passed_over = 0 AND status IN ('ok', 'unreadable') GROUP BY way
"""


def way_of(record: Mapping[str, Any]) -> str | None:
    """Return how the answer of a record was read; None where it is refused or judges nothing."""
    status = record.get("status", "ok")
    if status == "unreadable":
        return "unread"
    if status != "ok":
        return None
    return "in_part" if record.get("extra", {}).get("unread") else "whole"


def example_of(item: str, question: str, text: str, unread: list[str]) -> str:
    """Return an answer in short: what of it was not read, or how it begins."""
    words = "; ".join(unread) if unread else " ".join(text.split())
    shortened = words if len(words) <= LONGEST_EXAMPLE else f"{words[:LONGEST_EXAMPLE]}..."
    return f"{item}, {question}: {'without ' if unread else ''}{shortened!r}"


@dataclass
class ReadTally:
    """How the answers of a process were read: ways, each with its number."""

    ways: Counter[str] = field(default_factory=Counter)

    def add(self, records: Sequence[Mapping[str, Any]], choices: Sequence[Choice]) -> Iterator[str]:
        """Count answers; yield in words the first that is read in part, and the first that is not read."""
        for record, choice in zip(records, choices, strict=True):
            way = way_of(record)
            if way is None:
                continue
            self.ways[way] += 1
            if way != "whole" and self.ways[way] == 1:
                unread = record.get("extra", {}).get("unread", [])
                example = example_of(record["item"], record["question"], choice.text, unread)
                yield f"the first answer that is read {WAYS[way]}: {example}"


def read_counts(folder: Path) -> dict[str, dict[str, Any]]:
    """Return how answers were read -> count and example, also while a process is at the run.

    Raises:
        engine.SekeError: the ledger cannot be read.
    """
    with (
        plain_errors(folder),
        closing(sqlite3.connect(f"file:{folder / NAME}?mode=ro", timeout=30, uri=True)) as db,
    ):
        rows = {way: row for way, *row in db.execute(COUNTS)}
    counts = {}
    for way in WAYS:
        if way in rows:
            count, _, item, question, text, unread = rows[way]
            example = example_of(item, question, text, json.loads(unread or "[]"))
            counts[way] = {"count": count, "example": example}
    return counts


def read_lines(counts: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Yield lines on how answers were read; none where all were read whole."""
    if not counts:
        return
    parts = [f"{counts[way]['count']:,} {WAYS[way]}" for way in WAYS if way in counts]
    yield f"answers read: {', '.join(parts)}"
    if set(counts) != {"whole"}:
        yield from (f"  {WAYS[way]}, such as {counts[way]['example']}" for way in WAYS if way in counts)
