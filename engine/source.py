"""YAML text -> nodes with places, refusing what YAML forgives.

Built from the parser's events rather than from a loader: places stay with every value,
nothing is resolved by surprise (`no`, `1e3`), aliases cannot explode, depth is bounded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import yaml

from engine.errors import Fault, Place

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LONGEST_FILE = 4_000_000
LONGEST_SCALAR = 100_000
DEEPEST = 30
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class Citation:
    """The `source` and `note` in force at a place."""

    source: str
    note: str
    place: Place


@dataclass
class Scalar:
    """A single value as written; `plain` where it was not quoted."""

    text: str
    plain: bool
    place: Place
    cited: Citation | None = None


@dataclass
class Items:
    """A list."""

    items: list[Node]
    place: Place
    cited: Citation | None = None


@dataclass
class Table:
    """A mapping; `places` are those of its keys.

    `shrunk` marks a distribution that lost a removed state: the rest keep their proportions.
    """

    entries: dict[str, Node]
    places: dict[str, Place]
    place: Place
    cited: Citation | None = None
    shrunk: bool = False


Node = Scalar | Items | Table


class _Refused(Exception):
    def __init__(self, place: Place, path: str, message: str) -> None:
        super().__init__(message)
        self.fault = Fault(place, path, message)


def read_file(path: Path, shown: str, faults: list[Fault]) -> Table | None:
    """Read one file into a table; what is wrong with it is added to `faults`."""
    start = Place(shown, 1, 1)
    try:
        data = path.read_bytes()
        if len(data) > LONGEST_FILE:
            message = f"the file has {len(data)} bytes; at most {LONGEST_FILE} are read"
            raise _Refused(start, "", message)
        return _Builder(shown, faults).build(data.decode("utf-8-sig"))
    except _Refused as refused:
        faults.append(refused.fault)
    except OSError as error:
        faults.append(Fault(start, "", f"cannot be read: {error.strerror}"))
    except UnicodeDecodeError as error:
        faults.append(Fault(start, "", f"is not UTF-8 text (byte {error.start})"))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(shown, mark.line + 1, mark.column + 1) if mark else start
        faults.append(Fault(place, "", f"is not YAML: {error.problem}"))
    except yaml.YAMLError as error:
        faults.append(Fault(start, "", f"is not YAML: {str(error).splitlines()[0]}"))
    return None


class _Builder:
    """Turns the event stream of one file into nodes."""

    def __init__(self, shown: str, faults: list[Fault]) -> None:
        self.shown = shown
        self.faults = faults

    def build(self, text: str) -> Table | None:
        events = self._events(text)
        event = next(events, None)
        if event is None:
            return Table({}, {}, Place(self.shown, 1, 1))
        node = self._node(event, events, "", 0)
        if next(events, None) is not None:
            raise _Refused(node.place, "", "holds more than one document; use one file for each")
        if isinstance(node, Scalar) and node.plain and not node.text:
            return Table({}, {}, node.place)
        if not isinstance(node, Table):
            raise _Refused(node.place, "", "must be a mapping of sections")
        return node

    def _events(self, text: str) -> Iterator[yaml.Event]:
        for event in yaml.parse(text, Loader=LOADER):
            if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
                message = "anchors and aliases are not part of the language; repeat the value"
                raise _Refused(self._place(event), "", message)
            if isinstance(event, yaml.NodeEvent | yaml.CollectionEndEvent):
                yield event

    def _place(self, event: yaml.Event) -> Place:
        mark = event.start_mark
        return Place(self.shown, mark.line + 1, mark.column + 1)

    def _node(
        self, event: yaml.Event, events: Iterator[yaml.Event], path: str, depth: int
    ) -> Node:
        place = self._place(event)
        if depth > DEEPEST:
            raise _Refused(place, path[:60], f"is nested more than {DEEPEST} deep")
        if isinstance(event, yaml.ScalarEvent):
            if len(event.value) > LONGEST_SCALAR:
                message = f"has {len(event.value)} characters; at most {LONGEST_SCALAR} are read"
                raise _Refused(place, path, message)
            return Scalar(event.value, event.style in (None, ""), place)
        if isinstance(event, yaml.SequenceStartEvent):
            items: list[Node] = []
            for inner in events:
                if isinstance(inner, yaml.SequenceEndEvent):
                    break
                items.append(self._node(inner, events, f"{path}[{len(items)}]", depth + 1))
            return Items(items, place)
        return self._table(events, place, path, depth)

    def _table(
        self, events: Iterator[yaml.Event], place: Place, path: str, depth: int
    ) -> Table:
        table = Table({}, {}, place)
        for key in events:
            if isinstance(key, yaml.MappingEndEvent):
                break
            where = self._place(key)
            if not isinstance(key, yaml.ScalarEvent):
                raise _Refused(where, path, "a key must be a plain name")
            inside = f"{path}.{key.value}" if path else key.value
            node = self._node(next(events), events, inside, depth + 1)
            if key.value in table.entries:
                first = table.places[key.value]
                self.faults.append(Fault(where, inside, f"is given twice; first at {first}"))
                continue
            table.entries[key.value] = node
            table.places[key.value] = where
        return table


def cite(node: Node, above: Citation | None = None) -> None:
    """Put on every node the citation in force there: its own, else the enclosing one's."""
    node.cited = above
    if isinstance(node, Items):
        for item in node.items:
            cite(item, above)
    if isinstance(node, Table):
        source, note = node.entries.get("source"), node.entries.get("note")
        if isinstance(source, Scalar):
            text = note.text if isinstance(note, Scalar) else ""
            node.cited = Citation(source.text, text, source.place)
        for key, entry in node.entries.items():
            if key not in ("source", "note"):
                cite(entry, node.cited)


def merge(base: Table, over: Table, faults: list[Fault] | None, path: str = "") -> None:
    """Lay `over` upon `base`, in place: tables merge, anything else replaces.

    With `faults`, both are parts of one layer, so a value given by both is a fault.
    """
    for key, node in over.entries.items():
        inside = f"{path}.{key}" if path else key
        met = base.entries.get(key)
        if isinstance(met, Table) and isinstance(node, Table):
            merge(met, node, faults, inside)
        elif met is not None and faults is not None and key not in ("source", "note"):
            message = f"is given twice; first at {base.places[key]}"
            faults.append(Fault(over.places[key], inside, message))
        else:
            base.entries[key] = node
            base.places[key] = over.places[key]
    if path and faults is None and over.cited is not None:
        base.cited = over.cited
