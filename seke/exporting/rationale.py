"""The rationale of an expression: accepted units and rules that support it, from the knowledge alone.

No second model is asked and nothing is inferred anew. The weight of a unit is the evidence for the label that
seeing it (or not) gives, by the base's own P(unit | expression),

    bits = log2 P(unit = v | label) - log2 Σ_e≠label P(e) P(unit = v | e) / Σ_e≠label P(e),

and a rule supports the label where the accepted values make its condition and its conclusion true, whatever
the values of the other variables are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine import Knowledge
    from seke.exporting.accepted_labels import AcceptedLabels

# Bits of evidence from which a visible unit, and one that is not visible, belong to a rationale.
SEEN, UNSEEN = 0.5, 0.2


@dataclass(frozen=True)
class Rationale:
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


class RationaleFinder:
    """Finds the units and rules that support an accepted expression, by a base's knowledge of a population.

    bits: label -> unit -> evidence for the label, in bits, of the unit being (not visible, visible).
    """

    def __init__(self, base: Knowledge, population: str) -> None:
        self.base = base
        self.states = base.variables[base.root].states
        self.bits = _weights(base, base.populations[population].p)
        root = base.root
        not_derived = {name for name, variable in base.variables.items() if variable.kind != "derived"}
        self.rules = {
            rule.name: (rule, names)
            for rule in base.rules
            if root in (names := sorted(rule.condition.variables() | rule.then.variables()))
            and not_derived.issuperset(names)
        }
        self._rule_speaks: dict[tuple[str, ...] | tuple[int, ...], bool] = {}

    def of(self, accepted: AcceptedLabels) -> Rationale:
        """Return the rationale of the accepted expression; an empty one where no expression is accepted."""
        label = accepted.expression
        if label is None:
            return Rationale()
        bits = self.bits[label]
        unit_bits = {name: bits[name][seen] for name, seen in accepted.units.items()}
        ranked = sorted(unit_bits, key=lambda name: -abs(unit_bits[name]))
        return Rationale(
            tuple(name for name in ranked if accepted.units[name] and unit_bits[name] >= SEEN),
            tuple(name for name in ranked if not accepted.units[name] and unit_bits[name] >= UNSEEN),
            tuple(name for name in ranked if accepted.units[name] and unit_bits[name] <= -SEEN),
            tuple(name for name in self.rules if self._holds(name, accepted)),
        )

    def _holds(self, rule: str, accepted: AcceptedLabels) -> bool:
        names = self.rules[rule][1]
        states = tuple(self._state(name, accepted) for name in names)
        key = (rule, *map(str, states))
        if key not in self._rule_speaks:
            self._rule_speaks[key] = self._speaks(rule, dict(zip(names, states, strict=True)))
        return self._rule_speaks[key]

    def _state(self, name: str, accepted: AcceptedLabels) -> int:
        """Return the index of an accepted value of a variable; -1 where none is accepted."""
        if name == self.base.root and accepted.expression is not None:
            return self.states.index(accepted.expression)
        if name in accepted.units:
            return int(accepted.units[name])
        if name in accepted.numbers:
            edges = self.base.variables[name].edges
            place = int(np.searchsorted(edges, accepted.numbers[name], "right")) - 1
            return min(max(place, 0), len(edges) - 2)
        return -1

    def _speaks(self, rule_name: str, states: Mapping[str, int]) -> bool:
        rule, names = self.rules[rule_name]
        sizes = [np.arange(len(self.base.variables[name].states)) for name in names]
        possible_states = [
            size[[states[name]]] if states[name] >= 0 else size
            for name, size in zip(names, sizes, strict=True)
        ]
        grid = dict(zip(names, np.ix_(*possible_states), strict=True))
        return bool(np.all(rule.condition.holds(grid)) and np.all(rule.then.holds(grid)))


def _weights(base: Knowledge, prior: tuple[float, ...]) -> dict[str, dict[str, tuple[float, float]]]:
    """Return state -> unit -> bits of evidence for the state where the unit is (not visible, visible)."""
    weights: dict[str, dict[str, tuple[float, float]]] = {}
    for k, state in enumerate(base.variables[base.root].states):
        prior_others = np.array([p if i != k else 0.0 for i, p in enumerate(prior)])
        prior_others = prior_others / prior_others.sum() if prior_others.sum() > 0 else prior_others
        weights[state] = {}
        for name, cells in base.cells.items():
            p = np.array([cell.p for cell in cells])
            p_state, p_others = (
                np.array([1 - p[k], p[k]]),
                np.array([prior_others @ (1 - p), prior_others @ p]),
            )
            with np.errstate(divide="ignore", invalid="ignore"):
                bits = np.log2(p_state) - np.log2(p_others)
            low, high = np.nan_to_num(bits, nan=0.0)
            weights[state][name] = float(low), float(high)
    return weights
