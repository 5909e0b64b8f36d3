"""The sample record: the type that it is decoded to, and the faults of a record that does not fit.

Decoding says quickly that a record is well formed; only for one that is not, the slow
walk of `shape_fault` finds words. What the names and numbers mean is checked in `binding`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from types import GenericAlias
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
import numpy as np

from engine import AnswerError
from seke.files.cell_hints import number_hint, truth_hint
from seke.files.column_hints import USUAL, column_hint
from seke.files.rows import describe_met, parse_json_line
from seke.samples.vocabulary import FIXED, NO_SAMPLES, REQUIRED, STATUSES, UNNUMBERED

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Iterable, Iterator

    from engine import Ints
    from seke.files.rows import RowSource
    from seke.samples.vocabulary import Field, Vocabulary

# Records that are decoded and bound at once.
CHUNK = 4096
LARGEST_DRAW = 2**63 - 1
# The largest draw that is written as a float, as tables of numbers have it: up to here each stands for one.
LARGEST_WHOLE = 2**53
ALLOWED = {
    "categorical": "a name, a list of names (best first) or a mapping from name to probability",
    "interval": "a number",
    "binary": "a list of names or a mapping from name to true, false, null or a probability",
    "reports": "a mapping from variable to its value",
    "draw": "a whole number from 0",
    "item": "a text that is not empty",
    "view": "a text that is not empty",
    "observer": "a text",
    "question": "a text",
    "name": "a name (a text)",
    "probability": "a number from 0 to 1",
    "sight": "true, false, null or a probability",
    "given": "a mapping from variable to the value that the prompt stated: a state, true, false or a number",
    "value": "a name, a list of names, a mapping to probabilities, true, false, null or a number",
}
NEEDED = f"samples need {', '.join(REQUIRED)}"
_OPTIONAL = ("categorical", "interval", "binary", "reports", "given")


@dataclass(frozen=True)
class Chunk:
    """Some decoded records of one file: `lines` (n,) are their lines (or places) from 1."""

    file: int
    records: list[Any]
    lines: Ints


def record_type(vocabulary: Vocabulary, *, narrow: bool = False) -> type[msgspec.Struct]:
    """Return the type of a sample of this base; its levels are the attributes field_0, field_1, ...

    A `narrow` type knows the declared names, which decode faster since no text is made for
    them; one that fits it fits the wide type too.
    """
    text = Annotated[str, msgspec.Meta(min_length=1)]
    whole = Annotated[int, msgspec.Meta(ge=0, le=LARGEST_DRAW)]
    report = str | list[str] | dict[str, float] | bool | float | None
    fixed: list[tuple[str, Any] | tuple[str, Any, Any]] = [
        ("item", text if narrow else text | int),
        ("observer", _name_type(vocabulary.observers if narrow else ())),
        ("question", _name_type(vocabulary.questions if narrow else ())),
        (
            "draw",
            whole if narrow else whole | Annotated[float, msgspec.Meta(ge=0, le=LARGEST_WHOLE)],
            UNNUMBERED,
        ),
        ("view", text, vocabulary.usual_view),
        ("status", _name_type(STATUSES), "ok"),
        ("reports", dict[str, report] | None, None),
        ("given", dict[str, str | bool | float] | None, None),
        ("extra", msgspec.Raw, msgspec.Raw(b"null")),
    ]
    level_fields = [
        (f"field_{index}", _field_type(vocabulary, field, narrow=narrow), None)
        for index, field in enumerate(vocabulary.fields)
    ]
    return msgspec.defstruct(
        "Sample",
        [*fixed, *level_fields],
        rename={f"field_{index}": field.name for index, field in enumerate(vocabulary.fields)},
        forbid_unknown_fields=True,
        gc=False,
    )


def _name_type(names: Iterable[str]) -> Any:
    known = tuple(names)
    return Literal[known] if known else str


def _field_type(vocabulary: Vocabulary, field: Field, *, narrow: bool) -> Any:
    if field.kind == "interval":
        return float | None
    if field.kind == "binary":
        name = _name_type(field.members if narrow else ())
        return GenericAlias(list, (name,)) | dict[str, bool | float | None] | None
    (variable,) = field.members.values()
    name = _name_type(vocabulary.words[variable] if narrow else ())
    return name | GenericAlias(list, (name,)) | dict[str, float] | None


def record_of(sample: msgspec.Struct) -> dict[str, Any]:
    """Return a sample as a mapping, with defaults for keys that were left out."""
    names = zip(sample.__struct_fields__, sample.__struct_encode_fields__, strict=True)
    return {written: getattr(sample, name) for name, written in names}


def decoding_fault(line: bytes, place: str, vocabulary: Vocabulary, error: Exception) -> str:
    """Return the fault of a line of JSON that could not be decoded; `error` is the decoder's."""
    try:
        record = parse_json_line(line, place)
    except AnswerError as fault:
        return str(fault)
    # The decoder refuses some texts that json takes (half a surrogate pair): its own words then.
    return f"{place}: {shape_fault(record, vocabulary) or error}"


def structure_records(
    numbered: Iterable[tuple[int, object]], vocabulary: Vocabulary, source: RowSource
) -> Iterator[tuple[int, Any]]:
    """Yield records that are mappings as samples, each with its number; note those that are none."""
    sample = record_type(vocabulary)
    for number, record in numbered:
        plain = _plain(record)
        try:
            structured = with_plain_key(msgspec.convert(plain, sample))
            f"{structured.item}{structured.view}".encode()
        except UnicodeEncodeError:
            source.note(number, "item and view must be encodable as UTF-8 (half a surrogate pair is not)")
        except msgspec.ValidationError as error:
            source.note(number, shape_fault(plain, vocabulary) or str(error))
        else:
            yield number, structured


def with_plain_key(sample: Any) -> Any:
    """Return a sample whose item is a text, a whole number by its digits, and whose draw is a whole number.

    Raises:
        msgspec.ValidationError: the draw is no whole number.
    """
    if type(sample.item) is int:
        sample.item = str(sample.item)
    if type(sample.draw) is float:
        if not sample.draw.is_integer():
            raise msgspec.ValidationError("draw is no whole number")
        sample.draw = int(sample.draw)
    return sample


def in_chunks(file: int, samples: Iterable[tuple[int, Any]]) -> Generator[Chunk, None, None]:
    """Yield chunks of numbered samples."""
    rows = iter(samples)
    while part := list(islice(rows, CHUNK)):
        numbers, records = zip(*part, strict=True)
        yield Chunk(file, list(records), np.array(numbers, dtype=np.int64))


def _plain(record: object) -> object:
    """Return the record with Python's own numbers in place of numpy's, and without `extra`."""
    if not isinstance(record, Mapping):
        return record
    return {key: native(value) for key, value in record.items() if key != "extra"}


def native(value: Any, depth: int = 3) -> Any:
    """Return a value with Python's own numbers in place of numpy's, down to `depth` collections within it."""
    if isinstance(value, np.generic):
        return value.item()
    if depth and isinstance(value, Mapping):
        return {key: native(inner, depth - 1) for key, inner in value.items()}
    if depth and isinstance(value, list | tuple):
        return [native(inner, depth - 1) for inner in value]
    return value


def is_posterior_record(keys: Iterable[str]) -> bool:
    """Tell whether keys, or columns, are of what `seke infer` writes."""
    parts = {key.partition(".")[0] for key in map(str, keys)}
    return {"decision", "diagnostics"} <= parts


def looks_like_labels(keys: Collection[str], vocabulary: Vocabulary) -> bool:
    """Tell whether keys, or columns, name an item and values, but neither observer nor question."""
    fields = vocabulary.fields
    values = {*vocabulary.names, *(field.name for field in fields)}
    meant = {USUAL.get(str(key).lower(), (str(key),))[0] for key in keys}
    if "item" not in keys or meant & {"observer", "question"}:
        return False
    return bool(meant & values) or any(field.member_named(key) for field in fields for key in meant)


def shape_fault(record: object, vocabulary: Vocabulary) -> str | None:
    """Return the fault in a record's shape, None where this walk finds none."""
    if not isinstance(record, dict):
        return f"a sample is an object with named fields; {describe_met(record)}"
    kinds: dict[str, str] = {name: name for name in FIXED}
    kinds |= {field.name: field.kind for field in vocabulary.fields}
    if mistaken := _mistaken(record, vocabulary):
        return mistaken
    for key in record:
        if key not in kinds:
            return f"{key}: unknown key{column_hint(str(key), kinds)}"
    for key in REQUIRED:
        if key not in record:
            return f"{key}: missing; every sample has {', '.join(REQUIRED)}"
    for path, value in _numbers(record, ""):
        if not math.isfinite(value):
            return not_finite_fault(path, value)
    reasons = (_key_fault(key, kinds[key], value) for key, value in record.items())
    return next((reason for reason in reasons if reason), None)


def _mistaken(record: Collection[str], vocabulary: Vocabulary) -> str:
    """Return what a record is where it is meant for another place; no text where it is none such."""
    if is_posterior_record(record):
        return NO_SAMPLES
    label = looks_like_labels(record, vocabulary)
    return f"looks like a label, not a sample; {NEEDED}" if label else ""


def not_finite_fault(path: str, value: float) -> str:
    """Return the message for NaN and the infinities."""
    name = "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return f"{path}: met {name}; a number must be finite (use null for a missing one)"


def _numbers(value: object, path: str, depth: int = 50) -> Iterator[tuple[str, float]]:
    if isinstance(value, float):
        yield path, value
    elif depth and isinstance(value, dict):
        for key, inner in value.items():
            yield from _numbers(inner, f"{path}.{key}" if path else str(key), depth - 1)
    elif depth and isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _numbers(inner, f"{path}[{index}]", depth - 1)


def _key_fault(path: str, kind: str, value: object) -> str | None:
    if kind == "status":
        known = isinstance(value, str) and value in STATUSES
        return None if known else f"{path}: {describe_met(value)}; allowed are {', '.join(STATUSES)}"
    if kind == "extra" or (value is None and kind in _OPTIONAL):
        return None
    return _SHAPES[kind](path, value)


def _shape_fault(path: str, value: object, allowed: str) -> str:
    hint = number_hint(value) or (truth_hint(value) if allowed == "sight" else "")
    return f"{path}: {describe_met(value)}; allowed is {ALLOWED[allowed]}{hint}"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _text(path: str, value: object) -> str | None:
    if path == "item" and type(value) is int:
        return None
    empty = value == "" and path in ("item", "view")
    return None if isinstance(value, str) and not empty else _shape_fault(path, value, path)


def _draw(path: str, value: object) -> str | None:
    if isinstance(value, float) and value.is_integer() and abs(value) <= LARGEST_WHOLE:
        value = int(value)
    whole = isinstance(value, int) and not isinstance(value, bool)
    if whole and isinstance(value, int) and value > LARGEST_DRAW:
        return f"{path}: {describe_met(value)}; allowed is at most {LARGEST_DRAW}"
    good = whole and isinstance(value, int) and value >= 0
    return None if good else _shape_fault(path, value, "draw")


def _interval(path: str, value: object) -> str | None:
    return None if _is_number(value) else _shape_fault(path, value, "interval")


def _within(path: str, value: dict[Any, object], good: Callable[[object], bool], allowed: str) -> str | None:
    for key, inner in value.items():
        if not isinstance(key, str):
            return f"{path}: {describe_met(key)} as a key; allowed is {ALLOWED['name']}"
        if not good(inner):
            return _shape_fault(f"{path}.{key}", inner, allowed)
    return None


def _names(path: str, value: list[object]) -> str | None:
    for index, name in enumerate(value):
        if not isinstance(name, str):
            return _shape_fault(f"{path}[{index}]", name, "name")
    return None


def _categorical(path: str, value: object) -> str | None:
    if isinstance(value, list):
        return _names(path, value)
    if isinstance(value, dict):
        return _within(path, value, _is_number, "probability")
    return None if isinstance(value, str) else _shape_fault(path, value, "categorical")


def _is_sight(value: object) -> bool:
    return value is None or isinstance(value, bool | int | float)


def _binary(path: str, value: object) -> str | None:
    if isinstance(value, list):
        return _names(path, value)
    if isinstance(value, dict):
        return _within(path, value, _is_sight, "sight")
    return _shape_fault(path, value, "binary")


def _reports(path: str, value: object) -> str | None:
    if not isinstance(value, dict):
        return _shape_fault(path, value, "reports")
    for key, inner in value.items():
        if not isinstance(key, str):
            return f"{path}: {describe_met(key)} as a key; allowed is {ALLOWED['name']}"
        if not _is_sight(inner) and not isinstance(inner, str | list | dict):
            return _shape_fault(f"{path}.{key}", inner, "value")
        reason = _categorical(f"{path}.{key}", inner) if isinstance(inner, list | dict) else None
        if reason:
            return reason
    return None


def _given(path: str, value: object) -> str | None:
    if not isinstance(value, dict):
        return _shape_fault(path, value, "given")
    return _within(path, value, lambda inner: isinstance(inner, str | bool | int | float), "given")


_SHAPES: Mapping[str, Callable[[str, object], str | None]] = {
    "item": _text,
    "observer": _text,
    "question": _text,
    "view": _text,
    "draw": _draw,
    "interval": _interval,
    "categorical": _categorical,
    "binary": _binary,
    "reports": _reports,
    "given": _given,
}
