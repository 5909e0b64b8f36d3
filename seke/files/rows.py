"""Tables of a user -> rows with their places: CSV, JSON Lines (both plain or gzip), parquet.

The ending says the format: `.csv`, `.tsv` (both also .gz), `.parquet`, and JSON Lines for all others; `-` is
the standard input, JSON Lines. Gzip data are known by their first bytes. What cannot be read is noted among
the faults of the file, and the rows after it are read too.

Between the cells of CSV stands what divides its header into most: a comma, a semicolon or a tab, or what a
first line `sep=;` says. Where that is no comma, numbers may have a decimal comma. Columns that programs write
to count their rows, and columns without a name that are blank, are passed over.
"""

from __future__ import annotations

import csv
import json
import math
import re
import reprlib
from collections import Counter
from contextlib import contextmanager
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from engine import AnswerError
from seke.files.faults import LAST, Faults
from seke.files.lines import read_lines, shown
from seke.files.parquet import ParquetTable
from seke.files.repeated_keys import repeated_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from seke.files.faults import Text

    Cells = dict[str, Any]

CSV, JSON_LINES, PARQUET = "csv", "jsonl", "parquet"
# Cells in a row; the widest table, of posteriors, has some hundreds.
MOST_CELLS = 10_000
ENDINGS = {".csv": CSV, ".tsv": CSV, ".tab": CSV, ".parquet": PARQUET}
JSON_ENDINGS = (".jsonl", ".json", ".ndjson")
WORKBOOKS = (".xlsx", ".xlsm", ".xls", ".ods", ".numbers")
DELIMITERS = (",", ";", "\t")
# A first line that tells a spreadsheet what stands between the cells; it may be filled up with these.
SEPARATOR_LINE = re.compile(r'"?sep=(.)"?[;,\t\s]*', re.I)
# How a file of JSON begins that is one list of all its objects.
LIST_OF_OBJECTS = re.compile(rb"\[\s*(\{|$)")
DECIMAL_COMMA = re.compile(r"[-+]?\d*,\d+([eE][-+]?\d+)?", re.A)
# The numbers of rows, as pandas and R write them; a name that is blank is one in the first column.
INDEX_COLUMN = re.compile(r"Unnamed: \d+|__index_level_\d+__")
FIRST_INDEX = ("", "index", "level_0", "rownames")
# Texts that spreadsheets execute, and such that an apostrophe keeps from that.
FORMULA, KEPT_FORMULA = re.compile(r"'*[=+\-@\t\r]"), re.compile(r"'+[=+\-@\t\r]")
# Texts of a cell of values that say nothing; pandas, R and spreadsheets write them. Not `None`, which may be
# a class, nor `null`, which is a mark.
MISSING = frozenset(("nan", "na", "n/a", "#n/a", "<na>"))
UNDECODABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_short = reprlib.Repr()
_short.maxstring = _short.maxother = _short.maxlong = 60


def row_format(path: str | Path) -> str:
    """Return the format of a file: CSV, JSON_LINES or PARQUET."""
    name = str(path).lower().removesuffix(".gz")
    return next((known for ending, known in ENDINGS.items() if name.endswith(ending)), JSON_LINES)


def place_prefix(path: str | Path) -> str:
    """Return what the places of a file's rows begin with, before their numbers."""
    return f"{shown(path)}: row " if row_format(path) == PARQUET else f"{shown(path)}:"


class RowSource:
    """Where numbered rows come from: how messages name it and its rows, and the faults in it.

    index: which of several sources it is, in whose order faults are reported. decimal_comma: whether numbers
    in its texts may have one; known once a row was read.
    """

    def __init__(self, name: str, prefix: str, faults: Faults, index: int = 0) -> None:
        self.name, self.prefix, self.faults, self.index = name, prefix, faults, index
        self.decimal_comma = False

    def place(self, number: int) -> str:
        """Return how messages name a row; 0 is the source as a whole."""
        return f"{self.prefix}{number}" if number else self.name

    def number_text(self, cell: Any) -> Any:
        """Return a cell of a column of numbers, with a point where the source has a decimal comma."""
        if self.decimal_comma and isinstance(cell, str) and DECIMAL_COMMA.fullmatch(cell.strip()):
            return cell.replace(",", ".")
        return cell

    def hint(self, name: str) -> str:  # noqa: ARG002
        """Return how a column that is lacking is made, to end a message with; nothing by default."""
        return ""

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
    bytes read since the last call. may_be_empty: whether a file of no bytes is one without rows. header: what
    the header's line holds, where other lines stand before it. table: whether a file of another ending is
    CSV, rather than JSON Lines. by_hand: whether people write such files, so that a key that a line of JSON
    gives twice is a fault; what programs wrote is not looked through for one.
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
        header: re.Pattern[str] | None = None,
        table: bool = False,
        by_hand: bool = False,
    ) -> None:
        super().__init__(shown(path), place_prefix(path), faults, index)
        self.path, self.format = path, row_format(path)
        if (
            table
            and self.format == JSON_LINES
            and not str(path).lower().removesuffix(".gz").endswith(JSON_ENDINGS)
        ):
            self.format = CSV
        self._begins = header
        self._strip, self._progress, self._may_be_empty = strip, progress, may_be_empty
        self._by_hand = by_hand
        self._readable = True
        self._cells_of_header, self._columns = list[str](), list[int]()

    @cached_property
    def header(self) -> tuple[int, list[str]]:
        """Return the number of the header's row and the columns that it names; none for JSON Lines.

        Without columns that count the rows or have no name.
        """
        number, names = 0, list[str]()
        with self._noted():
            if str(self.path).lower().endswith(WORKBOOKS):
                raise AnswerError(f"{self.name}: workbooks are not read; save the sheet as CSV (UTF-8)")
            if self.format == PARQUET:
                names = list(self.parquet.schema.names)
            elif self.format == CSV:
                number, self._cells_of_header = next(self._csv, (1, []))
                if not self._cells_of_header:
                    raise AnswerError(f"{self.name}:1: no header; all lines are blank")
                names = [cell.strip() for cell in self._cells_of_header]
        self._columns = [at for at, name in enumerate(names) if not is_index_column(name, at)]
        names = [names[at] for at in self._columns]
        for name, times in Counter(names).items():
            if times > 1:
                self._readable = False
                self.note(number, f"{name}: the header names this column twice")
        return number, names

    def rows(self, columns: Sequence[str] | None = None) -> Iterator[tuple[int, Cells]]:
        """Yield the good rows with their numbers, none under a header at fault; blank cells are None.

        columns: those that are read of a table, all by default.
        """
        _, names = self.header
        if not self._readable:
            return
        with self._noted():
            if self.format == JSON_LINES:
                yield from self._objects()
            elif self.format == CSV:
                yield from self._records(names, columns)
            else:
                yield from enumerate(self.parquet.rows(names if columns is None else columns), 1)
                if self._progress is not None:
                    self._progress(Path(self.path).stat().st_size)

    @cached_property
    def parquet(self) -> ParquetTable:
        """Return the parquet file."""
        return ParquetTable(self.path)

    @cached_property
    def _csv(self) -> Iterator[tuple[int, list[str]]]:
        delimiter, rows = _open_csv(self.path, self._progress, self._begins)
        self.decimal_comma = delimiter != ","
        return rows

    @contextmanager
    def _noted(self) -> Iterator[None]:
        """Note the fault after which nothing more can be read."""
        try:
            yield
        except AnswerError as fault:
            self._readable = False
            self.faults.note(str(fault), (self.index, *LAST))

    def _records(self, names: list[str], columns: Sequence[str] | None) -> Iterator[tuple[int, Cells]]:
        wanted = set(names if columns is None else columns)
        places = [(name, at) for name, at in zip(names, self._columns, strict=True) if name in wanted]
        width = len(_without_tail(self._cells_of_header, 0))
        unnamed = [at for at in range(1, width) if not self._cells_of_header[at].strip()]
        for number, row in self._csv:
            cells = _without_tail(row, width)
            if len(cells) != width:
                self.note(number, f"met {len(cells)} cells; the header names {width} columns")
                continue
            extra = next((at for at in unnamed if cells[at].strip()), None)
            if extra is not None:
                problem = f"column {extra + 1} has no name, and a row has something in it"
                self.note(number, f"{problem}: {describe_met(cells[extra])}")
                continue
            selected = (as_written(cells[at].strip() if self._strip else cells[at]) for _, at in places)
            yield number, {key: cell or None for (key, _), cell in zip(places, selected, strict=True)}

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
                if self._by_hand and (repeated := repeated_key(line)):
                    column, key = repeated
                    problem = f"{self.place(number)}:{column}: {key}: is given twice"
                    self.faults.note(problem, (self.index, number))
                else:
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
            begun = False
            for first, lines in read_lines(self.path, self._progress, may_be_empty=self._may_be_empty):
                if not begun:
                    head = next((line.strip() for line in lines if line.strip()), b"")
                    self._check_is_lines(head)
                    begun = bool(head)
                yield first, lines

    def _check_is_lines(self, head: bytes) -> None:
        """Refuse a file whose first line shows that it is one text of JSON, which no line of it tells."""
        is_list = LIST_OF_OBJECTS.match(head) is not None
        if is_list or head == b"{":
            shape = "is one list of JSON" if is_list else "is JSON over several lines"
            command = "jq -c '.[]'" if is_list else "jq -c ."
            raise AnswerError(
                f"{self.name}:1: {shape}; needed is one object a line (JSON Lines): {command} writes it so"
            )


def is_index_column(name: str, at: int) -> bool:
    """Whether a column only counts the rows, or has no name; `at`: its place among all."""
    return not name or INDEX_COLUMN.fullmatch(name) is not None or (at == 0 and name.lower() in FIRST_INDEX)


def _without_tail(cells: list[str], least: int) -> list[str]:
    """Return a row without the blank cells at its end, but with so many at least as it has of `least`."""
    end = len(cells)
    while end > least and not cells[end - 1].strip():
        end -= 1
    return cells[:end]


def csv_rows(path: str | Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows of a file with commas that are not blank, each with the line where it starts.

    Raises:
        engine.AnswerError: a file that cannot be read as CSV.
    """
    name = shown(path)
    return _csv_cells(name, (text for _, text in decode_lines(name, read_lines(path))), 1, ",")


def _open_csv(
    path: str | Path, progress: Callable[[int], None] | None, begins: re.Pattern[str] | None
) -> tuple[str, Iterator[tuple[int, list[str]]]]:
    """Return what stands between the cells of a file, and its rows as `csv_rows`.

    begins: what the header's line holds; lines before it are passed over.

    Raises:
        engine.AnswerError: a file that cannot be read as CSV.
    """
    name = shown(path)
    texts = (text for _, text in decode_lines(name, read_lines(path, progress)))
    line, head = 1, next(texts, "")
    separator = SEPARATOR_LINE.fullmatch(head)
    if separator is not None:
        line, head = 2, next(texts, "")
    while not head.strip() or (begins is not None and not begins.search(head)):
        following = next(texts, None)
        if following is None:
            if begins is not None:
                raise AnswerError(f"{name}: no line is a header; looked for one with {begins.pattern!r}")
            break
        line, head = line + 1, following
    delimiter = separator[1] if separator is not None else max(DELIMITERS, key=_divided(head))
    return delimiter, _csv_cells(name, chain([head], texts), line, delimiter)


def _divided(head: str) -> Callable[[str], int]:
    """Return the function that says how many cells a delimiter makes of a header."""

    def cells(delimiter: str) -> int:
        try:
            return len(next(csv.reader([head], delimiter=delimiter), []))
        except csv.Error:
            return 0

    return cells


def _csv_cells(name: str, texts: Iterable[str], line: int, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader((f"{text}\n" for text in texts), strict=True, delimiter=delimiter)
    first = line
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
        line = first + reader.line_num


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


def without_formula(text: str) -> str:
    """Return the text of a cell such that no spreadsheet executes it; `as_written` undoes that."""
    return f"'{text}" if FORMULA.match(text) else text


def as_written(cell: str) -> str:
    """Return the text that `without_formula` was given."""
    return cell[1:] if cell[:1] == "'" and KEPT_FORMULA.match(cell) else cell


def is_blank(cell: Any) -> bool:
    """Whether a cell says nothing; NaN is how tables of numbers write that."""
    if isinstance(cell, str):
        return not cell
    return cell is None or (isinstance(cell, float) and math.isnan(cell))


def is_missing(cell: Any) -> bool:
    """Whether a cell of values says nothing: a blank one, or a word for that."""
    return is_blank(cell) or (isinstance(cell, str) and cell.strip().lower() in MISSING)


def name_text(cell: Any) -> Any:
    """Return the cell of a name as it is, but a whole number as text: 7 and 7.0 are "7"."""
    number = isinstance(cell, int | float) and not isinstance(cell, bool)
    return str(int(cell)) if number and math.isfinite(cell) and cell == int(cell) else cell


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
