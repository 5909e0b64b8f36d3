"""What a run of annotation came to."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from seke.ledger import Totals


@dataclass(frozen=True)
class Summary:
    """What a run came to.

    items: by decision. reasons: of rejected ones, the first. samples: of all items, those of the set's own
    labels among them; per_item: mean and quantiles. asked: answers by question; observers: by who answered.
    levels: share of a level's values that are accepted. promises: what is guaranteed, in words; refused: why
    it is not, where it was to be. stopped: why a run ended before its end.
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

    def as_facts(self) -> dict[str, Any]:
        """Return everything as one mapping."""
        return asdict(self)
