"""What the units that an observer saw weigh for an item's expression, and how they move its numbers.

Only accepted units of origin `seen` count: what was inferred, or read from a data set's label, is no sign
that one can point at. They are taken as known, and the engine weighs each beside all others
(`engine.weigh_known_values`); no second model is asked. A rule supports the label where the seen values make
its condition and its conclusion true, whatever the values of the other variables are.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from engine import Inference, weigh_known_values
from seke.files.networks import network_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine import Floats, Ints, Knowledge, KnownWeights
    from seke.exporting.accepted_labels import AcceptedLabels

# A probability whose logarithm is taken is at least this.
LEAST_P = 1e-12
# Decimal places that are kept, so that what an item is told does not depend on what is weighed beside it.
DIGITS = 9


@dataclass(frozen=True)
class UnitWeight:
    """A unit that was looked at.

    bits: its weight for the label, given the other seen units. top, p_top: the likeliest state were it the
    other way round, and its probability. rival_bits: by how much its being so favours the label over the
    nearest rival.
    """

    unit: str
    visible: bool
    bits: float
    top: str
    p_top: float
    p_rival: float
    rival_bits: float


@dataclass(frozen=True)
class ItemEvidence:
    """The evidence of the seen units of one item.

    p: state -> probability given the seen units alone. label: the accepted state. rival: the likeliest other
    one given the seen units. weights: the weightiest first. absent_bits: weight of all units together that
    are not visible. shifts: number -> (unit, by how much it moves the expected value) of the visible units.
    usual, by_label: number -> its expected value where nothing is known, and where the label alone is. rules:
    names of those that hold. All but `p`, `shifts` and `usual` are empty where no state is accepted.
    """

    p: Mapping[str, float]
    label: str | None = None
    rival: str = ""
    weights: tuple[UnitWeight, ...] = ()
    absent_bits: float = 0.0
    shifts: Mapping[str, tuple[tuple[str, float], ...]] = field(default_factory=dict)
    usual: Mapping[str, float] = field(default_factory=dict)
    by_label: Mapping[str, float] = field(default_factory=dict)
    rules: tuple[str, ...] = ()


def seen_units(accepted: AcceptedLabels) -> dict[str, bool]:
    """Return the accepted units that an observer saw to be visible, or not to be."""
    levels = accepted.record["decision"]["levels"]
    return {name: visible for name, visible in accepted.units.items() if levels[name]["origin"] == "seen"}


class EvidenceFinder:
    """Finds the evidence for accepted labels, by a base's knowledge of a population."""

    def __init__(self, base: Knowledge, population: str) -> None:
        self.base = base
        self.inference = Inference(network_of(base), base, population)
        self.states = base.variables[base.root].states
        self.units = tuple(base.cells)
        root = base.root
        not_derived = {name for name, variable in base.variables.items() if variable.kind != "derived"}
        self.rules = {
            rule.name: (rule, names)
            for rule in base.rules
            if root in (names := sorted(rule.condition.variables() | rule.then.variables()))
            and not_derived.issuperset(names)
        }
        self._rule_holds: dict[tuple[str, ...], bool] = {}
        nothing = weigh_known_values(self.inference, self.units, np.full((1, len(self.units)), -1))
        self._usual = {name: float(mean[0]) for name, mean in nothing.means.items()}
        labels = weigh_known_values(self.inference, (root,), np.arange(len(self.states))[:, None])
        self._by_label = [
            {name: float(mean[k]) for name, mean in labels.means.items()} for k in range(len(self.states))
        ]

    def of(self, items: Sequence[AcceptedLabels]) -> list[ItemEvidence]:
        """Return the evidence of each item, all weighed in one pass."""
        seen = [seen_units(accepted) for accepted in items]
        known = np.array([[int(units.get(name, -1)) for name in self.units] for units in seen])
        known = known.reshape(len(items), len(self.units))
        weights = weigh_known_values(self.inference, self.units, known)
        visible = np.where(known == 1, 1, -1)
        visible_alone = weigh_known_values(self.inference, self.units, visible, each=False).p
        return [
            self._evidence(accepted, known[i], _Row(weights, i), visible_alone[i])
            for i, accepted in enumerate(items)
        ]

    def _evidence(
        self, accepted: AcceptedLabels, known: Ints, row: _Row, visible_alone: Floats
    ) -> ItemEvidence:
        p = dict(zip(self.states, row.p.tolist(), strict=True))
        shifts = {}
        for name, mean in row.means.items():
            by_unit = [
                (self.units[j], mean - float(row.means_without[name][j])) for j in np.flatnonzero(known == 1)
            ]
            shifts[name] = tuple(sorted(by_unit, key=lambda pair: -abs(pair[1])))
        label, seen = accepted.expression, seen_units(accepted)
        if label is None:
            return ItemEvidence(p, shifts=shifts, usual=self._usual)
        k = self.states.index(label)
        r = max((i for i in range(len(self.states)) if i != k), key=lambda i: (row.p[i], -i))
        unit_weights = []
        for j in np.flatnonzero(known >= 0):
            without, otherwise = row.without[j], row.otherwise[j]
            top = int(otherwise.argmax())
            unit_weights.append(
                UnitWeight(
                    self.units[j],
                    bool(known[j]),
                    _log_odds(row.p, k) - _log_odds(without, k),
                    self.states[top],
                    float(otherwise[top]),
                    float(otherwise[r]),
                    _log_ratio(row.p, k, r) - _log_ratio(otherwise, k, r),
                )
            )
        return ItemEvidence(
            p,
            label,
            self.states[r],
            tuple(sorted(unit_weights, key=lambda weight: -abs(weight.bits))),
            _log_odds(row.p, k) - _log_odds(visible_alone, k),
            shifts,
            self._usual,
            self._by_label[k],
            tuple(name for name in self.rules if self._holds(name, accepted, seen)),
        )

    def _holds(self, rule: str, accepted: AcceptedLabels, seen: Mapping[str, bool]) -> bool:
        """Return whether a rule holds, and holds by a seen value besides the label."""
        names = self.rules[rule][1]
        states = [self._state(name, accepted, seen) for name in names]
        if not any(state >= 0 for name, state in zip(names, states, strict=True) if name != self.base.root):
            return False
        key = (rule, *map(str, states))
        if key not in self._rule_holds:
            self._rule_holds[key] = self._speaks(rule, dict(zip(names, states, strict=True)))
        return self._rule_holds[key]

    def _state(self, name: str, accepted: AcceptedLabels, seen: Mapping[str, bool]) -> int:
        """Return the index of an accepted, seen value of a variable; -1 where there is none."""
        if name == self.base.root and accepted.expression is not None:
            return self.states.index(accepted.expression)
        if name in seen:
            return int(seen[name])
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


class _Row:
    """The weights of one item among those of many."""

    def __init__(self, weights: KnownWeights, i: int) -> None:
        self.p, self.without, self.otherwise = (
            np.round(part[i], DIGITS) for part in (weights.p, weights.without, weights.otherwise)
        )
        self.means = {name: round(float(values[i]), DIGITS) for name, values in weights.means.items()}
        self.means_without = {
            name: np.round(values[i], DIGITS) for name, values in weights.means_without.items()
        }


def _log_odds(p: Floats, k: int) -> float:
    """Return the log-odds of state k against all others, bits."""
    others = p.sum() - p[k]
    return float(np.log2(max(p[k], LEAST_P)) - np.log2(max(others, LEAST_P)))


def _log_ratio(p: Floats, k: int, r: int) -> float:
    return float(np.log2(max(p[k], LEAST_P)) - np.log2(max(p[r], LEAST_P)))
