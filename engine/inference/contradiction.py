"""What contradicts itself in the answers about an item, and what was changed by asking there again."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Contradiction:
    """A place where a posterior holds a contradiction.

    kind: `rule`, which is violated; `reading`, of an observer that contradicts all other readings; `label`,
    of a data set's observer that is disputed; `answers`, those about a variable that contradict those about
    all others. name: of that rule, observer or variable. variables: what it is about, and what may be asked.
    probability: that the rule is violated; that a disputed label is right; of such contradictory answers, if
    all is as declared.
    """

    kind: str
    name: str
    variables: tuple[str, ...]
    probability: float

    @property
    def text(self) -> str:
        """The contradiction in words."""
        return f"{self.kind} {self.name}"


@dataclass(frozen=True)
class CheckEffect:
    """What asking about one variable alone has changed.

    value_without, value: its value without these answers and with them, as `risk_of` has it; risk_without,
    risk: the probability that it is wrong. without, standing: the contradictions that name the variable, in
    words, without these answers and with them.
    """

    variable: str
    value_without: float
    value: float
    risk_without: float
    risk: float
    without: tuple[str, ...]
    standing: tuple[str, ...]
