"""Tables of detectors of others -> samples, by the columns that `tools.yaml` beside this file names."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from engine import AnswerError, Knowledge, SekeError
from seke.datasets.common import unit
from seke.datasets.images import ENDINGS as PICTURES
from seke.files.faults import Faults
from seke.files.rows import RowFile, is_missing, name_text
from seke.files.shipped import knowledge as read_knowledge
from seke.tables.record_writer import Writer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    Row = dict[str, Any]

ENDINGS = (".jsonl", ".jsonl.gz")
ROW_BATCH = 1000  # samples that are written at once


@dataclass(frozen=True)
class ToolSamples:
    """The samples that a table became: how many of how many items, and what was left out."""

    tool: str
    output: str
    items: int
    samples: int
    left_out: Mapping[str, int]


@dataclass(frozen=True)
class _Columns:
    """Columns that one sample of each row is made of.

    names: column -> its name in the base. marks: whether they hold 1 and 0 as marks.
    """

    observer: str
    question: str
    field: str
    names: Mapping[str, str]
    marks: bool


@cache
def tools() -> dict[str, Any]:
    """Return what is known of each tool's table."""
    import yaml

    entries: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("tools.yaml").read_text("utf-8"))[
        "tools"
    ]
    return entries


def import_table(
    tool: str, table: str | Path, output: str | Path, *, knowledge: Knowledge | str | Path | None = None
) -> ToolSamples:
    """Write the samples that a tool's table holds: a file that is whole or not there.

    Args:
        tool: one of `tools()`.
        table: CSV or parquet.
        output: JSON Lines of samples, for `seke infer` and the like.
        knowledge: the base whose observers, questions and variables are meant; the shipped one by default.

    Raises:
        engine.AnswerError: bad rows, each with its place; nothing is written.
        engine.SekeError: no such tool, or its observers are not in the base.
    """
    if tool not in tools():
        raise SekeError(f"no tool is called {tool!r}; allowed are {', '.join(tools())}")
    target = Path(output)
    if not target.name.lower().endswith(ENDINGS):
        raise SekeError(f"{target}: unknown ending; allowed are {', '.join(ENDINGS)}")
    base, file, left_out = read_knowledge(knowledge), RowFile(table, Faults(), strip=True), Counter[str]()
    items: set[str] = set()
    count = 0
    with Writer(target) as writer:
        batch: list[Row] = []
        for item, samples in _rows(tools()[tool], file, base, left_out):
            items.add(item)
            batch += samples
            count += len(samples)
            if len(batch) >= ROW_BATCH:
                writer.write(batch)
                batch = []
        file.faults.raise_all()
        if not count:
            raise SekeError(f"{table}: no row has anything that the base {base.name} has")
        writer.write(batch)
    return ToolSamples(tool, str(target), len(items), count, dict(left_out))


def _rows(
    entry: Row, file: RowFile, base: Knowledge, left_out: Counter[str]
) -> Iterator[tuple[str, list[Row]]]:
    """Yield each item with its samples; rows of a picture with several faces are faults."""
    number, names = file.header
    needed = (*entry["item"], *entry["valid"])
    for column in needed if names else ():
        if column not in names:
            file.note(
                number, f"{column}: no such column; a table of {entry['label']} has {', '.join(needed)}"
            )
    if file.faults:
        return
    parts = [_columns(part, names, base) for part in entry["samples"]]
    first_rows: dict[str, int] = {}
    for row_number, row in file.rows():
        if any(_plain(row[column]) != value for column, value in entry["valid"].items()):
            left_out["rows without a face"] += 1
            continue
        item = _item(entry, row, Path(file.name).stem)
        if first_rows.setdefault(item, row_number) != row_number:
            place = file.place(first_rows[item])
            problem = f"item {item!r} has a face at {place} already; keep one row of each picture"
            file.note(row_number, problem)
            continue
        try:
            yield item, [sample for part in parts for sample in _samples(part, item, row)]
        except AnswerError as fault:
            file.note(row_number, str(fault))


def _columns(part: Row, names: list[str], base: Knowledge) -> _Columns:
    """Return the columns of a table that a sample is made of, of those that the base has.

    Raises:
        engine.SekeError: the base lacks the observer or the question.
    """
    observer, question = part["observer"], part["question"]
    for kind, name, known in (("observer", observer, base.observers), ("question", question, base.questions)):
        if name not in known:
            raise SekeError(f"the base {base.name} has no {kind} {name!r}")
    reported = base.questions[question].variables
    if isinstance(part["columns"], str):
        matches = {name: re.fullmatch(part["columns"], name) for name in names}
        meant = {name: unit(int(match[1])) for name, match in matches.items() if match}
        allowed: tuple[str, ...] = reported
    else:
        meant = {name: part["columns"][name] for name in names if name in part["columns"]}
        allowed = base.variables[reported[0]].states
    field = next(level for level, members in base.levels.items() if set(reported) & set(members))
    return _Columns(
        observer,
        question,
        field,
        {n: name for n, name in meant.items() if name in allowed},
        part.get("marks", False),
    )


def _item(entry: Row, row: Row, stem: str) -> str:
    """Return the item of a row: a picture's path without its ending, or a frame of the table's or a video."""
    parts = [str(name_text(_plain(row[column]))) for column in entry["item"]]
    if len(parts) == 1:
        return f"{stem}/{parts[0]}"
    path = PurePosixPath(parts[0])
    return (
        str(path.with_suffix("")) if path.suffix.lower() in PICTURES else f"{path.with_suffix('')}/{parts[1]}"
    )


def _plain(cell: Any) -> Any:
    """Return a cell, one that is a number as that."""
    try:
        return float(cell)
    except (TypeError, ValueError):
        return cell


def _number(cell: Any, column: str) -> float | None:
    """Return the number of a cell, None where it is blank."""
    if is_missing(cell):
        return None
    number = _plain(cell)
    if not isinstance(number, float):
        raise AnswerError(f"{column}: met {str(cell)[:40]!r}; allowed is a number")
    return number


def _samples(part: _Columns, item: str, row: Row) -> list[Row]:
    """Return the sample of a row, none where all its cells are blank."""
    numbers = {name: _number(row[column], column) for column, name in part.names.items()}
    values: Row = {name: number for name, number in numbers.items() if number is not None}
    if part.marks:
        odd = next((name for name, number in values.items() if number not in (0, 1)), None)
        if odd is not None:
            raise AnswerError(f"{odd}: met {values[odd]:g}; allowed are 0 and 1")
        values = {name: number == 1 for name, number in values.items()}
    if not values:
        return []
    key = {"item": item, "observer": part.observer, "question": part.question, "draw": 0}
    return [{**key, part.field: values}]
