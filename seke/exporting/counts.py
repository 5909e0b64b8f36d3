"""Counts of what an export holds, for its summary and its card."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from seke.exporting.text_measures import TextMeasures

if TYPE_CHECKING:
    from seke.exporting.formats import ExportItem


@dataclass
class ExportCounts:
    """Counts over the exported items.

    splits: items by split. tasks: rows by split and task. levels: level -> source -> items with an accepted
    value of that level; values: level -> accepted values. classes: expression -> split -> items. units: unit
    -> how often it is visible and not visible. known: level -> values that the data set labels, too; differs:
    those among them that the set labels otherwise. certified: values that a certificate covers. bases: values
    by what they rest on, `inferred` among them. partial: items with a level without any accepted value.
    texts: measures of the rows' wording.
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
    texts: TextMeasures = field(default_factory=TextMeasures)

    def add(self, export_item: ExportItem, tolerance: dict[str, float]) -> None:
        """Count an item; tolerance: number -> a difference from the set's label that is allowed."""
        accepted, source = export_item.accepted, export_item.known.source or ""
        self.items += 1
        self.splits[export_item.split] += 1
        self.sources[source] += 1
        self.tasks[export_item.split].update(row.task for row in export_item.rows)
        for row in export_item.rows:
            self.texts.add(row, accepted.expression)
        self.decisions[accepted.record["decision"]["item"]] += 1
        self.partial += len(accepted.levels) < 3
        if accepted.expression is not None:
            self.classes[accepted.expression][export_item.split] += 1
        for name, seen in accepted.units.items():
            self.units[name][seen] += 1
        values_by_level: tuple[tuple[str, dict[str, Any]], ...] = (
            ("expression", {} if accepted.expression is None else {"expression": accepted.expression}),
            ("affect", dict(accepted.numbers)),
            ("action_units", dict(accepted.units)),
        )
        for level, values in values_by_level:
            self._level(level, source, values, export_item, tolerance)

    def _level(
        self,
        level: str,
        source: str,
        values: dict[str, Any],
        export_item: ExportItem,
        tolerance: dict[str, float],
    ) -> None:
        if not values:
            return
        self.levels[level][source] += 1
        self.values[level] += len(values)
        decided = export_item.accepted.record["decision"]["levels"]
        self.bases.update(_basis_of(decided[name]) for name in values)
        self.certified += sum(bool(decided[name].get("certified")) for name in values)
        labels = export_item.known.labels
        for name, value in values.items() if labels else ():
            if name in labels:
                self.known[level] += 1
                self.differs[level] += not _same(value, labels[name], tolerance.get(name))


def _basis_of(level: dict[str, Any]) -> str:
    return "inferred" if level["decision"] == "inferred" else level.get("basis") or "declared"


def _same(value: Any, label: Any, tolerance: float | None) -> bool:
    return bool(value == label if tolerance is None else abs(value - label) <= tolerance)
