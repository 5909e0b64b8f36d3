"""Label tables: what is known of items already, as gold for a fit, a certificate or a score.

    item,expression,valence,arousal,AU1,AU2
    face-0017,happiness,0.6,0.2,0,
    face-0018,fear,,,1,true

The columns are `item` and any variables of the base that are not derived; those of a manifest are passed
over. Of binary variables 0, 1, true and false are the cells, and a blank cell (null, a missing key, NaN in
parquet) is unknown. The rows of an item are put together; where they contradict one another, that is a
fault. All faults come in one report.
"""

from __future__ import annotations

import math
import re
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import repeat
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from engine import AnswerError, Gold, did_you_mean
from seke.files.lines import read_lines, shown
from seke.files.parquet import ParquetTable
from seke.samples.columns_builder import look_up, unknown_name
from seke.samples.csv_rows import csv_rows
from seke.samples.schema import describe_met, parse_json_line

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from engine import Knowledge, Variable

    Cells = Mapping[str, Any]
    Row = tuple[int, Cells]
    # What cannot be read of a file is a fault among the rows, so that those after it are looked at too.
    Rows = Iterator[Row | AnswerError]

ITEM = "item"
# What a manifest of pictures says besides labels; passed over here, so that a manifest is a label table too.
BESIDE = ("path", "group", "source", "left", "top", "width", "height")
# Faults that are named in a message.
MOST_FAULTS = 20
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", re.A)
# Programs write a column of whole numbers with gaps as 0.0 and 1.0.
_TRUTH = {"0": 0.0, "1": 1.0, "0.0": 0.0, "1.0": 1.0, "false": 0.0, "true": 1.0}
_UNDECODABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


@dataclass(frozen=True)
class LabelTable:
    """What is known of N items: each item once, in order of first appearance.

    gold: a column (N,) for each variable that the table names, in the base's order, not writable.
    groups: of each item what stands in the column that was asked for, None where blank or not asked for.
    path: the file, `record` where the rows were mappings. sources: as groups, of the column of the sets that
    items are of.
    """

    items: tuple[str, ...]
    gold: Gold
    groups: tuple[str | None, ...]
    path: str
    sources: tuple[str | None, ...]

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {item: row for row, item in enumerate(self.items)}

    def rows_of(self, items: Iterable[str]) -> NDArray[np.int64]:
        """Return the row of each of these items in the table, -1 where it has none."""
        return look_up(tuple(items), self._rows)

    def gold_of(self, items: Iterable[str]) -> Gold:
        """Return the gold of these items in their order, NaN for those that the table lacks."""
        rows = self.rows_of(items)
        return Gold(
            {name: np.where(rows < 0, np.nan, values[rows]) for name, values in self.gold.values.items()}
        )

    def of_source(self, source: str | None) -> LabelTable:
        """Return the table of the items of one source, with the variables of which it has some gold."""
        rows = np.array(
            [row for row, row_source in enumerate(self.sources) if row_source == source], dtype=np.int64
        )
        selected = {name: values[rows] for name, values in self.gold.values.items()}
        with_gold = {name: values for name, values in selected.items() if not np.isnan(values).all()}
        items, groups = ([column[row] for row in rows.tolist()] for column in (self.items, self.groups))
        return LabelTable(tuple(items), Gold(with_gold), tuple(groups), self.path, (source,) * len(rows))

    def groups_of(self, items: Iterable[str]) -> tuple[str | None, ...]:
        """Return the group of each of these items, None where it is unknown."""
        return tuple(None if row < 0 else self.groups[row] for row in self.rows_of(items).tolist())


def read_labels(
    path: str | Path,
    knowledge: Knowledge,
    groups: str = "",
    sources: str = "",
    outcomes: Mapping[str, float] | None = None,
) -> LabelTable:
    """Read a label table: .csv or .csv.gz, .parquet, else JSON Lines, plain or gzip (`-`: standard input).

    groups: a further column, such as the subject of a picture, which tells what group an item is of. sources:
    one that tells which set an item is of. outcomes: words that may stand in place of a value -> the number
    that they become, beyond every range.

    Raises:
        engine.AnswerError: a line for each fault, at most MOST_FAULTS, each with file, line and column.
    """
    name = str(path).lower().removesuffix(".gz")
    between = ": row " if name.endswith(".parquet") else ":"
    builder = _TableBuilder(knowledge, (groups, sources), shown(path), between, outcomes)
    if name.endswith(".csv"):
        builder.fill(_csv(path, builder))
    else:
        builder.fill(_parquet(path, builder) if name.endswith(".parquet") else _json_lines(path))
    return builder.table()


def labels_from(
    records: Iterable[Mapping[str, Any]],
    knowledge: Knowledge,
    groups: str = "",
    sources: str = "",
    outcomes: Mapping[str, float] | None = None,
) -> LabelTable:
    """Return the label table of rows that are mappings; messages call the third one `record 3`."""
    builder = _TableBuilder(knowledge, (groups, sources), "record", " ", outcomes)
    numbered = enumerate(records, 1)
    builder.fill(_check_row(number, _native(row), f"record {number}") for number, row in numbered)
    return builder.table()


def _native(row: Any) -> Any:
    """Return a row with Python's own numbers in place of numpy's."""
    if not isinstance(row, Mapping):
        return row
    return {key: cell.item() if isinstance(cell, np.generic) else cell for key, cell in row.items()}


def _check_row(number: int, row: Any, place: str) -> Row | AnswerError:
    if isinstance(row, Mapping) and all(isinstance(key, str) for key in row):
        return number, row
    return AnswerError(f"{place}: a row is an object with named fields; {describe_met(row)}")


def _csv(path: str | Path, builder: _TableBuilder) -> Rows:
    name = shown(path)
    rows = csv_rows(path)
    line, names = next(rows, (1, []))
    header = [cell.strip() for cell in names]
    if not header:
        raise AnswerError(f"{name}:1: no header; all lines are blank")
    yield from builder.header(line, header)
    try:
        for line, cells in rows:
            if len(cells) != len(header):
                wanted = f"the header names {len(header)} columns"
                yield AnswerError(f"{name}:{line}: met {len(cells)} cells; {wanted}")
                continue
            yield line, {key: cell.strip() or None for key, cell in zip(header, cells, strict=True)}
    except AnswerError as fault:
        yield fault


def _json_lines(path: str | Path) -> Rows:
    name = shown(path)
    for first, lines in read_lines(path):
        for number, line in enumerate(lines, first):
            if not line.strip():
                continue
            try:
                row = msgspec.json.decode(line)
            except _UNDECODABLE:
                try:
                    row = parse_json_line(line, f"{name}:{number}")
                except AnswerError as fault:
                    yield fault
                    continue
            yield _check_row(number, row, f"{name}:{number}")


def _parquet(path: str | Path, builder: _TableBuilder) -> Rows:
    table = ParquetTable(path)
    yield from builder.header(0, table.schema.names)
    used = [key for key in table.schema.names if key in builder.allowed]
    kinds = {key: table.schema.field(key).type for key in used if table.schema.names.count(key) == 1}
    wrong = {key: kind for key, kind in kinds.items() if not _plain(table.arrow.types, key, kind)}
    for key, kind in wrong.items():
        allowed = "text" if key == ITEM else "text, numbers and truth values"
        yield AnswerError(f"{table.name}: {key}: is a column of {kind}; allowed is {allowed}")
    if kinds.keys() == set(used) and not wrong:
        yield from enumerate(table.rows(used), 1)


def _plain(types: Any, key: str, kind: Any) -> bool:
    """Whether a column of a parquet file may have this type."""
    kind = kind.value_type if types.is_dictionary(kind) else kind
    text = types.is_string(kind) or types.is_large_string(kind)
    if text or key == ITEM:
        return bool(text)
    checks = (types.is_integer, types.is_floating, types.is_boolean, types.is_null)
    return any(check(kind) for check in checks)


class _LabelColumn:
    """The cells of a variable -> numbers: the index of a state, or the number itself."""

    def __init__(self, variable: Variable, outcomes: Mapping[str, float]) -> None:
        self.variable, self.outcomes = variable, outcomes
        self.interval = variable.kind == "interval"
        states = {state: float(index) for index, state in enumerate(variable.states)}
        self._known: dict[Any, float] = {} if self.interval else states
        if variable.kind == "binary":
            self._known = dict(_TRUTH)

    def number(self, cell: Any, path: str) -> float | None:
        """Return the number of a cell, None where it is blank; an AnswerError begins with `path`."""
        if _blank(cell):
            return None
        if isinstance(cell, str) and cell in self.outcomes and cell not in self._known:
            return self.outcomes[cell]
        if self.interval:
            return self._in_range(cell, path)
        word = cell
        if self.variable.kind == "binary":
            word = cell.lower() if isinstance(cell, str) else _bit(cell)
        number = self._known.get(word) if isinstance(word, str) else None
        if number is None:
            raise self._unknown(cell, path)
        return number

    def _unknown(self, cell: Any, path: str) -> AnswerError:
        if self.variable.kind == "binary":
            return AnswerError(f"{path}: {describe_met(cell)}; allowed are 0, 1, true and false")
        if isinstance(cell, str):
            return AnswerError(unknown_name(path, "state", cell, self._known))
        return AnswerError(f"{path}: {describe_met(cell)}{did_you_mean('', self._known)}")

    def _in_range(self, cell: Any, path: str) -> float:
        low, high = self.variable.edges[0], self.variable.edges[-1]
        number: float = math.nan
        if isinstance(cell, str):
            number = float(cell) if _NUMBER.fullmatch(cell) else math.nan
        elif isinstance(cell, int | float) and not isinstance(cell, bool):
            number = cell
        if not low <= number <= high:
            raise AnswerError(f"{path}: {describe_met(cell)}; allowed is a number from {low:g} to {high:g}")
        return float(number)


def _blank(cell: Any) -> bool:
    """Whether a cell says nothing; NaN is how tables of numbers write that."""
    if isinstance(cell, str):
        return not cell
    return cell is None or (isinstance(cell, float) and math.isnan(cell))


def _bit(cell: Any) -> str | None:
    """Return 0, 1 or a truth value as text."""
    return str(int(cell)) if isinstance(cell, int | float) and cell in (0, 1) else None


class _TableBuilder:
    """Builds a label table: collects its rows and notes faults."""

    def __init__(
        self,
        knowledge: Knowledge,
        further: tuple[str, str],
        name: str,
        between: str,
        outcomes: Mapping[str, float] | None,
    ) -> None:
        """further: the columns of the groups and of the sources; no text for none."""
        self.knowledge, self.name, self.between = knowledge, name, between
        self.groups, self.sources = further
        self.further = [column for column in dict.fromkeys(further) if column]
        variables = {
            name: variable for name, variable in knowledge.variables.items() if variable.kind != "derived"
        }
        for column in self.further:
            if column in (ITEM, *variables):
                what = "the item" if column == ITEM else "a variable"
                raise AnswerError(f"{column}: is no column of groups: it is {what}")
        self.outcomes = outcomes or {}
        self.columns = {name: _LabelColumn(variable, self.outcomes) for name, variable in variables.items()}
        self.allowed = {ITEM, *BESIDE, *variables, *self.further}
        self._named: set[str] = {ITEM, ""}
        # A column is as long as the last row that says something in it.
        self._values = {name: array("d") for name in self.columns}
        self._items: list[str] = []
        self._texts: dict[str, list[str | None]] = {column: [] for column in self.further}
        self._lines = array("q")
        self._faults: list[str] = []
        self._refused: set[str] = set()

    def place(self, line: int) -> str:
        """Return how messages name a row; 0 is the file as a whole."""
        return f"{self.name}{self.between}{line}" if line else self.name

    def header(self, line: int, names: list[str]) -> Iterator[AnswerError]:
        """Yield the faults of a table's columns; raise where one is missing without which no row is read."""
        self._name(line, names)
        for name, times in Counter(names).items():
            if times > 1:
                yield AnswerError(f"{self.place(line)}: {name}: the header names this column twice")
        for needed in (ITEM, *self.further):
            if needed not in names:
                columns = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
                raise AnswerError(f"{self.place(line)}: {needed}: no such column; there are {columns}")

    def _name(self, line: int, names: Iterable[str]) -> None:
        for name in names:
            if name not in self.allowed and name not in self._refused:
                self._refused.add(name)
                self._faults.append(f"{self.place(line)}: {self._unknown(name)}")
            else:
                self._named.add(name)

    def _unknown(self, name: str) -> str:
        if name in self.knowledge.variables:
            return f"{name}: is derived from other variables, which are columns; leave it out"
        if name in self.knowledge.levels:
            members = ", ".join(self.knowledge.levels[name][:4])
            return f"{name}: is a level; its variables are columns: {members}, ..."
        message = unknown_name(name, "column", name, self.allowed.difference(BESIDE))
        if self.groups or message.endswith("?"):
            return message
        return f"{message}; one further column may be named as that of the groups (--groups)"

    def fill(self, rows: Rows) -> None:
        """Take in all rows, up to the fault after which nothing can be read."""
        try:
            for row in rows:
                if isinstance(row, AnswerError):
                    self._faults.append(str(row))
                else:
                    self._add(*row)
        except AnswerError as fault:
            self._faults.append(str(fault))

    def _add(self, line: int, row: Cells) -> None:
        if not row.keys() <= self._named:
            self._name(line, row)
        item = row.get(ITEM)
        if not isinstance(item, str) or not item:
            problem = "missing" if item is None else describe_met(item)
            self._faults.append(f"{self.place(line)}: {ITEM}: {problem}; allowed is a text that is not empty")
            return
        self._items.append(item)
        self._lines.append(line)
        for text_column, texts in self._texts.items():
            texts.append(self._text(line, text_column, row.get(text_column)))
        for name, cell in row.items():
            column = self.columns.get(name)
            if column is None or cell is None:
                continue
            try:
                value = column.number(cell, name)
            except AnswerError as fault:
                self._faults.append(f"{self.place(line)}: {fault}")
                continue
            if value is not None:
                values = self._values[name]
                values.extend(repeat(math.nan, len(self._items) - 1 - len(values)))
                values.append(value)

    def _text(self, line: int, name: str, cell: Any) -> str | None:
        if _blank(cell):
            return None
        if isinstance(cell, str | int):
            return str(cell)
        if isinstance(cell, float) and cell.is_integer():
            return str(int(cell))
        self._faults.append(
            f"{self.place(line)}: {name}: {describe_met(cell)}; allowed is a text or a whole number"
        )
        return None

    def table(self) -> LabelTable:
        """Return the table with the rows of each item merged; raise all faults."""
        self._faults += [] if self._faults else self._missing_faults()
        rows: dict[str, int] = {}
        for item in self._items:
            rows.setdefault(item, len(rows))
        gold = {}
        for name in self.columns:
            if name in self._named:
                gold[name] = self._gold(name, rows)
                gold[name].setflags(write=False)
        texts = {name: tuple(self._merge(name, cells, rows)) for name, cells in self._texts.items()}
        groups, sources = (texts.get(name, (None,) * len(rows)) for name in (self.groups, self.sources))
        if self._faults:
            omitted = len(self._faults) - MOST_FAULTS
            more = [f"... and {omitted:,} more"] if omitted > 0 else []
            raise AnswerError("\n".join([*self._faults[:MOST_FAULTS], *more]))
        return LabelTable(tuple(rows), Gold(gold), groups, self.name, sources)

    def _gold(self, name: str, rows: dict[str, int]) -> NDArray[np.float64]:
        """Return the values of a variable, NaN where unknown."""
        cells = np.full(len(self._items), np.nan)
        cells[: len(self._values[name])] = self._values[name]
        if len(rows) == len(cells):
            return cells
        known = [None if math.isnan(cell) else cell for cell in cells.tolist()]
        return np.array(self._merge(name, known, rows), dtype=np.float64)

    def _missing_faults(self) -> list[str]:
        """Return the faults of a table as a whole: no row, no variable, a missing column."""
        place = self.place(1)
        if not self._items:
            return [f"{place}: no labels: there is no row"]
        if not self._named & self.columns.keys():
            return [f"{place}: no column is a variable; they are {', '.join(list(self.columns)[:4])}, ..."]
        return [f"{place}: {column}: no such column" for column in self.further if column not in self._named]

    def _merge(self, name: str, cells: list[Any], rows: dict[str, int]) -> list[Any]:
        """Return the cell of each item, None where its rows are blank; note contradictions."""
        if len(rows) == len(cells):
            return cells
        merged: list[Any] = [None] * len(rows)
        first_row = [0] * len(rows)
        for at, (item, cell) in enumerate(zip(self._items, cells, strict=True)):
            row = rows[item]
            if cell is None or cell == merged[row]:
                continue
            if merged[row] is None:
                merged[row], first_row[row] = cell, at
                continue
            cell_text, first_text = self._shown(name, cell), self._shown(name, merged[row])
            place = self.place(self._lines[first_row[row]])
            what = f"item {item!r} is {cell_text} here and {first_text} at {place}"
            self._faults.append(f"{self.place(self._lines[at])}: {name}: {what}")
        return merged

    def _shown(self, name: str, value: Any) -> str:
        variable = self.knowledge.variables.get(name)
        if variable is None or name not in self.columns:
            return str(value)
        for word, number in self.outcomes.items():
            if value == number:
                return word
        return f"{value:g}" if variable.kind == "interval" else variable.states[int(value)]
