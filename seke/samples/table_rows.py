"""CSV files -> chunks of decoded records.

The columns are the keys of a sample record. Also allowed is a column named for a single
variable (or a code): its cells become entries of its level's mapping, or of `reports`. A
blank cell is missing. A cell that begins with [ or { is JSON.
"""

from __future__ import annotations

import csv
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine import AnswerError, did_you_mean
from seke.files.lines import read_lines, shown
from seke.samples.schema import in_chunks, structure_records
from seke.samples.vocabulary import REQUIRED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from seke.samples.schema import Chunk
    from seke.samples.vocabulary import Vocabulary

_WHOLE = re.compile(r"[0-9]{1,30}")
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?|[-+]?(nan|inf|infinity)", re.I | re.A)
# Cells in a row; the widest table, of posteriors, has some hundreds.
MOST_CELLS = 10_000
_BETWEEN_NAMES = re.compile(r"[\s,;|]+")
_TRUTH = {"1": True, "true": True, "0": False, "false": False, "null": None}


@dataclass(frozen=True)
class _CsvColumn:
    """`kind` is that of the cells; with an `entry` they are entries of the mapping `key`."""

    key: str
    kind: str
    entry: str = ""


def read_table(
    path: str | Path,
    file: int,
    vocabulary: Vocabulary,
    progress: Callable[[int], None] | None = None,
) -> Iterator[Chunk]:
    """Yield the records of a CSV file."""
    name = shown(path)
    rows = csv_rows(path, progress)
    header = next(rows, None)
    if header is None:
        raise AnswerError(f"{name}:1: no header; all lines are blank")
    columns = _columns(f"{name}:{header[0]}", header[1], vocabulary)
    numbered = ((line, _record(f"{name}:{line}", columns, cells)) for line, cells in rows)
    samples = structure_records(numbered, vocabulary, f"{name}:")
    yield from in_chunks(file, samples)


def csv_rows(
    path: str | Path, progress: Callable[[int], None] | None = None
) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows of a CSV file that are not blank, each with the line where it starts."""
    name = shown(path)
    texts = decode_lines(name, read_lines(path, progress))
    return _rows(name, (text + "\n" for _, text in texts))


def decode_lines(name: str, runs: Iterable[tuple[int, list[bytes]]]) -> Iterator[tuple[int, str]]:
    """Yield each line with its number; `name` is that of the file.

    Raises:
        engine.AnswerError: a line that is not UTF-8.
    """
    for first, lines in runs:
        for number, line in enumerate(lines, first):
            try:
                yield number, line.decode("utf-8")
            except UnicodeDecodeError as fault:
                met_byte = f"met the byte 0x{line[fault.start]:02x}"
                message = f"not UTF-8 text: {met_byte}; save the file as UTF-8"
                raise AnswerError(f"{name}:{number}: {message}") from None


def _rows(name: str, texts: Iterator[str]) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(texts, strict=True)
    line = 1
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as fault:
            raise AnswerError(f"{name}:{line}: not CSV: {fault}") from None
        if cells is None:
            return
        if len(cells) > MOST_CELLS:
            raise AnswerError(f"{name}:{line}: met {len(cells):,} cells; allowed are {MOST_CELLS:,} in a row")
        if any(cell.strip() for cell in cells):
            yield line, cells
        line = reader.line_num + 1


def _columns(place: str, header: list[str], vocabulary: Vocabulary) -> list[_CsvColumn]:
    known = {key: _CsvColumn(key, "text") for key in (*REQUIRED, "view", "status")}
    known |= {"draw": _CsvColumn("draw", "draw")}
    known |= {key: _CsvColumn(key, "json") for key in ("reports", "extra")}
    known |= {field.name: _CsvColumn(field.name, field.kind) for field in vocabulary.fields}
    for field in vocabulary.fields:
        if field.kind == "binary":
            for member in field.members:
                known.setdefault(member, _CsvColumn(field.name, "truth", member))
    for variable, kind in zip(vocabulary.names, vocabulary.kinds, strict=True):
        kind_of_cell = "truth" if kind == "binary" else kind
        known.setdefault(variable, _CsvColumn("reports", kind_of_cell, variable))
    names = [name.strip() for name in header]
    for name in names:
        if name not in known:
            raise AnswerError(f"{place}: {name}: unknown column{did_you_mean(name, known)}")
        if names.count(name) > 1:
            raise AnswerError(f"{place}: {name}: the header names this column twice")
    for key in REQUIRED:
        if key not in names:
            raise AnswerError(f"{place}: {key}: no such column; needed are {', '.join(REQUIRED)}")
    return [known[name] for name in names]


def _record(place: str, columns: list[_CsvColumn], cells: list[str]) -> dict[str, Any]:
    if len(cells) != len(columns):
        wanted = f"the header names {len(columns)} columns"
        raise AnswerError(f"{place}: met {len(cells)} cells; {wanted}")
    record: dict[str, Any] = {}
    for column, cell in zip(columns, cells, strict=True):
        text = cell.strip()
        if not text:
            continue
        value = _value(f"{place}: {column.entry or column.key}", column.kind, text)
        if not column.entry:
            if column.key in record:
                _refuse_both(place, column.key)
            record[column.key] = value
            continue
        mapping = record.setdefault(column.key, {})
        if not isinstance(mapping, dict) or column.entry in mapping:
            _refuse_both(place, column.key)
        mapping[column.entry] = value
    return record


def _refuse_both(place: str, key: str) -> None:
    message = "reported in its own column and in those of single variables; allowed is one of them"
    raise AnswerError(f"{place}: {key}: {message}")


def _value(path: str, kind: str, text: str) -> Any:
    """Return the value of a cell that is not blank; a text that does not fit is left for the checks."""
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
        return int(text)
    return float(text) if kind in ("interval", "truth") and _NUMBER.fullmatch(text) else text
