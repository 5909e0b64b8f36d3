"""Likelihoods of sampled answers about one variable, and a cache of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.backend.types import Floats, Ints

# Observer, variable, block (`LabelKernel.blocks`) and counts of answers so far.
TableKey = tuple[int, str, int, bytes]
# Numbers kept in a `LikelihoodCache`: 16 MB.
MOST_KEPT = 4_000_000


@dataclass(frozen=True)
class SampledLikelihoods:
    """Likelihoods of sampled answers about one variable, of n items: P(answers | state, answers so far).

    In single precision, the likeliest state's 1. So products over J binary variables vanish for all states of
    the root on next to no path: a path is drawn from what it predicts, and that its own state has a product
    under c is no likelier than 2^J c.

    table: (states, rows, batches), a row for each different path. place: (n, paths) the row of each path of
    each item.
    """

    table: Floats
    place: Ints

    @classmethod
    def of_paths(cls, likelihood: Floats) -> SampledLikelihoods:
        """Return likelihoods with a row for each path of each item.

        likelihood: (states, n, paths, batches).
        """
        states, n, paths, batches = likelihood.shape
        return cls(likelihood.reshape(states, -1, batches), np.arange(n * paths).reshape(n, paths))

    @classmethod
    def stacked(cls, parts: Sequence[SampledLikelihoods]) -> SampledLikelihoods:
        """Return the likelihoods of several parts as one; all have as many paths, batches and states."""
        starts = np.cumsum([0, *(part.table.shape[1] for part in parts[:-1])]).tolist()
        place = [part.place + start for part, start in zip(parts, starts, strict=True)]
        return cls(np.concatenate([part.table for part in parts], axis=1), np.concatenate(place))

    @property
    def shape(self) -> tuple[int, int]:
        """Paths, batches."""
        return self.place.shape[1], self.table.shape[2]

    def part(self, rows: Ints | slice, batches: slice = slice(None)) -> SampledLikelihoods:
        """Return those about some items, after some of the batches."""
        return SampledLikelihoods(np.ascontiguousarray(self.table[..., batches]), self.place[rows])

    def of(self, rows: Ints) -> Floats:
        """Return the likelihoods of some items (...), (..., states, paths · batches)."""
        likelihood = self.table.take(self.place[rows], axis=1)
        return np.moveaxis(likelihood.reshape(len(likelihood), *rows.shape, -1), 0, -2)


class LikelihoodCache:
    """A cache of likelihoods of sampled answers, which depend on the observer and its answers so far alone.

    tables: observer, variable, the block of columns that further answers are counted in, and the counts of
    the answers so far -> the likelihoods on all paths, for every truth (states, truths, paths, batches). A
    cache serves one seed and one base.
    """

    def __init__(self) -> None:
        self.tables: dict[TableKey, Floats] = {}
        self.size = 0

    def add(self, tables: Mapping[TableKey, Floats]) -> None:
        """Keep further tables, as far as there is room."""
        size = sum(table.size for table in tables.values())
        if self.size + size <= MOST_KEPT:
            self.tables |= tables
            self.size += size
