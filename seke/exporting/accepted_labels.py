"""A posterior record -> what of it was accepted on good grounds, which is all that an export may say.

What rests on numbers that were declared, or calibrated for another design, is told only where that was asked
for, and so is what nobody looked at.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine import Knowledge

    Record = dict[str, Any]

# What an accepted value may rest on to be told without asking.
TOLD = ("certified", "calibrated", "declared (people)")


@dataclass(frozen=True)
class Grounds:
    """What else may be told: values that were not calibrated, and values that were only inferred."""

    uncalibrated: bool = False
    inferred: bool = False

    def withheld(self, level: Record) -> str:
        """Return why a level is not told though it is decided; no text where it is told or not decided."""
        if level["decision"] == "inferred":
            return "" if self.inferred else "inferred"
        basis = level.get("basis") or "declared"
        return "" if level["decision"] != "accept" or basis in TOLD or self.uncalibrated else basis

    def tells(self, level: Record) -> bool:
        """Say whether a level's value may be told."""
        return level["decision"] in ("accept", "inferred") and not self.withheld(level)


@dataclass(frozen=True)
class Spoken:
    """What is told of an item. expression: None where it is not; numbers, units: those that are told.

    record: the posterior record, of which nothing else is said.
    """

    item: str
    expression: str | None
    numbers: Mapping[str, float]
    units: Mapping[str, bool]
    record: Record

    @classmethod
    def of(cls, record: Record, base: Knowledge, grounds: Grounds) -> Spoken:
        """Return what may be told of a record; the base has the levels of faces."""
        levels = record["decision"]["levels"]
        accepted = {name: one["value"] for name, one in levels.items() if grounds.tells(one)}
        return cls(
            record["item"],
            accepted.get(base.root),
            {name: accepted[name] for name in base.affect if name in accepted},
            {name: accepted[name] for name in base.cells if name in accepted},
            record,
        )

    @cached_property
    def levels(self) -> tuple[str, ...]:
        """Return the levels of which anything is accepted."""
        said = {"expression": self.expression, "affect": self.numbers, "action_units": self.units}
        return tuple(name for name, one in said.items() if one)

    @property
    def labels(self) -> dict[str, Any]:
        """Return the accepted values by variable, as a label table has them."""
        told = {} if self.expression is None else {"expression": self.expression}
        return {**told, **self.numbers, **self.units}
