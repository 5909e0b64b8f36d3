"""A model's text -> the one JSON object in it; spelling is mended, content never.

What a model thought before its answer is no answer. Equal objects are one; several that differ are none. An
object that the text breaks off, or with a key that is given twice with two values, is none either.
"""

from __future__ import annotations

import ast
import io
import itertools
import json
import re
import tokenize
import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    Record = dict[str, Any]

# Characters of an answer that is read, and of one whose spelling is mended, which takes longer.
LONGEST, LONGEST_MENDED = 100_000, 20_000
# Objects of a text at most; a text with more is none.
MOST_OBJECTS = 64
FENCED = re.compile(r"```[a-zA-Z0-9]*\s(.*?)```", re.DOTALL)
# Marks with which models end, and begin, what they think aloud.
THOUGHTS = "think(?:ing)?|thoughts?|reasoning|analysis|scratchpad"
END_OF_THOUGHT = re.compile(
    rf"</(?:{THOUGHTS})>|\[/think\]|◁/think▷|<\|channel\|>final<\|message\|>", re.IGNORECASE
)
THOUGHT = re.compile(
    rf"<(?:{THOUGHTS})>|\[think\]|◁think▷|<\|channel\|>(?:analysis|commentary)", re.IGNORECASE
)
# Signs as they are written elsewhere -> those of JSON: quotation marks, the minus, and wide forms.
SIGNS = str.maketrans(
    {chr(0xFF01 + i): chr(0x21 + i) for i in range(94)}
    | dict.fromkeys("\u201c\u201d\u201e\u201f", '"')
    | dict.fromkeys("\u2212\u2013\ufe63", "-")
)
TEXT_OR_COMMENT = re.compile(
    r"""\"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|//[^\n]*|/\*.*?\*/|\#[^\n]*""", re.DOTALL
)
QUOTED_WITHIN = re.compile(r"""\"|'[^']*'""")
QUOTED_OR_NOT = re.compile(r'("(?:[^"\\]|\\.)*")|([^"]+)', re.DOTALL)


def answer_part(text: str) -> str:
    """Return what stands after the model's thoughts; an empty text where these do not end.

    A fence around all of it is taken off.
    """
    after = END_OF_THOUGHT.split(text.lstrip("\ufeff"))[-1]
    if THOUGHT.search(after):
        return ""
    fenced = FENCED.fullmatch(after.strip())
    return (fenced[1] if fenced else after).strip()


def parse_object(text: str) -> Record | None:
    """Return the one JSON object that a text holds; None where there is none, several, or a twofold key.

    What stands between braces and is no object, such as the form once more, is passed over, but not where it
    comes last: it may be what the model settled on.
    """
    text = answer_part(text)
    if len(text) > LONGEST:
        return None
    if "{" not in text:
        text = text.translate(SIGNS)
    readers = READERS if len(text) <= LONGEST_MENDED else READERS[:1]
    whole = decoded(text, readers)
    if whole is not None:
        return whole if isinstance(whole, dict) else None

    def plain(fence: re.Match[str]) -> str:
        value = decoded(fence[1].strip(), readers)
        return json.dumps(value) if isinstance(value, dict) else fence[0]

    parts = _object_texts(FENCED.sub(plain, text))
    values = [decoded(part, readers) for part in parts if ":" in part]
    objects = [value for value in values if isinstance(value, dict)]
    if not objects or values[-1] is None or not all(_same(value, objects[0]) for value in objects):
        return None
    return objects[0]


def decoded(text: str, readers: Sequence[Callable[[str], Any]] | None = None) -> Any:
    """Return the value of a JSON text, also of one whose spelling is another; None where it is none.

    Read are what JSON5 allows (trailing commas, comments, signs, single quotes), Python's literals, line
    breaks within a text, other quotation marks and wide signs, a list of one object, and an object that was
    encoded twice.
    """
    for read in READERS if readers is None else readers:
        try:
            value = read(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
            continue
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        if isinstance(value, str) and value.lstrip().startswith("{") and value != text:
            return decoded(value, readers)
        return value
    return None


def _json(text: str) -> Any:
    """Read JSON, with line breaks within texts; NaN and Infinity are texts, which no field takes."""
    return json.loads(text, object_pairs_hook=_unique_keys, parse_constant=str, strict=False)


def _check_mendable(text: str) -> None:
    """Raise where a text is too long to be mended, is not between brackets, or has an answer in a comment."""
    brackets = text[:1] + text[-1:]
    if len(text) > LONGEST_MENDED or brackets not in ("{}", "[]"):
        raise ValueError("not to be mended")
    comments = (part[0] for part in TEXT_OR_COMMENT.finditer(text) if part[0][0] not in "\"'")
    if any(QUOTED_WITHIN.search(comment) for comment in comments):
        raise ValueError("a part of the answer is a comment")


def _json5(text: str) -> Any:
    """Read JSON5 but for its numbers without an end."""
    _check_mendable(text)
    import json5

    return json5.loads(text, object_pairs_hook=_unique_keys, parse_constant=str)


def _python(text: str) -> Any:
    """Read a literal of Python, such as {'valence': None}; texts side by side are no one text."""
    _check_mendable(text)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        tree = ast.parse(text, mode="eval")
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict):
            keys = [key.value for key in node.keys if isinstance(key, ast.Constant)]
            if len(set(keys)) < len(node.keys):
                raise ValueError("a key is given twice, or is no text")
    tokens = (token.type for token in tokenize.generate_tokens(io.StringIO(text).readline))
    kinds = (kind for kind in tokens if kind not in (tokenize.NL, tokenize.COMMENT))
    if (tokenize.STRING, tokenize.STRING) in itertools.pairwise(kinds):
        raise ValueError("a comma is missing between two texts")
    # Sets, bytes and complex numbers are no JSON.
    return _json(json.dumps(ast.literal_eval(tree), allow_nan=False))


def _other_signs(text: str) -> Any:
    """Read JSON with other quotation marks, a typographic minus and wide signs outside of its texts."""
    plain = QUOTED_OR_NOT.sub(lambda part: part[1] or part[2].translate(SIGNS), text)
    if plain == text:
        raise ValueError("has no other signs")
    for read in (_json, _json5):
        try:
            return read(plain)
        except ValueError:
            continue
    raise ValueError("not to be mended")


READERS = (_json, _json5, _python, _other_signs)


def _object_texts(text: str) -> list[str]:
    """Return the outermost objects among prose; none where one does not end, or there are too many."""
    parts: list[str] = []
    start = text.find("{")
    while start >= 0:
        stop = _end_of_object(text, start)
        if stop is None or len(parts) == MOST_OBJECTS:
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
    if len(mapping) < len(given) and not all(_same(mapping[key], value) for key, value in given):
        raise ValueError("a key is given twice")
    return mapping


def _same(value: Any, other: Any) -> bool:
    """Say whether two values are the same in JSON, where true is not 1."""
    return bool(value == other) and json.dumps(value, sort_keys=True) == json.dumps(other, sort_keys=True)
