"""YAML files that a user hands over -> PyYAML's nodes, within bounds on size, depth and number.

Bases of knowledge are read by the engine, which has bounds of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine import AnswerError, Fault, KnowledgeError, Place
from seke.files.texts import read_text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import yaml

DEEPEST = 30  # mappings and lists within one another, as in bases; words of an export have five
MOST_NODES = 50_000  # keys, values and lists of one file, about 1 kB each; the words of an export have 300


def compose_yaml(path: Path) -> yaml.Node | None:
    """Return the top node of a file, None where it is empty.

    Raises:
        engine.KnowledgeError: what cannot be read, at its place.
    """
    import yaml

    start = Place(str(path), 1, 1)
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        text = read_text(path)
        _check_events(path, yaml.parse(text, Loader=loader))
        node: yaml.Node | None = yaml.compose(text, Loader=loader)
    except AnswerError as error:
        raise KnowledgeError([_fault(start, str(error))]) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        at = Place(str(path), mark.line + 1, mark.column + 1) if mark else start
        what = getattr(error, "problem", None) or "cannot be read"
        raise KnowledgeError([Fault(at, "", f"is no YAML ({what})")]) from None
    return node


def _fault(start: Place, message: str) -> Fault:
    """Return what `read_text` says of a file as a fault; only of a byte it says line and column."""
    what = message.removeprefix(f"{start.file}:")
    if what.startswith(" "):
        return Fault(start, "", what.strip())
    line, column, what = what.split(":", 2)
    return Fault(Place(start.file, int(line), int(column)), "", what.strip())


def _check_events(path: Path, events: Iterator[yaml.Event]) -> None:
    """Refuse aliases, which expand a few lines to gigabytes, and files that are too deep or too large."""
    import yaml

    depth, count = 0, 0
    for event in events:
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        count += isinstance(event, yaml.NodeEvent)
        message = ""
        if isinstance(event, yaml.AliasEvent):
            message = "cannot be read (aliases (*) are not read; write the text out)"
        elif depth > DEEPEST:
            message = f"is nested more than {DEEPEST} deep"
        elif count > MOST_NODES:
            message = f"has more than {MOST_NODES:,} keys, values and lists, the most that are read"
        if message:
            mark = event.start_mark
            place = Place(str(path), mark.line + 1, mark.column + 1) if mark else Place(str(path), 1, 1)
            raise KnowledgeError([Fault(place, "", message)])
