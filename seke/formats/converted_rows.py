"""The rows of a tool's table -> samples of the base's observers."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from engine import AnswerError
from seke.files.rows import describe_met, is_missing, name_text
from seke.formats.cell_values import (
    cell_value,
    checked_distribution,
    combined,
    probability,
    score_shares,
    softmax,
)
from seke.samples.spelling import name_meant, other_words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine import Knowledge
    from seke.files.rows import RowFile
    from seke.formats.bound_table import BoundReading, BoundTable, ToolColumn

    Row = dict[str, Any]
    Key = tuple[str, str]

# Decimals of probabilities that are written: far below what any tool is sure of.
DECIMALS = 6
# Two columns of one variable that are further apart contradict one another.
CONTRADICTION = 0.5
PICTURES = frozenset(
    (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".heic", ".heif", ".avif")
)


@dataclass(frozen=True)
class RowOptions:
    """How rows become samples.

    every: one in so many frames of each video is kept. by_frame: whether each frame is an item, rather than a
    view of the video. each_face: whether every face of a frame is an item, rather than the largest alone.
    softmax: whether classes are logits.
    """

    every: int = 1
    by_frame: bool = False
    each_face: bool = False
    softmax: bool = False


@dataclass
class RowCounts:
    """What rows became: of how many items, and what was left out or contradicted itself, by reason."""

    items: set[str] = field(default_factory=set)
    frames: Counter[str] = field(default_factory=Counter)
    samples: int = 0
    not_judged: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    contradictions: int = 0
    places: dict[tuple[str, str], str] = field(default_factory=dict)


class RowReader:
    """Makes samples of the rows of one table."""

    def __init__(
        self, file: RowFile, table: BoundTable, base: Knowledge, options: RowOptions, counts: RowCounts
    ) -> None:
        self.file, self.table, self.base = file, table, base
        self.options, self.counts = options, counts
        self.missing = frozenset(word.lower() for word in table.format.missing)
        self.stem = Path(file.name).name.split(".")[0]

    def samples(self) -> Iterator[Row]:
        """Yield the samples of all rows; what is wrong with a row is noted among the file's faults."""
        rows = ((number, row, self._key(row)) for number, row in self.file.rows(self.table.columns))
        for key, same_frame in groupby(rows, key=lambda entry: entry[2]):
            faces = [(number, row) for number, row, _ in same_frame]
            item, frame = key
            first = self.file.place(faces[0][0])
            before = self.counts.places.setdefault(key, first)
            if before != first:
                what = f"frame {frame} of {item!r}" if frame else f"item {item!r}"
                self.file.note(faces[0][0], f"{what} has a row at {before} already; its rows stand together")
                continue
            ordinal = self.counts.frames[item]
            self.counts.frames[item] += 1
            if frame and ordinal % self.options.every:
                self.counts.left_out["rows of frames between those that are kept"] += len(faces)
                continue
            for name, number, row in self._faces(item, faces):
                try:
                    yield from self._of_row(name, frame, row)
                except AnswerError as fault:
                    self.file.note(number, str(fault))

    def _key(self, row: Row) -> Key:
        """Return the item of a row, and its frame, "" where it is a picture."""
        table = self.table
        named = str(name_text(row[table.item]) or "") if table.item else ""
        frame = str(name_text(_plain(row[table.frame])) or "") if table.frame else ""
        if not named:
            return self.stem, frame
        path = PurePosixPath(named.replace("\\", "/"))
        if path.suffix.lower() in PICTURES:
            return str(path.with_suffix("")), ""
        return (str(path.with_suffix("")) if frame else named), frame

    def _faces(self, item: str, faces: list[tuple[int, Row]]) -> list[tuple[str, int, Row]]:
        """Return the faces of a frame that count, each with the name of its item."""
        if len(faces) == 1 and not self.options.each_face:
            return [(item, *faces[0])]
        if self.options.each_face:
            column = self.table.face
            return [
                (f"{item}/face-{name_text(_plain(row[column])) if column else place}", number, row)
                for place, (number, row) in enumerate(faces)
            ]
        if not self.table.face and not self.table.largest:
            problem = (
                f"item {item!r} has a row at {self.file.place(faces[0][0])} already, and nothing says which "
                "face counts; --faces each makes an item of each"
            )
            self.file.note(faces[1][0], problem)
            return []
        self.counts.left_out["rows of other faces than the largest or surest of a frame"] += len(faces) - 1
        return [(item, *max(faces, key=lambda face: self._size(face[1])))]

    def _size(self, row: Row) -> float:
        size = 1.0
        for name in self.table.largest:
            number = _plain(self.file.number_text(row[name]))
            size *= number if isinstance(number, float) and math.isfinite(number) else 0.0
        return size

    def _of_row(self, item: str, frame: str, row: Row) -> Iterator[Row]:
        key: Row = {"item": item, "observer": self.table.observer, "draw": 0}
        extra: Row = {}
        if frame and self.options.by_frame:
            key["item"] = f"{item}/{frame}"
        elif frame:
            key["view"] = f"frame-{frame}"
        if frame and self.table.seconds:
            seconds = _plain(self.file.number_text(row[self.table.seconds]))
            extra = {"extra": {"seconds": seconds}} if isinstance(seconds, float) else {}
        has_face = all(_holds(row[name], wanted) for name, wanted in self.table.judged.items())
        by_question: dict[str, Row] = {}
        for reading in self.table.readings:
            reported = by_question.setdefault(reading.declared.question, {})
            if has_face:
                reported.update(self._report(reading, row))
        self.counts.items.add(key["item"])
        for question, reported in by_question.items():
            self.counts.samples += 1
            self.counts.not_judged += not reported
            status = {} if reported else {"status": "not_judged"}
            yield {**key, "question": question, **status, **reported, **extra}

    def _report(self, reading: BoundReading, row: Row) -> Row:
        """Return what a row says of a reading, by field; nothing where all its cells are missing."""
        values: dict[str, list[tuple[ToolColumn, float | str]]] = {}
        # Probabilities of classes are checked together: what is none of them may be a logit.
        together = reading.kind == "categorical" and (self.options.softmax or not reading.declared.scores)
        for column in reading.columns:
            try:
                value = cell_value(
                    column.cells, row[column.name], self.file, self.missing, any_number=together
                )
            except AnswerError as fault:
                raise AnswerError(f"{column.name}: {fault}") from None
            if value is not None:
                values.setdefault(column.target, []).append((column, value))
        if not values:
            return {}
        if reading.kind == "label":
            ((column, text),) = next(iter(values.values()))
            return {reading.field: self._state(reading.variable, column.name, str(text))}
        if reading.kind == "interval":
            return {reading.variable: self._number(reading, values[reading.variable])}
        if reading.kind == "binary":
            return {reading.field: {name: self._sight(reading, stated) for name, stated in values.items()}}
        p = self._distribution(reading, values)
        return {reading.field: p} if p else {}

    def _state(self, variable: str, column: str, text: str) -> str:
        declared = self.base.variables[variable]
        state = name_meant(text, declared.states, other_words(declared), {})
        if state is None:
            allowed = ", ".join(declared.states)
            raise AnswerError(f"{column}: {describe_met(text)}; allowed are {allowed}")
        return state

    def _number(self, reading: BoundReading, stated: list[tuple[ToolColumn, float | str]]) -> float:
        """Return a number on the scale of its variable."""
        edges = self.base.variables[reading.variable].edges
        low, high = edges[0], edges[-1]
        numbers = []
        for column, value in stated:
            least, most = column.cells.limits or (low, high)
            numbers.append(low + (float(value) - least) / (most - least) * (high - low))
        return round(combined(numbers, reading.declared.combine), DECIMALS)

    def _sight(self, reading: BoundReading, stated: list[tuple[ToolColumn, float | str]]) -> bool | float:
        """Return a mark, or the probability that the columns of one variable state together."""
        if len(stated) == 1 and stated[0][0].cells.unit == "mark":
            return stated[0][1] == 1
        p = [probability(column.cells, float(value)) for column, value in stated]
        of_one_kind = len({column.cells.unit for column, _ in stated}) == 1
        self.counts.contradictions += not of_one_kind and max(p) - min(p) > CONTRADICTION
        return round(combined(p, reading.declared.combine), DECIMALS)

    def _distribution(
        self, reading: BoundReading, values: dict[str, list[tuple[ToolColumn, float | str]]]
    ) -> dict[str, float]:
        declared = reading.declared
        logits = self.options.softmax or any(c.cells.unit == "logits" for c in reading.columns)
        numbers = {
            state: combined(
                [float(v) if logits else probability(c.cells, float(v)) for c, v in stated], declared.combine
            )
            for state, stated in values.items()
        }
        if logits:
            p = softmax(numbers)
        elif declared.scores:
            p = score_shares(numbers, declared.remainder)
        else:
            p = checked_distribution(numbers)
        return {state: round(share, DECIMALS) for state, share in p.items()}


def _plain(cell: Any) -> Any:
    """Return a cell, one that is a number as that."""
    try:
        return float(cell)
    except (TypeError, ValueError):
        return cell


def _holds(cell: Any, wanted: Any) -> bool:
    """Tell whether a cell says that a face was found; a blank one does not say otherwise."""
    number = _plain(cell)
    if is_missing(cell) or not isinstance(number, float):
        return is_missing(cell)
    return bool(number > wanted["above"] if isinstance(wanted, dict) else number == wanted)
