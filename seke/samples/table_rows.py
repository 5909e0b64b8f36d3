"""Tables (CSV, parquet, frames in memory) -> chunks of decoded records.

The columns are the keys of a sample record. Also allowed is a column named for a single
variable (or a code): its cells become entries of its level's mapping, or of `reports`. A
blank cell is missing, as is NaN, and an entry of a mapping that parquet has as null. A text
that begins with [ or { is JSON. Names of variables may be written as in answers: AU06.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from engine import AnswerError
from seke.files.column_hints import column_hint
from seke.files.rows import is_blank, is_missing, name_text
from seke.samples.schema import (
    NEEDED,
    in_chunks,
    is_posterior_record,
    looks_like_labels,
    structure_records,
)
from seke.samples.vocabulary import NO_SAMPLES, REQUIRED

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from seke.files.frames import RowFrame
    from seke.files.rows import RowFile
    from seke.samples.schema import Chunk
    from seke.samples.vocabulary import Vocabulary

    Table = RowFile | RowFrame

# A whole number, also as pandas writes one of a column with gaps.
_WHOLE = re.compile(r"[0-9]{1,30}(\.0+)?")
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?|[-+]?(nan|inf|infinity)", re.I | re.A)
_BETWEEN_NAMES = re.compile(r"[\s,;|]+")
_TRUTH = {"1": True, "true": True, "0": False, "false": False, "null": None}


@dataclass(frozen=True)
class _TableColumn:
    """`kind` is that of the cells of a column; with an `entry` they are entries of the mapping `key`."""

    key: str
    kind: str
    entry: str = ""


def read_table(file: Table, vocabulary: Vocabulary) -> Iterator[Chunk]:
    """Yield the records of a table; rows that are none are noted."""
    columns = table_columns(file, vocabulary)
    samples = structure_records(_records(file, columns), vocabulary, file)
    yield from in_chunks(file.index, samples)


def _records(file: Table, columns: Mapping[str, _TableColumn]) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, cells in file.rows(list(columns)) if columns else ():
        try:
            yield number, _record(file, columns, cells)
        except AnswerError as fault:
            file.note(number, str(fault))


def table_columns(file: Table, vocabulary: Vocabulary) -> dict[str, _TableColumn]:
    """Return the columns of a table by name; none where one is unknown or missing, which is noted."""
    known = _known_columns(vocabulary)
    before = file.faults.count
    number, names = file.header
    if names and not set(REQUIRED) & set(names):
        columns = ", ".join(names[:6]) + (", ..." if len(names) > 6 else "")
        tools = "tables of other tools, such as OpenFace and Py-Feat, become samples by seke convert"
        file.note(number, f"is no table of samples ({', '.join(REQUIRED)}, ...): has {columns}; {tools}")
        return {}
    if is_posterior_record(names):
        file.note(number, NO_SAMPLES)
        return {}
    if looks_like_labels(names, vocabulary) and not file.hint("observer"):
        file.note(number, f"looks like a table of labels, not of samples; {NEEDED}")
        return {}
    for name in names:
        if name not in known and not name.isdigit():
            members = filter(None, (field.member_named(name) for field in vocabulary.fields))
            member = next(members, None)
            if member is not None:
                known[name] = known[member]
        if name not in known:
            file.note(number, partial(_unknown_column, name, known))
    for key in REQUIRED if file.faults.count == before else ():
        if key not in names:
            problem = f"{key}: no such column; needed are {', '.join(REQUIRED)}"
            file.note(number, problem + file.hint(key))
    return {name: known[name] for name in names} if file.faults.count == before else {}


def _known_columns(vocabulary: Vocabulary) -> dict[str, _TableColumn]:
    """Return all columns that a table may have."""
    known = {key: _TableColumn(key, "text") for key in (*REQUIRED, "view", "status")}
    known |= {"draw": _TableColumn("draw", "draw")}
    known |= {key: _TableColumn(key, "json") for key in ("reports", "given", "extra")}
    known |= {field.name: _TableColumn(field.name, field.kind) for field in vocabulary.fields}
    for field in vocabulary.fields:
        if field.kind == "binary":
            for member in field.members:
                known.setdefault(member, _TableColumn(field.name, "truth", member))
    for variable, kind in zip(vocabulary.names, vocabulary.kinds, strict=True):
        kind_of_cell = "truth" if kind == "binary" else kind
        known.setdefault(variable, _TableColumn("reports", kind_of_cell, variable))
    return known


def _unknown_column(name: str, known: Iterable[str]) -> str:
    return f"{name}: unknown column{column_hint(name, tuple(known))}"


def _record(file: Table, columns: Mapping[str, _TableColumn], cells: Mapping[str, Any]) -> dict[str, Any]:
    record: dict[str, Any] = {}
    for name, column in columns.items():
        cell = cells[name]
        if is_blank(cell) if column.kind == "text" else is_missing(cell):
            continue
        if column.kind in ("interval", "truth"):
            cell = file.number_text(cell)
        value = _value(column.entry or column.key, column.kind, cell)
        if not column.entry:
            if column.key in record:
                raise _given_twice(column.key)
            record[column.key] = value
            continue
        mapping = record.setdefault(column.key, {})
        if not isinstance(mapping, dict) or column.entry in mapping:
            raise _given_twice(column.key)
        mapping[column.entry] = value
    return record


def _given_twice(key: str) -> AnswerError:
    message = "reported in its own column and in those of single variables; allowed is one of them"
    return AnswerError(f"{key}: {message}")


def _value(path: str, kind: str, cell: Any) -> Any:
    """Return the value of a cell that is not blank; what does not fit is left for the checks."""
    if isinstance(cell, str):
        return _value_of_text(path, kind, cell)
    if isinstance(cell, dict):
        return {key: inner for key, inner in cell.items() if inner is not None}
    if kind == "text":
        return name_text(cell)
    if kind == "draw" and isinstance(cell, float) and cell.is_integer():
        return int(cell)  # a column with gaps, in tables of numbers
    return bool(cell) if kind == "truth" and cell in (0, 1) else cell


def _value_of_text(path: str, kind: str, text: str) -> Any:
    if kind == "json" or (kind in ("categorical", "binary") and text[0] in "[{"):
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as fault:
            raise AnswerError(f"{path}: not JSON: {str(fault)[:60]}") from None
    if kind == "binary":
        return [] if text == "none" else [name for name in _BETWEEN_NAMES.split(text) if name]
    if kind == "categorical":
        return [name.strip() for name in text.split("|")] if "|" in text else text
    if kind == "truth" and text.lower() in _TRUTH:
        return _TRUTH[text.lower()]
    if kind == "draw" and _WHOLE.fullmatch(text):
        return int(text.partition(".")[0])
    return float(text) if kind in ("interval", "truth") and _NUMBER.fullmatch(text) else text
