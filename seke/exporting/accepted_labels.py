"""The values of a posterior record that may be exported: those that were accepted on good grounds.

Values that rest on declared numbers, or on numbers calibrated for another design, are exported only on
request, and so are values of variables that no observer looked at.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine import Knowledge

    Record = dict[str, Any]

# The bases of accepted values that are exported without a request.
ESTABLISHED_BASES = ("certified", "calibrated", "declared (people)")


@dataclass(frozen=True)
class Grounds:
    """Which further values may be exported: uncalibrated ones, and ones that were only inferred.

    undecided: whether the probabilities of an expression that was not accepted may be, as a soft target.
    """

    uncalibrated: bool = False
    inferred: bool = False
    undecided: bool = False

    def withheld(self, level: Record) -> str:
        """Return why a decided level is withheld; no text where it is exported or not decided."""
        if level["decision"] == "inferred":
            return "" if self.inferred else "inferred"
        basis = level.get("basis") or "declared"
        established = basis in ESTABLISHED_BASES or self.uncalibrated
        return "" if level["decision"] != "accept" or established else basis

    def leaning(self, record: Record, root: str) -> str | None:
        """Return the likeliest state of a variable that was looked at and not accepted, where it may go out.

        Such a level says nothing of what it rests on: that is what the record's accepted values rest on.
        """
        levels = record["decision"]["levels"]
        level = levels.get(root, {})
        if not self.undecided or level.get("decision") != "reject" or level.get("origin") != "seen":
            return None
        bases = {other.get("basis") for other in levels.values()}
        if not self.uncalibrated and bases.isdisjoint(ESTABLISHED_BASES):
            return None
        p: dict[str, float] = record["expression"]
        return max(p, key=lambda state: p[state])

    def allows(self, level: Record) -> bool:
        """Return whether a level's value may be exported."""
        return level["decision"] in ("accept", "inferred") and not self.withheld(level)


@dataclass(frozen=True)
class AcceptedLabels:
    """The accepted labels of an item. expression: None where it is not accepted.

    numbers, units: the accepted values of interval and binary variables. record: the whole posterior record.
    leaning: the likeliest expression where none was accepted and its probabilities go out as a soft target.
    """

    item: str
    expression: str | None
    numbers: Mapping[str, float]
    units: Mapping[str, bool]
    record: Record
    leaning: str | None = None

    @classmethod
    def of(cls, record: Record, base: Knowledge, grounds: Grounds) -> AcceptedLabels:
        """Return the labels of a record that may be exported; the base has the levels of faces."""
        levels = record["decision"]["levels"]
        accepted = {name: level["value"] for name, level in levels.items() if grounds.allows(level)}
        return cls(
            record["item"],
            accepted.get(base.root),
            {name: accepted[name] for name in base.intervals if name in accepted},
            {name: accepted[name] for name in base.cells if name in accepted},
            record,
            grounds.leaning(record, base.root),
        )

    @cached_property
    def levels(self) -> tuple[str, ...]:
        """Return the levels with at least one accepted value."""
        by_level = {"expression": self.expression, "affect": self.numbers, "action_units": self.units}
        return tuple(name for name, labels in by_level.items() if labels)

    @property
    def labels(self) -> dict[str, Any]:
        """Return the accepted values by variable, as a label table has them."""
        labels = {} if self.expression is None else {"expression": self.expression}
        return {**labels, **self.numbers, **self.units}
