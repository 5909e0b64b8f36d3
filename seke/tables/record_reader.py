"""Posterior records out of the files that `seke infer -o` and `seke annotate` write."""

from __future__ import annotations

import json
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine import SekeError, did_you_mean
from seke.files.faults import Faults
from seke.files.lines import shown
from seke.files.rows import CSV, PARQUET, RowFile, describe_met
from seke.files.shard_folder import is_shard_folder, record_files
from seke.tables.record_writer import JSON_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    Record = dict[str, Any]

MOST_NAMES = 10_000
# Columns of flat rows that are made for people from the others (see `seke.results.flat_rows`): NAME,
# NAME_probability and NAME_pm where there is NAME.x, and these.
PROBABILITY, PLUS_MINUS = "probability", "pm"
PEOPLE_TEXTS = ("basis", "why")
# How pandas writes truth values in CSV.
TRUTH_OF_PANDAS = {"True": "true", "False": "false"}


def posterior_records(path: str | Path) -> Iterator[Record]:
    """Yield the records of a file, in a format of `seke.files.rows`, or of a folder of shards.

    Raises:
        engine.AnswerError: what cannot be read, with its place; records without an item or a decision.
        engine.SekeError: a folder that lacks shards.
    """
    for file in record_files(Path(path)) if is_shard_folder(path) else [path]:
        yield from _records_of_file(file)


def _records_of_file(path: str | Path) -> Iterator[Record]:
    """Yield the records of a file up to the first fault."""
    faults = Faults()
    file = RowFile(path, faults)
    flat: dict[str, None] | None = None
    for number, row in file.rows():
        if flat is None:
            flat = record_columns(row) if file.format == CSV or any("." in name for name in row) else {}
        record = _nested(row, flat) if flat else row
        if "item" not in record or "decision" not in record:
            is_sample = "item" in record and bool({"observer", "question"} & record.keys())
            cure = f"; a sample is inferred first: seke infer {shown(path)} -o posteriors.jsonl"
            hint = cure if is_sample else ""
            file.note(number, f"is no posterior record (item, decision, ...); {describe_met(record)}{hint}")
            if is_sample:
                # All other rows would be told the same.
                break
        elif not faults:
            yield _unpack(record) if file.format == PARQUET else record
    faults.raise_all()


def posterior_record(path: str | Path, item: str) -> Record:
    """Return the record of one item.

    Raises:
        engine.SekeError: an item that the file does not have.
    """
    names: list[str] = []
    files = record_files(Path(path), item) if is_shard_folder(path) else [path]
    for record in chain.from_iterable(map(_records_of_file, files)):
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


def record_columns(names: Iterable[str]) -> dict[str, None]:
    """Return the columns of flat rows that are a record's own, without those made for people from these."""
    above = {name.partition(".")[0] for name in names if "." in name}
    texts = PEOPLE_TEXTS if above else ()
    made = {*above, *texts, *(f"{name}_{part}" for name in above for part in (PROBABILITY, PLUS_MINUS))}
    return {name: None for name in names if "." in name or name not in made}


def _nested(row: Record, columns: Iterable[str]) -> Record:
    """Return a record of flat rows, whose columns are named with dots, with the values of its cells."""
    record: Record = {}
    for column in columns:
        *above, key = column.split(".")
        inner = record
        for part in above:
            inner = inner.setdefault(part, {})
        cell = row.get(column)
        inner[key] = cell if column == "item" else _value(cell)
    return record


def _value(cell: Any) -> Any:
    """Return the value of a cell: a number, JSON, None, or the text itself; of another type as it is."""
    if not cell and isinstance(cell, str):
        return None
    if not isinstance(cell, str):
        return cell
    try:
        return json.loads(TRUTH_OF_PANDAS.get(cell, cell))
    except ValueError:
        return cell


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
