"""The section `dependence`: how observers err together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.language.fields import LOOSE_NAME
from engine.model.knowledge import Clarity, Dependence, Family, ObserverKind

if TYPE_CHECKING:
    from engine.language.fields import Fields
    from engine.language.yaml_nodes import Node, Table

# Shares beyond chance that still leave room for errors, and for dependence, in both directions.
LEAST_SHARE, MOST_SHARE = 0.01, 0.99
# Who followed the look always would see nothing of the item; a copy is the same observer, not another.
MOST_FOLLOWS = 0.99
# Pseudo-counts of a row: from next to nothing to as good as fixed.
LEAST_COUNT, MOST_COUNT = 0.1, 1e6


def dependence(fields: Fields, node: Node | None) -> Dependence | None:
    """Read the `dependence` section; None where the base has none."""
    if node is None:
        return None
    entries = fields.table(node, "clear ambiguous kinds default n look_n seen_n", "family families")
    kinds = {name: _kind(fields, name, inner) for name, inner in fields.named(entries.get("kinds"))}
    if "kinds" in entries and not kinds:
        fields.fault(entries.entries["kinds"], "names no kinds of observers; name one at least")
    faults = len(fields.faults)
    clear, ambiguous = (_clarity(fields, entries, key) for key in ("clear", "ambiguous"))
    both = {"clear", "ambiguous"} <= set(entries.entries) and len(fields.faults) == faults
    if both and clear.right * clear.seen <= ambiguous.right * ambiguous.seen:
        message = "is no clearer than what is ambiguous: right times seen must be greater"
        fields.fault(entries.entries["clear"], message)
    default = ""
    if "default" in entries:
        default = fields.one_of(entries.entries["default"], kinds, "kind of observer")
    return Dependence(
        **(fields.cited(entries.entries["n"]) if "n" in entries else {"place": node.place}),
        clear=clear,
        ambiguous=ambiguous,
        kinds=kinds,
        default=default,
        n=fields.number(entries, "n", LEAST_COUNT, MOST_COUNT, default=1.0),
        look_n=_count(fields, entries, "look_n"),
        seen_n=_count(fields, entries, "seen_n"),
        family=_family(fields, "", entries.entries["family"]) if "family" in entries else None,
        families={
            name: _family(fields, name, inner) for name, inner in fields.named(entries.get("families"))
        },
    )


def _kind(fields: Fields, name: str, node: Node) -> ObserverKind:
    entries = fields.table(node, "follows", "people n")
    follows, n = fields.number(entries, "follows", 0, MOST_FOLLOWS), _sureness(fields, entries)
    cited = fields.cited(entries.get("follows") or node)
    return ObserverKind(**cited, name=name, follows=follows, n=n, people=fields.flag(entries, "people"))


def _family(fields: Fields, name: str, node: Node) -> Family:
    entries = fields.table(node, "follows", "n")
    cited = fields.cited(entries.get("follows") or node)
    follows, n = fields.number(entries, "follows", 0, 1), _sureness(fields, entries)
    return Family(**cited, name=name, follows=follows, n=n)


def _sureness(fields: Fields, entries: Table) -> float:
    """Return for how many items `follows` counts, 0 where it is taken as known."""
    if "n" in entries:
        fields.cited(entries.entries["n"])
    return fields.number(entries, "n", LEAST_COUNT, MOST_COUNT)


def _clarity(fields: Fields, entries: Table, key: str) -> Clarity:
    node = entries.get(key)
    if node is None:
        return Clarity()
    inner = fields.table(node, "right seen")
    return Clarity(
        **fields.cited(inner.get("right") or node),
        right=fields.number(inner, "right", LEAST_SHARE, MOST_SHARE, default=0.5),
        seen=fields.number(inner, "seen", LEAST_SHARE, MOST_SHARE, default=0.5),
    )


def _count(fields: Fields, entries: Table, key: str) -> float:
    if key in entries:
        fields.cited(entries.entries[key])
    return fields.number(entries, key, LEAST_COUNT, MOST_COUNT, default=1.0)


def kind_of(fields: Fields, entries: Table, declared: Dependence | None) -> tuple[ObserverKind, float]:
    """Return an observer's kind, and how often it follows the look: its own number, else its kind's.

    Of a base that says nothing of dependence the kind has no name.
    """
    for key in ("kind", "follows"):
        if key in entries and declared is None:
            fields.key_fault(entries, key, "needs a section `dependence`, which this base does not have")
    if declared is None:
        return ObserverKind(), 0.0
    name = declared.default
    if "kind" in entries:
        name = fields.one_of(entries.entries["kind"], declared.kinds, "kind of observer")
    kind = declared.kinds.get(name, ObserverKind(name=name))
    if "follows" in entries:
        fields.cited(entries.entries["follows"])
    return kind, fields.number(entries, "follows", 0, MOST_FOLLOWS, default=kind.follows)


def family_of(fields: Fields, entries: Table, declared: Dependence | None) -> tuple[str, float]:
    """Return an observer's family, and how often it follows that: by its own entry, else as is usual."""
    if "family" not in entries:
        return "", 0.0
    if declared is None:
        fields.key_fault(entries, "family", "needs a section `dependence`, which this base does not have")
        return "", 0.0
    node = entries.entries["family"]
    if declared.family is None:
        name = fields.one_of(node, declared.families, "family of observers")
    else:
        name = fields.text_at(node)
        if name and not LOOSE_NAME.fullmatch(name):
            signs = "letters, digits, _ and - and . : /, beginning with a letter, a digit or _"
            fields.fault(node, f"is no name: use {signs}")
    family = declared.family_named(name)
    return name, family.follows if family is not None else 0.0
