"""Propositions about variables, as trees over state sets.

A tree has three kinds of node. Every comparison has become `In`: a variable and the set of its
states for which the comparison holds, so that nothing that takes a formula needs to know about
thresholds or derived variables.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.backend.types import Bools, Ints

    Values = Mapping[str, Ints]


class Formula(Protocol):
    """A proposition about the variables."""

    def variables(self) -> frozenset[str]:
        """Return the names of the variables in the formula."""

    def holds(self, values: Values) -> Bools:
        """Return where it is true, of the shape that the values, indices of states, broadcast to."""


@dataclass(frozen=True)
class In:
    """The variable is in one of these states (indices)."""

    variable: str
    states: frozenset[int]

    def variables(self) -> frozenset[str]:
        """Return the one variable."""
        return frozenset({self.variable})

    def holds(self, values: Values) -> Bools:
        """Return where the variable's state is one of `states`, of its values' shape."""
        return np.isin(values[self.variable], sorted(self.states))


@dataclass(frozen=True)
class Not:
    """The negation of a formula."""

    part: Formula

    def variables(self) -> frozenset[str]:
        """Return the part's variables."""
        return self.part.variables()

    def holds(self, values: Values) -> Bools:
        """Return where the part is false, of the part's shape."""
        return ~self.part.holds(values)


@dataclass(frozen=True)
class Count:
    """How many of the parts hold is one of `allowed` (a set of counts).

    `and` is the count that equals the number of parts, `or` is a count of at least one.
    """

    parts: tuple[Formula, ...]
    allowed: frozenset[int]

    def variables(self) -> frozenset[str]:
        """Return the variables of all parts."""
        return frozenset().union(*(part.variables() for part in self.parts))

    def holds(self, values: Values) -> Bools:
        """Return where the number of true parts is allowed, of the shape that they broadcast to."""
        total = sum((part.holds(values).astype(np.int64) for part in self.parts), np.zeros((), np.int64))
        return np.isin(total, sorted(self.allowed))


def conjunction(*parts: Formula) -> Formula:
    """Return the formula that all parts hold."""
    return parts[0] if len(parts) == 1 else Count(parts, frozenset({len(parts)}))


def disjunction(*parts: Formula) -> Formula:
    """Return the formula that at least one part holds."""
    return parts[0] if len(parts) == 1 else Count(parts, frozenset(range(1, len(parts) + 1)))
