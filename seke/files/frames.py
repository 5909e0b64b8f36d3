"""Tables in memory -> rows with their places: frames of pandas and polars, and tables of Arrow.

Whatever has `__arrow_c_stream__` (the Arrow PyCapsule interface) is one, so none of these packages is
imported to recognise theirs. Missing values (None, null, NA, NaT) are None in the rows, and so is NaN of
pandas. A column of pandas that Arrow cannot hold, with values of several kinds, is read by its values.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from engine import AnswerError
from seke.files.faults import Faults
from seke.files.rows import RowSource, is_index_column

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    Cells = dict[str, Any]

FRAME = "frame"
# Columns that all rows of a small table may share, with a value as pandas would be given it.
EXAMPLES = {"observer": '"gpt-4o"', "question": '"joint"', "draw": "0"}
# Rows made into Python values at once.
BATCH_ROWS = 1_000
# What a report of faults in frames ends with.
ROW_NUMBERS = "rows of a frame are counted from 1: row 3 is .iloc[2] of pandas, .row(2) of polars"


class ArrowStream(Protocol):
    """A table in memory that other programs can read: the Arrow PyCapsule interface."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Return a capsule with a stream of its rows."""


if TYPE_CHECKING:
    # What functions take as samples: files, frames, or records.
    Samples = str | Path | ArrowStream | Iterable[str | Path | ArrowStream] | Iterable[Mapping[str, Any]]


@dataclass(frozen=True, eq=False)
class MemoryTable:
    """A table in memory, which can be read again and again.

    names: of its columns, perhaps some twice. columns: name -> an Arrow column, or a list of values, of as
    many `rows`. unnamed_index: whether pandas has row labels other than their numbers, under no name.
    """

    names: tuple[str, ...]
    columns: Mapping[str, Any]
    rows: int
    unnamed_index: bool = False

    @classmethod
    def of(cls, table: Any) -> MemoryTable:
        """Return a frame of pandas or polars, or a table or stream of Arrow, as this.

        A named index of pandas becomes columns.

        Raises:
            engine.AnswerError: a table that cannot be read.
        """
        if isinstance(table, MemoryTable):
            return table
        if _is_pandas(table):
            return _of_pandas(table)
        try:
            arrow = import_module("pyarrow").table(table)
        except (ValueError, TypeError) as error:  # so are the errors of Arrow
            raise AnswerError(f"{FRAME}: cannot be read: {' '.join(str(error).split())[:200]}") from None
        names = tuple(arrow.schema.names)
        return cls(names, {name: arrow.column(at) for at, name in enumerate(names)}, arrow.num_rows)

    def column(self, name: str, start: int, stop: int) -> list[Any]:
        """Return the values of some rows of a column."""
        cells = self.columns[name]
        return cells[start:stop] if isinstance(cells, list) else cells[start:stop].to_pylist()

    def distinct(self, name: str) -> int | None:
        """Return how many different values a column has; None without such a column."""
        cells = self.columns.get(name)
        if cells is None or isinstance(cells, list):
            return None if cells is None else len(set(map(str, cells)))
        return len(cells.unique())


def is_frame(value: Any) -> bool:
    """Say whether a value is a table in memory that can be read as a `MemoryTable`."""
    return isinstance(value, MemoryTable) or hasattr(value, "__arrow_c_stream__") or _is_pandas(value)


def frame_rows(table: Any) -> Iterator[Cells]:
    """Yield the rows of a table as mappings, without columns that count the rows; missing values are None."""
    yield from (row for _, row in RowFrame(MemoryTable.of(table), Faults()).rows())


def _is_pandas(value: Any) -> bool:
    return type(value).__module__.partition(".")[0] == "pandas" and hasattr(value, "columns")


def _of_pandas(table: Any) -> MemoryTable:
    """Return a frame of pandas column by column: each may hold what no other can."""
    levels = [name for name in table.index.names if name is not None and name not in table.columns]
    if levels:
        table = table.reset_index(level=levels)
    names = tuple(map(str, table.columns))
    columns = {name: _pandas_column(table.iloc[:, at]) for at, name in enumerate(names)}
    counts = type(table.index).__name__ == "RangeIndex"
    return MemoryTable(names, columns, len(table), unnamed_index=not counts and not levels)


def _pandas_column(series: Any) -> Any:
    arrow = import_module("pyarrow")
    try:
        column = arrow.array(series, from_pandas=True)
    except (ValueError, TypeError):
        return series.astype(object).where(series.notna(), None).tolist()
    return column if isinstance(column, arrow.ChunkedArray) else arrow.chunked_array([column])


class RowFrame(RowSource):
    """A table in memory as a source of rows. index: which of several sources it is; the first is 0."""

    def __init__(self, frame: MemoryTable, faults: Faults, *, index: int = 0) -> None:
        super().__init__(frame_name(index), frame_prefix(index), faults, index)
        self.frame = frame

    @cached_property
    def header(self) -> tuple[int, list[str]]:
        """Return 0, which is the frame as a whole, and its columns without those that count the rows."""
        names = [name for at, name in enumerate(self.frame.names) if not is_index_column(name, at)]
        for name, times in Counter(names).items():
            if times > 1:
                self.note(0, f"{name}: {times} columns have this name")
        return 0, list(dict.fromkeys(names))

    def rows(self, columns: Sequence[str] | None = None) -> Iterator[tuple[int, Cells]]:
        """Yield the rows with their numbers from 1; missing values are None."""
        names = self.header[1] if columns is None else columns
        for start in range(0, self.frame.rows, BATCH_ROWS):
            stop = min(start + BATCH_ROWS, self.frame.rows)
            cells = zip(*(self.frame.column(name, start, stop) for name in names), strict=True)
            for number, row in enumerate(cells, start + 1):
                yield number, dict(zip(names, row, strict=True))

    def hint(self, name: str) -> str:
        """Return how a column that is lacking is made, to end a message with."""
        if name == "item" and self.frame.unnamed_index:
            return '; to take the index for it: frame.rename_axis("item")'
        value = EXAMPLES.get(name)
        return f"; where it is the same in all rows: frame.assign({name}={value}) of pandas" if value else ""


def frame_name(index: int) -> str:
    """Return how messages name a frame that is this one of several sources."""
    return FRAME if index == 0 else f"{FRAME} {index + 1}"


def frame_prefix(index: int) -> str:
    """Return what the places of its rows begin with."""
    return f"{frame_name(index)} row "
