"""The key of a parameter of an observer: what numeric code compares, and never takes apart as text."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

# Which number.
What = (
    Literal["", "carry", "exponent", "spread"]  # of an observer; "" for all numbers about a variable
    | Literal["probability", "stereotype", "echo"]  # of its halo, and of answers that repeat what is shown
    | Literal["confusion", "settled", "accuracy", "sensitivity", "specificity"]  # of tables
    | Literal["repeat", "strength", "room", "share", "misread"]  # of how draws scatter
    | Literal["bonus", "habit", "pull"]  # of rankings
    | Literal["gain", "offset", "perception", "noise", "slip", "blank", "stray"]  # of gauges
)


@dataclass(frozen=True)
class ParameterKey:
    """The key of a number of an observer, or of the array of all such numbers.

    what: which number. kind: that of the variables it is about, "" where it is about none. variable: which of
    them, "" for what all binary ones share. question: whose halo, or whose own rates of binary variables.
    reading_type: the kind of reading, where there are several. cell: row, or row and column, of a table.
    """

    observer: str
    what: What = ""
    kind: str = ""
    variable: str = ""
    question: str = ""
    reading_type: str = ""
    cell: tuple[str, ...] = ()

    def of(self, what: What, *cell: str) -> ParameterKey:
        """Return the key of another number about the same, or of a cell of its table."""
        return replace(self, what=what, cell=cell)
