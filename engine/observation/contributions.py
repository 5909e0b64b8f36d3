"""The contributions of observers to the evidence about a variable."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.backend.types import Array, Bools, Ints
    from engine.observation.switches import Expanded


@dataclass(frozen=True)
class ObserverContribution:
    """The evidence of one observer about a variable.

    table: (patterns, M) log-likelihood of a type. pattern, row: (P,) of each reading its row of `table`, and
    the row of the evidence that it belongs to.
    """

    observer: int
    table: Array
    pattern: Ints
    row: Ints

    def within(self, rows: Bools) -> ObserverContribution:
        """Return the contribution to some rows of the evidence; rows: a mask (rows,)."""
        used = rows[self.row]
        return ObserverContribution(self.observer, self.table, self.pattern[used], self.row[used])


@dataclass(frozen=True)
class Contributions:
    """The contributions of all observers to the evidence, by variable, not combined yet."""

    row_item: Ints
    pairs: Expanded
    log_weight: Array
    has_evidence: Bools
    contributions: Mapping[str, list[ObserverContribution]]
