"""YAML text -> nodes with places; refuses YAML that is legal but easily misread.

Built from the parser's events rather than from a loader: places stay with every value,
nothing is resolved by surprise (`no`, `1e3`), aliases cannot explode, depth is bounded.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import yaml

from engine.errors import Fault, Place
from engine.language.mended_line import mended_line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# What every table may hold beside its entries.
CITATION = ("source", "note")
LONGEST_FILE = 1_000_000  # bytes; the longest that ships has 60,000
# Keys, values and lists of a base with all that it extends, about 0.4 kB each; what ships has some thousands.
MOST_NODES = 200_000
LONGEST_SCALAR = 100_000
LONGEST_KEY = 200
DEEPEST = 30
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# What YAML does not allow, by what it is: by what is allowed it takes thirty times as long to compile.
NOT_TEXT = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f]|[\ud800-\udfff]|[\ufffe\uffff]")
# A whole number, of which a decimal comma makes two.
WHOLE = re.compile(r"[-+]?[0-9]+")


@dataclass(frozen=True)
class Citation:
    """The `source` and `note` in force at a place; `place` and `path` are those of the source."""

    source: str
    note: str
    place: Place
    path: str


@dataclass
class Scalar:
    """A single value as written; `plain` where it was not quoted.

    `offset`: how many columns after `place` the text begins; None where it is not on one line as
    it is read (folded, or with escapes). `under`: what it replaced in the layer below.
    """

    text: str
    place: Place
    path: str
    plain: bool = True
    offset: int | None = 0
    cited: Citation | None = None
    under: Node | None = None


@dataclass
class Items:
    """A list. `under`: what it replaced in the layer below."""

    items: list[Node]
    place: Place
    path: str
    cited: Citation | None = None
    under: Node | None = None


@dataclass
class Table:
    """A mapping; `places` are those of its keys.

    `shrunk` marks a distribution that lost a removed state: the rest keep their proportions. `beside`: where
    an overlay brought it, the names that the base had in its place. `removed`: of a whole base, what overlays
    took out of it, by path and by name, and where they say so; `files`: the folders and files it is from.
    """

    place: Place
    path: str
    entries: dict[str, Node] = field(default_factory=dict)
    places: dict[str, Place] = field(default_factory=dict)
    cited: Citation | None = None
    shrunk: bool = False
    beside: tuple[str, ...] = ()
    removed: dict[str, Place] = field(default_factory=dict)
    files: tuple[str, ...] = ()
    # The table as JSON, a cache of `yaml_tree`; a changed copy begins without one.
    json_text: str = field(default="", init=False, compare=False, repr=False)
    # Its digests, by the keys that are left out, likewise.
    digest_texts: dict[tuple[str, ...], str] = field(
        default_factory=dict, init=False, compare=False, repr=False
    )

    def get(self, key: str) -> Node | None:
        """Return the node under this key."""
        return self.entries.get(key)

    def __contains__(self, key: str) -> bool:
        return key in self.entries

    def drop(self, key: str) -> bool:
        """Remove a key; return whether it was there."""
        self.places.pop(key, None)
        return self.entries.pop(key, None) is not None


Node = Scalar | Items | Table


@dataclass
class Budget:
    """How many nodes may still be read."""

    nodes: int = MOST_NODES


class _UnreadableError(Exception):
    """The rest of a file cannot be read."""

    def __init__(self, place: Place, path: str, message: str) -> None:
        super().__init__(message)
        self.fault = Fault(place, path, message)


def read_file(path: Path, shown: str, faults: list[Fault], budget: Budget | None = None) -> Table | None:
    """Read one file into a table; what is wrong with it is added to `faults`.

    budget: what the files of a base may take together, less what earlier ones took.

    Returns:
        The table, or None where the file could not be read to its end.
    """
    try:
        data = file_bytes(path)
        if len(data) > LONGEST_FILE:
            size = max(path.stat().st_size, len(data))
            message = f"the file has {size} bytes; at most {LONGEST_FILE} are read"
            faults.append(Fault(Place(shown, 1, 1), "", message))
            return None
    except OSError as error:
        faults.append(Fault(Place(shown, 1, 1), "", f"cannot be read: {error.strerror}"))
        return None
    return read_bytes(data, shown, faults, budget)


def file_bytes(path: Path) -> bytes:
    """Return what a file holds, of one that is too long to be read a byte more than is allowed."""
    with path.open("rb") as file:
        return file.read(LONGEST_FILE + 1)


def read_bytes(data: bytes, shown: str, faults: list[Fault], budget: Budget | None = None) -> Table | None:
    """Read what a file holds into a table, as `read_file` does; None where it could not be read."""
    start = Place(shown, 1, 1)
    try:
        text = _decode(data, shown)
        return _NodeBuilder(shown, faults, budget or Budget()).build(text)
    except _UnreadableError as error:
        faults.append(error.fault)
    except yaml.MarkedYAMLError as error:
        faults.append(_syntax_fault(error, text, start))
    except yaml.YAMLError as error:
        faults.append(Fault(start, "", f"is not YAML: {str(error).splitlines()[0]}"))
    return None


def read_text(text: str, shown: str, faults: list[Fault]) -> Table | None:
    """Read a text into a table, as `read_file` does; None where it could not be read."""
    try:
        return _NodeBuilder(shown, faults, Budget()).build(text)
    except _UnreadableError as error:
        faults.append(error.fault)
    except yaml.YAMLError as error:
        faults.append(Fault(Place(shown, 1, 1), "", f"is not YAML: {str(error).splitlines()[0]}"))
    return None


def copy_table(table: Table) -> Table:
    """Return a copy of a table, and of the tables and lists in it; scalars are shared."""
    entries = {key: _copy(node) for key, node in table.entries.items()}
    places, removed = dict(table.places), dict(table.removed)
    return replace(table, entries=entries, places=places, removed=removed)


def _copy(node: Node) -> Node:
    if isinstance(node, Table):
        return copy_table(node)
    if isinstance(node, Items):
        under = None if node.under is None else _copy(node.under)
        return Items(list(map(_copy, node.items)), node.place, node.path, node.cited, under)
    return node


def _decode(data: bytes, shown: str) -> str:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8", "replace")
        message = f"is not UTF-8 text (byte 0x{data[error.start]:02x})"
        raise _UnreadableError(_place_after(before, shown), "", message) from None
    odd = NOT_TEXT.search(text)
    if odd:
        message = f"is not a text file: it holds the control character U+{ord(odd[0]):04X}"
        raise _UnreadableError(_place_after(text[: odd.start()], shown), "", message)
    return text


def _place_after(before: str, shown: str) -> Place:
    line, start = before.count("\n"), before.rfind("\n") + 1
    return Place(shown, line + 1, len(before) - start + 1)


def _syntax_fault(error: yaml.MarkedYAMLError, text: str, start: Place) -> Fault:
    mark = error.problem_mark or error.context_mark
    if mark is None:
        return Fault(start, "", f"is not YAML: {error.problem}")
    place = Place(start.file, mark.line + 1, mark.column + 1)
    lines = text.splitlines()
    if mark.line < len(lines) and lines[mark.line][mark.column : mark.column + 1] == "\t":
        return Fault(place, "", "is indented by a tab; use spaces")
    indentation = _indentation_fault(lines, mark.line)
    if indentation:
        return Fault(place, "", indentation)
    mended = mended_line(error, lines, mark.line, mark.column)
    if mended:
        return Fault(place, "", mended)
    context = ""
    if error.context and error.context_mark:
        context = f" {error.context} that begins at line {error.context_mark.line + 1}"
    return Fault(place, "", f"is not YAML: {error.problem}{context}")


def _indentation_fault(lines: list[str], row: int) -> str:
    """Return what is wrong with a line's indentation, by the lines above; an empty text where nothing is.

    Only for a line at which the parser stopped: within texts and braces blanks mean nothing.
    """
    if row >= len(lines):
        return ""
    indent = len(lines[row]) - len(lines[row].lstrip(" "))
    above: list[tuple[int, int]] = []
    for number in range(row - 1, -1, -1):
        text = lines[number].lstrip(" ")
        width = len(lines[number]) - len(text)
        if text and not text.startswith("#") and (not above or width < above[-1][0]):
            above.append((width, number + 1))
    if not above or indent in [width for width, _ in above]:
        return ""
    if indent > above[0][0] and lines[above[0][1] - 1].rstrip().endswith(":"):
        return ""
    places = ", ".join(f"{width} (line {line})" for width, line in above[:4])
    return f"is indented by {indent} blanks, as no line above is: those are indented by {places}"


class _NodeBuilder:
    """Turns the event stream of one file into nodes."""

    def __init__(self, shown: str, faults: list[Fault], budget: Budget) -> None:
        self.shown = shown
        self.faults = faults
        self.budget = budget

    def build(self, text: str) -> Table:
        events = self._events(text)
        event = next(events, None)
        if event is None:
            return Table(Place(self.shown, 1, 1), "")
        node = self._node(event, events, "", 0)
        second = next(events, None)
        if second is not None:
            message = "begins a second document; use one file for each"
            raise _UnreadableError(self._place(second), "", message)
        if isinstance(node, Scalar) and node.plain and not node.text:
            return Table(node.place, "")
        if not isinstance(node, Table):
            description = "a list" if isinstance(node, Items) else f"the text {node.text[:40]!r}"
            raise _UnreadableError(node.place, "", f"must be a mapping of sections, not {description}")
        return node

    def _events(self, text: str) -> Iterator[yaml.Event]:
        for event in yaml.parse(text, Loader=LOADER):
            if isinstance(event, yaml.NodeEvent | yaml.CollectionEndEvent):
                yield event

    def _place(self, event: yaml.Event) -> Place:
        mark = event.start_mark
        assert mark is not None  # The parser gives every event its marks.
        return Place(self.shown, mark.line + 1, mark.column + 1)

    def _node(self, event: yaml.Event, events: Iterator[yaml.Event], path: str, depth: int) -> Node:
        place = self._place(event)
        self._refuse(event, place, path, depth)
        if isinstance(event, yaml.ScalarEvent):
            if len(event.value) > LONGEST_SCALAR:
                message = f"has {len(event.value)} characters; at most {LONGEST_SCALAR} are read"
                raise _UnreadableError(place, path, message)
            return Scalar(event.value, place, path, event.style in (None, ""), _offset(event))
        if isinstance(event, yaml.SequenceStartEvent):
            items: list[Node] = []
            for inner in events:
                if isinstance(inner, yaml.SequenceEndEvent):
                    break
                items.append(self._node(inner, events, f"{path}[{len(items)}]", depth + 1))
            return Items(items, place, path)
        return self._table(events, place, path, depth)

    def _refuse(self, event: yaml.Event, place: Place, path: str, depth: int) -> None:
        """Refuse aliases, anchors and tags, and files that are too deep or too large."""
        self.budget.nodes -= 1
        if self.budget.nodes < 0:
            short = path if len(path) <= 60 else path[:57] + "..."
            message = f"exceeds the {MOST_NODES} keys, values and lists that a base may have"
            raise _UnreadableError(place, short, message)
        if depth > DEEPEST:
            short = path if len(path) <= 60 else path[:57] + "..."
            raise _UnreadableError(place, short, f"is nested more than {DEEPEST} deep")
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            message = "anchors and aliases (& and *) are not part of the language; write the value out"
            raise _UnreadableError(place, path, message)
        tag = getattr(event, "tag", None)
        if tag is not None:
            message = f"YAML reads {tag[:40]!r} as a tag; quote what begins with !"
            raise _UnreadableError(place, path, message)

    def _table(self, events: Iterator[yaml.Event], place: Place, path: str, depth: int) -> Table:
        table = Table(place, path)
        for event in events:
            if isinstance(event, yaml.MappingEndEvent):
                break
            where = self._place(event)
            self._refuse(event, where, path, depth)
            if not isinstance(event, yaml.ScalarEvent):
                raise _UnreadableError(where, path, "a key must be a plain name")
            key = event.value
            if len(key) > LONGEST_KEY:
                message = f"holds a key of {len(key)} characters; at most {LONGEST_KEY} are read"
                raise _UnreadableError(where, path, message)
            inside = f"{path}.{key}" if path else key
            node = self._node(next(events), events, inside, depth + 1)
            if _is_decimal_comma(table, event, node):
                last = next(reversed(table.entries))
                number = table.entries[last]
                assert isinstance(number, Scalar)
                # Who reads the number says what is wrong with it.
                table.entries[last] = replace(number, text=f"{number.text},{key}")
                continue
            if key in table:
                self.faults.append(_twice(where, inside, table.places[key]))
                continue
            table.entries[key] = node
            table.places[key] = where
        return table


def _is_decimal_comma(table: Table, key: yaml.ScalarEvent, value: Node) -> bool:
    """Whether `p: 0,85` within braces was read as two entries, `p: 0` and `85:`."""
    number = next(reversed(table.entries.values()), None)
    mark = key.start_mark
    if not isinstance(number, Scalar) or not isinstance(value, Scalar) or value.text or mark is None:
        return False
    beside = (number.place.line, number.place.column + len(number.text)) == (mark.line + 1, mark.column)
    return beside and number.plain and value.plain and WHOLE.fullmatch(number.text + key.value) is not None


def _offset(event: yaml.ScalarEvent) -> int | None:
    start, end = event.start_mark, event.end_mark
    quotes = 0 if event.style in (None, "") else 1
    if start is None or end is None or start.line != end.line:
        return None
    return quotes if end.column - start.column == len(event.value) + 2 * quotes else None


def _twice(place: Place, path: str, first: Place) -> Fault:
    return Fault(place, path, f"is given twice; first at {first}")


def cite(node: Node, faults: list[Fault], above: Citation | None = None) -> None:
    """Put on every node the citation in force there: its own, else the enclosing one's."""
    node.cited = above
    if isinstance(node, Items):
        for item in node.items:
            cite(item, faults, above)
    if isinstance(node, Table):
        source, note = (_cited_text(node.get(key), faults) for key in CITATION)
        if source is not None:
            text = note.text if note else ""
            node.cited = Citation(source.text, text, source.place, source.path)
        elif note is not None and above is not None:
            node.cited = Citation(above.source, note.text, above.place, above.path)
        for key, entry in node.entries.items():
            if key not in CITATION:
                cite(entry, faults, node.cited)


def _cited_text(node: Node | None, faults: list[Fault]) -> Scalar | None:
    if node is None or (isinstance(node, Scalar) and node.text):
        return node
    faults.append(Fault(node.place, node.path, "must be a text"))
    return None


def merge(base: Table, over: Table, faults: list[Fault], *, upon: bool = False) -> None:
    """Lay `over` beside `base`, or `upon` it, in place: tables merge, anything else replaces.

    Beside one another both are parts of one layer, so a value given by both is a fault.
    """
    for key, node in over.entries.items():
        base_node = base.get(key)
        if isinstance(base_node, Table) and isinstance(node, Table):
            merge(base_node, node, faults, upon=upon)
        elif base_node is not None and not upon and key not in CITATION:
            faults.append(_twice(over.places[key], node.path, base.places[key]))
        elif upon and isinstance(base_node, Table) and _no_table(node):
            # The base keeps what it has, so that no further faults follow from its absence.
            faults.append(Fault(over.places[key], node.path, _no_table(node)))
        else:
            if not isinstance(node, Table):
                node.under = base_node
            elif base_node is None and upon:
                node.beside = tuple(
                    name for name, sibling in base.entries.items() if isinstance(sibling, Table)
                )
            base.entries[key] = node
            base.places[key] = over.places[key]
            # Numbers that are given anew must sum to one by themselves.
            base.shrunk = False
    if upon:
        # What is wrong with the mixture of both is for the author of the overlay to mend.
        base.place = over.place
        base.cited = over.cited or base.cited


def _no_table(node: Node) -> str:
    """Return what is wrong with an overlay's node in the place of a mapping; empty for a text, which may."""
    if isinstance(node, Items):
        return "must be a mapping, as in the base, not a list"
    if isinstance(node, Scalar) and node.plain and not node.text:
        return "is empty; indent its changes below it, or delete entries by `remove`"
    return ""
