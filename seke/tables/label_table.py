"""Label tables: known values of items, as gold for a fit, a certificate or a score.

    item,expression,valence,arousal,AU1,AU2
    face-0017,happiness,0.6,0.2,0,
    face-0018,fear,,,1,true

The columns are `item` and any variables of the base that are not derived; those of a manifest are passed
over. Of binary variables 0, 1, true and false are the cells, and a blank cell (null, a missing key, NaN, NA)
is unknown. Columns and states may be written as in answers: AU06, Happy. The rows of an item are put
together; where they contradict one another, that is a fault. All faults come in one report.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import repeat
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import AnswerError, Gold, Variable, notebook_html
from seke.files.column_hints import column_hint
from seke.files.faults import Faults
from seke.files.frames import frame_rows, is_frame
from seke.files.rows import PARQUET, RowFile, describe_met, is_blank, name_text, record_source
from seke.samples.columns_builder import look_up, short_name
from seke.samples.schema import native
from seke.samples.spelling import name_meant
from seke.tables.label_column import LabelColumn

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from engine import Bools, Floats, Ints, Knowledge
    from seke.files.frames import ArrowStream
    from seke.files.rows import RowSource
    from seke.tables.label_column import Coding

    Cells = Mapping[str, Any]

ITEM = "item"
# What a manifest of pictures says besides labels; passed over here, so that a manifest is a label table too.
BESIDE = ("path", "group", "source", "split", "left", "top", "width", "height")
# Columns that a table of samples has, and no table of labels.
SAMPLE_COLUMNS = {"observer", "question"}


@dataclass(frozen=True, repr=False)
class LabelTable:
    """The labels of N items, each item once, in order of first appearance.

    gold: a column (N,) for each variable that the table names, in the base's order, not writable. groups:
    each item's cell in the column that was asked for, None where blank or not asked for. path: the file,
    `record` where the rows were mappings. sources: as groups, of the column of the sets that items are of.
    texts: as groups, of each further column that was asked for. hidden: variable -> (N,) where a code hides
    it.
    """

    items: tuple[str, ...]
    gold: Gold
    groups: tuple[str | None, ...]
    path: str
    sources: tuple[str | None, ...]
    texts: Mapping[str, tuple[str | None, ...]] = field(default_factory=dict)
    hidden: Mapping[str, Bools] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"<LabelTable of {len(self.items):,} items: {', '.join(self.gold.values)}; from {self.path}>"

    def _repr_html_(self) -> str:
        known = [(name, f"{int((~np.isnan(v)).sum()):,}") for name, v in self.gold.values.items()]
        title = f"Labels of {len(self.items):,} items"
        return notebook_html(title, head=("", "items with gold"), rows=known, notes=[f"from {self.path}"])

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {item: row for row, item in enumerate(self.items)}

    def rows_of(self, items: Iterable[str]) -> Ints:
        """Return the row of each of these items in the table, (n,); -1 where it has none."""
        return look_up(tuple(items), self._rows)

    def gold_of(self, items: Iterable[str]) -> Gold:
        """Return the gold of these items in their order, NaN for those that the table lacks."""
        rows = self.rows_of(items)
        return Gold(
            {name: np.where(rows < 0, np.nan, values[rows]) for name, values in self.gold.values.items()}
        )

    def of_source(self, source: str | None) -> LabelTable:
        """Return the table of the items of one source, with the variables of which it has some gold."""
        return self.of_rows([row for row, row_source in enumerate(self.sources) if row_source == source])

    def of_rows(self, rows: Sequence[int]) -> LabelTable:
        """Return the table of the items of some rows, with the variables of which it has some gold."""
        at = np.array(rows, dtype=np.int64)
        selected = {name: values[at] for name, values in self.gold.values.items()}
        with_gold = {name: values for name, values in selected.items() if not np.isnan(values).all()}
        items = tuple(self.items[row] for row in rows)
        groups, sources = (tuple(column[row] for row in rows) for column in (self.groups, self.sources))
        return LabelTable(items, Gold(with_gold), groups, self.path, sources)

    def groups_of(self, items: Iterable[str]) -> tuple[str | None, ...]:
        """Return the group of each of these items, None where it is unknown."""
        return tuple(None if row < 0 else self.groups[row] for row in self.rows_of(items).tolist())


def read_labels(
    path: str | Path,
    knowledge: Knowledge,
    groups: str = "",
    sources: str = "",
    outcomes: Mapping[str, float] | None = None,
    coding: Coding | None = None,
    perhaps: Iterable[str] = (),
) -> LabelTable:
    """Read a label table, in a format of `seke.files.rows`.

    groups: a further column, such as the subject of a picture, which tells what group an item is of. sources:
    one that tells which set an item is of. outcomes: words that may stand in place of a value -> the number
    that they become, beyond every range. coding: where the table is not plain. perhaps: further columns that
    are kept as texts where they are there.

    Raises:
        engine.AnswerError: a line for each of the first faults, each with file, line and column.
    """
    file = RowFile(path, Faults(), strip=True, by_hand=True)
    builder = LabelTableBuilder(knowledge, file, groups, sources, outcomes, coding, perhaps)
    builder.read_file(file)
    return builder.table()


def labels_from(
    records: ArrowStream | Iterable[Mapping[str, Any]],
    knowledge: Knowledge,
    groups: str = "",
    sources: str = "",
    outcomes: Mapping[str, float] | None = None,
) -> LabelTable:
    """Return the label table of rows that are mappings, or of a frame; messages call the third `record 3`."""
    builder = LabelTableBuilder(knowledge, record_source(Faults()), groups, sources, outcomes)
    rows: Any = frame_rows(records) if is_frame(records) else records
    builder.add_rows((number, native(row, 1)) for number, row in enumerate(rows, 1))
    return builder.table()


def _unread_columns(file: RowFile, names: Iterable[str]) -> Iterator[str]:
    """Yield what is wrong with the types of these columns of a parquet file."""
    for key in names:
        kind = file.parquet.schema.field(key).type
        if not _plain(file.parquet.arrow.types, key, kind):
            allowed = "text and whole numbers" if key == ITEM else "text, numbers and truth values"
            yield f"{key}: is a column of {kind}; allowed is {allowed}"


def _plain(types: Any, key: str, kind: Any) -> bool:
    """Whether a column of a parquet file may have this type."""
    kind = kind.value_type if types.is_dictionary(kind) else kind
    text = types.is_string(kind) or types.is_large_string(kind)
    if text or key == ITEM:
        return bool(text) or types.is_integer(kind) or types.is_floating(kind)
    checks = (types.is_integer, types.is_floating, types.is_boolean, types.is_null)
    return any(check(kind) for check in checks)


class LabelTableBuilder:
    """Builds a label table: collects its rows and notes faults in their source."""

    def __init__(
        self,
        knowledge: Knowledge,
        source: RowSource,
        groups: str = "",
        sources: str = "",
        outcomes: Mapping[str, float] | None = None,
        coding: Coding | None = None,
        perhaps: Iterable[str] = (),
    ) -> None:
        """groups, sources: the columns of the groups and of the sources; no text for none."""
        self.knowledge, self.source = knowledge, source
        self.groups, self.sources = groups, sources
        texts = coding.texts if coding is not None else ()
        self.required = [column for column in dict.fromkeys((groups, sources, *texts)) if column]
        self.further = list(dict.fromkeys((*self.required, *perhaps)))
        variables = {
            name: variable for name, variable in knowledge.variables.items() if variable.kind != "derived"
        }
        for column in self.further:
            if column in (ITEM, *variables):
                what = "the item" if column == ITEM else "a variable"
                roles = {groups: "groups", sources: "source sets"}
                role = roles.get(column, "texts, such as persons")
                raise AnswerError(f"{column}: cannot be the column of {role}: it is {what}")
        self.outcomes, self.coding = outcomes or {}, coding
        codes = knowledge.codes if coding is not None else ()
        self.codes = {code: Variable(code, "binary", ("false", "true"), code) for code in codes}
        self.columns = {
            name: LabelColumn(variable, self.outcomes, coding)
            for name, variable in {**variables, **self.codes}.items()
        }
        self.allowed = {ITEM, *BESIDE, *self.columns, *self.further}
        # Header -> the column that it means; of a variable perhaps written otherwise.
        self._named: dict[str, str] = {ITEM: ITEM, "": ""}
        # A column is as long as the last row that says something in it.
        self._values = {name: array("d") for name in self.columns}
        self._items: list[str] = []
        self._texts: dict[str, list[str | None]] = {column: [] for column in self.further}
        self._lines = array("q")
        self._refused: set[str] = set()
        self._are_samples = False
        self._miscoded: set[str] = set()

    def read_file(self, file: RowFile) -> None:
        """Take in all rows of a file under a header that has the columns without which no row is read."""
        number, names = file.header
        self._name(number, names)
        if self._are_samples:
            return
        for needed in (ITEM, *self.required) if names else ():
            if needed not in names:
                columns = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
                file.note(number, f"{needed}: no such column; there are {columns}")
                return
        used = [name for name in names if name in self._named]
        if file.format == PARQUET and len(used) == len(set(used)):
            problems = list(_unread_columns(file, used))
            for problem in problems:
                file.note(0, problem)
            if problems:
                return
        self.add_rows(file.rows(used))

    def _name(self, line: int, names: Collection[str]) -> None:
        if not self._are_samples and set(names).difference(self.allowed) >= SAMPLE_COLUMNS:
            self._are_samples = True
            order = "gold has item and the variables, and is named after the samples or predictions"
            self.source.note(line, f"these are samples (observer, question, ...) and not labels; {order}")
        if self._are_samples:
            return
        for name in names:
            if name in self._named or name in self._refused:
                continue
            meant = name if name in self.allowed else self.variable_meant(name)
            if meant is None or meant in self._named.values():
                self._refused.add(name)
                twice = f"{name}: another column is {meant} already; allowed is one of them"
                self.source.note(line, self._unknown(name) if meant is None else twice)
            else:
                self._named[name] = meant

    def variable_meant(self, name: str) -> str | None:
        """Return the variable whose name a column has, written otherwise; None where it is none."""
        return None if name.isdigit() else name_meant(name, self.columns, {}, {})

    def _unknown(self, name: str) -> str:
        if name in self.knowledge.variables:
            return f"{name}: is derived from other variables, which are columns; leave it out"
        if name in self.knowledge.levels:
            members = ", ".join(self.knowledge.levels[name][:4])
            return f"{name}: is a level; its variables are columns: {members}, ..."
        hint = column_hint(name, self.allowed.difference(BESIDE))
        message = f"{name}: no such column: {short_name(name)!r}{hint}"
        if self.groups or message.endswith("?"):
            return message
        if self.coding is not None:
            return f"{message}; columns of persons, populations and parts are named by options"
        return f"{message}; one further column may be named as that of the groups (--groups)"

    def add_rows(self, rows: Iterable[tuple[int, Any]]) -> None:
        """Take in numbered rows; one that is no mapping with named cells is a fault."""
        for number, row in rows:
            known = isinstance(row, Mapping) and row.keys() <= self._named.keys()
            if not known and isinstance(row, Mapping) and all(isinstance(key, str) for key in row):
                self._name(number, row)
                known = True
            if self._are_samples:
                return
            if known:
                self._add(number, row)
            else:
                self.source.note(number, f"a row is an object with named fields; {describe_met(row)}")

    def _add(self, line: int, row: Cells) -> None:
        item = name_text(row.get(ITEM))
        if not isinstance(item, str) or not item:
            problem = "missing" if item is None else describe_met(item)
            self.source.note(line, f"{ITEM}: {problem}; allowed is a text that is not empty")
            return
        self._items.append(item)
        self._lines.append(line)
        for text_column, texts in self._texts.items():
            texts.append(self._text(line, text_column, row.get(text_column)))
        before = len(self._items) - 1
        number_text = self.source.number_text
        for key, cell in row.items():
            if cell is None:
                continue
            name = self._named.get(key, "")
            column = self.columns.get(name)
            if column is None:
                continue
            try:
                value = column.number(number_text(cell), key)
            except AnswerError as fault:
                self._note_cell(line, column.variable, str(fault))
                continue
            if value is not None:
                values = self._values[name]
                if len(values) < before:
                    values.extend(repeat(math.nan, before - len(values)))
                values.append(value)

    def _note_cell(self, line: int, variable: Variable, fault: str) -> None:
        """Note the fault of a cell; of a column that is coded in another way only the first."""
        if self.coding is not None and variable.kind == "binary":
            if variable.name in self._miscoded:
                return
            self._miscoded.add(variable.name)
        self.source.note(line, fault)

    def _text(self, line: int, name: str, cell: Any) -> str | None:
        if is_blank(cell):
            return None
        text = str(cell) if isinstance(cell, bool) else name_text(cell)
        if isinstance(text, str):
            return text
        self.source.note(line, f"{name}: {describe_met(cell)}; allowed is a text or a whole number")
        return None

    def table(self) -> LabelTable:
        """Return the table with the rows of each item merged; raise all faults."""
        for problem in () if self.source.faults else self._missing_faults():
            self.source.note(1, problem)
        rows: dict[str, int] = {}
        for item in self._items:
            rows.setdefault(item, len(rows))
        gold = {}
        for name in self.columns:
            if name in self._named.values():
                gold[name] = self._gold(name, rows)
        hidden = self._hide(gold)
        for values in gold.values():
            values.setflags(write=False)
        texts = {name: tuple(self._merge(name, cells, rows)) for name, cells in self._texts.items()}
        groups, sources = (texts.get(name, (None,) * len(rows)) for name in (self.groups, self.sources))
        self.source.faults.raise_all()
        return LabelTable(tuple(rows), Gold(gold), groups, self.source.name, sources, texts, hidden)

    def _hide(self, gold: dict[str, Floats]) -> dict[str, Bools]:
        """Take the codes out of the gold, and what they hide: a hidden variable is not seen to be false."""
        hidden: dict[str, Bools] = {}
        for code in self.codes:
            coded = gold.pop(code, None)
            for name in self.knowledge.codes[code].hides if coded is not None else ():
                if name in gold:
                    hides = (coded == 1) & (gold[name] != 1)
                    hidden[name] = hides | hidden.get(name, False)
                    gold[name] = np.where(hides, math.nan, gold[name])
        return hidden

    def _gold(self, name: str, rows: dict[str, int]) -> Floats:
        """Return the values of a variable, NaN where unknown."""
        cells = np.full(len(self._items), np.nan)
        # What was collected goes as it is put together: of a million items it takes as much as the table.
        values = self._values.pop(name)
        cells[: len(values)] = values
        if len(rows) == len(cells):
            return cells
        known = [None if math.isnan(cell) else cell for cell in cells.tolist()]
        return np.array(self._merge(name, known, rows), dtype=np.float64)

    def _missing_faults(self) -> list[str]:
        """Return the faults of a table as a whole: no row, no variable, a missing column."""
        if not self._items:
            return ["no labels: there is no row"]
        if self.columns.keys().isdisjoint(self._named.values()):
            return [f"no column is a variable; they are {', '.join(list(self.columns)[:4])}, ..."]
        return [f"{column}: no such column" for column in self.required if column not in self._named]

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
            place = self.source.place(self._lines[first_row[row]])
            self.source.note(
                self._lines[at], f"{name}: item {item!r} is {cell_text} here and {first_text} at {place}"
            )
        return merged

    def _shown(self, name: str, value: Any) -> str:
        variable = self.knowledge.variables.get(name)
        if variable is None or name not in self.columns:
            return str(value)
        for word, number in self.outcomes.items():
            if value == number:
                return word
        return f"{value:g}" if variable.kind == "interval" else variable.states[int(value)]
