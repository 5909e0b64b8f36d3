"""A model's text -> fields of a sample record; a field of another form is unread, never guessed.

Texts may be hostile: whatever is in them can at most be an answer that the form allows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seke.prompts.field_values import (
    LONGEST_NAMED,
    NOBODY,
    NUMBERED,
    SILENCE,
    UNREAD,
    field_value,
    match_name,
    name_list,
    plain_number,
)
from seke.prompts.object_reader import answer_part, decoded, parse_object

if TYPE_CHECKING:
    from collections.abc import Mapping

    from seke.prompts.response_schema import Form, Key
    from seke.vision.messages import Choice

    Record = dict[str, Any]

# Words for a mark that stand alone: of none of them a part is another one.
BARE_MARKS = {"yes": True, "present": True, "no": False, "absent": False, "null": None}
FILTERED = ("content_filter",)
# How an answer ends that the server cuts off.
CUT = ("length", "max_tokens")


def read_choice(form: Form, choice: Choice) -> Record:
    """Return the levels of an answer's sample record, or a status that is not ok.

    Fields that cannot be read are left out and named under `extra.unread`, as are names among others that the
    form does not have; an answer without any field that can be read is `unreadable`. A number outside its
    range says that the answer's numbers are on another scale: none of them is read, and `extra.off_scale` has
    those outside. A refusal, the server's or its filter's, is `refused`. An answer that says that nothing can
    be judged, in its first key or by null in place of every value, is `not_judged`, whatever else is in it.
    """
    if choice.refusal is not None or choice.finish in FILTERED:
        return {"status": "refused"}
    fields = _fields(form, choice.text, cut=choice.finish in CUT)
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
    off_scale = _off_scale(form, fields)
    for key in form.values:
        given = _given(key, fields)
        if given is None and key.nullable and may_be_null:
            not_told = True
            continue
        value = UNREAD if off_scale and key.kind == "number" else field_value(key, given, unread)
        if key.kind in ("list", "marks"):
            value = _members(key, value, hidden, fields, unread)
        if value is UNREAD:
            unread.append(key.name)
        elif key.inside:
            levels.setdefault("reports", {})[key.name] = value
        else:
            levels[key.name] = value
    if not levels:
        levels, seen = {"status": "not_judged" if not_told and not unread else "unreadable"}, {}
        unread = []
    extra = seen | {name: part for name, part in (("unread", unread), ("off_scale", off_scale)) if part}
    return levels | ({"extra": extra} if extra else {})


def _sight(key: Key, fields: Mapping[str, Any], unread: list[str]) -> Record:
    """Return how well an answer says that it sees, under its key; nothing where it does not say."""
    if key.name not in fields:
        return {}
    word = match_name(key, fields[key.name])
    if word is UNREAD:
        unread.append(key.name)
        return {}
    return {key.name: word}


def _members(key: Key, value: Any, hidden: Key | None, fields: Mapping[str, Any], unread: list[str]) -> Any:
    """Return a list or marks, null for what cannot be seen; say where the silence of a list says nothing."""
    if hidden is not None and key.kind == "list":
        value = _with_hidden(key, value, hidden, fields, unread)
    listed = isinstance(fields.get(key.name), list) and isinstance(value, dict)
    unread += [f"{key.name}: {SILENCE}"] * bool(listed and set(key.members) - set(value))
    return value


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
    names = name_list(hidden, given, unread)
    if names is UNREAD:
        unread.append(hidden.name)
        names = {}
    if names == []:
        return value
    if isinstance(given, dict) and isinstance(names, dict):
        names = {name: mark for name, mark in names.items() if mark}
    closed = isinstance(names, list) and isinstance(value, list)
    marks = dict.fromkeys(key.members, False) if closed else {}
    marks |= dict.fromkeys(value, True)
    unread += [f"{hidden.name}: {name}" for name in names if marks.get(name)]
    return marks | dict.fromkeys(names)


def _fields(form: Form, text: str, *, cut: bool) -> Record | None:
    """Return the fields of an answer, each under its key as the form has it; None where nothing can be read.

    Keys may be in another case; one wrapper around the object is taken off, unless several objects in it
    could be the answer. A form of one key may be answered by its value alone. cut: whether the server says
    that the text is not whole: then it may be a thought or a value that would have gone on.
    """
    part = answer_part(text)
    if cut and not part.startswith(("{", "[", "```")):
        return None
    whole = parse_object(text)
    if whole is None:
        sight = form.aside("sight")
        if sight is not None and match_name(sight, part.strip('"')) == sight.allowed[-1]:
            return {sight.name: sight.allowed[-1]}
        if len(form.values) > 1 or len(part) > LONGEST_NAMED:
            return None
        return {form.values[0].name: _bare(form.values[0], part)}
    folded = _folded(form, whole)
    if folded == {}:
        inner = [_folded(form, fields) for fields in map(_unwrapped, whole.values()) if fields]
        answers = [fields for fields in inner if fields != {}]
        folded = answers[0] if answers and all(fields == answers[0] for fields in answers) else {}
        folded = None if len(answers) > 1 and not folded else folded
    return whole if folded == {} else folded


def _folded(form: Form, fields: Mapping[str, Any]) -> Record | None:
    """Return the fields with a key of the form, each under that; None where one has two values.

    Marks may stand without their key around them; beside it they have to say the same.
    """
    names = {name.casefold(): name for name in (*(key.name for key in form.keys), "reports")}
    folded: Record = {}
    for text, value in fields.items():
        word = text.strip().casefold()
        name = names.get(word) or names.get(form.also.get(word, "").casefold())
        if name is not None and folded.setdefault(name, value) != value:
            return None
    inner = folded.get("reports")
    if isinstance(inner, dict):
        within = {key.name.casefold(): key.name for key in form.keys if key.inside}
        folded["reports"] = {
            within.get(text.strip().casefold(), text): value for text, value in inner.items()
        }
        if len(folded["reports"]) < len(inner):
            return None
    marks = next((key for key in form.keys if key.kind in ("marks", "list") and not key.inside), None)
    flat = {text: value for text, value in fields.items() if marks and _is_unit(marks, text)}
    if marks is not None and flat and any(match_name(marks, text) is not UNREAD for text in flat):
        given = folded.get(marks.name, {})
        differing = not isinstance(given, dict) or any(
            given.get(text, flat[text]) != flat[text] for text in flat
        )
        folded[marks.name] = UNREAD if differing else {**given, **flat}
    return folded


def _is_unit(key: Key, text: str) -> bool:
    """Say whether a text is a name of a key, or looks like one by its letters and number."""
    numbered = NUMBERED.fullmatch(text.strip().casefold())
    letters = {written[1] for name in key.allowed if (written := NUMBERED.fullmatch(name.casefold()))}
    return match_name(key, text) is not UNREAD or (numbered is not None and numbered[1] in letters - {""})


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
        mark = value if value is not None else _bare_mark(key, text.rstrip(".!").casefold())
        return mark if isinstance(mark, dict) else {key.members[0]: mark}
    if value is None and match_name(key, text) is not UNREAD:
        value = text
    return UNREAD if value is None or key.kind == "number" else value


def _bare_mark(key: Key, word: str) -> Any:
    """Return the mark that a word alone means; UNREAD where another declared word begins with it."""
    if any(text != word and text.startswith(word) for text in key.also):
        return UNREAD
    return word if key.also.get(word) in ("true", "false", "null") else BARE_MARKS.get(word, UNREAD)


def _given(key: Key, fields: Record) -> Any:
    """Return what an answer gives for a key, UNREAD where there is nothing."""
    inner = fields.get("reports")
    mapping = (inner if isinstance(inner, dict) else {}) if key.inside else fields
    return mapping.get(key.name, UNREAD)


def _off_scale(form: Form, fields: Record) -> dict[str, float]:
    """Return the numbers of an answer that lie outside their range."""
    numbers = {key.name: plain_number(_given(key, fields)) for key in form.values if key.kind == "number"}
    ranges = {key.name: (key.low, key.high) for key in form.values}
    return {
        name: number
        for name, number in numbers.items()
        if number is not None and not ranges[name][0] <= number <= ranges[name][1]
    }
