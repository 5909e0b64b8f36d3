"""The value of one field of an answer: numbers, names, rankings, lists and marks, whatever their spelling.

What has another meaning than one of the form's, or could have two, is unread.
"""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from seke.prompts.object_reader import SIGNS
from seke.prompts.response_schema import PLACES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from seke.prompts.response_schema import Key

    Record = dict[str, Any]

# A list of more names than so many times those allowed is a loop; characters of an unread name that is told.
MOST_REPEATED, LONGEST_NAMED = 2, 40
# Characters of a text that may be a name.
LONGEST_NAME = 200
# A number of an answer from which on it is none.
LARGEST = 1e9
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)")
# A decimal comma: 1,000 may be a thousand, so that three digits are none unless a zero stands before them.
DECIMAL_COMMA = re.compile(r"([+-]?0*),(\d+)|([+-]?\d+),(\d{1,2}|\d{4,})")
# A name with a number: letters, the number, and what may follow, such as its label.
NUMBERED = re.compile(r"([a-z]*(?:[\s_-]+[a-z]+)?)[\s_-]*0*(\d+)((?:[\s(:,=-].*|[a-z/]+)?)", re.DOTALL)
# A label with its name or number behind it.
LABELLED = re.compile(r"(.*?[^\s(:,=-])[\s(:,=-]+((?:[a-z]+[\s_-]*)?\d+)\)?", re.DOTALL)
# What FACS writes behind a number: the side on which it shows, and an intensity from slight (B) on; a unit
# counts on either side and whatever its intensity, but a trace (A) may be less than a slight change.
SIDES = frozenset(("l", "r", "l/r", "left", "right", "bilateral", "unilateral", *"bcde"))
# What an object calls the mark beside a name.
MARK_KEYS = ("present", "visible", "active", "mark", "value")
# Signs between the names of a ranking that is one text.
BETWEEN = re.compile(r"[,;>\u3001\uff0c\uff1b]")
# The highest probability, and what percentages sum to as models round them.
CERTAIN, PERCENTAGES = 1.0, (95.0, 105.0)
# How a model says that a list is empty, and a mark.
NOBODY = ("none", "no", "nothing", "n/a", "-")
MARKS = {
    **dict.fromkeys(("true", "yes", "y", "present", "visible", "active"), True),
    # Not "not visible": it may mean that the place cannot be seen.
    **dict.fromkeys(("false", "no", "n", "absent", "not present", "inactive"), False),
    # Not "none", which may mean that there is no activity.
    **dict.fromkeys(("null", "unknown", "cannot be seen"), None),
}
UNREAD = object()
# What is said of a list with names that are unread: what it does not list may be what these stand for.
SILENCE = "what it does not list"


def field_value(key: Key, value: Any, unread: list[str]) -> Any:
    """Return the value of a field, UNREAD where it is not of the form; add its unread parts to `unread`."""
    match key.kind:
        case "number":
            return _number(key, value)
        case "label":
            return match_name(key, value)
        case "ranking":
            return _ranking(key, value, unread)
        case "list":
            return name_list(key, value, unread)
        case "marks":
            return _marks(key, value, unread)
    return mark if isinstance(mark := _mark(key, value), bool) else UNREAD


def plain_number(value: Any) -> float | None:
    """Return a number, also one that is written as a text; None where it is none."""
    if isinstance(value, str):
        text = value.strip().translate(SIGNS)
        if comma := DECIMAL_COMMA.fullmatch(text):
            text = ".".join(part for part in comma.groups() if part is not None)
        value = float(text) if NUMBER.fullmatch(text) else None
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < math.inf:
        return None
    return float(value) if abs(value) < LARGEST else None


def _number(key: Key, value: Any) -> Any:
    number = plain_number(value)
    return key.on_range(number) if number is not None and key.low <= number <= key.high else UNREAD


def match_name(key: Key, value: Any) -> Any:
    """Return the name that a text means: the name, another name, a label, or its number; in another case.

    A label may stand with the number, before or after it; both have to mean the same.
    """
    if isinstance(value, bool) or not isinstance(value, str | int):
        return UNREAD
    if isinstance(value, int) and abs(value) >= LARGEST:
        return UNREAD
    if len(str(value)) > LONGEST_NAME:
        return UNREAD
    text = " ".join(str(value).translate(SIGNS).split()).rstrip(".! ").casefold()
    name = key.meanings.get(text)
    if name is None and (labelled := LABELLED.fullmatch(text)) and labelled[1] in key.meanings:
        name = key.meanings[labelled[1]]
        return name if _numbered_name(key, labelled[2]) == name else UNREAD
    return _numbered_name(key, text) if name is None else name


def _numbered_name(key: Key, text: str) -> Any:
    """Return the name whose number a text holds, beside letters, a label or a side that fit; else UNREAD."""
    numbered = NUMBERED.fullmatch(text)
    if numbered is None:
        return UNREAD
    prefix, number, behind = numbered.groups()
    # A level's name for one of its members: "action unit 12", "unit 12".
    level = re.sub(r"[\s_-]+", " ", key.name.casefold()).removesuffix("s")
    prefix, behind = re.sub(r"[\s_-]+", " ", prefix), behind.strip(" ()-:,=")
    for name in key.allowed:
        written = NUMBERED.fullmatch(name.casefold())
        if written and int(written[2]) == int(number):
            fits = prefix in ("", written[1], level, level.split()[-1])
            fits = fits and (behind in SIDES or behind == "" or key.meanings.get(behind) == name)
            return name if fits else UNREAD
    return UNREAD


def _ranking(key: Key, value: Any, unread: list[str]) -> Any:
    """Return the places up to the first name that is none of the form's, or that stands there already.

    Probabilities of names are places by their size; names in one text, between commas, are a list. What is
    not read of it is told, from that name on: places after it are not known either.
    """
    if isinstance(value, dict):
        value = _by_probability(value)
        if value is UNREAD:
            return UNREAD
    if isinstance(value, str):
        name = match_name(key, value)
        if name is not UNREAD or not BETWEEN.search(value):
            return name
        value = BETWEEN.split(value)
    if not isinstance(value, list) or len(value) > len(key.allowed):
        return UNREAD
    places: list[str] = []
    for text in value:
        name = match_name(key, text)
        if name is UNREAD or name in places:
            break
        places.append(name)
    unread += [f"{key.name}: {_shortened(text)}" for text in value[len(places) :]] if places else []
    return places or UNREAD


def _by_probability(given: Mapping[str, Any]) -> Any:
    """Return names by their probabilities or percentages, the likeliest first; UNREAD where they are neither.

    Numbers above 1 that are no percentages may be places or points. Of two that are likeliest neither is the
    first; further ones with the same probability stay in the order in which they are named.
    """
    numbers = {name: plain_number(number) for name, number in given.items()}
    # What has the probability 0 is named at no place.
    likely = [(number, name) for name, number in numbers.items() if number]
    if None in numbers.values() or not likely or min(likely)[0] < 0:
        return UNREAD
    total = sum(number for number, _ in likely)
    if max(likely)[0] > CERTAIN and not PERCENTAGES[0] <= total <= PERCENTAGES[1]:
        return UNREAD
    likely.sort(key=lambda pair: -pair[0])
    tied = len(likely) > 1 and likely[0][0] == likely[1][0]
    return UNREAD if tied else [name for _, name in likely[:PLACES]]


def name_list(key: Key, value: Any, unread: list[str]) -> Any:
    """Return the names of a list, each once; with other names among them, the known ones as named.

    Of a list with a name that is none of the form's it is not known what its silence says of the others.
    Marks in its place are marks.
    """
    if isinstance(value, dict):
        return _marks(key, value, unread)
    if not isinstance(value, list) or len(value) > MOST_REPEATED * len(key.allowed):
        return UNREAD
    if listed := _listed_marks(value):
        return _marks(key, listed, unread)
    if len(value) == 1 and isinstance(value[0], str) and value[0].strip().casefold() in NOBODY:
        value = []
    names = [match_name(key, text) for text in value]
    known = list(dict.fromkeys(name for name in names if name is not UNREAD))
    if UNREAD not in names or not known:
        return known if UNREAD not in names else UNREAD
    others = [str(text) for text, name in zip(value, names, strict=True) if name is UNREAD]
    unread += [f"{key.name}: {_shortened(text)}" for text in others]
    # A code that the base knows and that hides none of these stands for none of them either.
    codes = replace(key, allowed=key.others)
    return known if UNREAD not in [match_name(codes, text) for text in others] else dict.fromkeys(known, True)


def _listed_marks(given: list[Any]) -> Record:
    """Return name -> mark of a list of objects with a name and its mark; nothing where it is none."""
    marks: Record = {}
    for entry in given:
        if not isinstance(entry, dict) or len(entry) != 2:
            return {}
        called = [text for text in entry if text.strip().casefold() in MARK_KEYS]
        names = [str(value) for text, value in entry.items() if text not in called]
        if len(names) != 1 or marks.get(names[0], entry[called[0]]) != entry[called[0]]:
            return {}
        marks[names[0]] = entry[called[0]]
    return marks


def _shortened(text: Any) -> str:
    """Return a part of an answer, short enough to be named."""
    return str(text)[:LONGEST_NAMED]


def _marks(key: Key, value: Any, unread: list[str]) -> Any:
    """Return name -> mark of those that can be read; null: it cannot be seen. Others are told as unread.

    A number other than 0 and 1 among them says that all of their numbers are intensities or probabilities.
    Of a list in their place only what it names is known.
    """
    if isinstance(value, list):
        names = name_list(replace(key, kind="list"), value, unread)
        return dict.fromkeys(names, True) or UNREAD if isinstance(names, list) else names
    if not isinstance(value, dict):
        return UNREAD
    numbers = {text: number for text, given in value.items() if (number := plain_number(given)) is not None}
    graded = any(number not in (0, 1) for number in numbers.values())
    marks: Record = {}
    others = []
    for text, given in value.items():
        name, mark = match_name(key, text), UNREAD if graded and text in numbers else _mark(key, given)
        if name is UNREAD or mark is UNREAD:
            others.append(f"{key.name}: {_shortened(text)}")
            continue
        if name in marks and marks[name] is not mark:
            return UNREAD
        marks[name] = mark
    unread += others[: MOST_REPEATED * len(key.allowed)] if marks else []
    return marks or UNREAD


def _mark(key: Key, value: Any) -> Any:
    """Return true, false or null as a mark means it, UNREAD where it means none of them."""
    if value is None or isinstance(value, bool):
        return value
    number = plain_number(value)
    if number is not None:
        return bool(number) if number in (0, 1) else UNREAD
    word = value.strip().rstrip(".!").casefold() if isinstance(value, str) else ""
    return MARKS.get(key.also.get(word, word), UNREAD)
