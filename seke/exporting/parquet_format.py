"""The parquet files of an export: all that is known of an item, a row each, in typed columns.

The columns of the posterior record come first (see `seke.tables.record_writer`), then those of the release:

    label              class of the accepted expression, null where none is accepted
    soft_label         probability of each class, in their order
    unit_soft_label    probability of each action unit, in the order of the struct `action_units`
    votes              people's readings by class, null without any; `people` and `model`: see `doubt`
    answers            every answer: who, to which question, in which view, draw, status, digest of its text
    group, source      of the manifest; licence, consent: of the source, no text where not stated
    picture            the picture itself, where pictures are copied; `image` is its path

A picture is held in memory only while the rows that wait with it are written.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from seke.exporting.features import features_of, schema_metadata
from seke.tables.record_writer import Writer, pyarrow

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from engine import Knowledge
    from seke.exporting.export_item import ExportItem
    from seke.exporting.licences import Licence
    from seke.exporting.source import KnownAnswers

    Record = dict[str, Any]

NAME, LABEL, PICTURE = "parquet", "label", "picture"
# Rows of a row group; fewer where each has its picture in it, as the hub advises.
ROWS_PER_GROUP, PICTURES_PER_GROUP = 2_000, 100


@dataclass(frozen=True)
class ReleaseColumns:
    """What a row needs beside the item. licences: by source; licence: of all others, which may be no text.

    embed: whether the pictures themselves are in the rows.
    """

    base: Knowledge
    answers: KnownAnswers
    licences: Mapping[str, Licence]
    licence: str
    embed: bool

    @property
    def states(self) -> tuple[str, ...]:
        """The names of the classes."""
        return tuple(self.base.variables[self.base.root].states)

    def types(self) -> Record:
        """Return the types of Arrow of the columns that do not follow from a record."""
        arrow, _ = pyarrow("export")
        text, classes = arrow.string(), len(self.states)
        answer = [("observer", text), ("model", text), ("question", text), ("about", text), ("view", text)]
        answer += [("draw", arrow.int64()), ("status", text), ("text_sha256", text)]
        picture = {PICTURE: arrow.struct([("bytes", arrow.binary()), ("path", text)])}
        return {
            LABEL: arrow.int64(),
            "soft_label": arrow.list_(arrow.float32(), classes),
            "unit_soft_label": arrow.list_(arrow.float32(), len(self.base.cells)),
            "votes": arrow.list_(arrow.int32(), classes),
            "answers": arrow.list_(arrow.struct(answer)),
            "group": text,
            **(picture if self.embed else {}),
        }

    def features(self, schema: Any) -> Record:
        """Return the features of a schema."""
        return features_of(schema, {LABEL: self.states}, (PICTURE,) if self.embed else ())

    def row(self, export_item: ExportItem) -> Record:
        """Return the row of an item, still without its answers and its picture."""
        record, listed, doubt = export_item.accepted.record, export_item.known, export_item.doubt
        label, states = export_item.accepted.expression, self.states
        terms = self.licences.get(listed.source or "")
        box_left, box_top, width, height = listed.box or (None, None, None, None)
        units = record.get("action_units") or {}
        return {
            **record,
            LABEL: None if label is None else states.index(label),
            "soft_label": [record[self.base.root].get(state, 0.0) for state in states],
            "unit_soft_label": [units.get(name, 0.0) for name in self.base.cells],
            "votes": [doubt.votes.get(state, 0) for state in states] if doubt.votes else None,
            "people": doubt.people,
            "model": doubt.model,
            "image": export_item.picture,
            "group": listed.group or "",
            "source": listed.source or "",
            "licence": terms.licence if terms is not None else self.licence,
            "consent": terms.consent if terms is not None else "",
            "box": {"left": box_left, "top": box_top, "width": width, "height": height},
            "known": msgspec.json.encode(listed.labels).decode(),
        }


class Parquet:
    """Writes the parquet files of an export; see `formats.Format`."""

    def __init__(self, folder: Path, splits: Sequence[str], schema: str, columns: ReleaseColumns) -> None:
        self.name, self.schema, self.rows, self.features = NAME, schema, 0, dict[str, Any]()
        self._columns, self._folder, self._stack = columns, folder, ExitStack()
        self._most = PICTURES_PER_GROUP if columns.embed else ROWS_PER_GROUP
        self._waiting: dict[str, list[Record]] = {split: [] for split in splits}
        (folder / NAME).mkdir(parents=True, exist_ok=True)
        options: Record = {"columns": columns.types(), "metadata": self._metadata}
        self._writers = {
            split: self._stack.enter_context(
                Writer(folder / NAME / f"{split}.parquet", rows_per_group=self._most, **options)
            )
            for split in splits
        }

    def _metadata(self, schema: Any) -> dict[str, str]:
        self.features = self._columns.features(schema)
        return schema_metadata(self.features)

    def write(self, export_item: ExportItem) -> None:
        """Write the row of an item."""
        waiting = self._waiting[export_item.split]
        waiting.append({**self._columns.row(export_item), "schema": self.schema})
        self.rows += 1
        if len(waiting) >= self._most:
            self._flush(export_item.split)

    def _flush(self, split: str) -> None:
        rows = self._waiting[split]
        answers = self._columns.answers.of([row["item"] for row in rows])
        for row in rows:
            row["answers"] = answers[row["item"]]
            if self._columns.embed:
                path = self._folder / row["image"]
                row[PICTURE] = {"bytes": path.read_bytes(), "path": path.name}
        self._writers[split].write(rows)
        rows.clear()

    def close(self) -> None:
        """End all files."""
        for split in self._waiting:
            self._flush(split)
        self._stack.close()
