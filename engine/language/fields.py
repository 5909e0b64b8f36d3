"""Readers of the fields of a node; they collect faults instead of raising them.

A field that is wrong yields a harmless stand-in of its type: the reader refuses the whole
base when there is any fault, so a stand-in never reaches a caller.
"""

from __future__ import annotations

import datetime
import re
from typing import TYPE_CHECKING, Any

from engine.errors import Fault, KnowledgeError, Place, did_you_mean, nearest
from engine.language.field_table import TABLES
from engine.language.yaml_nodes import CITATION, Citation, Items, Node, Scalar, Table
from engine.model.citation import Number

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from engine.language.field_table import FieldSpec
    from engine.model.variable import Variable

    Once = tuple[Sequence[Any], Any]

NUMBER = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)")
EXPONENT = re.compile(r"[-+]?[\d.]+[eE][-+]?\d+")
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
LOOSE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:/-]*")
TRUTH_VALUES = frozenset({"yes", "no", "on", "off", "true", "false"})
NOTHING = frozenset({"null", "~"})
RESERVED = frozenset({"and", "or", "not", "in", "count"})
NO_BASE = "; a file that changes another base begins with `extends:` and that base"
SD = TABLES["SD"].fields["sd"]
MOST_FAULTS = 500


def shown(text: str) -> str:
    """Return a value quoted and shortened for a message."""
    return repr(text if len(text) <= 40 else text[:37] + "...")


def decimal(value: float) -> str:
    """Return a number as the language writes it, without an exponent."""
    short = f"{value:g}"
    return f"{value:.12f}".rstrip("0").rstrip(".") if "e" in short else short


def _limits(low: float, high: float) -> str:
    return f"{decimal(low)} to {decimal(high)}"


def _describe_node(node: Node) -> str:
    if isinstance(node, Scalar):
        return shown(node.text) if node.text else "nothing"
    return "a list" if isinstance(node, Items) else "a mapping"


def _number_hint(text: str) -> str:
    """Return a hint where a text is a number in another notation, else an empty text."""
    if EXPONENT.fullmatch(text):
        return "; write it without an exponent"
    if re.fullmatch(r"[-+]?\d+,\d+", text):
        return "; write a decimal point, not a comma"
    if re.fullmatch(r"[\d.]+ ?%", text):
        return "; divide percentages by 100"
    return "; write the quotient as a decimal number" if re.fullmatch(r"\d+ ?/ ?\d+", text) else ""


def no_blank_hint(key: str) -> str:
    """Return a hint where a key is a key and its value, as YAML takes `p:0.75` to be; else an empty text."""
    name, _, value = key.partition(":")
    return f"; a blank is missing after the colon: write {name}: {value}" if name and value else ""


def not_there(table: Table) -> str:
    """Return a hint where an overlay may have misspelt the name of an entry of its base."""
    name = table.path.rpartition(".")[2]
    near = nearest(name, table.beside)
    return f"; the base has no {name}, did you mean {near}?" if near else ""


def _same(old: Any, new: Any) -> bool:
    """Return whether two inputs are equal; nodes, which are long, are compared by identity."""
    return old is new or (isinstance(old, dict) and bool(old == new))


def _is_empty(node: Node | None) -> bool:
    return node is None or (isinstance(node, Scalar) and node.plain and not node.text)


class Fields:
    """Reads tables field by field; collects the faults, and the numbers by their paths.

    names: the names that are declared so far, by what they name. earlier: the `cache` of another reading, of
    which most nodes are parts of this one.
    """

    def __init__(self, faults: list[Fault], earlier: Mapping[str, Once] | None = None) -> None:
        self.faults = faults
        self.numbers: dict[str, Number] = {}
        self.names: dict[str, Collection[str]] = {}
        self.earlier = earlier or {}
        self.cache: dict[str, Once] = {}
        self.readers: Mapping[str, Callable[[Node, FieldSpec], Any]] = {
            "text": lambda node, _: self.text_at(node),
            "name": lambda node, field: self.one_of(node, self.names[field.what], field.what),
            "choice": self._choice,
            "date": self._date,
            "flag": self._flag,
            "number": self._number,
            "whole": self._number,
            "list": self._list,
            "named": self._named,
            "table": lambda node, field: self.table(node, field.what),
        }

    def once(self, what: str, inputs: Sequence[Any], make: Callable[[], Any]) -> Any:
        """Return what `make` reads from these nodes and values, from the cache where they are unchanged."""
        before = self.earlier.get(what)
        if before and all(_same(*pair) for pair in zip(before[0], inputs, strict=True)):
            return before[1]
        made = make()
        self.cache[what] = (inputs, made)
        return made

    def fault(self, node: Node, message: str) -> None:
        """Note one fault of a value."""
        self._note(Fault(node.place, node.path, message))

    def key_fault(self, table: Table, key: str, message: str) -> None:
        """Note one fault of a key of a table, at the key."""
        self._note(Fault(table.places[key], table.entries[key].path, message))

    def lacking(self, node: Node, variable: Variable, states: Sequence[str], what: str, remedy: str) -> None:
        """Note that a table lacks states: where they are declared, if that is in another file."""
        places = {state: variable.places.get(state, node.place) for state in states}
        elsewhere = [state for state, place in places.items() if place.file != node.place.file]
        for state in elsewhere:
            path = f"variables.{variable.name}.states.{state}"
            self._note(Fault(places[state], path, f"{node.path} {what} it; {remedy}"))
        here = [state for state in states if state not in elsewhere]
        if here:
            self.fault(node, f"{what} {', '.join(here)}; {remedy}")

    def _note(self, fault: Fault) -> None:
        self.faults.append(fault)
        if len(self.faults) >= MOST_FAULTS:
            raise KnowledgeError(self.faults)

    def table(self, node: Node | None, name: str, needed: Collection[str] = ()) -> Entries:
        """Return the entries of a table of this name in `TABLES`; other keys and missing ones are faults.

        needed: keys that it needs besides those that are always needed.
        """
        fields, table = TABLES[name].fields, self.any_table(node)
        entries = Entries(self, table, fields)
        if node is None or (not _is_empty(node) and table is not node):
            return entries
        for key, inner in table.entries.items():
            if key in CITATION:
                continue
            if key not in fields:
                hint = no_blank_hint(key) or did_you_mean(key, (*fields, *CITATION))
                self.key_fault(table, key, f"unknown key{hint}")
            elif fields[key].sourced:
                self.cited(inner)
        missing = [
            f"`{key}`" for key, f in fields.items() if (f.needed or key in needed) and key not in table
        ]
        if missing:
            what = f"needs {', '.join(missing)}"
            hint = not_there(table) if table.path else NO_BASE
            self.fault(node, f"{what}{hint}")
        if fields.get("sd") is SD:
            self.deviations(table, [key for key, f in fields.items() if f.fitted])
        return entries

    def deviations(self, table: Table, keys: Collection[str]) -> None:
        """Read `sd`: the prior standard deviations of numbers beside it, used by fits only."""
        for _, cell in self.known(table.get("sd"), [key for key in keys if key in table], SD.what):
            self.cited(cell)
            self.read(cell, SD.inner[0])

    def any_table(self, node: Node | None) -> Table:
        """Return a table with any keys; an empty one for nothing, and for anything else."""
        if isinstance(node, Table):
            return node
        if node is not None and not _is_empty(node):
            self.fault(node, f"must be a mapping, not {_describe_node(node)}")
        return Table(node.place, node.path, cited=node.cited) if node else Table(Place("", 0, 0), "")

    def named(self, node: Node | None, *, strict: bool = False) -> Iterator[tuple[str, Node]]:
        """Yield name and node of each entry of a table that is keyed by names.

        `strict` names can be written in formulas.
        """
        table = self.any_table(node)
        for key, inner in table.entries.items():
            if key in CITATION:
                continue
            if not (NAME if strict else LOOSE_NAME).fullmatch(key):
                signs = "letters, digits, _ and -" + ("" if strict else " and . : /")
                first = "a letter or _" if strict else "a letter, a digit or _"
                self.key_fault(table, key, f"is not a valid name: use {signs}, beginning with {first}")
            elif key.lower() in TRUTH_VALUES:
                self.key_fault(table, key, f"YAML reads {key} as a truth value; choose another name")
            elif key.lower() in NOTHING:
                self.key_fault(table, key, f"YAML reads {key} as an empty value; choose another name")
            elif strict and key in RESERVED:
                self.key_fault(table, key, f"{key} is reserved for formulas; choose another name")
            yield key, inner

    def known(self, node: Node | None, allowed: Collection[str], what: str) -> Iterator[tuple[str, Node]]:
        """Yield name and node of the entries of a table keyed by known names."""
        table = self.any_table(node)
        for key, inner in table.entries.items():
            if key in CITATION:
                continue
            if key in allowed:
                yield key, inner
            else:
                hint = no_blank_hint(key) or did_you_mean(key, allowed)
                self.key_fault(table, key, f"no such {what}{hint}")

    def read(self, node: Node, field: FieldSpec) -> Any:
        """Return what a node holds, by the kind of its field; of a table its entries."""
        return self.readers[field.kind](node, field)

    def _choice(self, node: Node, field: FieldSpec) -> str:
        if len(field.words) > 1:
            return self.one_of(node, field.words, field.what)
        text = self.text_at(node)
        if text not in ("", *field.words):
            self.fault(node, f"may only be `{field.words[0]}`, not {text!r}")
        return text

    def _named(self, node: Node, field: FieldSpec) -> dict[str, Any]:
        """Return the entries of a table keyed by names, or by values, which may be true and false."""
        entries: Iterable[tuple[str, Node]] = self.any_table(node).entries.items()
        if field.what != "value":
            entries = self.named(node, strict=field.strict)
        return {key: self.read(inner, field.inner[0]) for key, inner in entries if key not in CITATION}

    def _number(self, node: Node, field: FieldSpec) -> float:
        value = self.number_at(node, field.low, field.high, field.reason)
        if field.kind == "number":
            return value
        if value != int(value):
            self.fault(node, f"is {decimal(value)}; must be a whole number")
        return int(value)

    def _flag(self, node: Node, _: FieldSpec) -> bool:
        """Return true or false (stand-in: true)."""
        if not isinstance(node, Scalar) or not node.plain or node.text not in ("true", "false"):
            self.fault(node, f"must be true or false, not {_describe_node(node)}")
            return True
        return node.text == "true"

    def _date(self, node: Node, _: FieldSpec) -> str:
        text = self.text_at(node)
        try:
            if text:
                datetime.date.fromisoformat(text)
        except ValueError:
            self.fault(node, f"must be a date such as 2025-01-31, not {text[:40]!r}")
        return text

    def _list(self, node: Node, field: FieldSpec) -> tuple[Any, ...]:
        item = field.inner[0]
        if item.kind == "name":
            return self.all_of(node, self.names[item.what], item.what)
        return tuple(self.read(inner, item) for inner in self.items_of(node))

    def number_at(self, node: Node, low: float, high: float, reason: str = "") -> float:
        """Return the number that this node holds, within [low, high]; `reason` explains the limits."""
        stand_in = min(max(low, 0.0), high)
        # A base has thousands of numbers; the words for a fault are made where there is one.
        if not isinstance(node, Scalar):
            self.fault(node, f"must be a number from {_limits(low, high)}, not {_describe_node(node)}")
            return stand_in
        if not node.plain:
            must = f"must be a number from {_limits(low, high)}"
            self.fault(node, f"{must}, not the text {shown(node.text)}; write it without quotes")
            return stand_in
        if not NUMBER.fullmatch(node.text):
            must = f"must be a number from {_limits(low, high)}"
            self.fault(node, f"{must}, not {_describe_node(node)}{_number_hint(node.text)}")
            return stand_in
        value = float(node.text)
        if not low <= value <= high:
            hint = f" ({reason})" if reason else ""
            hint += "; divide percentages by 100" if high <= 1 and 2 <= value <= 100 else ""
            self.fault(node, f"is {shown(node.text)[1:-1]}; allowed is {_limits(low, high)}{hint}")
            return stand_in
        self.note_number(node, value, low, high)
        return value

    def note_number(self, node: Node, value: float, low: float, high: float) -> None:
        """Note that this node holds a number, or a word for one."""
        cited = node.cited or Citation("judgement", "", node.place, "")
        self.numbers[node.path] = Number(node.place, cited.source, cited.note, node.path, value, low, high)

    def text_at(self, node: Node) -> str:
        """Return the text that this node holds; what YAML takes for no text is a fault."""
        if not isinstance(node, Scalar):
            self.fault(node, f"must be a text, not {_describe_node(node)}")
            return ""
        if not node.text:
            self.fault(node, "is empty; must be a text")
        elif node.plain and node.text.lower() in TRUTH_VALUES:
            self.fault(node, f"YAML reads {node.text} as a truth value; quote it")
            return ""
        elif node.plain and node.text.lower() in NOTHING:
            self.fault(node, f"YAML reads {node.text} as nothing; quote it")
            return ""
        return node.text

    def items_of(self, node: Node | None) -> list[Node]:
        """Return the items of a list."""
        if node is None:
            return []
        if not isinstance(node, Items):
            self.fault(node, f"must be a list, such as [a, b], not {_describe_node(node)}")
            return []
        return node.items

    def one_of(self, node: Node, allowed: Collection[str], what: str) -> str:
        """Return a name that must be one of `allowed` (stand-in: the first of them, or no text)."""
        name = self._name(node, allowed, what)
        return name if name is not None else next(iter(allowed), "")

    def all_of(self, node: Node | None, allowed: Collection[str], what: str) -> tuple[str, ...]:
        """Return the names of a list that are among `allowed`; others, and repeated ones, are faults."""
        names: dict[str, None] = {}
        for item in self.items_of(node):
            name = self._name(item, allowed, what)
            if name in names:
                self.fault(item, f"{name} is named twice")
            if name is not None:
                names[name] = None
        return tuple(names)

    def _name(self, node: Node, allowed: Collection[str], what: str) -> str | None:
        name = self.text_at(node)
        if name in allowed:
            return name
        if name:
            self.fault(node, f"no {what} is called {shown(name)}{did_you_mean(name, allowed)}")
        return None

    def cited(self, node: Node) -> dict[str, Any]:
        """Return place, source and note of a number (keyword arguments of `Cited`)."""
        if node.cited is None:
            message = "has no source; name an entry of `sources`, or `judgement` with a note"
            self.fault(node, message)
            return {"place": node.place}
        return {"place": node.place, "source": node.cited.source, "note": node.cited.note}

    def citations(self, tree: Table, sources: Collection[str]) -> None:
        """Check every citation in force anywhere in the tree."""
        seen: dict[Place, Citation] = {}
        for citation in _citations(tree):
            # One note for all of a block stands before those of single numbers.
            seen.setdefault(citation.place, citation)
        for place, citation in seen.items():
            if citation.source == "judgement" and not citation.note:
                message = "a judgement needs a `note` beside it that says why"
                self._note(Fault(place, citation.path, message))
            elif citation.source not in (*sources, "judgement"):
                hint = did_you_mean(citation.source, (*sources, "judgement"))
                message = f"no source is called {shown(citation.source)}{hint}"
                self._note(Fault(place, citation.path, message))


class Entries:
    """The entries of a table, each read as its field says; absent ones have their default."""

    def __init__(self, reader: Fields, node: Table, fields: Mapping[str, FieldSpec]) -> None:
        self.reader = reader
        self.node = node
        self.fields = fields

    def __contains__(self, key: str) -> bool:
        return key in self.node

    def __getitem__(self, key: str) -> Node:
        return self.node.entries[key]

    def get(self, key: str) -> Node | None:
        """Return the node under this key."""
        return self.node.get(key)

    def value(self, key: str) -> Any:
        """Return the value of one entry."""
        node, field = self.node.get(key), self.fields[key]
        return field.default if node is None else self.reader.read(node, field)

    def values(self, keys: str) -> dict[str, Any]:
        """Return the values of some entries, by key."""
        return {key: self.value(key) for key in keys.split()}

    def within(self, key: str, low: float, high: float, reason: str = "") -> Any:
        """Return a number whose limits other entries set."""
        node, field = self.node.get(key), self.fields[key]
        limited = field._replace(low=low, high=high, reason=reason or field.reason)
        return field.default if node is None else self.reader.read(node, limited)

    def cited(self, key: str = "") -> dict[str, Any]:
        """Return place, source and note of an entry, or of the table where that is absent."""
        return self.reader.cited(self.node.get(key) or self.node)

    def fault(self, key: str, message: str) -> None:
        """Note one fault of an entry, or of the table where that is absent."""
        self.reader.fault(self.node.get(key) or self.node, message)


def _citations(node: Node) -> Iterator[Citation]:
    if node.cited is not None:
        yield node.cited
    inner = node.items if isinstance(node, Items) else ()
    for child in node.entries.values() if isinstance(node, Table) else inner:
        yield from _citations(child)
