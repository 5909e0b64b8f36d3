"""Tables of a user -> rows with their places: CSV, JSON Lines (both plain or gzip), parquet.

The ending says the format: `.csv` and `.csv.gz`, `.parquet`, and JSON Lines for all others; `-` is the
standard input, JSON Lines. Gzip data are known by their first bytes. What cannot be read is noted among the
faults of the file, and the rows after it are read too.
"""

from __future__ import annotations

import csv
import json
import math
import reprlib
from collections import Counter
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from engine import AnswerError
from seke.files.faults import LAST, Faults
from seke.files.lines import read_lines, shown
from seke.files.parquet import ParquetTable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from seke.files.faults import Text

    Cells = dict[str, Any]

CSV, JSON_LINES, PARQUET = "csv", "jsonl", "parquet"
# Cells in a row; the widest table, of posteriors, has some hundreds.
MOST_CELLS = 10_000
UNDECODABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_short = reprlib.Repr()
_short.maxstring = _short.maxother = _short.maxlong = 60


def row_format(path: str | Path) -> str:
    """Return the format of a file: CSV, JSON_LINES or PARQUET."""
    name = str(path).lower().removesuffix(".gz")
    return next((known for known in (CSV, PARQUET) if name.endswith(f".{known}")), JSON_LINES)


def place_prefix(path: str | Path) -> str:
    """Return what the places of a file's rows begin with, before their numbers."""
    return f"{shown(path)}: row " if row_format(path) == PARQUET else f"{shown(path)}:"


class RowSource:
    """Where numbered rows come from: how messages name it and its rows, and the faults in it.

    index: which of several sources it is, in whose order faults are reported.
    """

    def __init__(self, name: str, prefix: str, faults: Faults, index: int = 0) -> None:
        self.name, self.prefix, self.faults, self.index = name, prefix, faults, index

    def place(self, number: int) -> str:
        """Return how messages name a row; 0 is the source as a whole."""
        return f"{self.prefix}{number}" if number else self.name

    def note(self, number: int, problem: Text) -> None:
        """Note what is wrong with a row."""

        def fault() -> str:
            return f"{self.place(number)}: {problem if isinstance(problem, str) else problem()}"

        self.faults.note(fault, (self.index, number))


def record_source(faults: Faults) -> RowSource:
    """Return the source of rows that are mappings in Python; messages call the third one `record 3`."""
    return RowSource("record", "record ", faults)


class RowFile(RowSource):
    """A table of a user as a source of rows; nothing of it is read before it is asked for.

    strip: whether cells of CSV are read without blanks around them. progress: called with the number of
    bytes read since the last call. may_be_empty: whether a file of no bytes is one without rows.
    """

    def __init__(
        self,
        path: str | Path,
        faults: Faults,
        *,
        strip: bool = False,
        index: int = 0,
        progress: Callable[[int], None] | None = None,
        may_be_empty: bool = False,
    ) -> None:
        super().__init__(shown(path), place_prefix(path), faults, index)
        self.path, self.format = path, row_format(path)
        self._strip, self._progress, self._may_be_empty = strip, progress, may_be_empty
        self._readable = True

    @cached_property
    def header(self) -> tuple[int, list[str]]:
        """Return the number of the header's row and the columns that it names; none for JSON Lines."""
        number, names = 0, list[str]()
        with self._noted():
            if self.format == PARQUET:
                names = list(self.parquet.schema.names)
            elif self.format == CSV:
                number, cells = next(self._csv, (1, []))
                if not cells:
                    raise AnswerError(f"{self.name}:1: no header; all lines are blank")
                names = [cell.strip() for cell in cells]
        for name, times in Counter(names).items():
            if times > 1:
                self._readable = False
                self.note(number, f"{name}: the header names this column twice")
        return number, names

    def rows(self, columns: Sequence[str] | None = None) -> Iterator[tuple[int, Cells]]:
        """Yield the good rows with their numbers, none under a header at fault; blank cells are None.

        columns: those that are read of a parquet file, all by default.
        """
        _, names = self.header
        if not self._readable:
            return
        with self._noted():
            if self.format == JSON_LINES:
                yield from self._objects()
            elif self.format == CSV:
                yield from self._records(names)
            else:
                yield from enumerate(self.parquet.rows(columns), 1)
                if self._progress is not None:
                    self._progress(Path(self.path).stat().st_size)

    @cached_property
    def parquet(self) -> ParquetTable:
        """Return the parquet file."""
        return ParquetTable(self.path)

    @cached_property
    def _csv(self) -> Iterator[tuple[int, list[str]]]:
        return csv_rows(self.path, self._progress)

    @contextmanager
    def _noted(self) -> Iterator[None]:
        """Note the fault after which nothing more can be read."""
        try:
            yield
        except AnswerError as fault:
            self._readable = False
            self.faults.note(str(fault), (self.index, *LAST))

    def _records(self, names: list[str]) -> Iterator[tuple[int, Cells]]:
        for number, cells in self._csv:
            if len(cells) != len(names):
                self.note(number, f"met {len(cells)} cells; the header names {len(names)} columns")
            elif self._strip:
                yield number, {key: cell.strip() or None for key, cell in zip(names, cells, strict=True)}
            else:
                yield number, {key: cell or None for key, cell in zip(names, cells, strict=True)}

    def _objects(self) -> Iterator[tuple[int, Cells]]:
        for number, line in self.lines():
            try:
                row = msgspec.json.decode(line)
            except UNDECODABLE:
                try:
                    row = parse_json_line(line, self.place(number))
                except AnswerError as fault:
                    self.faults.note(str(fault), (self.index, number))
                    continue
            if isinstance(row, dict):
                yield number, row
            else:
                self.note(number, f"a row is an object with named fields; {describe_met(row)}")

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """Yield the lines that are not blank."""
        for first, lines in self.runs():
            yield from ((number, line) for number, line in enumerate(lines, first) if line.strip())

    def runs(self) -> Iterator[tuple[int, list[bytes]]]:
        """Yield runs of lines, each with the number of its first line."""
        with self._noted():
            yield from read_lines(self.path, self._progress, may_be_empty=self._may_be_empty)


def csv_rows(
    path: str | Path, progress: Callable[[int], None] | None = None
) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows of a CSV file that are not blank, each with the line where it starts.

    Raises:
        engine.AnswerError: a file that cannot be read as CSV.
    """
    name = shown(path)
    reader = csv.reader(
        (text + "\n" for _, text in decode_lines(name, read_lines(path, progress))), strict=True
    )
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
                raise AnswerError(f"{name}:{number}: {_not_text(line, fault)}") from None


def parse_json_line(line: bytes, place: str) -> Any:
    """Return the value of a line of JSON; slow, but a fault names its column after `place`.

    Raises:
        engine.AnswerError: a line that is no JSON.
    """
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as fault:
        column = len(line[: fault.start].decode("utf-8")) + 1
        raise AnswerError(f"{place}:{column}: {_not_text(line, fault)}") from None
    try:
        return json.loads(text)
    except json.JSONDecodeError as fault:
        raise AnswerError(f"{place}:{_syntax_fault(text, fault)}") from None
    except RecursionError:
        raise AnswerError(f"{place}: nested too deeply; a sample has at most three levels") from None
    except ValueError:  # Python converts no number of that many digits
        raise AnswerError(f"{place}: a number has too many digits") from None


def is_blank(cell: Any) -> bool:
    """Whether a cell says nothing; NaN is how tables of numbers write that."""
    if isinstance(cell, str):
        return not cell
    return cell is None or (isinstance(cell, float) and math.isnan(cell))


def describe_met(value: object) -> str:
    """Return a value and its kind in words, in at most about 60 characters."""
    kinds = {bool: "a truth value", int: "a number", float: "a number", str: "a text"}
    kinds |= {list: "a list", dict: "a mapping", type(None): "null"}
    text = _short.repr(value)
    text = text if len(text) <= 60 else f"{text[:57]}..."
    return f"met {text} ({kinds.get(type(value), type(value).__name__)})"


def _not_text(line: bytes, fault: UnicodeDecodeError) -> str:
    return f"not UTF-8 text: met the byte 0x{line[fault.start]:02x}; save the file as UTF-8"


def _syntax_fault(text: str, fault: json.JSONDecodeError) -> str:
    """Return `COLUMN: message` for a line that is no JSON."""
    tail = text[fault.pos :].strip()
    word = any(name.startswith(tail) for name in ("true", "false", "null", "NaN", "Infinity", "-"))
    unfinished = fault.msg.startswith("Unterminated string") or word
    if unfinished and fault.msg != "Extra data":
        what = "truncated JSON: the line ends before its object is complete"
        return f"{len(text.rstrip()) + 1}: {what}"
    return f"{fault.colno}: not JSON: {fault.msg[:1].lower()}{fault.msg[1:]}"
