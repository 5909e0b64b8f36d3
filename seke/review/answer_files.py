"""Files of people's answers -> answers: Label Studio's exports, the page's answers, filled-in tables."""

from __future__ import annotations

import csv
import io
import json
import math
from typing import TYPE_CHECKING, Any

from engine import SekeError
from seke.files.faults import Faults
from seke.files.rows import RowFile
from seke.review.answers import NOT_JUDGED, OK, REFUSED, RawAnswer
from seke.review.label_studio import LOST, LabelStudioForm, flat_answers, full_answers, is_export
from seke.review.table import STATUSES, UNASKED, cell_value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from engine import Knowledge
    from seke.review.tasks import ReviewTask

    Record = dict[str, Any]

# Columns of Label Studio's flat exports.
FLAT = {"annotation_id", "annotator", "task"}


class AnswerReader:
    """Reads answers to tasks of a base; warnings: what files lack, in words."""

    def __init__(self, base: Knowledge, tasks: Mapping[str, ReviewTask], like: str) -> None:
        self.base, self.tasks = base, tasks
        self.form = LabelStudioForm(base, like)
        self.warnings: list[str] = []

    def read(self, path: Path) -> list[RawAnswer]:
        """Return the answers of a file, in its order.

        Raises:
            engine.SekeError: a file that cannot be read, or is none of these.
        """
        if not path.is_file():
            raise SekeError(f"{path}: no such file")
        if path.suffix.lower() == ".json":
            return list(self._json(path))
        if path.suffix.lower() == ".jsonl":
            return list(_page_answers(path))
        if path.suffix.lower() == ".csv":
            return list(self._csv(path))
        raise SekeError(
            f"{path}: the ending says what it is: .json or .csv of Label Studio, .jsonl or .csv of ours"
        )

    def _json(self, path: Path) -> Iterator[RawAnswer]:
        text = _text(path)
        try:
            rows = json.loads(text)
        except json.JSONDecodeError as error:
            where = f"{path}:{error.lineno}:{error.colno}"
            cut = " (it ends too early: the file was cut off)" if error.pos >= len(text.rstrip()) - 1 else ""
            raise SekeError(f"{where}: is no JSON: {error.msg}{cut}; export it again") from None
        except (RecursionError, ValueError):
            raise SekeError(f"{path}: is nested too deeply, or has a number of too many digits") from None
        if is_export(rows):
            return full_answers(rows, str(path), self._values)
        if isinstance(rows, list) and any(isinstance(row, dict) and "annotation_id" in row for row in rows):
            self.warnings.append(LOST.format(path))
            return flat_answers(rows, str(path), self._values)
        raise SekeError(
            f"{path}: is no export of Label Studio: a list of tasks with `annotations` (JSON), or of answers "
            "with `annotation_id` (JSON_MIN)"
        )

    def _csv(self, path: Path) -> Iterator[RawAnswer]:
        table = RowFile(path, Faults(), strip=True, by_hand=True)
        _, names = table.header
        if set(names) >= FLAT:
            table.faults.raise_all(SekeError)
            self.warnings.append(LOST.format(path))
            return flat_answers([_decoded(row) for row in _plain_rows(path)], str(path), self._values)
        rows = list(table.rows())
        table.faults.raise_all(SekeError)
        lacking = [name for name in ("task", "item", "annotator", "status") if name not in names]
        if lacking:
            raise SekeError(
                f"{path}:1: no column {lacking[0]!r}; it is no table of `seke review export --to csv`"
            )
        return self._table_answers(rows, table)

    def _table_answers(self, rows: Sequence[tuple[int, Any]], table: RowFile) -> Iterator[RawAnswer]:
        for number, row in rows:
            status = str(row.get("status") or OK)
            if status not in STATUSES:
                raise SekeError(
                    f"{table.place(number)}: status: met {status[:40]!r}; allowed are "
                    f"{', '.join(STATUSES)} or blank"
                )
            filled = {name: row[name] for name in self.base.variables if row.get(name) not in (None, UNASKED)}
            if status == OK and not filled:
                continue  # not answered yet
            values = {
                name: cell_value(self.base.variables[name], table.number_text(cell))
                for name, cell in filled.items()
            }
            yield RawAnswer(
                table.place(number),
                str(row.get("task") or ""),
                str(row.get("item") or ""),
                str(row.get("annotator") or ""),
                status,
                values if status == OK else {},
            )

    def _values(self, held: Mapping[str, Any], key: str) -> Record:
        """Return variable -> value of what Label Studio's controls hold; nothing of a task of another run."""
        task = self.tasks.get(key)
        return {} if task is None else self.form.values(held, task)


def _page_answers(path: Path) -> Iterator[RawAnswer]:
    """Yield the answers that the page downloads and the server writes, one a line.

    The last line of a server that was killed may be cut off: it was not answered then.
    """
    file = RowFile(path, Faults(), may_be_empty=True)
    for number, row in file.rows():
        fault = page_fault(row)
        if fault:
            file.note(number, fault)
            continue
        yield RawAnswer(
            file.place(number),
            row["task"],
            row["item"],
            row["annotator"],
            row["status"],
            row["values"],
            row["shown"],
            row.get("seconds"),
        )
    file.faults.raise_all(SekeError)


PAGE_KEYS: Mapping[str, Callable[[Any], bool]] = {
    "task": lambda value: isinstance(value, str),
    "item": lambda value: isinstance(value, str),
    "annotator": lambda value: isinstance(value, str),
    "status": lambda value: value in (OK, REFUSED, NOT_JUDGED),
    "values": lambda value: isinstance(value, dict),
    "shown": lambda value: isinstance(value, bool),
}


def page_fault(row: Any) -> str:
    """Return what is wrong with an answer of the page, "" for nothing."""
    for key, fits in PAGE_KEYS.items():
        if not isinstance(row, dict) or key not in row or not fits(row[key]):
            return f"{key}: is missing or is not what the page writes; allowed are answers of `seke review`"
    seconds = row.get("seconds")
    number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    good = seconds is None or (number and 0 <= seconds < math.inf)
    return "" if good else "seconds: is no number from 0"


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SekeError(f"{path}: is no UTF-8 text (byte {error.start})") from None


def _plain_rows(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a CSV of Label Studio, whose pictures are longer than the csv module's limit."""
    csv.field_size_limit(1 << 27)
    return [dict(row) for row in csv.DictReader(io.StringIO(_text(path)))]


def _decoded(row: Mapping[str, Any]) -> Record:
    """Return a row of Label Studio's CSV with the lists and mappings that its cells hold as JSON."""
    decoded: Record = {}
    for name, cell in row.items():
        inner = isinstance(cell, str) and cell[:1] in "[{"
        try:
            decoded[name] = json.loads(cell) if inner else cell
        except json.JSONDecodeError:
            decoded[name] = cell
    return decoded
