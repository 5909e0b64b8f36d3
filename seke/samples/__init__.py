"""Samples (one answer of an observer a line or record) into the engine's columns.

A sample is a JSON object on one line, a row of a table (CSV, parquet, a frame in memory), or a mapping:

    {"item": "face-0017", "observer": "gpt-4o", "question": "joint", "draw": 0,
     "expression": "happiness", "valence": 0.62, "arousal": 0.20, "action_units": ["AU6"]}

Which keys there are beside `item`, `observer`, `question`, `draw`, `view`, `status`,
`reports` and `extra` follows from the levels of the knowledge base. What cannot be read is an
`AnswerError`, a line for each fault that begins with its place.

    files / records --decode--> chunks --bind--> sheets --gather--> whole items --> Answers
"""

from __future__ import annotations

import sys
from collections import Counter
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from engine import AnswerError
from seke.files.faults import Faults
from seke.files.frames import MemoryTable, RowFrame, frame_name, frame_prefix
from seke.files.lines import shown
from seke.files.rows import CSV, JSON_LINES, RowFile, place_prefix, record_source
from seke.samples.binding import bind
from seke.samples.columns import split
from seke.samples.grouping import gather_items, stream_items
from seke.samples.json_rows import read_json_lines
from seke.samples.line_runs import BoundRun, LineBinder, LineRun
from seke.samples.schema import Chunk, in_chunks, record_of, structure_records
from seke.samples.single import SingleSamples, split_samples
from seke.samples.table_rows import read_table, table_columns
from seke.samples.to_engine import answers_of, arrange
from seke.samples.vocabulary import FIXED, REQUIRED, UNNUMBERED, vocabulary_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence

    from engine import Answers, Knowledge
    from seke.samples.columns import Sheet
    from seke.samples.vocabulary import Vocabulary

    Made = TypeVar("Made")
    Steps = Generator[Made, None, None]
    # Yields each run with what a `LineBinder` makes of it, in order.
    Binding = Callable[[Iterable[LineRun]], Iterator[tuple[LineRun, BoundRun]]]

__all__ = [
    "LineBinder",
    "SingleSamples",
    "answers_from",
    "answers_of_sheets",
    "check_frame",
    "checked_records",
    "item_names",
    "only_about",
    "read_batches",
    "read_records",
    "read_sheets",
    "single_samples",
    "singles_of_sheets",
    "vocabulary_of",
    "with_draws",
]

# Samples that are gathered in memory; more go through a temporary file.
IN_MEMORY = 400_000
NO_ROWS = "no samples: it has no rows"


def read_batches(
    paths: Sequence[str | Path | MemoryTable],
    knowledge: Knowledge,
    *,
    in_order: bool = False,
    size: int = 2048,
    in_memory: int = IN_MEMORY,
    progress: Callable[[int], None] | None = None,
    item: str | Collection[str] | None = None,
    binding: Binding | None = None,
) -> Iterator[Answers]:
    """Read sample files, or frames, and yield their items, `size` at a time, in order of first appearance.

    Formats are those of `seke.files.rows`. With `in_order` the samples of an item must stand
    together: items then stream, memory does not grow with their number, and nothing is read
    far beyond the first fault. Otherwise samples are gathered by item, beyond `in_memory` of
    them through a temporary file, and all faults come in one report.
    `progress` is called with the number of bytes of files read since the last call (as they lie in
    the file: compressed ones for gzip). With `item` only that item, or those items, are yielded, if they are
    there: lines of JSON that cannot be about them are not decoded, and what is wrong with samples of other
    items may go unsaid. Without `item`, `binding` may let other processes read what lines of JSON hold.
    """
    if not paths:
        raise AnswerError("no sample files are named")
    vocabulary = vocabulary_of(knowledge)
    prefixes, faults = [_source_prefix(path, index) for index, path in enumerate(paths)], Faults()
    steps = _steps(paths, vocabulary, faults, progress, item, binding)
    sheets = _sheets(steps, vocabulary, prefixes, faults, in_order=in_order)
    gathered = stream_items(sheets, size, prefixes) if in_order else gather_items(sheets, size, in_memory)
    return _batches((steps, sheets, gathered), vocabulary, prefixes, size)


def answers_from(
    records: Iterable[Mapping[str, object]],
    knowledge: Knowledge,
    *,
    size: int = 2048,
    in_memory: int = IN_MEMORY,
) -> Iterator[Answers]:
    """Read samples that are mappings, as `read_batches` reads files; messages call the third `record 3`.

    No records at all are no error here: they yield nothing.
    """
    vocabulary, source = vocabulary_of(knowledge), record_source(Faults())
    chunks = in_chunks(0, structure_records(enumerate(records, 1), vocabulary, source))
    sheets = _sheets(chunks, vocabulary, [source.prefix], source.faults)
    gathered = gather_items(sheets, size, in_memory)
    return _batches((chunks, sheets, gathered), vocabulary, [source.prefix], size)


def read_sheets(path: str | Path, knowledge: Knowledge) -> Iterator[Sheet]:
    """Yield the samples of a file in columns, in their order; its faults come in one report at the end."""
    vocabulary, faults = vocabulary_of(knowledge), Faults()
    steps = _steps([path], vocabulary, faults)
    return _sheets(steps, vocabulary, [_source_prefix(path, 0)], faults)


def answers_of_sheets(
    sheets: Iterable[Sheet], paths: Sequence[str | Path], knowledge: Knowledge
) -> Iterator[Answers]:
    """Yield the items of sheets, as `read_batches` does of files. paths: of the files that they name."""
    prefixes, size = [_source_prefix(path, index) for index, path in enumerate(paths)], 2048
    gathered = gather_items(sheets, size, IN_MEMORY)
    return _batches((gathered,), vocabulary_of(knowledge), prefixes, size)


def singles_of_sheets(
    sheets: Iterable[Sheet], paths: Sequence[str | Path], knowledge: Knowledge
) -> SingleSamples:
    """Return the samples of sheets one by one, as `single_samples` returns those of files."""
    prefixes = [_source_prefix(path, index) for index, path in enumerate(paths)]
    gathered = list(gather_items(sheets, 1, sys.maxsize))
    return split_samples(gathered[0] if gathered else None, vocabulary_of(knowledge), prefixes)


def single_samples(
    samples: Sequence[str | Path | MemoryTable] | Iterable[Mapping[str, object]],
    knowledge: Knowledge,
    item: str | None = None,
) -> SingleSamples:
    """Read samples and keep each by itself: files or frames (as `read_batches` takes them) or mappings.

    item: of files only the samples about it, as `read_batches` reads them.
    """
    vocabulary, source = vocabulary_of(knowledge), record_source(Faults())
    sources = list(samples)
    paths = [path for path in sources if isinstance(path, str | Path | MemoryTable)]
    prefixes = [_source_prefix(path, index) for index, path in enumerate(paths)] or [source.prefix]
    steps: Steps[Chunk | BoundRun]
    if paths:
        steps = _steps(paths, vocabulary, source.faults, item=item)
    else:
        steps = in_chunks(0, structure_records(enumerate(sources, 1), vocabulary, source))
    sheets = _sheets(steps, vocabulary, prefixes, source.faults)
    gathered = list(gather_items(sheets, len(sources), sys.maxsize))
    return split_samples(gathered[0] if gathered else None, vocabulary, prefixes)


def read_records(paths: Sequence[str | Path], knowledge: Knowledge) -> list[dict[str, object]]:
    """Return the samples of files as records, in their order; `extra` is left out.

    Raises:
        engine.AnswerError: what cannot be read, or a draw that is given twice, with its place.
    """
    single_samples(paths, knowledge)
    vocabulary = vocabulary_of(knowledge)
    rows = (record for chunk in _chunks(paths, vocabulary) for record in chunk.records)
    records = (
        {key: value for key, value in record_of(row).items() if value is not None and key != "extra"}
        for row in rows
    )
    stated = ({k: v for k, v in record.items() if (k, v) != ("draw", UNNUMBERED)} for record in records)
    return with_draws(stated, knowledge.usual_view)


def checked_records(paths: Sequence[str | Path], knowledge: Knowledge) -> Iterator[dict[str, Any]]:
    """Yield the samples of files as mappings, in their order, none after a fault.

    The draw of a sample that states none is -1, and `extra` is the text of JSON that it is written as.

    Raises:
        engine.AnswerError: what cannot be read, with its place, once all is read.
    """
    vocabulary, faults = vocabulary_of(knowledge), Faults()
    prefixes = [_source_prefix(path, index) for index, path in enumerate(paths)]
    for chunk in (step for step in _steps(paths, vocabulary, faults) if isinstance(step, Chunk)):
        bind(chunk, vocabulary, prefixes[chunk.file], faults)
        if not faults:
            yield from map(record_of, chunk.records)
    faults.raise_all()


def item_names(paths: Sequence[str | Path | MemoryTable], knowledge: Knowledge) -> Iterator[str]:
    """Yield the item of each sample that can be read, as the samples are read."""
    for chunk in _chunks(paths, vocabulary_of(knowledge)):
        yield from (record.item for record in chunk.records)


def only_about(
    records: Iterable[Mapping[str, Any]], knowledge: Knowledge, variables: Collection[str]
) -> list[dict[str, Any]]:
    """Return sample records without the keys that report none of these variables."""
    fields = vocabulary_of(knowledge).fields
    keys = {*FIXED, *(field.name for field in fields if set(field.members) & set(variables))}
    return [{key: value for key, value in record.items() if key in keys} for record in records]


def _chunks(paths: Sequence[str | Path | MemoryTable], vocabulary: Vocabulary) -> Iterator[Chunk]:
    """Yield the samples that can be read; faults are passed over."""
    return (step for step in _steps(paths, vocabulary, Faults()) if isinstance(step, Chunk))


def _steps(
    paths: Sequence[str | Path | MemoryTable],
    vocabulary: Vocabulary,
    faults: Faults,
    progress: Callable[[int], None] | None = None,
    item: str | Collection[str] | None = None,
    binding: Binding | None = None,
) -> Steps[Chunk | BoundRun]:
    """Yield the samples of sources as they are read; with `binding` what it makes of lines of JSON."""
    item = [item] if isinstance(item, str) else item
    _check_named_once(paths)
    for index, path in enumerate(paths):
        if isinstance(path, MemoryTable):
            rows = RowFrame(path, faults, index=index)
            yield from _of_item(_frame_chunks(rows, vocabulary), item)
            continue
        file = RowFile(path, faults, strip=True, index=index, progress=progress)
        if item is not None:
            whole = file.format != JSON_LINES
            read_chunks = read_table(file, vocabulary) if whole else read_json_lines(file, vocabulary, item)
            yield from _of_item(read_chunks, item)
            continue
        count, before = 0, faults.count
        if binding is not None and file.format == JSON_LINES:
            # What is wrong with the file itself is known only after what was read before.
            file.faults = Faults()
            for _, bound in binding(_line_runs(file)):
                count += bound.count
                yield bound
            faults.join(file.faults)
            file.faults = faults
        else:
            read = read_json_lines if file.format == JSON_LINES else read_table
            for chunk in read(file, vocabulary):
                count += len(chunk.records)
                yield chunk
        if not count and faults.count == before:
            where = " after the header" if file.format == CSV else ""
            file.note(1, f"no samples: nothing but blank lines{where}")


def _line_runs(file: RowFile) -> Iterator[LineRun]:
    for first, lines in file.runs():
        yield LineRun(file.index, file.name, file.prefix, first, lines)


def _check_named_once(sources: Iterable[str | Path | MemoryTable]) -> None:
    """Refuse a file or frame that is there twice, be it under two names: its samples would count twice."""
    names: dict[object, str] = {}
    for index, source in enumerate(sources):
        name = frame_name(index) if isinstance(source, MemoryTable) else shown(source)
        identity = _identity(source)
        if identity in names:
            what = "is named twice" if names[identity] == name else f"is {names[identity]}, named twice"
            raise AnswerError(f"{name}: {what}; its samples would count twice. Name it once")
        names[identity] = name


def _identity(source: str | Path | MemoryTable) -> object:
    """Return what is the same for two names of one file, or for one frame given twice."""
    if isinstance(source, MemoryTable):
        return id(source)
    try:
        status = Path(source).stat()
    except OSError:
        return str(source)
    return status.st_dev, status.st_ino


def with_draws(records: Iterable[Mapping[str, Any]], usual_view: str) -> list[dict[str, Any]]:
    """Return sample records with the draws of those that state none, numbered as they stand."""
    count: Counter[tuple[Any, ...]] = Counter()
    numbered: list[dict[str, Any]] = []
    for record in records:
        key = (*(record[name] for name in REQUIRED), record.get("view", usual_view))
        numbered.append({**record, "draw": record.get("draw", count[key])})
        count[key] += 1
    return numbered


def _of_item(chunks: Iterable[Chunk], item: Collection[str] | None) -> Steps[Chunk]:
    """Yield the chunks, of some items only what is about them."""
    for chunk in chunks:
        if item is None:
            yield chunk
            continue
        about = np.flatnonzero([record.item in item for record in chunk.records])
        if about.size:
            yield Chunk(chunk.file, [chunk.records[at] for at in about.tolist()], chunk.lines[about])


def _frame_chunks(rows: RowFrame, vocabulary: Vocabulary) -> Steps[Chunk]:
    yield from read_table(rows, vocabulary)
    if not rows.frame.rows and not rows.faults:
        rows.note(0, NO_ROWS)


def check_frame(frame: MemoryTable, knowledge: Knowledge, index: int = 0) -> None:
    """Check the columns of a frame of samples, and that it has rows. index: which of several sources it is.

    Raises:
        engine.AnswerError: a line for each column that is unknown or missing.
    """
    rows = RowFrame(frame, Faults(), index=index)
    table_columns(rows, vocabulary_of(knowledge))
    if not frame.rows and not rows.faults:
        rows.note(0, NO_ROWS)
    rows.faults.raise_all()


def _source_prefix(source: str | Path | MemoryTable, index: int) -> str:
    """Return what the places of a source's rows begin with; index: which of several sources it is."""
    return frame_prefix(index) if isinstance(source, MemoryTable) else place_prefix(source)


def _sheets(
    steps: Steps[Chunk | BoundRun],
    vocabulary: Vocabulary,
    prefixes: Sequence[str],
    faults: Faults,
    *,
    in_order: bool = False,
) -> Steps[Sheet]:
    """Yield what was read as sheets, none after a fault; raise all faults at the end."""
    for step in steps:
        if isinstance(step, BoundRun):
            faults.join(step.faults)
            sheets = step.sheets
        else:
            sheets = [bind(step, vocabulary, prefixes[step.file], faults)]
        if not faults:
            yield from sheets
        elif in_order:
            break
    faults.raise_all()


def _batches(
    walk: tuple[Steps[Any], ...],
    vocabulary: Vocabulary,
    prefixes: Sequence[str],
    size: int,
) -> Iterator[Answers]:
    with ExitStack() as stack:
        for stage in walk:  # an error's traceback would keep them, and so their files, alive
            stack.enter_context(closing(stage))
        for sheet in walk[-1]:
            arranged = arrange(sheet, vocabulary, prefixes)
            del sheet
            count = len(arranged.items)
            for part in split(arranged, [*range(0, count, size), count]):
                yield answers_of(part, vocabulary)
