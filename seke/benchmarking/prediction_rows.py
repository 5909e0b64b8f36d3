"""Reads files of predictions as tables of a few rows; a column is named by its path in a record."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from engine import AnswerError
from seke.files.lines import read_lines, shown
from seke.files.parquet import ParquetTable
from seke.samples.csv_rows import csv_rows
from seke.samples.schema import describe_met, parse_json_line

if TYPE_CHECKING:
    from collections.abc import Iterator

_ROWS_AT_ONCE = 1_000  # a record with its values takes some ten kilobytes
_UNDECODABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def row_tables(source: str | Path | Iterable[Mapping[str, Any]]) -> Generator[RecordRows | ColumnRows]:
    """Return the rows of a source, a few at a time; at least one table, all with the first record's names."""
    if not isinstance(source, str | Path):
        return _in_tables("record", " ", enumerate(source, 1))
    name = str(source).lower().removesuffix(".gz")
    if name.endswith(".parquet"):
        return _parquet(source)
    return _csv(source) if name.endswith(".csv") else _in_tables(shown(source), ":", _json_lines(source))


def _in_tables(name: str, between: str, numbered: Iterable[tuple[int, Any]]) -> Generator[RecordRows]:
    rows = iter(numbered)
    part = list(islice(rows, _ROWS_AT_ONCE))
    names = dict.fromkeys(_flat_names(part[0][1] if part else {}))
    yield RecordRows(name, between, names, part)
    while part := list(islice(rows, _ROWS_AT_ONCE)):
        yield RecordRows(name, between, names, part)


def _flat_names(record: object, prefix: str = "") -> Iterable[str]:
    if not isinstance(record, Mapping):
        yield prefix
        return
    for key, value in record.items():
        yield from _flat_names(value, f"{prefix}.{key}" if prefix else str(key))


class _SourceRows:
    """Some rows of a source: its name, the names of its columns, and what number each row has in it."""

    def __init__(self, name: str, between: str, names: Mapping[str, None], numbers: list[int]) -> None:
        self.name, self.between, self.names, self.numbers = name, between, names, numbers
        self.nested = any("." in column for column in names)

    def place(self, row: int) -> str:
        """Return how messages name a row of this table."""
        return self.numbered(self.numbers[row])

    def numbered(self, number: int) -> str:
        """Return how messages name the row of the source that has a number."""
        return f"{self.name}{self.between}{number}"


class RecordRows(_SourceRows):
    """Nested records."""

    def __init__(
        self, name: str, between: str, names: Mapping[str, None], numbered: list[tuple[int, Any]]
    ) -> None:
        super().__init__(name, between, names, [number for number, _ in numbered])
        self.records = [record for _, record in numbered]
        self._inner: dict[str, list[Any]] = {}

    def column(self, name: str) -> list[Any]:
        """Return the value of each record at a path; a record that lacks it is a fault."""
        above, _, key = name.rpartition(".")
        inner = self.records
        if above:
            # Many columns lie side by side in one mapping.
            inner = self._inner.get(above) or self._inner.setdefault(above, self.column(above))
        try:
            return [record[key] for record in inner]
        except (KeyError, TypeError, IndexError):
            pass
        for row, record in enumerate(inner):
            if not isinstance(record, Mapping) or key not in record:
                raise AnswerError(f"{self.place(row)}: {name}: missing, unlike in the first record")
        raise AssertionError(name)


class ColumnRows(_SourceRows):
    """Columns with dots in their names."""

    def __init__(
        self, name: str, between: str, numbers: list[int], columns: Mapping[str, list[Any] | None]
    ) -> None:
        super().__init__(name, between, dict.fromkeys(columns), numbers)
        self._columns = columns

    def column(self, name: str) -> list[Any]:
        """Return the cells of a column, None where blank."""
        cells = self._columns[name]
        if cells is None:
            message = "is a column of a type that is not read; allowed are text, numbers and truth values"
            raise AnswerError(f"{self.name}: {name}: {message}")
        return cells


def _json_lines(path: str | Path) -> Iterator[tuple[int, Any]]:
    """Yield the records of a file, each with its line."""
    name, blank = shown(path), True
    for first, lines in read_lines(path):
        for number, line in enumerate(lines, first):
            if not line.strip():
                continue
            try:
                record = msgspec.json.decode(line)
            except _UNDECODABLE:
                record = parse_json_line(line, f"{name}:{number}")
            if not isinstance(record, dict):
                raise AnswerError(
                    f"{name}:{number}: a record is an object with named fields; {describe_met(record)}"
                )
            blank = False
            yield number, record
    if blank:
        raise AnswerError(f"{name}:1: no predictions: nothing but blank lines")


def _csv(path: str | Path) -> Generator[ColumnRows]:
    name, rows = shown(path), csv_rows(path)
    header = [cell.strip() for cell in next(rows, (1, []))[1]]
    part = list(islice(rows, _ROWS_AT_ONCE))
    if not part:
        raise AnswerError(f"{name}:1: no predictions: no row after the header")
    while part:
        for line, cells in part:
            if len(cells) != len(header):
                raise AnswerError(
                    f"{name}:{line}: met {len(cells)} cells; the header names {len(header)} columns"
                )
        cells_of = [
            [cell or None for cell in column] for column in zip(*(cells for _, cells in part), strict=True)
        ]
        yield ColumnRows(name, ":", [line for line, _ in part], dict(zip(header, cells_of, strict=True)))
        part = list(islice(rows, _ROWS_AT_ONCE))


def _parquet(path: str | Path) -> Generator[ColumnRows]:
    name, count = shown(path), 0
    for columns in ParquetTable(path).columns():
        rows = max((len(cells) for cells in columns.values() if cells is not None), default=0)
        if rows:
            numbers = list(range(count + 1, count + rows + 1))
            yield ColumnRows(name, ": row ", numbers, columns)
        count += rows
    if not count:
        raise AnswerError(f"{name}: no predictions: there is no row")
