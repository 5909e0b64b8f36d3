"""The known true values of a batch of items: the gold of a fit, a certificate or a score."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.backend.types import Bools, Floats, Ints
    from engine.model.variable import Variable


@dataclass(frozen=True)
class Gold:
    """values: variable -> (N,), the index of its state, or the number of an interval; NaN where unknown."""

    values: Mapping[str, Floats]

    def part(self, start: int, stop: int) -> Gold:
        """Return the gold of items start to stop."""
        return Gold({name: column[start:stop] for name, column in self.values.items()})

    def only(self, chosen: Bools | Ints) -> Gold:
        """Return the gold of the chosen items: a mask (N,) or indices."""
        return Gold({name: column[chosen] for name, column in self.values.items()})

    def known(self, items: int) -> Bools:
        """Return which of N items have any gold, (N,)."""
        known = np.zeros(items, dtype=bool)
        for column in self.values.values():
            known |= ~np.isnan(column)
        return known


def states_of(variable: Variable, values: Floats) -> Ints:
    """Return the state that each value (N,) of a variable is in, -1 where it is unknown (NaN)."""
    known = ~np.isnan(values)
    states = np.full(len(values), -1)
    if variable.kind == "interval":
        edges = np.array(variable.edges)
        bins = np.searchsorted(edges, values[known], side="right") - 1
        states[known] = np.clip(bins, 0, len(edges) - 2)
    else:
        states[known] = values[known].astype(np.int64)
    return states
