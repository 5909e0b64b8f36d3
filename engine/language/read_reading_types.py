"""Kinds of reading of an observer: how the draws of each scatter."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from engine.language.fields import decimal
from engine.language.read_tables import ROUNDING
from engine.model.confusion import room_for
from engine.model.knowledge import ReadingType

if TYPE_CHECKING:
    from engine.backend.types import Floats
    from engine.language.fields import Entries, Fields
    from engine.language.yaml_nodes import Node

    Rows = tuple[tuple[float, ...], ...]


def reading_types(entries: Entries, table: Rows, matches: Floats) -> tuple[ReadingType, ...]:
    """Read how draws scatter; together the types must be able to give the table (if it is sound)."""
    fields = entries.reader
    before = len(fields.faults)
    node = entries.get("types")
    if node is None:
        types = [read_type(entries, "reading", 1.0)]
    else:
        for key in ("repeat", "strength"):
            if key in entries:
                fields.key_fault(entries.node, key, "does not go with `types`, which have their own")
        types = _declared_types(fields, node, before)
    if table and len(fields.faults) == before:
        node = node or entries.get("repeat") or entries.node
        if any(reading_type.misread is not None for reading_type in types):
            _check_misread(fields, node, types, np.array(table), matches)
        else:
            check_repeat(fields, node, types, table)
    return tuple(types)


def _declared_types(fields: Fields, node: Node, before: int) -> list[ReadingType]:
    """Read `types`; before: how many faults there were before those of the whole table of answers."""
    types = []
    for name, inner in fields.named(node):
        entries = fields.table(inner, "TYPE")
        share, misread = entries.value("share"), entries.value("misread")
        types.append(replace(read_type(entries, name, share), misread=misread))
    totals = [sum(reading_type.shares[i] for reading_type in types) for i in (0, 1)]
    if abs(totals[0] - 1) > ROUNDING and len(fields.faults) == before:
        fields.fault(node, f"the shares sum to {decimal(totals[0])}; must sum to 1")
    if abs(totals[1] - 1) > ROUNDING and len(fields.faults) == before:
        message = "`misread`, or `share` where a type has none, sums to"
        fields.fault(node, f"{message} {decimal(totals[1])}; must sum to 1")
    # As rows of a table are, shares within the tolerance are scaled to one.
    return (
        [_scaled(reading_type, *totals) for reading_type in types] if len(fields.faults) == before else types
    )


def _scaled(reading_type: ReadingType, share: float, misread: float) -> ReadingType:
    scaled_misread = None if reading_type.misread is None else reading_type.misread / misread
    return replace(reading_type, share=reading_type.share / share, misread=scaled_misread)


def check_repeat(fields: Fields, node: Node, types: list[ReadingType], table: Rows) -> None:
    """Note a fault where draws repeat themselves too seldom for a table to be possible."""
    repeat = sum(reading_type.share * reading_type.repeat for reading_type in types)
    least = 1 - float(np.min(np.array(table), axis=0).sum())
    if repeat < least - 1e-9:
        needed = np.ceil(least * 1000) / 1000
        message = (
            f"the repeat is {decimal(round(repeat, 6))}; this table needs at least {decimal(needed)} "
            "(1 - the sum of the smallest cells of its columns), since a habit cannot give an answer "
            "more often than the table does"
        )
        fields.fault(node, message)


def _check_misread(
    fields: Fields, node: Node, types: list[ReadingType], table: Floats, matches: Floats
) -> None:
    off, misread_off = (
        1 - sum(reading_type.shares[i] * reading_type.repeat for reading_type in types) for i in (0, 1)
    )
    least_off = np.float64(off), np.float64(misread_off)
    room = np.asarray(room_for(table, matches, table.min(axis=0), *least_off)).min()
    if room < 1 - 1e-9:
        known = f"{decimal(round(1 - misread_off, 6))}, of the rest {decimal(round(1 - off, 6))}"
        message = (
            f"the repeat of what is misread is {known}; this table needs 1 minus repeat at most "
            f"{decimal(np.floor(room * 1000) / 1000)} times as large, since a habit cannot give an answer "
            "more often than the table does"
        )
        fields.fault(node, message)


def read_type(entries: Entries, name: str, share: float) -> ReadingType:
    """Read one kind of reading, of this share of all readings."""
    missing = [f"`{key}`" for key in ("repeat", "strength") if key not in entries]
    if missing:
        entries.reader.fault(entries.node, f"needs {' and '.join(missing)}")
    return ReadingType(**entries.cited("repeat"), name=name, share=share, **entries.values("repeat strength"))
