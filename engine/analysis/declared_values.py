"""The numbers that a network is compiled from, in the order in which `adjoint` gives derivatives by them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from engine.language.parameter_paths import CELLS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.model.citation import Cited
    from engine.model.knowledge import Knowledge

# What the language allows of a share and of an odds ratio (fields.txt).
SHARES, RATIOS = (0.001, 0.999), (0.001, 1000.0)


@dataclass(frozen=True)
class DeclaredValue:
    """A share or an odds ratio of a base.

    column: its place among `adjoint.declared_shift`. kind: cell, coupling or rule. key: what it is an entry
    of: (variable, state), or (name,). Derivatives are by the share, or by the log of the odds ratio.
    """

    column: int
    path: str
    kind: str
    key: tuple[str | int, ...]
    value: float
    strength: float
    cited: Cited

    @property
    def scaled(self) -> float:
        """Return it on the scale of the derivatives."""
        return math.log(self.value) if self.kind == "coupling" else self.value

    @property
    def limits(self) -> tuple[float, float]:
        """Return the least and the greatest value that are allowed, on the scale of the derivatives."""
        return (math.log(RATIOS[0]), math.log(RATIOS[1])) if self.kind == "coupling" else SHARES

    @property
    def deviation(self) -> float:
        """Return the standard deviation that its strength gives it, on the scale of the derivatives."""
        if self.kind == "coupling":
            return 4 / math.sqrt(self.strength)
        return math.sqrt(self.value * (1 - self.value) / self.strength)

    def moved(self, base: Knowledge, scaled: float) -> Knowledge:
        """Return the base with this number at a value, given on the scale of the derivatives."""
        if self.kind == "coupling":
            couplings = tuple(
                replace(c, odds_ratio=math.exp(scaled)) if c.name == self.key[0] else c
                for c in base.couplings
            )
            return replace(base, couplings=couplings)
        if self.kind == "rule":
            rules = tuple(replace(r, confidence=scaled) if r.name == self.key[0] else r for r in base.rules)
            return replace(base, rules=rules)
        name, state = str(self.key[0]), int(self.key[1])
        row = base.cells[name]
        cells = {name: (*row[:state], replace(row[state], p=scaled), *row[state + 1 :])}
        return replace(base, cells={**base.cells, **cells})


def declared_values(base: Knowledge) -> Iterator[DeclaredValue]:
    """Yield the cells, couplings and rules of a base; not its populations and moments."""
    states = base.variables[base.root].states
    k, intervals = len(states), len(base.intervals)
    column = k
    for name, row in base.cells.items():
        for state, cell in enumerate(row):
            path = ".".join((*CELLS, states[state], name))
            yield DeclaredValue(column, path, "cell", (name, state), cell.p, cell.n, cell)
            column += 1
    # Means, and second moments of each pair.
    column += k * (intervals + intervals * (intervals + 1) // 2) if intervals else 0
    for c in base.couplings:
        path = f"couplings.{c.name}.odds_ratio"
        yield DeclaredValue(column, path, "coupling", (c.name,), c.odds_ratio, c.n, c)
        column += 1
    for rule in base.rules:
        path = f"rules.{rule.name}.confidence"
        yield DeclaredValue(column, path, "rule", (rule.name,), rule.confidence, rule.n, rule)
        column += 1
