"""Reading fields of nodes; every fault is collected, none is raised.

A field that is wrong yields a harmless stand-in of its type: the reader refuses the whole
base when there is any fault, so a stand-in never reaches a caller.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from engine.errors import Fault, Place, did_you_mean
from engine.source import Items, Scalar, Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from engine.source import Node

NUMBER = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)")
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
LOOSE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:/-]*")
FORGIVEN = frozenset("yes no on off true false null ~".split())
INFINITY = float("inf")


def shown(text: str) -> str:
    """Return a value as it is shown in messages, shortened."""
    return repr(text if len(text) <= 40 else text[:37] + "...")


class Fields:
    """Reads tables field by field, collecting faults; `sources` are the declared ones."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self.sources: frozenset[str] = frozenset()

    def fault(self, place: Place, path: str, message: str) -> None:
        """Note one fault."""
        self.faults.append(Fault(place, path, message))

    def table(
        self, node: Node | None, path: str, required: str = "", optional: str = ""
    ) -> dict[str, Node]:
        """Return the entries of a table whose keys are among these; missing ones are faults."""
        entries = self.entries(node, path)
        if node is None:
            return {}
        allowed = (*required.split(), *optional.split(), "source", "note")
        places = node.places if isinstance(node, Table) else {}
        for key in entries:
            if key not in allowed:
                message = f"unknown key{did_you_mean(key, allowed)}"
                self.fault(places[key], f"{path}.{key}" if path else key, message)
        for key in required.split():
            if key not in entries:
                self.fault(node.place, path, f"needs `{key}`")
        return entries

    def entries(self, node: Node | None, path: str) -> dict[str, Node]:
        """Return the entries of a table with any keys."""
        if node is None or (isinstance(node, Scalar) and node.plain and not node.text):
            return {}
        if not isinstance(node, Table):
            met = shown(node.text) if isinstance(node, Scalar) else "a list"
            self.fault(node.place, path, f"must be a mapping, not {met}")
            return {}
        return node.entries

    def named(self, node: Node | None, path: str, strict: bool = False) -> Iterator[tuple[str, Node, str]]:
        """Yield name, node and path of each entry of a table that is keyed by names."""
        pattern = NAME if strict else LOOSE_NAME
        for key, inner in self.entries(node, path).items():
            if key in ("source", "note"):
                continue
            inside = f"{path}.{key}"
            place = node.places[key] if isinstance(node, Table) else inner.place
            if not pattern.fullmatch(key):
                letters = "letters, digits, _ and -, beginning with a letter"
                self.fault(place, inside, f"is no name: use {letters}")
            elif key in FORGIVEN:
                self.fault(place, inside, f"YAML reads {key} as a truth value; choose another name")
            yield key, inner, inside

    def number(
        self,
        entries: Mapping[str, Node],
        key: str,
        path: str,
        low: float = -INFINITY,
        high: float = INFINITY,
        default: float = 0.0,
    ) -> float:
        """Return a number within [low, high]; `default` where the key is absent."""
        node = entries.get(key)
        if node is None:
            return default
        return self.number_at(node, f"{path}.{key}", low, high)

    def number_at(
        self, node: Node, path: str, low: float = -INFINITY, high: float = INFINITY
    ) -> float:
        """Return the number that this node holds, within [low, high]."""
        if not isinstance(node, Scalar):
            self.fault(node.place, path, "must be a number")
            return max(low, 0.0)
        if not node.plain or not NUMBER.fullmatch(node.text):
            hint = ""
            if re.fullmatch(r"[-+]?[\d.]+[eE][-+]?\d+", node.text):
                hint = "; write it without an exponent"
            self.fault(node.place, path, f"must be a number, not {shown(node.text)}{hint}")
            return max(low, 0.0)
        value = float(node.text)
        if not low <= value <= high:
            allowed = f"between {low:g} and {high:g}" if high < INFINITY else f"at least {low:g}"
            self.fault(node.place, path, f"is {value:g}; allowed is {allowed}")
        return min(max(value, low), high)

    def whole(
        self, entries: Mapping[str, Node], key: str, path: str, low: int, high: int, default: int = 0
    ) -> int:
        """Return a whole number within [low, high]."""
        value = self.number(entries, key, path, low, high, default)
        if value != int(value):
            self.fault(entries[key].place, f"{path}.{key}", f"is {value:g}; must be a whole number")
        return int(value)

    def text(self, entries: Mapping[str, Node], key: str, path: str, default: str = "") -> str:
        """Return a text; an unquoted yes, no, on, off, true or false is a fault."""
        node = entries.get(key)
        return default if node is None else self.text_at(node, f"{path}.{key}")

    def text_at(self, node: Node, path: str) -> str:
        """Return the text that this node holds."""
        if not isinstance(node, Scalar):
            self.fault(node.place, path, "must be a text")
            return ""
        if node.plain and node.text.lower() in FORGIVEN:
            self.fault(node.place, path, f"YAML reads {node.text} as a truth value; quote it")
        if not node.text:
            self.fault(node.place, path, "is empty")
        return node.text

    def flag(self, entries: Mapping[str, Node], key: str, path: str) -> bool:
        """Return true or false."""
        node = entries.get(key)
        if node is None:
            return False
        if not isinstance(node, Scalar) or node.text not in ("true", "false"):
            self.fault(node.place, f"{path}.{key}", "must be true or false")
            return False
        return node.text == "true"

    def listed(self, node: Node | None, path: str) -> list[Node]:
        """Return the items of a list."""
        if node is None:
            return []
        if not isinstance(node, Items):
            self.fault(node.place, path, "must be a list, such as [a, b]")
            return []
        return node.items

    def one_of(self, node: Node, path: str, allowed: Iterable[str], what: str) -> str:
        """Return a name that must be one of `allowed` (stand-in: the first of them)."""
        names = list(allowed)
        name = self.text_at(node, path)
        if name not in names:
            self.fault(node.place, path, f"no {what} is called {shown(name)}{did_you_mean(name, names)}")
            return names[0] if names else name
        return name

    def known(
        self, node: Node | None, path: str, allowed: Iterable[str], what: str
    ) -> Iterator[tuple[str, Node, str]]:
        """Yield name, node and path of the entries of a table keyed by known names."""
        names = list(allowed)
        for key, inner in self.entries(node, path).items():
            if key in ("source", "note"):
                continue
            inside = f"{path}.{key}"
            if key in names:
                yield key, inner, inside
            else:
                place = node.places[key] if isinstance(node, Table) else inner.place
                self.fault(place, inside, f"no such {what}{did_you_mean(key, names)}")

    def cited(self, node: Node, path: str) -> dict[str, Any]:
        """Return place, source and note of a number (keyword arguments of `Cited`)."""
        citation = node.cited
        if citation is None:
            message = "has no source; name an entry of `sources`, or `judgement` with a note"
            self.fault(node.place, path, message)
            return {"place": node.place}
        if citation.source == "judgement":
            if not citation.note:
                self.fault(citation.place, path, "`source: judgement` needs a note that says why")
        elif citation.source not in self.sources:
            hint = did_you_mean(citation.source, (*self.sources, "judgement"))
            self.fault(citation.place, path, f"no source is called {shown(citation.source)}{hint}")
        return {"place": node.place, "source": citation.source, "note": citation.note}
