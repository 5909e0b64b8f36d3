"""Answers without labels of a data set about values that gold tells, to be scored against this gold."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from engine import GoldEvidence

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from engine import Answers, Gold, Knowledge


class GoldTable(Protocol):
    """Whatever tells the gold of items, such as a label table."""

    def gold_of(self, items: Iterable[str]) -> Gold:
        """Return the gold of these items in their order, NaN where it is unknown."""


@dataclass
class BlindAnswers:
    """Leaves labels of data sets out where a table of gold tells the same value, and counts them.

    counts, equal: items by variable, and those whose label equals the gold. hollow: items about which nothing
    else was answered; they are left out.
    """

    base: Knowledge
    table: GoldTable
    counts: Counter[str] = field(default_factory=Counter)
    equal: Counter[str] = field(default_factory=Counter)
    observers: dict[str, None] = field(default_factory=dict)
    hollow: int = 0

    def add(self, further: Mapping[str, Any]) -> None:
        """Add what was counted elsewhere: `counts`, `equal`, `observers` and `hollow` by their names."""
        self.counts.update(further["counts"])
        self.equal.update(further["equal"])
        self.observers |= dict.fromkeys(further["observers"])
        self.hollow += further["hollow"]

    def of(self, batches: Iterable[Answers]) -> Iterator[Answers]:
        """Yield batches of answers without these labels; counts begin anew."""
        self.counts, self.equal, self.observers, self.hollow = Counter(), Counter(), {}, 0
        for answers in batches:
            evidence = GoldEvidence.of(self.base, answers, self.table.gold_of(answers.items))
            self.counts.update(evidence.counts)
            self.equal.update(evidence.equal)
            self.observers |= dict.fromkeys(evidence.observers)
            hollow = evidence.hollow(self.base, answers)
            self.hollow += int(hollow.sum())
            blind = evidence.without(self.base, answers)
            if not hollow.any():
                yield blind
            elif not hollow.all():
                yield blind.only(~hollow)
