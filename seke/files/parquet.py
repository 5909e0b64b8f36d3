"""Parquet files of a user -> rows or columns, within bounds on what a small file may unpack to.

Arrow's C++ ends the process where memory is short, so nothing is decoded before it is known to be small. The
footer, which says how large everything is, may lie; the headers of pages may not, since buffers are made by
them. Text that is repeated is read as an index and stays one Python text.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from engine import AnswerError
from seke.files.inputs import open_file
from seke.files.lines import check_expansion, shown
from seke.files.parquet_pages import column_places, pages

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    Row = dict[str, Any]

MOST_COLUMNS = 10_000  # leaves of the schema; records of posteriors have some hundreds
MOST_GROUPS = 10_000  # groups of rows; a writer makes one of some thousand rows or more
LONGEST_FOOTER = 8 << 20  # bytes; 300 columns in 100 groups of rows
# Bytes that any footer may have; beyond that a share of the file. Read it takes up to 90 times as much.
FREE_FOOTER, FOOTER_SHARE = 2 << 20, 8
LARGEST_GROUP = 64 << 20  # bytes that the columns of a group of rows unpack to, whatever the ratio
GROUP_EXPANSION = 20  # times its packed size, beyond that; text that is packed well reaches 5 to 10
LONGEST_TEXT = 64 << 10  # bytes in one cell; an item's name or a reason has some hundred
BATCH_ROWS = 1_000  # rows made into Python values at once: some megabytes
BATCH_CELLS = 500_000  # cells in such a batch, those of lists aside; about 32 bytes each as Python values
BATCH_TEXT = 32 << 20  # bytes of text in such a batch
# Times the file's size, beyond what any file may unpack to. Distinct names and numbers keep tables of labels
# and of posteriors under 50.
EXPANSION = 100
ROW_BYTES = 128  # what a row counts as, beside its cells: a small mapping and where it stands take twice that
CELL_BYTES = 8  # what a cell that is not blank counts as, beside its text
# Members of a list column in a group of rows; a writer has some 100,000 rows with a reason or two in a group.
MOST_MEMBERS = 2_000_000
MOST_NAMES = 100_000  # entries of each list in a footer, whose memory is taken before they are read
DEEPEST = 20  # columns within columns; records of posteriors have four
# Encoding in which a text is what it shares with the one before and a rest: a few bytes make gigabytes.
DELTA_BYTE_ARRAY = 7
READ = "text, numbers, truth values and lists of these"
# Made before 2013, with sizes that Arrow knows to be wrong.
_OLD_WRITER = re.compile(r"parquet-mr(?! version 1\.([3-9]|\d\d))", re.I)
BUFFER = 32 << 10  # bytes read at once of each column, instead of all that a group has of it
_OPTIONS = {
    "pre_buffer": False,
    "buffer_size": BUFFER,
    "thrift_string_size_limit": LONGEST_FOOTER,
    "thrift_container_size_limit": MOST_NAMES,
}
_TAIL = 8  # bytes at the end of a file: the footer's length and the mark
_MARK = b"PAR1"


class ParquetTable:
    """A parquet file; nothing of it is read before it is asked for.

    What it has to say raises engine.AnswerError where there is no such file, where it cannot be read or where
    it unpacks too far.
    """

    def __init__(self, path: str | Path) -> None:
        self.path, self.name = Path(path), shown(path)
        try:
            self.arrow, self._parquet = import_module("pyarrow"), import_module("pyarrow.parquet")
            self._compute = import_module("pyarrow.compute")
        except ModuleNotFoundError as error:
            raise AnswerError(
                f"{self.name}: reading parquet needs pyarrow, which is not installed ({error.name})"
            ) from None

    @cached_property
    def schema(self) -> Any:
        """Return the columns' names and types, a pyarrow schema."""
        with self._as_faults(), open_file(self.path) as file:
            return self._open(file).schema_arrow

    def rows(self, columns: Sequence[str] | None = None) -> Iterator[Row]:
        """Yield the rows, with these columns or all; columns within columns are mappings."""
        names = self.schema.names if columns is None else columns
        for field in self.schema:
            unread = [kind for name, kind in self._kinds(field) if not self._readable(kind)]
            if unread and not _prefixes(field.name).isdisjoint(names):
                kind = " ".join(str(unread[0]).split())[:80]
                raise AnswerError(f"{self.name}: {field.name}: is a column of {kind}; allowed are {READ}")
        for values in self._batches(names, flat=False):
            yield from (dict(zip(values, cells, strict=True)) for cells in zip(*values.values(), strict=True))

    def columns(self) -> Iterator[dict[str, list[Any] | None]]:
        """Yield the cells of all columns, a few rows at a time; that of one within another is `outer.inner`.

        Lists, and columns of a type that is not read, are None.
        """
        kinds = {name: kind for field in self.schema for name, kind in self._kinds(field)}
        unread = [name for name, kind in kinds.items() if not self._plain(kind)]
        # Who asks pyarrow for `a` gets `a.b` as well.
        above = set[str]().union(*map(_prefixes, unread))
        plain = [name for name in kinds if name not in above]
        for values in self._batches(plain, flat=True):
            yield dict.fromkeys(kinds) | values

    def _kinds(self, field: Any, depth: int = 0, above: str = "") -> Iterator[tuple[str, Any]]:
        """Yield the name and the type of each column within a column, or its own."""
        kind, name = field.type, f"{above}{field.name}"
        if depth > DEEPEST:
            raise AnswerError(f"{self.name}: {name[:80]}: columns are nested more than {DEEPEST} deep")
        if not self.arrow.types.is_struct(kind):
            yield name, kind
            return
        for index in range(kind.num_fields):
            yield from self._kinds(kind.field(index), depth + 1, f"{name}.")

    def _readable(self, kind: Any) -> bool:
        types = self.arrow.types
        is_list = types.is_list(kind) or types.is_large_list(kind)
        return self._plain(kind.value_type if is_list else kind)

    def _plain(self, kind: Any) -> bool:
        types = self.arrow.types
        kind = kind.value_type if types.is_dictionary(kind) else kind
        checks = (types.is_string, types.is_large_string, types.is_integer, types.is_floating)
        return any(check(kind) for check in (*checks, types.is_boolean, types.is_null))

    def _batches(self, columns: Sequence[str], *, flat: bool) -> Iterator[dict[str, list[Any]]]:
        count, unpacked = 0, 0
        with self._as_faults(), open_file(self.path) as file:
            size = file.seek(0, 2)
            table = self._with_indices(file, self._open(file))
            used = self._column_numbers(table, columns)
            self._check_pages(file, table.schema, used, size)
            batch_rows = min(max(BATCH_CELLS // max(len(used), 1), 1), BATCH_ROWS)
            for batch in table.iter_batches(batch_rows, columns=columns, use_threads=False):
                named = list(zip(batch.schema.names, batch.columns, strict=True))
                leaves = [leaf for name, column in named for leaf in self._leaves(name, column)]
                text = sum(self._text(name, leaf) for name, leaf in leaves)
                if text > BATCH_TEXT:
                    problem = f"{len(batch):,} rows hold {text >> 20:,} MB of text"
                    allowed = f"allowed are {BATCH_TEXT >> 20} MB"
                    raise AnswerError(f"{self.name}: row {count + 1}: {problem}; {allowed}")
                cells = sum(len(leaf) - leaf.null_count for _, leaf in leaves)
                unpacked += text + CELL_BYTES * cells + ROW_BYTES * len(batch)
                check_expansion(f"{self.name}: row {count + 1}", unpacked, size, EXPANSION)
                if flat:
                    named = leaves
                values = {name: self._values(column) for name, column in named}
                count += len(batch)
                yield values

    @contextmanager
    def _as_faults(self) -> Iterator[None]:
        """Raise everything that can be wrong with a file as AnswerError."""
        arrow = self.arrow
        try:
            yield
        except MemoryError:
            raise AnswerError(f"{self.name}: unpacks to more than can be read safely") from None
        except OSError as error:
            # What the system says of a file has a number; what pyarrow says of its content has none.
            what = error.strerror or f"not a parquet file that can be read: {_plain(error)}"
            raise AnswerError(f"{self.name}: {what}") from None
        except (arrow.ArrowException, ValueError, TypeError, ArithmeticError, NotImplementedError) as error:
            raise AnswerError(f"{self.name}: not a parquet file that can be read: {_plain(error)}") from None

    def _open(self, file: IO[bytes]) -> Any:
        """Return the file, of which only the footer has been read."""
        self._footer(file)
        table = self._parquet.ParquetFile(file, **_OPTIONS)
        self._check_footer(table.metadata)
        return table

    def _footer(self, file: IO[bytes]) -> bytes:
        """Return the bytes of the footer."""
        size = file.seek(0, 2)
        file.seek(max(size - _TAIL, 0))
        tail = file.read(_TAIL)
        if len(tail) < _TAIL or not tail.endswith(_MARK):
            raise ValueError("its end is cut off, or it is of another kind")
        length = int.from_bytes(tail[:4], "little")
        longest = min(max(FREE_FOOTER, size // FOOTER_SHARE), LONGEST_FOOTER)
        if length > longest:
            problem = f"its footer has {length:,} bytes"
            raise AnswerError(f"{self.name}: {problem}; allowed are {longest:,}")
        file.seek(max(size - _TAIL - length, 0))
        return file.read(length)

    def _with_indices(self, file: IO[bytes], table: Any) -> Any:
        """Return the file opened such that texts are read as indices."""
        leaves = (table.schema.column(number) for number in range(len(table.schema)))
        texts = [leaf.path for leaf in leaves if leaf.physical_type == "BYTE_ARRAY"]
        return self._parquet.ParquetFile(file, metadata=table.metadata, read_dictionary=texts, **_OPTIONS)

    def _column_numbers(self, table: Any, columns: Sequence[str]) -> list[int]:
        """Return the numbers of the columns in the file that these are made of."""
        wanted = set(columns)
        paths = [table.schema.column(number).path for number in range(len(table.schema))]
        return [number for number, path in enumerate(paths) if not _prefixes(path).isdisjoint(wanted)]

    def _check_footer(self, metadata: Any) -> None:
        """Refuse a file with too many columns or row groups, by its footer."""
        if metadata.num_columns > MOST_COLUMNS:
            problem = f"has {metadata.num_columns:,} columns"
            raise AnswerError(f"{self.name}: {problem}; allowed are {MOST_COLUMNS:,}")
        if metadata.num_row_groups > MOST_GROUPS:
            problem = f"has {metadata.num_row_groups:,} groups of rows"
            raise AnswerError(f"{self.name}: {problem}; allowed are {MOST_GROUPS:,}")
        if _OLD_WRITER.search(metadata.created_by or ""):
            raise AnswerError(
                f"{self.name}: was written before 2013, by {metadata.created_by[:80]}; write it anew"
            )

    def _check_pages(self, file: IO[bytes], schema: Any, used: Sequence[int], size: int) -> None:
        """Refuse a file that unpacks too far, by the headers of its pages.

        used: the numbers of the columns that are read. size: that of the file, in bytes.
        """
        leaves = {index: schema.column(index) for index in used}
        for group in column_places(self._footer(file)):
            if len(group) != len(schema):
                raise ValueError("a group of rows has other columns than the file")
            unpacked: dict[str, int] = {}
            packed = 0
            for index, leaf in leaves.items():
                name, members = leaf.path, 0
                for page in pages(file, *group[index]):
                    unpacked[name] = unpacked.get(name, 0) + page.unpacked
                    packed += page.packed
                    members += page.values
                    if page.encoding == DELTA_BYTE_ARRAY:
                        problem = "is packed as DELTA_BYTE_ARRAY"
                        raise AnswerError(f"{self.name}: {name}: {problem}; allowed is any other encoding")
                if leaf.max_repetition_level and members > MOST_MEMBERS:
                    problem = f"its lists have {members:,} members in a group of rows"
                    raise AnswerError(f"{self.name}: {name}: {problem}; allowed are {MOST_MEMBERS:,}")
            packed = min(packed, size)
            total = sum(unpacked.values())
            if total > max(LARGEST_GROUP, GROUP_EXPANSION * packed):
                problem = f"{packed:,} bytes unpack to {total >> 20:,} MB, most of them of this column"
                allowed = f"allowed is {GROUP_EXPANSION} times the size"
                raise AnswerError(
                    f"{self.name}: {max(unpacked, key=unpacked.__getitem__)}: {problem}; {allowed}"
                )

    def _leaves(self, name: str, column: Any) -> Iterator[tuple[str, Any]]:
        """Yield the columns within a column of a batch, and the members of lists."""
        types, kind = self.arrow.types, column.type
        if types.is_struct(kind):
            for index, inner in enumerate(column.flatten()):
                yield from self._leaves(f"{name}.{kind.field(index).name}", inner)
        elif types.is_list(kind) or types.is_large_list(kind):
            yield from self._leaves(name, column.flatten())
        else:
            yield name, column

    def _text(self, name: str, column: Any) -> int:
        """Return the bytes of all texts in a column of a batch, before any is made."""
        types, compute = self.arrow.types, self._compute
        indices = None
        if types.is_dictionary(column.type):
            indices, column = column.indices, column.dictionary
        if not (types.is_string(column.type) or types.is_large_string(column.type)):
            return 0
        # A dictionary may be that of all rows, most of which are in other batches.
        lengths = compute.binary_length(column if indices is None else column.take(compute.unique(indices)))
        longest = compute.max(lengths).as_py() or 0
        if longest > LONGEST_TEXT:
            problem = f"met a text of {longest:,} bytes"
            raise AnswerError(f"{self.name}: {name}: {problem}; allowed are {LONGEST_TEXT:,}")
        if indices is not None:
            return int(compute.sum(compute.binary_length(column).take(indices)).as_py() or 0)
        return int(compute.sum(lengths).as_py() or 0)

    def _values(self, column: Any) -> list[Any]:
        """Return the cells of a column of a batch as Python values."""
        types = self.arrow.types
        if types.is_struct(column.type):
            names = [column.type.field(index).name for index in range(column.type.num_fields)]
            cells = zip(*(self._values(inner) for inner in column.flatten()), strict=True)
            rows: list[Any] = [dict(zip(names, row, strict=True)) for row in cells]
            if column.null_count:
                rows = [row if valid else None for row, valid in zip(rows, column.is_valid(), strict=True)]
            return rows
        if not types.is_dictionary(column.type):
            return list(column.to_pylist())
        used = self._compute.unique(column.indices.drop_null())
        words = dict(zip(used.to_pylist(), column.dictionary.take(used).to_pylist(), strict=True))
        return [words.get(index) for index in column.indices.to_pylist()]


def _prefixes(path: str) -> set[str]:
    """Return a path and those of the columns that it is within."""
    parts = path.split(".")
    return {".".join(parts[:length]) for length in range(1, len(parts) + 1)}


def _plain(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
