"""Posterior records out of the files that `seke infer -o` and `seke annotate` write."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec

from engine import AnswerError, SekeError, did_you_mean
from seke.files.lines import read_lines, shown
from seke.files.parquet import ParquetTable
from seke.samples.csv_rows import csv_rows
from seke.samples.schema import describe_met, parse_json_line
from seke.tables.record_writer import JSON_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    Record = dict[str, Any]

MOST_NAMES = 10_000
_UNDECODABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def posterior_records(path: str | Path) -> Iterator[Record]:
    """Yield the records of a file: JSON Lines, CSV (both also .gz) or parquet, by its ending.

    Raises:
        engine.AnswerError: what cannot be read, with its place; a record without an item or a decision.
    """
    name = str(path).lower().removesuffix(".gz")
    if name.endswith(".parquet"):
        yield from _of_parquet(path)
        return
    for place, record in _of_csv(path) if name.endswith(".csv") else _of_lines(path):
        if not isinstance(record, dict) or "item" not in record or "decision" not in record:
            raise AnswerError(
                f"{place}: is no posterior record (item, decision, ...); {describe_met(record)}"
            )
        yield record


def posterior_record(path: str | Path, item: str) -> Record:
    """Return the record of one item.

    Raises:
        engine.SekeError: an item that the file does not have.
    """
    names: list[str] = []
    for record in posterior_records(path):
        if record["item"] == item:
            return record
        if len(names) < MOST_NAMES:
            names.append(str(record["item"]))
    raise SekeError(f"{shown(path)}: no item is called {item!r}{did_you_mean(item, names)}")


def holds_posteriors(path: str | Path) -> bool:
    """Whether a file holds posterior records; False where it holds anything else, or cannot be read."""
    try:
        return next(posterior_records(path), None) is not None
    except (SekeError, OSError, ValueError):
        return False


def _of_lines(path: str | Path) -> Iterator[tuple[str, Any]]:
    for first, lines in read_lines(path):
        for number, line in enumerate(lines, first):
            place = f"{shown(path)}:{number}"
            if not line.strip():
                continue
            try:
                yield place, msgspec.json.decode(line)
            except _UNDECODABLE:
                yield place, parse_json_line(line, place)


def _of_csv(path: str | Path) -> Iterator[tuple[str, Any]]:
    header: list[str] | None = None
    for line, cells in csv_rows(path):
        if header is None:
            header = cells
            continue
        place = f"{shown(path)}:{line}"
        if len(cells) != len(header):
            raise AnswerError(f"{place}: met {len(cells)} cells; the header names {len(header)} columns")
        record: Record = {}
        for column, cell in zip(header, cells, strict=True):
            *above, key = column.split(".")
            inner = record
            for part in above:
                inner = inner.setdefault(part, {})
            inner[key] = cell if column == "item" else _value(cell)
        yield place, record


def _value(cell: str) -> Any:
    """Return the value of a cell: a number, JSON, None, or the text itself."""
    if not cell:
        return None
    try:
        return json.loads(cell)
    except ValueError:
        return cell


def _of_parquet(path: str | Path) -> Iterator[Record]:
    for record in ParquetTable(path).rows():
        if "item" not in record or "decision" not in record:
            raise AnswerError(f"{shown(path)}: holds no posterior records (item, decision, ...)")
        yield _unpack(record)


def _unpack(record: Record, prefix: str = "") -> Record:
    """Return a record of a parquet file with its JSON texts decoded."""
    unpacked: Record = {}
    for key, value in record.items():
        path = prefix + key
        if isinstance(value, dict):
            unpacked[key] = _unpack(value, f"{path}.")
        elif isinstance(value, str) and (path in JSON_COLUMNS or key == "value"):
            unpacked[key] = _value(value)
        else:
            unpacked[key] = value
    return unpacked
