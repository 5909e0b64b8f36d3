"""Reading fields of nodes; every fault is collected, none is raised.

A field that is wrong yields a harmless stand-in of its type: the reader refuses the whole
base when there is any fault, so a stand-in never reaches a caller.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from engine.errors import Fault, KnowledgeError, Place, did_you_mean, nearest
from engine.language.yaml_nodes import Citation, Items, Node, Scalar, Table
from engine.model.knowledge import Number, Variable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    Once = tuple[Sequence[Any], Any]

NUMBER = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)")
EXPONENT = re.compile(r"[-+]?[\d.]+[eE][-+]?\d+")
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
LOOSE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:/-]*")
TRUTH_VALUES = frozenset({"yes", "no", "on", "off", "true", "false"})
NOTHING = frozenset({"null", "~"})
RESERVED = frozenset({"and", "or", "not", "in", "count"})
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
    return "; divide it out" if re.fullmatch(r"\d+ ?/ ?\d+", text) else ""


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

    earlier: what `once` read in another reading, of which most nodes are parts of this one.
    """

    def __init__(self, faults: list[Fault], earlier: Mapping[str, Once] | None = None) -> None:
        self.faults = faults
        self.numbers: dict[str, Number] = {}
        self.earlier = earlier or {}
        self.read: dict[str, Once] = {}

    def once(self, what: str, inputs: Sequence[Any], make: Callable[[], Any]) -> Any:
        """Return what `make` reads from these nodes and values, from the cache where they are unchanged."""
        before = self.earlier.get(what)
        if before and all(_same(*pair) for pair in zip(before[0], inputs, strict=True)):
            return before[1]
        made = make()
        self.read[what] = (inputs, made)
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

    def table(self, node: Node | None, required: str = "", optional: str = "") -> Table:
        """Return a table whose keys are among these; other keys and missing ones are faults."""
        table = self.any_table(node)
        if node is None or (not _is_empty(node) and table is not node):
            return table
        allowed = (*required.split(), *optional.split(), "source", "note")
        for key in table.entries:
            if key not in allowed:
                self.key_fault(table, key, f"unknown key{did_you_mean(key, allowed)}")
        missing = [f"`{key}`" for key in required.split() if key not in table]
        if missing:
            self.fault(node, f"needs {', '.join(missing)}{not_there(table)}")
        return table

    def any_table(self, node: Node | None) -> Table:
        """Return a table with any keys; an empty one for nothing, and for anything else."""
        if isinstance(node, Table):
            return node
        if node is not None and not _is_empty(node):
            self.fault(node, f"must be a mapping, not {_describe_node(node)}")
        return Table(node.place if node else Place("", 0, 0), node.path if node else "")

    def named(self, node: Node | None, *, strict: bool = False) -> Iterator[tuple[str, Node]]:
        """Yield name and node of each entry of a table that is keyed by names.

        `strict` names can be written in formulas.
        """
        table = self.any_table(node)
        for key, inner in table.entries.items():
            if key in ("source", "note"):
                continue
            if not (NAME if strict else LOOSE_NAME).fullmatch(key):
                signs = "letters, digits, _ and -" + ("" if strict else " and . : /")
                first = "a letter or _" if strict else "a letter, a digit or _"
                self.key_fault(table, key, f"is no name: use {signs}, beginning with {first}")
            elif key.lower() in TRUTH_VALUES:
                self.key_fault(table, key, f"YAML reads {key} as a truth value; choose another name")
            elif key.lower() in NOTHING:
                self.key_fault(table, key, f"YAML reads {key} as nothing; choose another name")
            elif strict and key in RESERVED:
                self.key_fault(table, key, f"{key} is a word of the formulas; choose another name")
            yield key, inner

    def known(self, node: Node | None, allowed: Collection[str], what: str) -> Iterator[tuple[str, Node]]:
        """Yield name and node of the entries of a table keyed by known names."""
        table = self.any_table(node)
        for key, inner in table.entries.items():
            if key in ("source", "note"):
                continue
            if key in allowed:
                yield key, inner
            else:
                self.key_fault(table, key, f"no such {what}{did_you_mean(key, allowed)}")

    def number(
        self, table: Table, key: str, low: float, high: float, *, default: float = 0.0, reason: str = ""
    ) -> float:
        """Return a number within [low, high]; `default` where the key is absent."""
        node = table.get(key)
        return default if node is None else self.number_at(node, low, high, reason)

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

    def whole(self, table: Table, key: str, low: int, high: int, *, default: int = 0) -> int:
        """Return a whole number within [low, high]; `default` where the key is absent."""
        node = table.get(key)
        return default if node is None else self.whole_at(node, low, high)

    def whole_at(self, node: Node, low: int, high: int) -> int:
        """Return the whole number that this node holds."""
        value = self.number_at(node, low, high)
        if value != int(value):
            self.fault(node, f"is {decimal(value)}; must be a whole number")
        return int(value)

    def text(self, table: Table, key: str, default: str = "") -> str:
        """Return a text; `default` where the key is absent."""
        node = table.get(key)
        return default if node is None else self.text_at(node)

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

    def flag(self, table: Table, key: str) -> bool:
        """Return true or false; false where the key is absent (stand-in: true)."""
        node = table.get(key)
        if node is None:
            return False
        if not isinstance(node, Scalar) or not node.plain or node.text not in ("true", "false"):
            self.fault(node, f"must be true or false, not {_describe_node(node)}")
            return True
        return node.text == "true"

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


def _citations(node: Node) -> Iterator[Citation]:
    if node.cited is not None:
        yield node.cited
    inner = node.items if isinstance(node, Items) else ()
    for child in node.entries.values() if isinstance(node, Table) else inner:
        yield from _citations(child)
