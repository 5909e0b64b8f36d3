"""Posterior records to a file or a stream: JSON Lines, CSV or parquet, all or nothing.

A record is a nested mapping of text, numbers, truth values, nulls and lists; see
`seke.inference.record`. JSON Lines hold it as it is. The other two have a fixed set of columns:

CSV: nested mappings become columns named with dots (`expression.happiness`); lists and
`decision.next` are JSON text. A text that a spreadsheet would take for a formula gets an
apostrophe before it, which `seke.files.rows` takes off again.

Parquet: nested mappings are structs, lists lists of text, numbers float64 (counts int64),
except that JSON_COLUMNS are JSON text and that `value`, which
is a name for one level and a number for another, is text. So the schema follows from the
first record and does not depend on what was decided in it.
"""

from __future__ import annotations

import csv
import gzip
import io
import os
import sys
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from importlib import import_module
from operator import itemgetter
from typing import IO, TYPE_CHECKING, Any, BinaryIO, Protocol

import msgspec

from engine import SekeError
from seke.files.atomic import replacing
from seke.files.rows import without_formula

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    Record = dict[str, Any]
    Encoder = Callable[[list[Record]], Any]

ENDINGS = (".jsonl", ".jsonl.gz", ".csv", ".csv.gz", ".parquet")
JSON_COLUMNS = (
    "decision.next",
    "diagnostics.violations",
    "diagnostics.labelled",
    "diagnostics.contradictions",
    "diagnostics.checks",
)
# Texts that the first record may lack: no value that is open rests on anything.
NULLABLE_TEXTS = ("basis",)
# Rows of one group of a parquet file.
_ROW_GROUP = 32_768
_TEXTS = {True: "true", False: "false"}
_JSON = msgspec.json.Encoder()


class _Format(Protocol):
    @property
    def encoder(self) -> Encoder: ...

    def write(self, encoded: Any) -> None: ...

    def close(self) -> None: ...

    def abandon(self) -> None: ...


class Writer:
    """Writes batches of posterior records; use it as a context manager.

    exact: whether texts of CSV stay as they are, though a spreadsheet might execute them.

    columns, metadata: of parquet, the types of columns that are declared and do not follow from the first
    record, and what the schema says besides; rows_per_group: of it.

    With a path the records are in the file once the block ends without an exception, and
    otherwise nothing is changed. Without one they are written as JSON Lines to `stream`
    (the standard output).
    """

    def __init__(
        self,
        path: Path | None,
        *,
        stream: IO[Any] | None = None,
        exact: bool = False,
        columns: Mapping[str, Any] | None = None,
        metadata: Callable[[Any], Mapping[str, str]] | None = None,
        rows_per_group: int = _ROW_GROUP,
    ) -> None:
        self._path, self._exact = path, exact
        self._parquet_options = dict(columns or {}), metadata, rows_per_group
        self._stream = sys.stdout if stream is None else stream
        self._ending = "" if path is None else _check_ending(path)
        self._open = ExitStack()
        self._format: _Format | None = None

    def __enter__(self) -> Writer:
        """Open the temporary file beside the target."""
        if self._path is None:
            self._format = _JsonLines(_binary(self._stream))
            return self
        try:
            temporary = self._open.enter_context(replacing(self._path))
            sink: BinaryIO = self._open.enter_context(temporary.open("xb"))
        except OSError as error:
            raise _unwritable(self._path, error) from None
        if self._ending.endswith(".gz"):
            # Neither name nor time in the header: equal records make equal files.
            zipped = gzip.GzipFile("", "wb", compresslevel=6, fileobj=sink, mtime=0)
            sink = self._open.enter_context(zipped)  # type: ignore[assignment]
        if self._ending == ".parquet":
            self._format = _Parquet(sink, *self._parquet_options)
        else:
            self._format = _format(self._ending, sink, exact=self._exact)
        return self

    @property
    def encoder(self) -> Encoder:
        """What makes of a batch of records what `write_encoded` takes, in this process or in another."""
        return self._opened.encoder

    @property
    def _opened(self) -> _Format:
        if self._format is None:
            raise RuntimeError("a Writer is used in a with statement")
        return self._format

    def write(self, batch: list[Record]) -> None:
        """Write some records."""
        self.write_encoded(self.encoder(batch))

    def write_encoded(self, encoded: Any) -> None:
        """Write some records of which `encoder` has made what the format takes."""
        try:
            self._opened.write(encoded)
        except OSError as error:
            if self._path is None:
                raise
            raise _unwritable(self._path, error) from None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Put the finished file in its place, or remove what there is of it."""
        if self._format is None:
            return
        if self._path is None:
            if kind is None:
                self._format.close()
            return
        if kind is not None:
            # What went wrong is on its way already; the file is thrown away.
            with suppress(OSError):
                self._format.abandon()
            with suppress(kind):
                self._open.__exit__(kind, error, trace)
            return
        try:
            with self._open:
                try:
                    self._format.close()
                finally:
                    self._format.abandon()
        except OSError as fault:
            raise _unwritable(self._path, fault) from None


def _check_ending(path: Path) -> str:
    """The ending of a target that can be written, as far as that can be told beforehand."""
    ending = next((known for known in ENDINGS if path.name.lower().endswith(known)), None)
    if ending is None:
        raise SekeError(f"{path}: unknown ending; allowed are {', '.join(ENDINGS)}")
    if path.is_dir():
        raise SekeError(f"{path}: is a directory; name a file")
    if not path.parent.exists():
        raise SekeError(f"{path}: no such directory: {path.parent}")
    if not path.parent.is_dir():
        raise SekeError(f"{path}: {path.parent} is not a directory")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise SekeError(f"{path}: the directory {path.parent} cannot be written to")
    if ending == ".parquet":
        pyarrow(path)
    return ending


def _unwritable(path: Path, error: OSError) -> SekeError:
    return SekeError(f"{path}: cannot be written: {error.strerror or error}")


def _format(ending: str, sink: BinaryIO, *, exact: bool) -> _Format:
    return _Table(sink, exact=exact) if ending.startswith(".csv") else _JsonLines(sink)


class _TextSink:
    """Takes bytes and hands them on to a stream of text."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def write(self, data: bytes) -> None:
        self._stream.write(data.decode("utf-8"))

    def flush(self) -> None:
        self._stream.flush()


def _binary(stream: IO[Any]) -> Any:
    return _TextSink(stream) if isinstance(stream, io.TextIOBase) else stream


def _json_lines(batch: list[Record]) -> bytes:
    return _JSON.encode_lines(batch)


class _JsonLines:
    def __init__(self, sink: Any) -> None:
        self.encoder = _json_lines
        self._sink = sink

    def write(self, encoded: bytes) -> None:
        self._sink.write(encoded)

    def close(self) -> None:
        self._sink.flush()

    def abandon(self) -> None:
        pass  # nothing but the sink is open


def _flat(record: Record, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Return the columns of a record with their cells."""
    for key, value in record.items():
        path = prefix + key
        if isinstance(value, dict) and path not in JSON_COLUMNS:
            yield from _flat(value, f"{path}.")
        else:
            yield path, value


def _json(value: Any) -> str | None:
    return None if value is None else msgspec.json.encode(value).decode("utf-8")


@dataclass(frozen=True)
class _TableEncoder:
    """Makes rows of CSV, as bytes, with their columns and the item of the first; None of no records."""

    exact: bool

    def __call__(self, batch: list[Record]) -> tuple[tuple[str, ...], Any, bytes] | None:
        header: tuple[str, ...] | None = None
        text = io.StringIO(newline="")
        rows = csv.writer(text, lineterminator="\n")
        for record in batch:
            columns, cells = zip(*_flat(record), strict=True)
            header = header or columns
            _check_columns(columns, header, record["item"])
            rows.writerow(map(self._cell, cells))
        if header is None:
            return None
        return header, batch[0]["item"], text.getvalue().encode("utf-8")

    def _cell(self, cell: Any) -> Any:
        if isinstance(cell, str):
            return cell if self.exact else without_formula(cell)
        return _json(cell) if isinstance(cell, dict | list | bool) else cell


def _check_columns(columns: tuple[str, ...], header: tuple[str, ...], item: Any) -> None:
    if columns != header:
        differing = ", ".join(sorted(set(columns) ^ set(header))) or "their order"
        raise SekeError(f"item {item!r}: other columns than before: {differing}")


class _Table:
    def __init__(self, sink: BinaryIO, *, exact: bool) -> None:
        self.encoder = _TableEncoder(exact)
        self._sink = sink
        self._header: tuple[str, ...] | None = None

    def write(self, encoded: tuple[tuple[str, ...], Any, bytes] | None) -> None:
        if encoded is None:
            return
        columns, item, rows = encoded
        if self._header is None:
            self._header, header = columns, io.StringIO(newline="")
            csv.writer(header, lineterminator="\n").writerow(columns)
            self._sink.write(header.getvalue().encode("utf-8"))
        _check_columns(columns, self._header, item)
        self._sink.write(rows)

    def close(self) -> None:
        self._sink.flush()

    def abandon(self) -> None:
        pass  # nothing but the sink is open


def pyarrow(path: object) -> tuple[Any, Any]:
    """Return pyarrow and pyarrow.parquet.

    Raises:
        engine.SekeError: they are not installed; path: what needs them.
    """
    # Imported here since it takes longer than reading most sample files.
    try:
        return import_module("pyarrow"), import_module("pyarrow.parquet")
    except ModuleNotFoundError as error:
        raise SekeError(
            f"{path}: writing parquet needs pyarrow, which is not installed ({error.name});"
            " install it with: pip install pyarrow"
        ) from None


class _ParquetEncoder:
    """Makes batches of Arrow, with the schema of the first record that it is given; None of no records."""

    def __init__(self, declared: Mapping[str, Any]) -> None:
        self._declared = declared
        self._schema: Any = None

    def __call__(self, batch: list[Record]) -> Any:
        if not batch:
            return None
        arrow, _ = pyarrow("output")
        if self._schema is None:
            self._schema = arrow.schema(list(self._fields(arrow, batch[0])))
        try:
            columns = self._columns(arrow, batch, list(self._schema))
            return arrow.RecordBatch.from_arrays(columns, schema=self._schema)
        except (arrow.ArrowInvalid, arrow.ArrowTypeError) as error:
            raise _another_shape(error) from None

    def _columns(
        self, arrow: Any, mappings: Sequence[Record], fields: Sequence[Any], prefix: str = ""
    ) -> list[Any]:
        """Return an array for each field of these mappings."""
        return [self._column(arrow, _cells(mappings, field.name), field, prefix) for field in fields]

    def _column(self, arrow: Any, values: Sequence[Any], field: Any, prefix: str = "") -> Any:
        """Return the values of a field as an array: by columns it is several times as fast as by rows."""
        path = prefix + field.name
        if path in self._declared:
            return arrow.array(values, field.type)
        if _as_text(path, field.name):
            return arrow.array([value if value is None else _text(value) for value in values], field.type)
        if not arrow.types.is_struct(field.type):
            return arrow.array(values, field.type)
        is_null = [value is None for value in values]
        mappings = [{} if value is None else value for value in values] if any(is_null) else values
        inner = [field.type.field(k) for k in range(field.type.num_fields)]
        parts = self._columns(arrow, mappings, inner, f"{path}.")
        mask = arrow.array(is_null) if any(is_null) else None
        return arrow.StructArray.from_arrays(parts, fields=inner, mask=mask)

    def _fields(self, arrow: Any, record: Record, prefix: str = "") -> Iterator[tuple[str, Any]]:
        for key, value in record.items():
            path = prefix + key
            if path in self._declared:
                yield key, self._declared[path]
            elif _as_text(path, key) or isinstance(value, str) or key in NULLABLE_TEXTS:
                yield key, arrow.string()
            elif isinstance(value, dict):
                yield key, arrow.struct(list(self._fields(arrow, value, f"{path}.")))
            elif isinstance(value, list):
                yield key, arrow.list_(arrow.string())
            elif isinstance(value, bool):
                yield key, arrow.bool_()
            else:
                yield key, arrow.int64() if isinstance(value, int) else arrow.float64()


def _another_shape(error: Exception) -> SekeError:
    return SekeError(f"a record has another shape than the first one: {error}")


class _Parquet:
    def __init__(
        self,
        sink: BinaryIO,
        declared: Mapping[str, Any],
        metadata: Callable[[Any], Mapping[str, str]] | None,
        rows_per_group: int,
    ) -> None:
        self.encoder = _ParquetEncoder(declared)
        self._sink = sink
        self._metadata, self._rows_per_group = metadata, rows_per_group
        self._arrow, self._parquet = pyarrow("output")
        self._schema: Any = None
        self._file: Any = None
        self._waiting: list[Any] = []

    def write(self, batch: Any) -> None:
        if batch is None:
            return
        if self._schema is None:
            schema = batch.schema
            self._schema = schema if self._metadata is None else schema.with_metadata(self._metadata(schema))
        self._waiting += self._of_schema(batch)
        if sum(part.num_rows for part in self._waiting) >= self._rows_per_group:
            self._flush()

    def _of_schema(self, batch: Any) -> list[Any]:
        """Return a batch with the schema of the first one, which another process may not know."""
        try:
            table = self._arrow.Table.from_batches([batch]).cast(self._schema)
        except (self._arrow.ArrowInvalid, self._arrow.ArrowTypeError, ValueError) as error:
            raise _another_shape(error) from None
        return list(table.to_batches())

    def close(self) -> None:
        if self._schema is None:
            self._schema = self._arrow.schema([("item", self._arrow.string())])
        self._flush()
        self._file.close()

    def abandon(self) -> None:
        if self._file is not None:  # it would write to the closed sink when it is collected
            self._file.close()

    def _flush(self) -> None:
        if self._file is None:
            self._file = self._parquet.ParquetWriter(self._sink, self._schema)
        table = self._arrow.Table.from_batches(self._waiting, schema=self._schema)
        self._file.write_table(table)
        self._waiting = []


def _cells(mappings: Sequence[Record], name: str) -> list[Any]:
    """Return what each mapping has under a name, None where it lacks that."""
    try:
        return list(map(itemgetter(name), mappings))
    except KeyError:
        return [mapping.get(name) for mapping in mappings]


def _as_text(path: str, name: str) -> bool:
    """Tell whether a column holds values of several kinds, as JSON."""
    return path in JSON_COLUMNS or name == "value"


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else _TEXTS[value] if isinstance(value, bool) else _json(value)
