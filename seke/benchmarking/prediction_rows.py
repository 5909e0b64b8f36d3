"""Reads files of predictions as tables of a few rows; a column is named by its path in a record."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine import AnswerError
from seke.files.frames import frame_rows, is_frame
from seke.files.rows import JSON_LINES, PARQUET, RowFile, RowSource, record_source
from seke.files.shard_folder import is_shard_folder, record_files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from seke.files.faults import Faults

ITEM = "item"
_ROWS_AT_ONCE = 1_000  # a record with its values takes some ten kilobytes


def row_tables(
    source: str | Path | Iterable[Mapping[str, Any]], faults: Faults
) -> Generator[RecordRows | ColumnRows]:
    """Return the rows of a source, a few at a time; at least one table, all with the first record's names.

    Rows that cannot be read are left out and noted. A folder of shards is read as one file.

    Raises:
        engine.AnswerError: a file without a row.
    """
    if is_frame(source):
        return _of_records(record_source(faults), enumerate(frame_rows(source), 1))
    if not isinstance(source, str | Path):
        return _of_records(record_source(faults), enumerate(source, 1))
    if is_shard_folder(source):
        return _of_files(record_files(Path(source)), faults)
    file = RowFile(source, faults)
    if file.format == JSON_LINES:
        return _not_empty(file, _of_records(file, file.rows()))
    return _not_empty(file, _of_parquet(file) if file.format == PARQUET else _of_csv(file))


def _of_files(files: Iterable[Path], faults: Faults) -> Generator[RecordRows | ColumnRows]:
    for file in files:
        yield from row_tables(file, faults)


def _not_empty(
    file: RowFile, tables: Generator[RecordRows] | Generator[ColumnRows]
) -> Generator[RecordRows | ColumnRows]:
    count = 0
    for table in tables:
        count += len(table.numbers)
        if count:
            yield table
    if not count:
        if not file.faults:
            file.note(1, "no predictions: there is no row")
        file.faults.raise_all()


def _of_records(
    source: RowSource, numbered: Iterable[tuple[int, Any]]
) -> Generator[RecordRows] | Generator[ColumnRows]:
    rows = iter(numbered)
    part = list(islice(rows, _ROWS_AT_ONCE))
    first = part[0][1] if part else {}
    if isinstance(first, Mapping) and any("." in str(name) for name in first):
        return _of_flat_rows(source, list(first), chain(part, rows))
    return _of_nested(source, part, rows)


def _of_flat_rows(
    source: RowSource, names: list[str], numbered: Iterable[tuple[int, Any]]
) -> Generator[ColumnRows]:
    rows = iter(numbered)
    while part := list(islice(rows, _ROWS_AT_ONCE)):
        columns = {name: [row.get(name) for _, row in part] for name in names}
        yield ColumnRows(source, [number for number, _ in part], columns)


def _of_nested(
    source: RowSource, part: list[tuple[int, Any]], rows: Iterator[tuple[int, Any]]
) -> Generator[RecordRows]:
    names = dict.fromkeys(_flat_names(part[0][1] if part else {}))
    yield RecordRows(source, names, part)
    while part := list(islice(rows, _ROWS_AT_ONCE)):
        yield RecordRows(source, names, part)


def _of_csv(file: RowFile) -> Generator[ColumnRows]:
    _, names = file.header
    rows = file.rows()
    while part := list(islice(rows, _ROWS_AT_ONCE)):
        columns = {
            name: [cells[name] if name == ITEM else file.number_text(cells[name]) for _, cells in part]
            for name in names
        }
        yield ColumnRows(file, [number for number, _ in part], columns)


def _of_parquet(file: RowFile) -> Generator[ColumnRows]:
    count = 0
    for columns in file.parquet.columns():
        rows = max((len(cells) for cells in columns.values() if cells is not None), default=0)
        if rows:
            yield ColumnRows(file, list(range(count + 1, count + rows + 1)), columns)
        count += rows


def _flat_names(record: object, prefix: str = "") -> Iterable[str]:
    if not isinstance(record, Mapping):
        yield prefix
        return
    for key, value in record.items():
        yield from _flat_names(value, f"{prefix}.{key}" if prefix else str(key))


class _SourceRows:
    """Some rows of a source: the names of its columns, what number each row has in it, and their faults."""

    def __init__(self, source: RowSource, names: Mapping[str, None], numbers: list[int]) -> None:
        self.source, self.names, self.numbers = source, names, numbers
        self.nested = any("." in column for column in names)
        self._faults: dict[int, Callable[[], str]] = {}

    def place(self, row: int) -> str:
        """Return how messages name a row of this table."""
        return self.source.place(self.numbers[row])

    def note(self, row: int, problem: Callable[[], str]) -> None:
        """Note what is wrong with a row of this table; of a row the first problem counts."""
        self._faults.setdefault(row, problem)

    def end(self) -> None:
        """Note the rows at fault among the faults of the source."""
        for row, problem in self._faults.items():
            self.source.note(self.numbers[row], problem)


class RecordRows(_SourceRows):
    """Nested records."""

    def __init__(self, source: RowSource, names: Mapping[str, None], numbered: list[tuple[int, Any]]) -> None:
        super().__init__(source, names, [number for number, _ in numbered])
        self.records = [record for _, record in numbered]
        self._inner: dict[str, list[Any]] = {}

    def column(self, name: str) -> list[Any]:
        """Return the value of each record at a path; None for a record that lacks it, which is noted."""
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
                self.note(row, lambda: f"{name}: missing, unlike in the first record")
        return [record.get(key) if isinstance(record, Mapping) else None for record in inner]


class ColumnRows(_SourceRows):
    """Columns with dots in their names."""

    def __init__(
        self, source: RowSource, numbers: list[int], columns: Mapping[str, list[Any] | None]
    ) -> None:
        super().__init__(source, dict.fromkeys(columns), numbers)
        self._columns = columns

    def column(self, name: str) -> list[Any]:
        """Return the cells of a column, None where blank."""
        cells = self._columns[name]
        if cells is None:
            message = "is a column of a type that is not read; allowed are text, numbers and truth values"
            raise AnswerError(f"{self.source.name}: {name}: {message}")
        return cells
