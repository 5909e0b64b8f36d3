"""The result of `seke.infer`: records to loop over, and a table with one flat row an item."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from engine import SekeError, did_you_mean, notebook_html
from seke.console.decision_words import (
    DECISIONS,
    LEGEND,
    MARK,
    OPEN_LEGEND,
    OPEN_MARK,
    SYMBOLS,
    UNCALIBRATED,
)
from seke.console.extras import optional_package
from seke.console.infer_summary import InferSummary, limits_in_words, summary_names
from seke.console.notebook import interrupted_as, item_bar, uninterrupted
from seke.console.plain_text import count
from seke.results.flat_rows import FlatRows
from seke.sampling.first_items import FirstItems
from seke.tables.record_reader import PLUS_MINUS, PROBABILITY

if TYPE_CHECKING:
    from collections.abc import Iterator

    import datasets
    import pandas
    import polars
    import pyarrow

    from engine import Knowledge
    from seke.console.notebook import Counts
    from seke.sampling.infer import SampleInference

    Record = dict[str, Any]

# Items in the table of a notebook.
MOST_SHOWN = 10
# So many items with so many samples a notebook infers to show them: two seconds of one core.
AT_ONCE_ITEMS, AT_ONCE_SAMPLES = 500, 5_000
TO_INFER = "call to_pandas() or to_arrow()"


class InferredRecords:
    """Posterior records of items, in order of first appearance of these among the samples.

    A loop infers the records as it goes on and keeps none of them, so that there may be millions; another
    loop infers them again. `next` goes through them once. The methods `to_...` infer all items, once, and
    keep the table, which loops then read; where they are interrupted the rows so far are kept, and the next
    call goes on. `result["face-0017"]` and `result[0]` are the record of an item, by its name or its place,
    and need the table. `len` is the number of items: known where there is the table, or the samples are a
    frame or records in memory; otherwise a TypeError says what to do.

    In a notebook up to AT_ONCE_ITEMS items are inferred to be shown, and kept. Of more the first ones are
    shown, and nothing else is inferred; their decisions are left out where they depend on all items, as
    limits of the mean do.

    The table has one flat row an item: first columns for people (`item`, `expression`,
    `expression_probability`, `valence`, `valence_pm`: half the width of the 90 % interval, on the scale of
    valence; `action_units`: those that are likely, `AU6?` where not accepted; `decision`, `basis`, `why`),
    then all of a record, named as in a CSV file of records: `expression.happiness`, `action_units.AU12`,
    `decision.levels.valence.risk`.
    """

    def __init__(self, inference: SampleInference, progress: Counts | bool | None = None) -> None:
        self._inference, self._progress = inference, progress
        self._rows = FlatRows(self.knowledge)
        self._summary = InferSummary(self.knowledge)
        self._batches: list[Any] = []
        self._table: Any = None
        self._begun = False
        self._once: Iterator[Record] | None = None
        # Item -> its row in the table, once it was asked for.
        self._places: dict[str, int] | None = None

    @property
    def knowledge(self) -> Knowledge:
        """The base that the items are inferred with."""
        return self._inference.opened.knowledge

    def __iter__(self) -> Iterator[Record]:
        """Yield the records, beginning with the first item; what is not kept is inferred."""
        kept = [*self._batches]
        for batch in kept:
            yield from self._rows.records(batch)
        if self._table is None:
            for _, records in self._inferred(len(kept)):
                yield from records

    def __next__(self) -> Record:
        """Return the record after the one that the last call returned."""
        if self._once is None:
            self._once = iter(self)
        return next(self._once)

    def __len__(self) -> int:
        """Return the number of items.

        Raises:
            TypeError: it is not known yet.
        """
        number = self._number()
        if number is None:
            raise TypeError(f"how many items there are is known once they are inferred: {TO_INFER} first")
        return number

    def __bool__(self) -> bool:
        """Tell whether there are items, which there are where they are not counted yet."""
        return self._number() != 0

    def __getitem__(self, item: str | int) -> Record:
        """Return the record of an item, by its name or its place from 0; all items are inferred, once.

        Raises:
            KeyError: no item has this name. IndexError: there are not so many. TypeError: neither of these.
        """
        table = self.to_arrow()
        if isinstance(item, str):
            if self._places is None:
                self._places = {name: at for at, name in enumerate(table["item"].to_pylist())}
            if item not in self._places:
                raise KeyError(f"no item is called {item!r}{did_you_mean(item, self._places)}")
            place = self._places[item]
        elif isinstance(item, int):
            place = item + table.num_rows if item < 0 else item
            if not 0 <= place < table.num_rows:
                raise IndexError(f"there are {count(table.num_rows, 'item')}; met {item}")
        else:
            raise TypeError(f"met {item!r}; allowed are an item's name, or its place as a whole number")
        return next(self._rows.records(table.slice(place, 1)))

    def to_arrow(self) -> pyarrow.Table:
        """Return the table, one flat row an item.

        Raises:
            engine.AnswerError: samples that cannot be read, with their places.
            KeyboardInterrupt: where it was interrupted, with what is kept.
        """
        if self._table is None:
            self._infer_table(self._progress)
        return self._table

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Return the table as a stream of Arrow, which other programs read: `polars.DataFrame(result)`."""
        return self.to_arrow().__arrow_c_stream__(requested_schema)

    def to_pandas(self) -> pandas.DataFrame:
        """Return the table as a frame of pandas.

        Raises:
            engine.SekeError: pandas is not installed; otherwise as `to_arrow`.
        """
        optional_package("pandas")
        frame: pandas.DataFrame = self.to_arrow().to_pandas()
        return frame

    def to_polars(self) -> polars.DataFrame:
        """Return the table as a frame of polars.

        Raises:
            engine.SekeError: polars is not installed; otherwise as `to_arrow`.
        """
        frame: polars.DataFrame = optional_package("polars").from_arrow(self.to_arrow())
        return frame

    def to_datasets(self) -> datasets.Dataset:
        """Return the table as a data set of Hugging Face's `datasets`.

        Raises:
            engine.SekeError: datasets is not installed; otherwise as `to_arrow`.
        """
        rows: datasets.Dataset = optional_package("datasets").Dataset(self.to_arrow())
        return rows

    def notes(self) -> list[str]:
        """Return the lines on what was decided, and on what it rests, that `seke infer` ends with."""
        self.to_arrow()
        session = self._inference.session
        lines = [*self._summary.unseen(), self._line(), *self._summary.notes()]
        lines += limits_in_words(session, self._summary.outside)
        if session.guarantee is not None:
            lines += self._summary.promises(session.guarantee)
        return lines + [f"the guarantee is refused: {reason}" for reason in session.refused]

    def __repr__(self) -> str:
        if self._table is None:
            return f"<{self._number_text()} to infer in a loop or by to_pandas(); {self._knowledge_text()}>"
        return f"<{self._line()}>"

    def _repr_html_(self) -> str:
        if self._table is None and (self._inference.read_once or not self._first.complete):
            return self._preview
        if self._table is None:
            self._infer_table(self._progress or False)  # few items: over before a bar tells anything
        lines = self.notes()
        head, rows, notes = self._shown(self.to_arrow().slice(0, MOST_SHOWN).to_pylist())
        further = self._table.num_rows - len(rows)
        more = [f"... and {count(further, 'item')} more: to_pandas()"] if further else []
        return notebook_html(self._decided(), head=head, rows=rows, notes=more + notes + lines)

    @cached_property
    def _first(self) -> FirstItems:
        return FirstItems.of(self._inference, AT_ONCE_ITEMS, AT_ONCE_SAMPLES)

    @cached_property
    def _preview(self) -> str:
        """What is shown of many items before they are inferred, as HTML."""
        title = f"{self._number_text().capitalize()}, not inferred yet"
        if self._number() is None and not self._inference.read_once:
            title = f"At least {count(len(self._first.names), 'item')}, not inferred yet"
        how = f"To infer all, once: {TO_INFER}; a loop over this infers as it goes on."
        if self._inference.read_once:
            return notebook_html(title, notes=[how, self._knowledge_text()])
        alone = self._inference.decides_alone
        records = self._first.records(self._inference, MOST_SHOWN)
        # Columns of their own: those of the table are made of a record that is decided.
        rows = FlatRows(self.knowledge).batch(records).to_pylist() if records else []
        head, cells, notes = self._shown(rows, decided=alone)
        what = f"The posteriors of the first {count(len(rows), 'item')}"
        if alone:
            what += ", with what is decided about them."
        else:
            what += "; what is decided depends on all items, and comes with them."
        return notebook_html(title, head=head, rows=cells, notes=[what, how, *notes, self._knowledge_text()])

    def _shown(
        self, rows: list[Record], *, decided: bool = True
    ) -> tuple[list[str], list[tuple[str, ...]], list[str]]:
        """Return the head and the cells of a table of flat rows for people, and the legends that it needs."""
        names = summary_names(self.knowledge)
        head = [name.replace("_", " ") for name in ("item", *names)]
        cells = [(row["item"], *(_cell(row, name, decided=decided) for name in names)) for row in rows]
        if not decided:
            return head, cells, []
        legends = [LEGEND] if any(row["basis"] in UNCALIBRATED for row in rows) else []
        opened = any(name.endswith(OPEN_MARK) for row in cells for cell in row[1:] for name in cell.split())
        legends += [OPEN_LEGEND] if opened else []
        further = [(_decision(row), row["why"] or "") for row in rows]
        return [*head, "decision", "why"], [(*a, *b) for a, b in zip(cells, further, strict=True)], legends

    def _number(self) -> int | None:
        """Return how many items there are, None where that is not known yet."""
        return self._inference.items() if self._table is None else self._table.num_rows

    def _number_text(self) -> str:
        number = self._number()
        return "items" if number is None else count(number, "item")

    def _inferred(self, done: int) -> Iterator[tuple[Any, list[Record]]]:
        """Yield answers and their records without the first batches that are done."""
        if self._begun and self._inference.read_once:
            raise SekeError(
                "the samples came from a stream, which is read once; keep the records, as by list(...), or "
                "call to_arrow() first"
            )
        self._begun = True
        yield from self._inference.batches(done)

    def _infer_table(self, progress: Counts | bool | None) -> None:
        """Infer the items that are lacking yet, and keep the table."""
        with item_bar("inferring", self._inference.items(), progress) as advance:
            advance(sum(batch.num_rows for batch in self._batches))
            with interrupted_as(self._interrupted_text):
                for answers, records in self._inferred(len(self._batches)):
                    batch = self._rows.batch(records)
                    with uninterrupted():
                        self._summary.add(records)
                        self._summary.add_looks(self._inference.session.inference, answers)
                        self._batches.append(batch)
                    advance(len(records))
        self._table = self._rows.table(self._batches)

    def _interrupted_text(self) -> str:
        done = sum(batch.num_rows for batch in self._batches)
        if not done:
            return "interrupted before the first items were inferred; nothing is kept"
        total = self._inference.items()
        of = f" of {total:,}" if total else ""
        if self._inference.read_once:
            return f"interrupted: {done:,}{of} items were inferred; the stream cannot be read again"
        return f"interrupted: {done:,}{of} items were inferred and are kept; the next call goes on"

    def _knowledge_text(self) -> str:
        population = self._inference.opened.inference.population
        return f"population {population}, knowledge {self.knowledge.name} {self.knowledge.digest}"

    def _line(self) -> str:
        return f"{self._summary.line()}; {self._knowledge_text()}"

    def _decided(self) -> str:
        total = sum(self._summary.items.values())
        parts = [f"{self._summary.items[name]:,} {name}" for name in DECISIONS if self._summary.items[name]]
        return f"{count(total, 'item')}: {', '.join(parts)}" if parts else count(total, "item")


def _cell(row: Record, name: str, *, decided: bool) -> str:
    """Return what a column for people says, with its probability or its ±.

    decided: whether labels and active units that are not accepted are marked.
    """
    value = row.get(name)
    if value is None:
        return "-"
    if f"{name}_{PLUS_MINUS}" in row:
        return f"{value:+.2f} ± {row[f'{name}_{PLUS_MINUS}']:.2f}"
    if f"{name}_{PROBABILITY}" in row:
        is_open = decided and row.get(f"decision.levels.{name}.decision") in ("requery", "reject")
        mark = OPEN_MARK * is_open
        return f"{value}{mark} {row[f'{name}_{PROBABILITY}']:.2f}"
    text = str(value) if decided else str(value).replace(OPEN_MARK, "")
    return text or "-"


def _decision(row: Record) -> str:
    decided = row["decision"]
    return f"{SYMBOLS[decided]} {decided}{MARK if row['basis'] in UNCALIBRATED else ''}"
