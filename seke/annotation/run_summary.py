"""The summary of a run of annotation."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from seke.files.text_report import TextReport

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from seke.runs.ledger import Totals


@dataclass(frozen=True, repr=False)
class RunSummary(TextReport):
    """What a run came to.

    items: by decision. reasons: of rejected ones, the first. samples: of all items, those of the set's own
    labels among them; per_item: mean and quantiles. asked: answers by question; observers: by who answered.
    waiting: how many items wait for which people. contradicted_labels: of a variable with labels of the set,
    how many looks contradict these, and how many would, as declared (`infer_summary.Summary.contradictions`).
    reading: how answers were read (`whole`, `in_part`, `unread`), each with its count and an example.
    levels: share of a level's values that are accepted. promises: what is guaranteed, in words; refused: why
    it is not, where it was to be. stopped: why a run ended before its end. failures: the most frequent
    reasons why requests brought no whole answer (`failures.failures_of`).
    """

    items: Mapping[str, int]
    reasons: Mapping[str, int]
    samples: int
    per_item: Mapping[str, float]
    asked: Mapping[str, int]
    levels: Mapping[str, float]
    totals: Totals
    seconds: float
    finished: bool
    stopped: str = ""
    promises: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    observers: Mapping[str, int] = field(default_factory=dict)
    waiting: Mapping[str, int] = field(default_factory=dict)
    contradicted_labels: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    failures: tuple[Mapping[str, Any], ...] = ()
    reading: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __str__(self) -> str:
        decided = ", ".join(f"{number:,} {name}" for name, number in self.items.items() if number)
        lines = [
            f"{sum(self.items.values()):,} items: {decided or 'nothing'} in {self.seconds:,.0f} s",
            f"{sum(self.asked.values()):,} answers, {self.samples:,} samples with labels and those of before",
        ]
        if self.stopped:
            lines.append(
                f"stopped: {self.stopped}; what came is kept in the folder, and the same call goes on"
            )
        reasons = (f"the guarantee is refused: {reason}" for reason in self.refused)
        return "\n".join([*lines, *self.promises, *self.notes, *reasons])

    def as_facts(self) -> dict[str, Any]:
        """Return everything as one mapping; what a run may have or not, where there is any."""
        facts = asdict(self)
        for name in ("waiting", "contradicted_labels", "failures"):
            if not facts[name]:
                del facts[name]
        return facts


def spread_of(counts: Sequence[int]) -> dict[str, float]:
    """Return mean and quantiles."""
    low, middle, high = np.quantile(counts, (0.05, 0.5, 0.95), method="inverted_cdf")
    return {"mean": round(float(np.mean(counts)), 3), "q05": int(low), "q50": int(middle), "q95": int(high)}
