"""Sheets in any order -> sheets of whole items: in memory, through a file, or streamed."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from itertools import chain, pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from engine import AnswerError, SekeError
from seke.samples.columns import ENTRY, ROW, Sheet, join, numbered, split

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Generator, Iterable, Iterator, Sequence

    Stored = tuple[str, str, bytes, bytes]


def gather_items(sheets: Iterable[Sheet], size: int, in_memory: int) -> Generator[Sheet, None, None]:
    """Yield every item whole, ordered by first appearance; what was yielded or stored is not kept.

    Up to `in_memory` samples come as one sheet; more go through a file on disk and come
    `size` items at a time.
    """
    sheets = iter(sheets)
    parts: list[Sheet] = []
    count = 0
    for sheet in sheets:
        parts.append(sheet)
        count += len(sheet.rows)
        if count > in_memory:
            del sheet
            yield from _gather_on_disk(chain(_emptied(parts), sheets), size)
            return
    if count:
        del sheet
        joined = [join(parts)]
        parts.clear()
        yield from _emptied(joined)


def _emptied(sheets: list[Sheet]) -> Iterator[Sheet]:
    """Yield the sheets of a list, which loses each before the next is asked for."""
    sheets.reverse()
    while sheets:
        yield sheets.pop()


@contextmanager
def _database(schema: str) -> Iterator[sqlite3.Connection]:
    """Yield a database in a temporary folder; both are removed afterwards."""
    import sqlite3

    with ExitStack() as stack:
        try:
            folder = stack.enter_context(TemporaryDirectory(prefix="seke-"))
            # Nothing is committed or kept, so nothing needs a journal.
            database = sqlite3.connect(Path(folder) / "samples.sqlite", isolation_level=None)
            stack.callback(database.close)
            database.execute("PRAGMA journal_mode = OFF")
            database.execute("PRAGMA synchronous = OFF")
            database.execute(schema)
            database.execute("BEGIN")
            yield database
        except (sqlite3.Error, OSError) as error:
            raise SekeError(f"temporary file for the samples: {error}") from None


def _gather_on_disk(sheets: Iterable[Sheet], size: int) -> Iterator[Sheet]:
    schema = "CREATE TABLE run (number INTEGER PRIMARY KEY, item TEXT, view TEXT, lines BLOB, entries BLOB)"
    insert = "INSERT INTO run (item, view, lines, entries) VALUES (?, ?, ?, ?)"
    # The sort is SQLite's own, in files where it is large.
    select = (
        "SELECT item, view, lines, entries FROM"
        " (SELECT *, MIN(number) OVER (PARTITION BY item) AS first FROM run)"
        " ORDER BY first, number"
    )
    with _database(schema) as database:
        for sheet in sheets:
            database.executemany(insert, _to_stored(sheet))
        yield from map(_from_stored, _whole_items(database.execute(select), size))


def _to_stored(sheet: Sheet) -> Iterator[Stored]:
    """Yield the runs of samples of one item in one view; entries name their sample within the run."""
    item, view = sheet.rows["item"], sheet.rows["view"]
    changes = (item[1:] != item[:-1]) | (view[1:] != view[:-1])
    starts = np.flatnonzero(np.concatenate([np.ones(min(len(item), 1), dtype=bool), changes]))
    bounds = np.append(starts, len(item))
    entries_at = np.searchsorted(sheet.entries["row"].copy(), bounds)
    relative = sheet.entries.copy()
    relative["row"] -= np.repeat(starts, np.diff(entries_at))
    rows, entries = sheet.rows.tobytes(), relative.tobytes()
    names = [sheet.items[at] for at in item[starts].tolist()]
    views = [sheet.views[at] for at in view[starts].tolist()]
    row_parts = pairwise((bounds * ROW.itemsize).tolist())
    entry_parts = pairwise((entries_at * ENTRY.itemsize).tolist())
    for name, seen, (start, stop), (first, last) in zip(names, views, row_parts, entry_parts, strict=True):
        yield name, seen, rows[start:stop], entries[first:last]


def _whole_items(stored: Iterable[Stored], size: int) -> Iterator[list[Stored]]:
    batch: list[Stored] = []
    items = 0
    for run in stored:
        if not batch or run[0] != batch[-1][0]:
            items += 1
            if items > size:
                yield batch
                batch, items = [], 1
        batch.append(run)
    if batch:
        yield batch


def _from_stored(batch: list[Stored]) -> Sheet:
    items, item = numbered(run[0] for run in batch)
    views, view = numbered(run[1] for run in batch)
    rows = np.frombuffer(b"".join(run[2] for run in batch), dtype=ROW).copy()
    entries = np.frombuffer(b"".join(run[3] for run in batch), dtype=ENTRY).copy()
    samples = np.array([len(run[2]) // ROW.itemsize for run in batch])
    counts = [len(run[3]) // ENTRY.itemsize for run in batch]
    rows["item"], rows["view"] = np.repeat(item, samples), np.repeat(view, samples)
    entries["row"] += np.repeat(np.cumsum(samples) - samples, counts)
    return Sheet(items, views, rows, entries)


def stream_items(sheets: Iterable[Sheet], size: int, prefixes: Sequence[str]) -> Generator[Sheet, None, None]:
    """Yield whole items `size` at a time as they come, each item's samples in one piece.

    The items that are closed already are remembered on disk, so that one which comes back
    is an error and not a second item of its name.
    """
    schema = "CREATE TABLE closed (item TEXT PRIMARY KEY, file INTEGER, line INTEGER) WITHOUT ROWID"
    with _database(schema) as database:
        parts: list[Sheet] = []
        current, items = None, 0
        for sheet in sheets:
            if not len(sheet.rows):
                continue
            items += len(sheet.items) - (sheet.items[0] == current)
            current = _open_items(sheet, current, database, prefixes)
            parts.append(sheet)
            if items > size:
                pending = join(parts)
                whole = (items - 1) // size * size
                complete, remainder = split(pending, [0, whole, items])
                yield complete
                parts = [remainder]
                items -= whole
        if parts:
            yield join(parts)


def _open_items(
    sheet: Sheet, current: str | None, database: sqlite3.Connection, prefixes: Sequence[str]
) -> str:
    """Remember the items of a sheet, and return the one that is open at its end."""
    import sqlite3

    item = sheet.rows["item"]
    starts = np.flatnonzero(np.concatenate([[True], item[1:] != item[:-1]]))
    for run, row in enumerate(sheet.rows[starts]):
        name = sheet.items[row["item"]]
        if run == 0 and name == current:
            continue
        values = (name, int(row["file"]), int(row["line"]))
        try:
            database.execute("INSERT INTO closed VALUES (?, ?, ?)", values)
        except sqlite3.IntegrityError:
            find = database.execute("SELECT file, line FROM closed WHERE item = ?", (name,))
            file, line = find.fetchone()
            raise AnswerError(
                f"{prefixes[row['file']]}{row['line']}: item: {name!r} appears again after other items,"
                f" but --sorted needs the samples of an item together; it began at {prefixes[file]}{line}"
            ) from None
    return sheet.items[int(item[-1])]
