"""`seke convert` as a function: tables of another tool -> samples, a file that is whole or not there."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine import Knowledge, SekeError
from seke.files.faults import Faults
from seke.files.rows import RowFile
from seke.files.shipped import knowledge as read_knowledge
from seke.files.text_report import FieldReport
from seke.formats.bound_table import bind_table
from seke.formats.converted_rows import RowCounts, RowOptions, RowReader
from seke.formats.declaration import ToolFormat, format_named, format_names
from seke.tables.record_writer import Writer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

AUTO = "auto"
ENDINGS = (".jsonl", ".jsonl.gz")
ROW_BATCH = 1000  # samples that are written at once
# Views of one item: 5,000 took 20 GB and minutes to infer, 300 take a second or two.
MOST_VIEWS = 300
# Names that a list in a message shows.
MOST_NAMED = 12


@dataclass(frozen=True, repr=False)
class Converted(FieldReport):
    """The samples that tables became.

    format: its name or path. not_judged: samples of rows without a face. left_out: reason -> rows. notes:
    what a user should know of how the columns were read.
    """

    format: str
    output: str
    observer: str
    files: int
    items: int
    samples: int
    not_judged: int
    left_out: Mapping[str, int]
    notes: tuple[str, ...]


def convert(
    format_name: str,
    tables: str | Path | Iterable[str | Path],
    output: str | Path,
    *,
    knowledge: Knowledge | str | Path | None = None,
    observer: str = "",
    item: str = "",
    orders: Mapping[str, Sequence[str]] | None = None,
    every: int = 1,
    frames: str = "views",
    faces: str = "largest",
    softmax: bool = False,
) -> Converted:
    """Write the samples that the tables of a tool hold, for `seke infer` and the like.

    Args:
        format_name: one of `format_names()`, the path of a declaration in YAML, or `auto`.
        tables: CSV (with any separator) or parquet.
        output: .jsonl or .jsonl.gz; whole, or not there.
        knowledge: the base whose observers, questions and variables are meant; the shipped one by default.
        observer: whose answers they are; the format's own by default.
        item: the column that names the picture, where it is not one that the format knows.
        orders: names of columns that have none, in their order: `labels`, `au_order`.
        every: of each video one in so many frames is kept.
        frames: `views` of the video, which is one item, or `items` of their own.
        faces: the `largest` of a frame, or `each` as an item of its own.
        softmax: whether the classes' columns are logits.

    Raises:
        engine.AnswerError: bad rows, each with its place; nothing is written.
        engine.SekeError: no such format, or it does not fit the base.
    """
    paths = [tables] if isinstance(tables, str | Path) else list(tables)
    target = Path(output)
    _check_choices(target, frames, faces)
    name = _recognised(paths) if format_name == AUTO else format_name
    declared, base, counts = format_named(name), read_knowledge(knowledge), RowCounts()
    options = RowOptions(every, frames == "items", faces == "each", softmax)
    conversion = _Conversion(
        declared, base, observer or declared.observer, item, orders or {}, options, counts, set(), Faults()
    )
    with Writer(target) as writer:
        for index, path in enumerate(paths):
            samples = conversion.samples(path, index)
            while batch := list(islice(samples, ROW_BATCH)):
                writer.write(batch)
        conversion.faults.raise_all()
        _check_views(counts, options)
        if counts.samples == counts.not_judged:
            raise SekeError(f"{paths[0]}: no row has anything that observer {conversion.observer!r} reports")
    return conversion.result(name, target, len(paths))


def _check_views(counts: RowCounts, options: RowOptions) -> None:
    """Refuse a video with more views than are weighed in reasonable time and memory."""
    item, frames = max(counts.frames.items(), key=lambda pair: pair[1], default=("", 0))
    views = -(-frames // options.every)
    if not options.by_frame and views > MOST_VIEWS:
        raise SekeError(
            f"{item}: {frames:,} frames, of which {views:,} would be views of one item; at most {MOST_VIEWS} "
            f"are weighed together: --every {-(-frames // MOST_VIEWS)} thins them, --frames items makes an "
            "item of each"
        )


def _check_choices(target: Path, frames: str, faces: str) -> None:
    if not target.name.lower().endswith(ENDINGS):
        raise SekeError(f"{target}: unknown ending; allowed are {', '.join(ENDINGS)}")
    choices = (("frames", frames, ("views", "items")), ("faces", faces, ("largest", "each")))
    for option, value, allowed in choices:
        if value not in allowed:
            raise SekeError(f"{option}: met {value!r}; allowed are {' and '.join(allowed)}")


def _recognised(paths: Sequence[str | Path]) -> str:
    """Return the format that tables have in common.

    Raises:
        engine.SekeError: as `recognise`; they are of several formats.
    """
    first, *others = paths
    name = recognise(first)
    for path in others:
        if (other := recognise(path)) != name:
            raise SekeError(f"{path}: is of format {other}, and {first} of {name}; convert each by itself")
    return name


def recognise(path: str | Path) -> str:
    """Return the name of the format whose columns a table has.

    Raises:
        engine.AnswerError: it cannot be read.
        engine.SekeError: none has them, or several have.
    """
    matches: dict[str, int] = {}
    names: list[str] = []
    for name in format_names():
        declared = format_named(name)
        columns = _header(path, declared)
        names = columns if len(columns) > len(names) else names
        hits = [any(re.fullmatch(p, column) for column in columns) for p in declared.recognise]
        if hits and all(hits):
            matches[name] = len(hits)
    best = [name for name, count in matches.items() if count == max(matches.values())]
    if len(best) != 1:
        shown = ", ".join(names[:MOST_NAMED]) + (" ..." if len(names) > MOST_NAMED else "")
        what = f"looks like {' and '.join(best)}" if best else "is of no format that is known"
        raise SekeError(
            f"{path}: {what}; name the format, or the YAML file of your own. Its columns: {shown or 'none'}"
        )
    return best[0]


def _header(path: str | Path, declared: ToolFormat) -> list[str]:
    """Return the columns of a table; none where it does not begin as this format does.

    Raises:
        engine.AnswerError: it cannot be read at all.
    """
    faults = Faults()
    file = _open(path, declared, faults)
    _, names = file.header
    if not declared.header:
        faults.raise_all()
    return names


def _open(path: str | Path, declared: ToolFormat, faults: Faults, index: int = 0) -> RowFile:
    header = re.compile(declared.header) if declared.header else None
    return RowFile(path, faults, strip=True, index=index, header=header, table=True, by_hand=True)


@dataclass(frozen=True)
class _Conversion:
    declared: ToolFormat
    base: Knowledge
    observer: str
    item: str
    orders: Mapping[str, Sequence[str]]
    options: RowOptions
    counts: RowCounts
    notes: set[str]
    faults: Faults

    def samples(self, path: str | Path, index: int) -> Iterator[dict[str, Any]]:
        """Yield the samples of a table."""
        file = _open(path, self.declared, self.faults, index)
        number, names = file.header
        if not names:
            if not self.faults:
                raise SekeError(f"{path}: a table is CSV or parquet, whose header names its columns")
            return
        table = bind_table(self.declared, names, self.base, self.observer, self.orders, self.item)
        if not table.readings:
            wanted = ", ".join(
                pattern
                for reading in self.declared.readings
                for cells in reading.values
                for pattern in cells.columns.values()
            )
            shown = ", ".join(names[:MOST_NAMED])
            file.note(
                number, f"no column of {self.declared.label}; looked for {wanted[:300]}; met {shown[:300]}"
            )
            return
        if table.unknown:
            self.notes.add(f"columns that observer {self.observer} does not report: {_listed(table.unknown)}")
        self.notes.update(
            f"passed over: {name}, {' '.join(reason.split())}" for name, reason in table.passed_over.items()
        )
        yield from RowReader(file, table, self.base, self.options, self.counts).samples()

    def result(self, name: str, target: Path, files: int) -> Converted:
        """Return what the tables became; name: the format's."""
        notes, counts = sorted(self.notes), self.counts
        if counts.contradictions:
            notes.append(
                f"{counts.contradictions:,} times the columns of one unit contradicted one another; "
                "they count as one source, their mean"
            )
        if self.declared.not_seen:
            notes.append(f"read without having seen all: {' '.join(self.declared.not_seen.split())}")
        return Converted(
            format=name,
            output=str(target),
            observer=self.observer,
            files=files,
            items=len(counts.items),
            samples=counts.samples,
            not_judged=counts.not_judged,
            left_out=dict(counts.left_out),
            notes=tuple(notes),
        )


def _listed(names: Sequence[str]) -> str:
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more:,} more" if more > 0 else "")
