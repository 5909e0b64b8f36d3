"""An item that is being asked about, and the order of its samples."""

from __future__ import annotations

import zlib
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from engine import view_in_form
from seke.annotation.reuse import consecutive_runs
from seke.sampling.loop import Request

if TYPE_CHECKING:
    from collections.abc import Iterable

    from seke.datasets.manifest import Item
    from seke.runs.ledger import ReadingRequests
    from seke.sampling.loop import ReadingKey
    from seke.vision.messages import Prompt

    Record = dict[str, Any]


@dataclass
class LiveItem:
    """An item that is being asked about. reason: why it is to be closed, None while it is not.

    silent: observers other than the first that gave no answer about it, and are not asked again. states: of a
    categorical variable that is asked about alone, the two likeliest, in their declared order. stated: of a
    line what its prompt states that the observer answered before; against: what contradicts that, in words.
    """

    item: Item
    records: list[Record]
    lines: dict[ReadingKey, ReadingRequests]
    prompts: dict[ReadingKey, Prompt] = field(default_factory=dict)
    doubt: tuple[str, ...] = ()
    reason: str | None = None
    silent: frozenset[str] = frozenset()
    states: tuple[str, ...] = ()
    stated: dict[ReadingKey, str | bool | float | None] = field(default_factory=dict)
    against: str = ""

    def __post_init__(self) -> None:
        """Take what prompts stated from the records of an earlier process."""
        for record in self.records:
            for about, value in (record.get("given") or {}).items():
                key = tuple(record[name] for name in ("item", "observer", "question"))
                self.stated[(*key, about, record.get("view", ""))] = value

    def missing_requests(self) -> list[Request]:
        """Return the requests for draws that an earlier process asked for and did not receive."""
        return [
            Request(*line, start, samples)
            for line, asked in self.lines.items()
            for start, samples in consecutive_runs(asked.missing)
        ]

    def in_forms(self, request: Request, forms: int) -> list[Request]:
        """Return the requests for the draws of a request, split so that all forms come to have as many.

        An odd draw is of the declared form for one half of the items, of the reversed one for the other.
        """
        if forms == 1:
            return [request]
        lines = [(*request.line[:4], view_in_form(request.view, form)) for form in range(forms)]
        drawn = [self.lines[line].draws if line in self.lines else 0 for line in lines]
        shares = [0] * forms
        first = zlib.crc32(f"{request.item}/{request.about}".encode()) % forms
        for _ in range(request.samples):
            form = min(range(forms), key=lambda form: (drawn[form] + shares[form], (form - first) % forms))
            shares[form] += 1
        return [
            Request(*line, first, share)
            for line, first, share in zip(lines, drawn, shares, strict=True)
            if share
        ]


def renumber_draws(records: Iterable[Record]) -> list[Record]:
    """Return the samples of an item, sorted, with the draws of each reading numbered from 0.

    The ledger numbers the answers of each line; those that differ in what they are about are one reading.
    """

    def line(record: Record) -> tuple[Any, ...]:
        about = record.get("extra", {}).get("about", "")
        return record["observer"], record["question"], record.get("view", ""), about, record["draw"]

    counts: Counter[tuple[str, ...]] = Counter()
    renumbered = []
    for record in sorted(records, key=line):
        reading = line(record)[:3]
        renumbered.append({**record, "draw": counts[reading]})
        counts[reading] += 1
    return renumbered
