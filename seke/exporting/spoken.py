"""A posterior record -> what of it was accepted, which is all that an export may say."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine import Knowledge

    Record = dict[str, Any]


@dataclass(frozen=True)
class Spoken:
    """What is accepted of an item. expression: None where it is not; numbers, units: the accepted ones.

    record: the posterior record, of which nothing is said that is not accepted.
    """

    item: str
    expression: str | None
    numbers: Mapping[str, float]
    units: Mapping[str, bool]
    record: Record

    @classmethod
    def of(cls, record: Record, base: Knowledge) -> Spoken:
        """Return what the decision of a record accepts; the base has the levels of faces."""
        levels = record["decision"]["levels"]
        accepted = {name: one["value"] for name, one in levels.items() if one["decision"] == "accept"}
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
