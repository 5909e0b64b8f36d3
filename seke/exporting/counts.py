"""What an export holds, counted: for its summary and its card."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seke.exporting.formats import Said


@dataclass
class Tally:
    """Counts over the items that are exported.

    splits: items. tasks: rows by split and task. levels: level -> source -> items of which anything of that
    level is accepted; values: how many values these are. classes: expression -> split -> items. units: how
    often each is visible and not. known: level -> values that the set has a label of itself; differs: those
    among them that it says otherwise. certified: values that a certificate covers. bases: values by what they
    rest on, `inferred` among them. partial: items with levels of which nothing is accepted.
    """

    items: int = 0
    splits: Counter[str] = field(default_factory=Counter)
    sources: Counter[str] = field(default_factory=Counter)
    tasks: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    levels: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    values: Counter[str] = field(default_factory=Counter)
    classes: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    units: dict[str, Counter[bool]] = field(default_factory=lambda: defaultdict(Counter))
    known: Counter[str] = field(default_factory=Counter)
    differs: Counter[str] = field(default_factory=Counter)
    decisions: Counter[str] = field(default_factory=Counter)
    certified: int = 0
    bases: Counter[str] = field(default_factory=Counter)
    partial: int = 0

    def add(self, said: Said, tolerance: dict[str, float]) -> None:
        """Count an item; tolerance: by how much a number may differ from the set's own and be the same."""
        spoken, source = said.spoken, said.known.source or ""
        self.items += 1
        self.splits[said.split] += 1
        self.sources[source] += 1
        self.tasks[said.split].update(task for task, _, _ in said.rows)
        self.decisions[spoken.record["decision"]["item"]] += 1
        self.partial += len(spoken.levels) < 3
        if spoken.expression is not None:
            self.classes[spoken.expression][said.split] += 1
        for name, seen in spoken.units.items():
            self.units[name][seen] += 1
        told: tuple[tuple[str, dict[str, Any]], ...] = (
            ("expression", {} if spoken.expression is None else {"expression": spoken.expression}),
            ("affect", dict(spoken.numbers)),
            ("action_units", dict(spoken.units)),
        )
        for level, values in told:
            self._level(level, source, values, said, tolerance)

    def _level(
        self, level: str, source: str, values: dict[str, Any], said: Said, tolerance: dict[str, float]
    ) -> None:
        if not values:
            return
        self.levels[level][source] += 1
        self.values[level] += len(values)
        decided = said.spoken.record["decision"]["levels"]
        self.bases.update(_basis(decided[name]) for name in values)
        self.certified += sum(bool(decided[name].get("certified")) for name in values)
        labels = said.known.labels
        for name, value in values.items() if labels else ():
            if name in labels:
                self.known[level] += 1
                self.differs[level] += not _same(value, labels[name], tolerance.get(name))


def _basis(level: dict[str, Any]) -> str:
    return "inferred" if level["decision"] == "inferred" else level.get("basis") or "declared"


def _same(one: Any, other: Any, tolerance: float | None) -> bool:
    return bool(one == other if tolerance is None else abs(one - other) <= tolerance)
