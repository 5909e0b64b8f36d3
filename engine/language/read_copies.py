"""Observers that are copies: the same instrument under another name, in the section `observers`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.language.yaml_nodes import Table
from engine.model.knowledge import ObserverCopy

if TYPE_CHECKING:
    from collections.abc import Collection

    from engine.language.fields import Fields
    from engine.language.yaml_nodes import Node


def is_copy(node: Node) -> bool:
    """Say whether an entry of `observers` is a copy of another one."""
    return isinstance(node, Table) and "copy_of" in node.entries


def copies(fields: Fields, node: Node | None, observers: Collection[str]) -> dict[str, ObserverCopy]:
    """Return the copies that the section declares, by name; observers: those that are none."""
    by_name = {}
    for name, inner in fields.named(node) if node is not None else ():
        if is_copy(inner):
            entries = fields.table(inner, "copy_of", "label description")
            by_name[name] = ObserverCopy(
                place=inner.place,
                name=name,
                label=fields.text(entries, "label", name),
                description=fields.text(entries, "description"),
                original=fields.one_of(
                    entries.entries["copy_of"], observers, "observer with tables of its own"
                ),
            )
    return by_name
