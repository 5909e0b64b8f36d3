"""Parquet files of a user -> rows or columns, within bounds on what a small file may unpack to.

A footer, which says how large everything is, may lie; so what is read is counted too, and each step has so
much memory and no more. Text that is repeated is read as an index and stays one Python text.
"""

from __future__ import annotations

from contextlib import contextmanager
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from engine import AnswerError
from seke.files.memory import memory_bound
from seke.samples.files import check_expansion, shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    Row = dict[str, Any]

MOST_COLUMNS = 10_000  # leaves of the schema; records of posteriors have some hundreds
MOST_GROUPS = 10_000  # groups of rows; a writer makes one of some thousand rows or more
LONGEST_FOOTER = 8 << 20  # bytes; 10,000 columns in some ten groups of rows
LARGEST_GROUP = 64 << 20  # bytes that the columns of a group of rows unpack to, whatever the ratio
GROUP_EXPANSION = 20  # times its packed size, beyond that; text that is packed well reaches 5 to 10
LONGEST_TEXT = 64 << 10  # bytes in one cell; an item's name or a reason has some hundred
BATCH_ROWS = 1_000  # rows made into Python values at once: some megabytes
BATCH_TEXT = 32 << 20  # bytes of text in such a batch
# Times the file's size, beyond what any file may unpack to. Distinct names and numbers keep tables of labels
# and of posteriors under 50.
EXPANSION = 100
ROW_BYTES = 128  # what a row counts as, beside its cells: a small mapping and where it stands take twice that
CELL_BYTES = 8  # what a cell that is not blank counts as, beside its text
STEP_BYTES = 128 << 20  # memory for reading a footer or a batch of a small file
BUFFER = 32 << 10  # bytes read at once of each column, instead of all that a group has of it
_OPTIONS = {
    "pre_buffer": False,
    "buffer_size": BUFFER,
    "thrift_string_size_limit": LONGEST_FOOTER,
    "thrift_container_size_limit": LONGEST_FOOTER,
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
        with self._reading(), self.path.open("rb") as file:
            return self._opened(file).schema_arrow

    def rows(self, columns: Sequence[str] | None = None) -> Iterator[Row]:
        """Yield the rows, with these columns or all; columns within columns are mappings."""
        for values in self._batches(columns, flat=False):
            yield from (dict(zip(values, cells, strict=True)) for cells in zip(*values.values(), strict=True))

    def columns(self) -> dict[str, list[Any]]:
        """Return the cells of all columns; the name of one within another is `outer.inner`."""
        columns: dict[str, list[Any]] = {}
        for values in self._batches(None, flat=True):
            for name, cells in values.items():
                columns.setdefault(name, []).extend(cells)
        return columns

    def _batches(self, columns: Sequence[str] | None, *, flat: bool) -> Iterator[dict[str, list[Any]]]:
        count, unpacked = 0, 0
        with self._reading(), self.path.open("rb") as file:
            size = file.seek(0, 2)
            table = self._with_indices(file, self._opened(file))
            batches = table.iter_batches(BATCH_ROWS, columns=columns, use_threads=False)
            while True:
                with memory_bound(STEP_BYTES + GROUP_EXPANSION * size):
                    batch = next(batches, None)
                    if batch is None:
                        return
                    named = list(zip(batch.schema.names, batch.columns, strict=True))
                    leaves = [leaf for name, column in named for leaf in self._leaves(name, column)]
                    text = sum(self._text(name, leaf) for name, leaf in leaves)
                    if text > BATCH_TEXT:
                        met = f"{len(batch):,} rows hold {text >> 20:,} MB of text"
                        allowed = f"allowed are {BATCH_TEXT >> 20} MB"
                        raise AnswerError(f"{self.name}: row {count + 1}: {met}; {allowed}")
                    cells = sum(len(leaf) - leaf.null_count for _, leaf in leaves)
                    unpacked += text + CELL_BYTES * cells + ROW_BYTES * len(batch)
                    check_expansion(f"{self.name}: row {count + 1}", unpacked, size, EXPANSION)
                    if flat:
                        named = [leaf for pair in named for leaf in self._leaves(*pair, lists=False)]
                    values = {name: self._values(column) for name, column in named}
                count += len(batch)
                yield values

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Make of everything that can be wrong with a file one kind of fault."""
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

    def _opened(self, file: IO[bytes]) -> Any:
        """Return the file, of which only the footer has been read."""
        size = file.seek(0, 2)
        file.seek(max(size - _TAIL, 0))
        tail = file.read(_TAIL)
        if len(tail) < _TAIL or not tail.endswith(_MARK):
            raise ValueError("its end is cut off, or it is of another kind")
        length = int.from_bytes(tail[:4], "little")
        if length > LONGEST_FOOTER:
            met = f"its footer has {length:,} bytes"
            raise AnswerError(f"{self.name}: {met}; allowed are {LONGEST_FOOTER:,}")
        with memory_bound(STEP_BYTES):
            table = self._parquet.ParquetFile(file, **_OPTIONS)
            self._check_sizes(table.metadata)
            return table

    def _with_indices(self, file: IO[bytes], table: Any) -> Any:
        """Return the file opened such that texts are read as indices."""
        leaves = (table.schema.column(number) for number in range(len(table.schema)))
        texts = [leaf.path for leaf in leaves if leaf.physical_type == "BYTE_ARRAY"]
        with memory_bound(STEP_BYTES):
            return self._parquet.ParquetFile(file, read_dictionary=texts, **_OPTIONS)

    def _check_sizes(self, metadata: Any) -> None:
        """Refuse by its footer what is too wide, or unpacks too far."""
        if metadata.num_columns > MOST_COLUMNS:
            met = f"has {metadata.num_columns:,} columns"
            raise AnswerError(f"{self.name}: {met}; allowed are {MOST_COLUMNS:,}")
        if metadata.num_row_groups > MOST_GROUPS:
            met = f"has {metadata.num_row_groups:,} groups of rows"
            raise AnswerError(f"{self.name}: {met}; allowed are {MOST_GROUPS:,}")
        for number in range(metadata.num_row_groups):
            group = metadata.row_group(number)
            if group.total_byte_size <= LARGEST_GROUP:
                continue
            chunks = [group.column(index) for index in range(group.num_columns)]
            unpacked = sum(chunk.total_uncompressed_size for chunk in chunks)
            packed = sum(chunk.total_compressed_size for chunk in chunks)
            if unpacked > GROUP_EXPANSION * packed:
                largest = max(chunks, key=lambda chunk: chunk.total_uncompressed_size)
                met = f"{packed:,} bytes unpack to {unpacked >> 20:,} MB, most of them of this column"
                allowed = f"allowed is {GROUP_EXPANSION} times the size"
                raise AnswerError(f"{self.name}: {largest.path_in_schema}: {met}; {allowed}")

    def _leaves(self, name: str, column: Any, *, lists: bool = True) -> Iterator[tuple[str, Any]]:
        """Yield the columns within a column of a batch, and unless `lists` is false the members of lists."""
        types, kind = self.arrow.types, column.type
        if types.is_struct(kind):
            for index, inner in enumerate(column.flatten()):
                yield from self._leaves(f"{name}.{kind.field(index).name}", inner, lists=lists)
        elif lists and types.is_map(kind):
            yield from (*self._leaves(name, column.keys), *self._leaves(name, column.items))
        elif lists and (types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)):
            yield from self._leaves(name, column.flatten())
        else:
            yield name, column

    def _text(self, name: str, column: Any) -> int:
        """Return the bytes of all texts in a column of a batch, before any is made."""
        types, compute = self.arrow.types, self._compute
        indices = None
        if types.is_dictionary(column.type):
            indices, column = column.indices, column.dictionary
        checks = (types.is_string, types.is_large_string, types.is_binary, types.is_large_binary)
        if not any(check(column.type) for check in checks):
            return 0
        # A dictionary may be that of all rows, most of which are in other batches.
        lengths = compute.binary_length(column if indices is None else column.take(compute.unique(indices)))
        longest = compute.max(lengths).as_py() or 0
        if longest > LONGEST_TEXT:
            met = f"met a text of {longest:,} bytes"
            raise AnswerError(f"{self.name}: {name}: {met}; allowed are {LONGEST_TEXT:,}")
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
                rows = [row if there else None for row, there in zip(rows, column.is_valid(), strict=True)]
            return rows
        if not types.is_dictionary(column.type):
            return list(column.to_pylist())
        used = self._compute.unique(column.indices.drop_null())
        words = dict(zip(used.to_pylist(), column.dictionary.take(used).to_pylist(), strict=True))
        return [words.get(index) for index in column.indices.to_pylist()]


def _plain(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
