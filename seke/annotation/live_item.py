"""An item that is being asked about, and the order of its samples."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from seke.sampling.loop import Request
from seke.vision.messages import consecutive_runs

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
    observed: whether the observers that cost nothing have looked at it, where there are any.
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
    observed: bool = True

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

    def drawn(self, line: ReadingKey) -> int:
        """Return how many draws of a line were asked for."""
        return self.lines[line].draws if line in self.lines else 0


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
