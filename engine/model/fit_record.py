"""The record of a fit: its observers, questions, numbers of answers and gold, and the thresholds it found.

A fit knows observers as they answered it. It is evidence about further answers of the same observer, to the
same question and prompt, about the same variable, as far as there was gold of it, and at numbers of answers
that it has seen; about others its numbers are as good as declared ones.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.errors import Place


@dataclass(frozen=True)
class FittedReading:
    """A reading that a fit had of its items.

    model: who answered as this observer; its own name where nothing else was said. prompt: digest of the
    question. least, most: readable answers an item, where it had any. gold: variable -> value -> items with
    that gold among those which this reading is about; of an interval all stand under one value.
    """

    observer: str
    model: str
    question: str
    prompt: str
    view: str
    least: int
    most: int
    gold: Mapping[str, Mapping[str, int]]

    def gold_items(self, variable: str) -> int:
        """Return how many items with gold of a variable it is about."""
        return sum(self.gold.get(variable, {}).values())


@dataclass(frozen=True)
class Threshold:
    """The highest risk at which a value is accepted, so that the mean risk of the accepted keeps `limit`.

    value: ANY where it is of all values of a variable. items: how many there were to find it on; accepted:
    how many of them it accepts; mean: their mean risk at the stated confidence. aim: where the policy asks,
    the risk down to which it does; None where items are as they were answered.
    """

    ANY: ClassVar[str] = "any"

    variable: str
    value: str
    limit: float
    risk: float
    items: int
    accepted: int
    mean: float
    aim: float | None = None


@dataclass(frozen=True)
class FitRecord:
    """A fit. name: the source that its numbers cite; made: the date.

    persons: how many the items were of, 0 where that was not said. observers: name -> digest of the observer
    as it was fitted; one that was changed since is no longer what the fit found. thresholds: of items as they
    were answered; adaptive_thresholds: of items asked as the policy asks, which stops where answers look
    good.
    """

    name: str
    made: str
    population: str
    persons: int
    observers: Mapping[str, str]
    readings: tuple[FittedReading, ...]
    thresholds: tuple[Threshold, ...] = ()
    adaptive_thresholds: tuple[Threshold, ...] = ()
    place: Place | None = field(compare=False, default=None)
