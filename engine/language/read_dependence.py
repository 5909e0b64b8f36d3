"""The section `dependence`: how observers err together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.language.fields import LOOSE_NAME
from engine.model.knowledge import Clarity, Dependence, Family, ObserverKind

if TYPE_CHECKING:
    from engine.language.fields import Entries, Fields
    from engine.language.yaml_nodes import Node

NO_SECTION = "needs a section `dependence`, which this base does not have"


def dependence(fields: Fields, node: Node | None) -> Dependence | None:
    """Read the `dependence` section; None where the base has none."""
    if node is None:
        return None
    entries = fields.table(node, "DEPENDENCE")
    kinds = {name: _kind(fields, name, inner) for name, inner in fields.named(entries.get("kinds"))}
    fields.names["kind of observer"] = kinds
    if "kinds" in entries and not kinds:
        entries.fault("kinds", "names no kinds of observers; name one at least")
    faults = len(fields.faults)
    clear, ambiguous = (_clarity(entries, key) for key in ("clear", "ambiguous"))
    both = "clear" in entries and "ambiguous" in entries and len(fields.faults) == faults
    if both and clear.right * clear.seen <= ambiguous.right * ambiguous.seen:
        entries.fault("clear", "is no clearer than what is ambiguous: right times seen must be greater")
    return Dependence(
        **(entries.cited("n") if "n" in entries else {"place": node.place}),
        clear=clear,
        ambiguous=ambiguous,
        kinds=kinds,
        **entries.values("default n look_n seen_n"),
        family=_family("", entries.value("family")) if "family" in entries else None,
        families={name: _family(name, inner) for name, inner in entries.value("families").items()},
    )


def _kind(fields: Fields, name: str, node: Node) -> ObserverKind:
    entries = fields.table(node, "OBSERVER_KIND")
    return ObserverKind(**entries.cited("follows"), name=name, **entries.values("follows n people"))


def _family(name: str, entries: Entries) -> Family:
    return Family(**entries.cited("follows"), name=name, **entries.values("follows n"))


def _clarity(entries: Entries, key: str) -> Clarity:
    inner = entries.value(key)
    return Clarity(**inner.cited("right"), **inner.values("right seen")) if inner else Clarity()


def kind_of(fields: Fields, entries: Entries, declared: Dependence | None) -> tuple[ObserverKind, float]:
    """Return an observer's kind, and how often it follows the look: its own number, else its kind's.

    Of a base that says nothing of dependence the kind has no name.
    """
    for key in ("kind", "follows"):
        if key in entries and declared is None:
            fields.key_fault(entries.node, key, NO_SECTION)
    if declared is None:
        return ObserverKind(), 0.0
    name = declared.default
    if "kind" in entries:
        name = fields.one_of(entries["kind"], declared.kinds, "kind of observer")
    kind = declared.kinds.get(name, ObserverKind(name=name))
    return kind, entries.value("follows") if "follows" in entries else kind.follows


def family_of(fields: Fields, entries: Entries, declared: Dependence | None) -> tuple[str, float]:
    """Return an observer's family, and how often it follows that: by its own entry, else as is usual."""
    if "family" not in entries:
        return "", 0.0
    if declared is None:
        fields.key_fault(entries.node, "family", NO_SECTION)
        return "", 0.0
    if declared.family is None:
        name = fields.one_of(entries["family"], declared.families, "family of observers")
    else:
        name = entries.value("family")
        if name and not LOOSE_NAME.fullmatch(name):
            signs = "letters, digits, _ and - and . : /, beginning with a letter, a digit or _"
            entries.fault("family", f"is no name: use {signs}")
    family = declared.family_named(name)
    return name, family.follows if family is not None else 0.0
