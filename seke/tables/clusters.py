"""The table of near-duplicates that `seke dupes -o` writes -> which items are one unit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine import SekeError
from seke.files.faults import Faults
from seke.files.rows import RowFile, is_blank, name_text

if TYPE_CHECKING:
    from pathlib import Path

# Columns of a table of clusters, the first that it has: persons put together with clusters, or clusters.
COLUMNS = ("group", "cluster")


def read_clusters(path: str | Path) -> dict[str, str]:
    """Read the table that `seke dupes -o` writes; return item -> its group.

    Raises:
        engine.AnswerError: a line for each of the first faults.
        engine.SekeError: it has no such columns.
    """
    file, groups, column = RowFile(path, Faults(), strip=True, by_hand=True), dict[str, str](), ""
    for number, row in file.rows():
        column = column or next((name for name in COLUMNS if name in row), "")
        item, group = row.get("item"), row.get(column)
        if is_blank(item) or is_blank(group):
            file.note(number, f"needs `item` and {' or '.join(f'`{name}`' for name in COLUMNS)}")
            continue
        name = str(name_text(item))
        if name in groups:
            file.note(number, f"item: {name!r} is there twice")
        groups[name] = str(name_text(group))
    file.faults.raise_all()
    if not groups:
        raise SekeError(f"{path}: names no items; seke dupes IMAGES -o writes such a table")
    return groups
