"""Why an expression: the accepted units and the rules that speak for it, from the knowledge alone.

No second model is asked and nothing inferred anew: the weight of a unit is the evidence that seeing it (or
not) is for the label, by the base's own P(unit | expression),

    bits = log2 P(unit = v | label) - log2 Σ_e≠label P(e) P(unit = v | e) / Σ_e≠label P(e),

and a rule speaks where what is accepted makes its condition and its conclusion true, whatever the rest is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine import Knowledge
    from seke.exporting.accepted_labels import Spoken

SEEN, UNSEEN = 0.5, 0.2


@dataclass(frozen=True)
class Why:
    """Names of units, the weightiest first, and of rules.

    present, absent: visible and not visible ones that speak for the label by at least SEEN and UNSEEN bits;
    against: visible ones that speak against it by SEEN bits.
    """

    present: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    against: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Whether anything speaks for the label."""
        return bool(self.present or self.absent or self.rules)


class Reasons:
    """The knowledge of a base about a population, ready to say why."""

    def __init__(self, base: Knowledge, population: str) -> None:
        self.base = base
        self.states = base.variables[base.root].states
        self.bits = _weights(base, base.populations[population].p)
        root, known = base.root, {name for name, one in base.variables.items() if one.kind != "derived"}
        self.rules = {
            rule.name: (rule, names)
            for rule in base.rules
            if rule.condition is not None and rule.then is not None
            if root in (names := sorted(rule.condition.variables() | rule.then.variables()))
            and known.issuperset(names)
        }
        self._told: dict[tuple[str, ...] | tuple[int, ...], bool] = {}

    def of(self, spoken: Spoken) -> Why:
        """Return what speaks for an accepted expression; nothing where none is accepted."""
        label = spoken.expression
        if label is None:
            return Why()
        bits = self.bits[label]
        told = {name: bits[name][seen] for name, seen in spoken.units.items()}
        ranked = sorted(told, key=lambda name: -abs(told[name]))
        return Why(
            tuple(name for name in ranked if spoken.units[name] and told[name] >= SEEN),
            tuple(name for name in ranked if not spoken.units[name] and told[name] >= UNSEEN),
            tuple(name for name in ranked if spoken.units[name] and told[name] <= -SEEN),
            tuple(name for name in self.rules if self._holds(name, spoken)),
        )

    def _holds(self, rule: str, spoken: Spoken) -> bool:
        names = self.rules[rule][1]
        states = tuple(self._state(name, spoken) for name in names)
        key = (rule, *map(str, states))
        if key not in self._told:
            self._told[key] = self._speaks(rule, dict(zip(names, states, strict=True)))
        return self._told[key]

    def _state(self, name: str, spoken: Spoken) -> int:
        """Return the index of an accepted value of a variable; -1 where none is accepted."""
        if name == self.base.root and spoken.expression is not None:
            return self.states.index(spoken.expression)
        if name in spoken.units:
            return int(spoken.units[name])
        if name in spoken.numbers:
            edges = self.base.variables[name].edges
            place = int(np.searchsorted(edges, spoken.numbers[name], "right")) - 1
            return min(max(place, 0), len(edges) - 2)
        return -1

    def _speaks(self, rule: str, states: Mapping[str, int]) -> bool:
        one, names = self.rules[rule]
        sizes = [np.arange(len(self.base.variables[name].states)) for name in names]
        known = [
            size[[states[name]]] if states[name] >= 0 else size
            for name, size in zip(names, sizes, strict=True)
        ]
        grid = dict(zip(names, np.ix_(*known), strict=True))
        assert one.condition is not None  # Others are no part of `rules`.
        assert one.then is not None
        return bool(np.all(one.condition.holds(grid)) and np.all(one.then.holds(grid)))


def _weights(base: Knowledge, prior: tuple[float, ...]) -> dict[str, dict[str, tuple[float, float]]]:
    """Return state -> unit -> bits for the state of its not being visible, and of its being so."""
    found: dict[str, dict[str, tuple[float, float]]] = {}
    for k, state in enumerate(base.variables[base.root].states):
        others = np.array([p if i != k else 0.0 for i, p in enumerate(prior)])
        others = others / others.sum() if others.sum() > 0 else others
        found[state] = {}
        for name, cells in base.cells.items():
            p = np.array([cell.p for cell in cells])
            here, there = np.array([1 - p[k], p[k]]), np.array([others @ (1 - p), others @ p])
            with np.errstate(divide="ignore", invalid="ignore"):
                bits = np.log2(here) - np.log2(there)
            low, high = np.nan_to_num(bits, nan=0.0)
            found[state][name] = float(low), float(high)
    return found
