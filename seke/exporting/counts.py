"""Counts of what an export holds, for its summary and its card."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from seke.exporting.item_rows import ItemRow


@dataclass
class ExportCounts:
    """Counts over the exported items.

    splits: items by split. tasks: rows by split and task. levels: level -> source -> items with an accepted
    value of that level; values: level -> accepted values. classes: expression -> split -> items. units: unit
    -> how often it is visible and not visible. known: level -> values that the data set labels, too; differs:
    those among them that the set labels otherwise. certified: values that a certificate covers. bases: values
    by what they rest on, `inferred` among them. doubts: whose doubt there is (people, model) -> items;
    epistemic_bits: their sum. partial: items with a level without any accepted value.
    undecided: items with a soft target of an expression that was not accepted.
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
    doubts: Counter[tuple[str, str]] = field(default_factory=Counter)
    epistemic_bits: dict[tuple[str, str], float] = field(default_factory=lambda: defaultdict(float))
    partial: int = 0
    undecided: int = 0

    def add(self, row: ItemRow) -> None:
        """Count an item."""
        self.items += 1
        self.splits[row.split] += 1
        self.sources[row.source] += 1
        self.tasks[row.split].update(row.tasks)
        self.decisions[row.decision] += 1
        self.doubts[row.people, row.model] += 1
        self.epistemic_bits[row.people, row.model] += row.epistemic
        self.bases.update(row.bases.values())
        self.certified += len(row.certified)
        if row.expression is not None:
            self.classes[row.expression][row.split] += 1
        for name, seen in row.units.items():
            self.units[name][seen] += 1
        names_by_level = {
            "expression": row.bases.keys() - row.numbers.keys() - row.units.keys(),
            "affect": row.numbers.keys(),
            "action_units": row.units.keys(),
        }
        self.undecided += row.undecided
        self.partial += not all(names_by_level.values())
        for level, names in names_by_level.items():
            if names:
                self.levels[level][row.source] += 1
                self.values[level] += len(names)
                self.known[level] += len(names & set(row.known))
                self.differs[level] += len(names & set(row.differs))
