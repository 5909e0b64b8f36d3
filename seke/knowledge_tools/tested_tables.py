"""Label tables that a base is tested on: what is known of each item, its person, population and part."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import AnswerError, Gold, SekeError, TableItems, did_you_mean
from seke.console.plain_text import count, first_names
from seke.tables.label_column import Coding
from seke.tables.label_table import read_labels

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from engine import Bools, Floats, Ints, Knowledge
    from seke.tables.label_table import LabelTable

ABSENT, UNKNOWN = "absent", "unknown"
# Columns that a message names.
MOST_NAMED = 6


@dataclass(frozen=True)
class TableReading:
    """How tables are read.

    threshold: the least intensity of a unit that counts as present. blank: what a blank cell of a unit means,
    `absent` or `unknown`, where some of a column are blank; an empty text where nobody says. cluster: the
    column of persons, within whom items hang together. by: the column by whose cells the items are tested in
    parts, too. population_column: one that names the population of the base that each item is from.
    """

    threshold: float | None = None
    blank: str = ""
    cluster: str = ""
    by: str = ""
    population_column: str = ""

    @property
    def texts(self) -> tuple[str, ...]:
        """The columns that are kept as texts."""
        return tuple(name for name in (self.cluster, self.by, self.population_column) if name)


@dataclass(frozen=True)
class TablePart:
    """Some of the items: their name, which they are, (N,), and the population that they are from."""

    name: str
    chosen: Bools
    population: str | None


@dataclass(frozen=True)
class TestedTables:
    """N items of one or several tables.

    items: what is known of them, with persons. persons: how many there are, 0 where none are named. texts:
    column -> (N,). tables: path, rows and digest of each file.
    """

    items: TableItems
    persons: int
    texts: Mapping[str, tuple[str | None, ...]]
    tables: tuple[Mapping[str, Any], ...]
    reading: TableReading = field(default_factory=TableReading)

    @property
    def digest(self) -> str:
        """Return a digest of the files in their order."""
        whole = "".join(str(table["digest"]) for table in self.tables)
        return hashlib.sha256(whole.encode()).hexdigest()[:16]

    def parts(self, base: Knowledge) -> Iterator[TablePart]:
        """Yield the parts by population and by the column `by`; none where neither is named."""
        columns = [name for name in (self.reading.population_column, self.reading.by) if name]
        cells = list(zip(*(self.texts[name] for name in columns), strict=True))
        for key in sorted(set(cells), key=lambda key: tuple(cell or "" for cell in key)):
            chosen = np.array([cell == key for cell in cells], dtype=bool)
            population = key[0] if self.reading.population_column else None
            named = [f"{name} {cell or '(blank)'}" for name, cell in zip(columns, key, strict=True)]
            if population is not None and population not in base.populations:
                allowed = did_you_mean(population, base.populations)
                raise SekeError(
                    f"{self.reading.population_column}: the base has no population {population!r}{allowed}; "
                    "parts that are no populations are named by --by"
                )
            yield TablePart(", ".join(named), chosen, population)


def read_tables(paths: Sequence[str | Path], base: Knowledge, reading: TableReading) -> TestedTables:
    """Read label tables.

    Raises:
        engine.AnswerError: a table that cannot be read, intensities without a threshold, or blank cells of
            which nobody says what they mean.
    """
    coding = Coding(reading.threshold, tuple(dict.fromkeys(reading.texts)))
    tables = [read_labels(path, base, coding=coding) for path in paths]
    golds = [_with_blanks(table, base, reading.blank) for table in tables]
    sizes = [len(table.items) for table in tables]
    names = [name for name in base.variables if any(name in gold for gold in golds)]
    values = {
        name: np.concatenate(
            [gold.get(name, np.full(size, np.nan)) for gold, size in zip(golds, sizes, strict=True)]
        )
        for name in names
    }
    texts = {name: tuple(cell for table in tables for cell in table.texts[name]) for name in coding.texts}
    groups, persons = _groups(texts.get(reading.cluster), reading.cluster)
    about = tuple(
        {"path": str(path), "rows": size, "digest": _digest(path)}
        for path, size in zip(paths, sizes, strict=True)
    )
    return TestedTables(TableItems(Gold(values), sum(sizes), groups), persons, texts, about, reading)


def _digest(path: str | Path) -> str:
    file = Path(path)
    return hashlib.sha256(file.read_bytes()).hexdigest()[:16] if file.is_file() else ""


def _groups(cells: tuple[str | None, ...] | None, column: str) -> tuple[Ints | None, int]:
    """Return the person of each item as a number, (N,), and how many there are; a blank one is a fault."""
    if cells is None:
        return None, 0
    blank = sum(cell is None for cell in cells)
    if blank:
        raise AnswerError(f"{column}: {count(blank, 'row')} of {len(cells):,} without one; name all or none")
    _, index = np.unique(np.array(cells, dtype=str), return_inverse=True)
    return index.astype(np.int64), int(index.max(initial=-1)) + 1


def _with_blanks(table: LabelTable, base: Knowledge, blank: str) -> dict[str, Floats]:
    """Return a table's values; blank cells of units that are coded in other rows become what they mean."""
    values = dict(table.gold.values)
    blanks = {}
    for name in base.cells:
        if name in values:
            empty = np.isnan(values[name]) & ~np.asarray(table.hidden.get(name, False))
            if empty.any() and not np.isnan(values[name]).all():
                blanks[name] = empty
    if blanks and not blank:
        rows = len(table.items)
        named = [f"{name} ({int(empty.sum()):,} of {rows:,} rows)" for name, empty in blanks.items()]
        raise AnswerError(
            f"{table.path}: blank cells: {first_names(named, MOST_NAMED)}. They may mean that the unit was "
            f"not there, or that nobody coded it: say which with --blank {ABSENT} or --blank {UNKNOWN}"
        )
    if blank == ABSENT:
        values |= {name: np.where(empty, 0.0, values[name]) for name, empty in blanks.items()}
    return values
