"""A format and the header of a table -> which columns say what of the base's variables."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from engine import SekeError
from seke.samples.vocabulary import vocabulary_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine import Knowledge
    from seke.formats.declaration import Cells, Reading, ToolFormat


@dataclass(frozen=True)
class ToolColumn:
    """A column of a table. target: the variable or state that it is about. cells: what it holds."""

    name: str
    target: str
    cells: Cells


@dataclass(frozen=True)
class BoundReading:
    """A reading of each row. variable: of categorical ones. field: the key of a sample, of the others."""

    declared: Reading
    kind: str
    variable: str
    field: str
    columns: tuple[ToolColumn, ...]


@dataclass(frozen=True)
class BoundTable:
    """A table's columns. item, frame, face, seconds: "" where it has none. judged: columns with their cell.

    unknown: columns that match, of variables or states that the observer does not report in this base.
    """

    format: ToolFormat
    observer: str
    readings: tuple[BoundReading, ...]
    item: str
    frame: str
    face: str
    seconds: str
    largest: tuple[str, ...]
    judged: Mapping[str, float | dict[Literal["above"], float]]
    unknown: tuple[str, ...]
    passed_over: Mapping[str, str]

    @cached_property
    def columns(self) -> list[str]:
        """The columns that are needed."""
        named = (self.item, self.frame, self.face, self.seconds, *self.largest, *self.judged)
        values = (column.name for reading in self.readings for column in reading.columns)
        return list(dict.fromkeys(name for name in (*named, *values) if name))


def bind_table(
    declared: ToolFormat,
    names: Sequence[str],
    base: Knowledge,
    observer: str,
    orders: Mapping[str, Sequence[str]],
    item_column: str,
) -> BoundTable:
    """Return which columns of a table say what.

    orders: names in the order of the columns, by what the format calls them. item_column: the column that
    names the item, where it is not one that the format knows.

    Raises:
        engine.SekeError: the base lacks the observer or a question, or an order is missing or too short.
    """
    for kind, name, known in (
        ("observer", observer, base.observers),
        *(("question", reading.question, base.questions) for reading in declared.readings),
    ):
        if name not in known:
            raise SekeError(f"the base {base.name} has no {kind} {name!r}; it has {', '.join(known)}")
    if item_column and item_column not in names:
        raise SekeError(f"no column is called {item_column!r}; there are {', '.join(names)}")
    binder = _Binder(declared, names, base, observer, orders)
    readings = tuple(bound for reading in declared.readings for bound in binder.reading(reading))
    return BoundTable(
        format=declared,
        observer=observer,
        readings=tuple(reading for reading in readings if reading.columns),
        item=item_column or binder.first(declared.item),
        frame=binder.first(declared.frame),
        face=binder.first([declared.face.column]),
        seconds=binder.first([declared.seconds]),
        largest=tuple(name for name in declared.face.largest if name in names),
        judged={name: cell for name, cell in declared.judged.items() if name in names},
        unknown=tuple(binder.unknown),
        passed_over={name: reason for name, reason in declared.passed_over.items() if name in names},
    )


class _Binder:
    def __init__(
        self,
        declared: ToolFormat,
        names: Sequence[str],
        base: Knowledge,
        observer: str,
        orders: Mapping[str, Sequence[str]],
    ) -> None:
        self.declared, self.names, self.base, self.orders = declared, names, base, orders
        self.instruments = base.observers[observer].instruments
        self.fields = {
            name: field.name
            for field in vocabulary_of(base).fields
            for name in field.members
            if name in base.variables
        }
        self.unknown: list[str] = []

    def first(self, columns: Sequence[str]) -> str:
        """Return the first of these columns that the table has."""
        return next((column for column in columns if column and column in self.names), "")

    def reading(self, reading: Reading) -> list[BoundReading]:
        """Return what a reading declares, by variable of the question that has states, or by field."""
        reported = self.base.questions[reading.question].variables
        by_place: dict[tuple[str, str, str], list[ToolColumn]] = {}
        for cells in reading.values:
            for name, target in self._targets(cells):
                place = self._place(reported, target, cells)
                if place is None:
                    self.unknown.append(name)
                else:
                    by_place.setdefault(place, []).append(ToolColumn(name, target, cells))
        return [
            BoundReading(reading, kind, variable, field, tuple(columns))
            for (kind, variable, field), columns in by_place.items()
        ]

    def _targets(self, cells: Cells) -> list[tuple[str, str]]:
        """Return the columns that match, each with what it is about."""
        columns = []
        for target, pattern in cells.columns.items():
            matches = [(name, re.fullmatch(pattern, name)) for name in self.names]
            hits = [(name, match) for name, match in matches if match is not None]
            if cells.order:
                columns += list(zip((n for n, _ in hits), self._order(cells, len(hits)), strict=True))
            else:
                columns += [(name, match.expand(target)) for name, match in hits]
        return columns

    def _order(self, cells: Cells, count: int) -> Sequence[str]:
        """Return the names that the user gave for columns without any."""
        option = f"--{cells.order.replace('_', '-')}"
        names = self.orders.get(cells.order, ())
        if count and len(names) != count:
            given = f"{option} names {len(names)}" if names else f"needs {option}"
            raise SekeError(
                f"{self.declared.label}: {count} columns have numbers for names, and {given}: say what each "
                f"is, in their order and with commas between. {self.declared.not_seen}"
            )
        return names if count else ()

    def _place(self, reported: Sequence[str], target: str, cells: Cells) -> tuple[str, str, str] | None:
        """Return kind, variable and field of what a column is about; None where nobody reports it."""
        for name in reported:
            variable = self.base.variables[name]
            if name not in self.instruments:
                continue
            if variable.kind == "categorical" and (target in variable.states or target == name):
                kind = "label" if cells.unit == "label" else "categorical"
                return kind, name, self.fields[name]
            if target == name:
                # Numbers are fields of their own, marks share the one of their level.
                return variable.kind, name if variable.kind == "interval" else "", self.fields[name]
        return None
