"""Whether made-up readings of an observer follow a label, and what those that do so together share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from engine.backend.types import Bools, Floats, Ints


class SharedSwitch:
    """What the readings of an observer that follow their label share, item by item (`observation.switches`).

    types: variable -> (N,) the label of the first that followed one, and what it implied; -1 where none did.
    """

    def __init__(self) -> None:
        self.types: dict[str, Ints] = {}
        self.first: tuple[Bools, float] | None = None
        self.u: Floats | None = None
        self.one: Bools | None = None

    def draw(self, halo: float, carry: float, items: int, rng: np.random.Generator) -> tuple[Bools, Bools]:
        """Draw whether a reading follows its label, (N,), and whether it does so as others did, (N,)."""
        on: Bools = np.asarray(rng.random(items) < halo)
        if self.first is None or not carry:
            self.first = self.first or (on, halo)
            return on, np.zeros(items, dtype=bool)
        if self.u is None or self.one is None:
            # Whether it is one switch shows with the second reading; of it the first has told a part.
            switched, least = self.first
            self.u = np.where(switched, least * rng.random(items), least + (1 - least) * rng.random(items))
            self.one = np.asarray(rng.random(items) < carry)
        return np.where(self.one, self.u < halo, on), self.one & self.followed

    @property
    def followed(self) -> Bools:
        """Whether any reading of this switch has followed a label yet, (N,)."""
        return np.asarray(np.max(list(self.types.values()), axis=0) >= 0)

    def keep(self, name: str, types: Ints, on: Bools) -> None:
        """Keep what a reading that followed its label brought, where none did before; types, on: (N,)."""
        kept = self.types.get(name, np.full(len(on), -1))
        self.types[name] = np.where((kept < 0) & on, types, kept)
