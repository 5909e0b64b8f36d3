"""A model's text -> fields of a sample record; a field of another form is unread, never guessed.

Texts may be hostile: whatever is in them can at most be an answer that the form allows.
"""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from seke.prompts.response_schema import Form, Key
    from seke.vision.messages import Choice

    Record = dict[str, Any]

# Characters of an answer that is read.
LONGEST = 100_000
# Braces of a text at which an object is looked for.
MOST_BEGINNINGS = 64
# A list of more names than so many times those allowed is a loop; characters of an unread name that is told.
MOST_REPEATED, LONGEST_NAMED = 2, 40
UNREAD = object()
FENCED = re.compile(r"```[a-zA-Z]*\s*\n(.*?)```", re.DOTALL)
FILTERED = ("content_filter",)


def read_choice(form: Form, choice: Choice) -> Record:
    """Return the levels of an answer's sample record, or a status that is not ok.

    Fields that cannot be read are left out and named under `extra.unread`, as are names among others that the
    form does not have; an answer without any field that can be read is `unreadable`. A refusal, the server's
    or its filter's, is `refused`.
    """
    if choice.refusal is not None or choice.finish in FILTERED:
        return {"status": "refused"}
    fields = parse_object(choice.text)
    if fields is None:
        return {"status": "unreadable"}
    levels: Record = {}
    unread: list[str] = []
    inner = fields.get("reports")
    for key in form.keys:
        mapping = (inner if isinstance(inner, dict) else {}) if key.inside else fields
        value = _value(key, mapping.get(key.name, UNREAD), unread)
        if value is UNREAD:
            unread.append(key.name)
        elif key.inside:
            levels.setdefault("reports", {})[key.name] = value
        else:
            levels[key.name] = value
    if not levels:
        return {"status": "unreadable"}
    return levels | ({"extra": {"unread": unread}} if unread else {})


def parse_object(text: str) -> Record | None:
    """Return the one JSON object that a text holds; None where there is none, several, or a twofold key."""
    if len(text) > LONGEST:
        return None
    plain = _decode(text.strip())
    if plain is not None:
        return plain
    for candidates in (FENCED.findall(text), list(_objects(text))):
        objects = [
            decoded for decoded in (_decode(part.strip()) for part in candidates) if decoded is not None
        ]
        if objects:
            return objects[0] if len(objects) == 1 else None
    return None


def _objects(text: str) -> Iterator[str]:
    """Yield the outermost objects among prose."""
    start, attempts = text.find("{"), 0
    while start >= 0 and attempts < MOST_BEGINNINGS:
        attempts += 1
        try:
            _, stop = json.JSONDecoder().raw_decode(text, start)
        except (ValueError, RecursionError):
            stop = start + 1
        else:
            yield text[start:stop]
        start = text.find("{", stop)


def _decode(text: str) -> Record | None:
    try:
        value = json.loads(text, object_pairs_hook=_unique_keys, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _unique_keys(pairs: list[tuple[str, Any]]) -> Record:
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        raise ValueError("a key is given twice")
    return mapping


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _value(key: Key, value: Any, unread: list[str]) -> Any:
    """Return the value of a field, UNREAD where it is not of the form; add its unread parts to `unread`."""
    match key.kind:
        case "number":
            return _number(key, value)
        case "label":
            return _match_name(key, value)
        case "ranking":
            return _ranking(key, value, unread)
        case "list":
            return _list(key, value, unread)
        case "marks":
            return _marks(key, value)
    return value if isinstance(value, bool) else UNREAD


def _number(key: Key, value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return UNREAD
    return float(value) if key.low <= value <= key.high and math.isfinite(value) else UNREAD


def _match_name(key: Key, value: Any) -> Any:
    if not isinstance(value, str):
        return UNREAD
    folded = {name.casefold(): name for name in key.allowed}
    return folded.get(value.strip().casefold(), UNREAD)


def _ranking(key: Key, value: Any, unread: list[str]) -> Any:
    """Return the places up to the first name that is none of the form's, or that stands there already."""
    if isinstance(value, str):
        return _match_name(key, value)
    if not isinstance(value, list) or len(value) > len(key.allowed):
        return UNREAD
    places: list[str] = []
    for text in value:
        name = _match_name(key, text)
        if name is UNREAD or name in places:
            unread += [f"{key.name}: {_shortened(text)}"] * bool(places)
            break
        places.append(name)
    return places or UNREAD


def _list(key: Key, value: Any, unread: list[str]) -> Any:
    """Return the names of a list, each once; with other names among them, the known ones as named.

    Of a list with a name that is none of the form's it is not known what its silence says of the others.
    """
    if not isinstance(value, list) or len(value) > MOST_REPEATED * len(key.allowed):
        return UNREAD
    names = [_match_name(key, text) for text in value]
    known = list(dict.fromkeys(name for name in names if name is not UNREAD))
    if UNREAD not in names:
        return known
    if not known:
        return UNREAD
    unread += [
        f"{key.name}: {_shortened(text)}" for text, name in zip(value, names, strict=True) if name is UNREAD
    ]
    return dict.fromkeys(known, True)


def _shortened(text: Any) -> str:
    """Return a part of an answer, short enough to be named."""
    return str(text)[:LONGEST_NAMED]


def _marks(key: Key, value: Any) -> Any:
    """Return name -> mark of those that can be read; null: it cannot be seen."""
    if not isinstance(value, dict):
        return UNREAD
    folded = {name.casefold(): name for name in key.allowed}
    marks: Record = {}
    for name, mark in value.items():
        member = folded.get(name.strip().casefold())
        if member is not None and (mark is None or isinstance(mark, bool)):
            if member in marks:
                return UNREAD
            marks[member] = mark
    return marks or UNREAD
