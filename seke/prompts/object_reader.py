"""A model's text -> the one JSON object in it; spelling is mended, content never.

What a model thought before its answer is no answer. Equal objects are one; several that differ are none. An
object that the text breaks off, or with a key that is given twice with two values, is none either.
"""

from __future__ import annotations

import ast
import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    Record = dict[str, Any]

# Characters of an answer that is read, and of one whose spelling is mended, which takes longer.
LONGEST, LONGEST_MENDED = 100_000, 10_000
# Braces of a text at which an object is looked for.
MOST_BEGINNINGS = 64
FENCED = re.compile(r"```[a-zA-Z]*\s*\n(.*?)```", re.DOTALL)
# Marks with which models end, and begin, what they think aloud.
END_OF_THOUGHT = re.compile(r"</think(?:ing)?>", re.IGNORECASE)
THOUGHT = re.compile(r"<think(?:ing)?>", re.IGNORECASE)


def answer_part(text: str) -> str:
    """Return what stands after the model's thoughts; an empty text where these do not end."""
    after = END_OF_THOUGHT.split(text)[-1]
    return "" if THOUGHT.search(after) else after.strip()


def parse_object(text: str) -> Record | None:
    """Return the one JSON object that a text holds; None where there is none, several, or a twofold key."""
    if len(text) > LONGEST:
        return None
    text = answer_part(text)
    whole = decoded(text)
    if whole is not None:
        return whole if isinstance(whole, dict) else None
    for parts in (FENCED.findall(text), _object_texts(text)):
        objects = [value for value in map(decoded, map(str.strip, parts)) if isinstance(value, dict)]
        if objects:
            return objects[0] if all(value == objects[0] for value in objects) else None
    return None


def decoded(text: str) -> Any:
    """Return the value of a JSON text, also of one whose spelling is another; None where it is none.

    Read are what JSON5 allows (trailing commas, comments, signs, single quotes), Python's literals, line
    breaks within a text, a list of one object, and an object that was encoded twice.
    """
    for read in (_json, _json5, _python):
        try:
            value = read(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
            continue
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        if isinstance(value, str) and value.lstrip().startswith("{") and value != text:
            return decoded(value)
        return value
    return None


def _json(text: str) -> Any:
    """Read JSON, with line breaks within texts."""
    return json.loads(text, object_pairs_hook=_unique_keys, parse_constant=_no_constant, strict=False)


def _json5(text: str) -> Any:
    """Read JSON5 but for its numbers without an end."""
    if len(text) > LONGEST_MENDED or not text.startswith(("{", "[")):
        raise ValueError("not to be mended")
    import json5

    return json5.loads(text, object_pairs_hook=_unique_keys, parse_constant=_no_constant)


def _python(text: str) -> Any:
    """Read a literal of Python, such as {'valence': None}."""
    if len(text) > LONGEST_MENDED or not text.startswith(("{", "[")):
        raise ValueError("not to be mended")
    tree = ast.parse(text, mode="eval")
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict):
            keys = [key.value for key in node.keys if isinstance(key, ast.Constant)]
            if len(set(keys)) < len(node.keys):
                raise ValueError("a key is given twice, or is no text")
    value = ast.literal_eval(tree)
    # Sets, bytes and complex numbers are no JSON.
    json.dumps(value, allow_nan=False)
    return value


def _object_texts(text: str) -> list[str]:
    """Return the outermost objects among prose; none where the last one does not end."""
    parts: list[str] = []
    start, attempts = text.find("{"), 0
    while start >= 0 and attempts < MOST_BEGINNINGS:
        attempts += 1
        stop = _end_of_object(text, start)
        if stop is None:
            return []
        parts.append(text[start:stop])
        start = text.find("{", stop)
    return parts


def _end_of_object(text: str, start: int) -> int | None:
    """Return where an object ends that begins at `start`; None where its braces do not close."""
    depth = 0
    for place, letter in _outside_of_strings(text, start):
        depth += (letter == "{") - (letter == "}")
        if not depth:
            return place + 1
    return None


def _outside_of_strings(text: str, start: int) -> Iterator[tuple[int, str]]:
    """Yield place and letter of the braces that stand in no text between quotes."""
    quoted = escaped = False
    for place in range(start, len(text)):
        letter = text[place]
        if quoted:
            quoted = escaped or letter != '"'
            escaped = letter == "\\" and not escaped
        elif letter == '"':
            quoted = True
        elif letter in "{}":
            yield place, letter


def _unique_keys(pairs: Iterable[tuple[str, Any]]) -> Record:
    given = list(pairs)
    mapping = dict(given)
    if any(mapping[key] != value for key, value in given):
        raise ValueError("a key is given twice")
    return mapping


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")
