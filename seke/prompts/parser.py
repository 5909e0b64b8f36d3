"""A model's text -> fields of a sample record; a field of another form is unread, never guessed.

Texts may be hostile: whatever is in them can at most be an answer that the form allows.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from seke.prompts.object_reader import answer_part, decoded, parse_object
from seke.prompts.response_schema import PLACES
from seke.samples.spelling import name_meant

if TYPE_CHECKING:
    from collections.abc import Mapping

    from seke.prompts.response_schema import Form, Key
    from seke.vision.messages import Choice

    Record = dict[str, Any]

# A list of more names than so many times those allowed is a loop; characters of an unread name that is told.
MOST_REPEATED, LONGEST_NAMED = 2, 40
# A number of an answer from which on it is none.
LARGEST = 1e9
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)")
# How a model says that a list is empty, and a mark.
NOBODY = ("none", "no", "nothing", "n/a", "-")
MARKS = {
    **dict.fromkeys(("true", "yes", "present", "visible", "active", "1"), True),
    **dict.fromkeys(("false", "no", "absent", "not present", "not visible", "inactive", "0"), False),
    **dict.fromkeys(("null", "none", "unknown", "cannot be seen"), None),
}
# Words for a mark that stand alone: of none of them a part is another one.
BARE_MARKS = {"yes": True, "present": True, "no": False, "absent": False, "null": None}
UNREAD = object()


def read_choice(form: Form, choice: Choice) -> Record:
    """Return the levels of an answer's sample record, or a status that is not ok.

    Fields that cannot be read are left out and named under `extra.unread`, as are names among others that the
    form does not have; an answer without any field that can be read is `unreadable`. A number outside its
    range says that the answer's numbers are on another scale: none of them is read. A refusal, the server's
    or its filter's, is `refused`. An answer that says that nothing can be judged, in its first key or by
    null in place of every value, is `not_judged`, whatever else is in it.
    """
    if choice.refused:
        return {"status": "refused"}
    fields = _fields(form, choice.text)
    if fields is None:
        return {"status": "unreadable"}
    levels: Record = {}
    unread: list[str] = []
    sight, hidden = form.aside("sight"), form.aside("hidden")
    seen = {} if sight is None else _sight(sight, fields, unread)
    if sight is not None and seen.get(sight.name) == sight.allowed[-1]:
        return {"status": "not_judged"}
    # Null is an answer where the answer says how well it sees; one to an older form has no word for that.
    may_be_null, not_told = sight is not None and sight.name in fields, False
    other_scale = any(_off_scale(key, _given(key, fields)) for key in form.values)
    for key in form.values:
        given = _given(key, fields)
        if given is None and key.nullable and may_be_null:
            not_told = True
            continue
        value = UNREAD if other_scale and key.kind == "number" else _value(key, given, unread)
        if hidden is not None and key.kind == "list":
            value = _with_hidden(key, value, hidden, fields, unread)
        if value is UNREAD:
            unread.append(key.name)
        elif key.inside:
            levels.setdefault("reports", {})[key.name] = value
        else:
            levels[key.name] = value
    if not levels:
        return {"status": "not_judged" if not_told and not unread else "unreadable"}
    extra = seen | ({"unread": unread} if unread else {})
    return levels | ({"extra": extra} if extra else {})


def _sight(key: Key, fields: Mapping[str, Any], unread: list[str]) -> Record:
    """Return how well an answer says that it sees, under its key; nothing where it does not say."""
    if key.name not in fields:
        return {}
    word = _match_name(key, fields[key.name])
    if word is UNREAD:
        unread.append(key.name)
        return {}
    return {key.name: word}


def _with_hidden(key: Key, value: Any, hidden: Key, fields: Mapping[str, Any], unread: list[str]) -> Any:
    """Return a list, as marks where names beside it cannot be seen, each of which is null.

    A name that stands in both is null. Where what cannot be seen is not read as a whole, the silence of the
    list says nothing.
    """
    given = fields.get(hidden.name)
    if isinstance(given, str) and given.strip().casefold() in NOBODY:
        return value
    if value is UNREAD or given is None or given == []:
        return value
    names = _list(hidden, given, unread)
    if names is UNREAD:
        unread.append(hidden.name)
        names = {}
    if names == []:
        return value
    closed = isinstance(names, list) and isinstance(value, list)
    marks = dict.fromkeys(key.members, False) if closed else {}
    marks |= dict.fromkeys(value, True)
    unread += [f"{hidden.name}: {name}" for name in names if marks.get(name)]
    return marks | dict.fromkeys(names)


def _fields(form: Form, text: str) -> Record | None:
    """Return the fields of an answer, each under its key as the form has it; None where nothing can be read.

    Keys may be in another case; one wrapper around the object is taken off. A form of one key may be answered
    by its value alone.
    """
    whole = parse_object(text)
    if whole is None:
        part = answer_part(text)
        sight = form.aside("sight")
        if sight is not None and _match_name(sight, part.strip('"')) == sight.allowed[-1]:
            return {sight.name: sight.allowed[-1]}
        if len(form.values) > 1 or len(part) > LONGEST_NAMED:
            return None
        return {form.values[0].name: _bare(form.values[0], part)}
    for fields in (whole, *filter(None, map(_unwrapped, whole.values()))):
        folded = _folded(form, fields)
        if folded != {}:
            return folded
    return whole


def _folded(form: Form, fields: Mapping[str, Any]) -> Record | None:
    """Return the fields with a key of the form, each under that; None where one has two values.

    Marks may stand without their key around them.
    """
    names = {name.casefold(): name for name in (*(key.name for key in form.keys), "reports")}
    folded: Record = {}
    for text, value in fields.items():
        name = names.get(text.strip().casefold())
        if name is not None and folded.setdefault(name, value) != value:
            return None
    marks = next((key for key in form.keys if key.kind == "marks" and not key.inside), None)
    if marks is not None and marks.name not in folded:
        flat = {text: value for text, value in fields.items() if _match_name(marks, text) is not UNREAD}
        folded |= {marks.name: flat} if flat else {}
    return folded


def _unwrapped(value: Any) -> Record | None:
    """Return the object that a wrapper's value is, or holds as a text."""
    inner = decoded(value) if isinstance(value, str) and value.lstrip().startswith("{") else value
    return inner if isinstance(inner, dict) else None


def _bare(key: Key, text: str) -> Any:
    """Return the value of a form's only key that is given without its key: JSON, or a whole name.

    Not a number, of which a part is another number.
    """
    value = decoded(text)
    if key.kind == "marks" and len(key.members) == 1:
        mark = value if value is not None else BARE_MARKS.get(text.rstrip(".!").casefold(), UNREAD)
        return mark if isinstance(mark, dict) else {key.members[0]: mark}
    if value is None and _match_name(key, text) is not UNREAD:
        value = text
    return UNREAD if value is None or key.kind == "number" else value


def _given(key: Key, fields: Record) -> Any:
    """Return what an answer gives for a key, UNREAD where there is nothing."""
    inner = fields.get("reports")
    mapping = (inner if isinstance(inner, dict) else {}) if key.inside else fields
    return mapping.get(key.name, UNREAD)


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
            return _marks(key, value, unread)
    return mark if isinstance(mark := _mark(value), bool) else UNREAD


def _plain_number(value: Any) -> float | None:
    """Return a number, also one that is written as a text; None where it is none."""
    if isinstance(value, str) and NUMBER.fullmatch(value.strip()):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < math.inf:
        return None
    return float(value) if abs(value) < LARGEST else None


def _off_scale(key: Key, value: Any) -> bool:
    """Say whether a number lies outside its range."""
    number = _plain_number(value) if key.kind == "number" else None
    return number is not None and not key.low <= number <= key.high


def _number(key: Key, value: Any) -> Any:
    number = _plain_number(value)
    return number if number is not None and key.low <= number <= key.high else UNREAD


def _match_name(key: Key, value: Any) -> Any:
    """Return the name that a text means, in another case, with zeros, its label or a stop, or its number."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return UNREAD
    name = name_meant(str(value), key.allowed, key.also, key.labels)
    return UNREAD if name is None else name


def _ranking(key: Key, value: Any, unread: list[str]) -> Any:
    """Return the places up to the first name that is none of the form's, or that stands there already.

    Probabilities of names are places by their size; names in one text, between commas, are a list.
    """
    if isinstance(value, dict):
        numbers = {name: _plain_number(number) for name, number in value.items()}
        if any(number is None or number < 0 for number in numbers.values()):
            return UNREAD
        # What has the probability 0 is named at no place.
        likely = [name for name, number in numbers.items() if number]
        value = sorted(likely, key=lambda name: -(numbers[name] or 0.0))[:PLACES]
    if isinstance(value, str):
        name = _match_name(key, value)
        if name is not UNREAD or "," not in value:
            return name
        value = value.split(",")
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
    if len(value) == 1 and isinstance(value[0], str) and value[0].strip().casefold() in NOBODY:
        return []
    names = [_match_name(key, text) for text in value]
    known = list(dict.fromkeys(name for name in names if name is not UNREAD))
    if UNREAD not in names:
        return known
    if not known:
        return UNREAD
    unread += [
        f"{key.name}: {_shortened(text)}" for text, name in zip(value, names, strict=True) if name is UNREAD
    ]
    # A code that the base knows and that hides none of these stands for none of them either.
    others = {str(text).strip().casefold() for text, name in zip(value, names, strict=True) if name is UNREAD}
    return known if others <= {name.casefold() for name in key.others} else dict.fromkeys(known, True)


def _shortened(text: Any) -> str:
    """Return a part of an answer, short enough to be named."""
    return str(text)[:LONGEST_NAMED]


def _marks(key: Key, value: Any, unread: list[str]) -> Any:
    """Return name -> mark of those that can be read; null: it cannot be seen. Others are told as unread."""
    if not isinstance(value, dict):
        return UNREAD
    marks: Record = {}
    others = []
    for text, given in value.items():
        name, mark = _match_name(key, text), _mark(given)
        if name is UNREAD or mark is UNREAD:
            others.append(f"{key.name}: {_shortened(text)}")
            continue
        if name in marks and marks[name] is not mark:
            return UNREAD
        marks[name] = mark
    unread += others[: MOST_REPEATED * len(key.allowed)] if marks else []
    return marks or UNREAD


def _mark(value: Any) -> Any:
    """Return true, false or null as a mark means it, UNREAD where it means none of them."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return MARKS.get(value.strip().casefold(), UNREAD)
    return bool(value) if isinstance(value, int) and value in (0, 1) else UNREAD
