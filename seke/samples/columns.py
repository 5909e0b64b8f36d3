"""Samples in columns: the form in which they are gathered, stored and split into batches."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from engine import Ints

# One row a sample. `item` and `view` index the sheet's own names; `status` indexes STATUSES.
ROW = np.dtype(
    [
        ("draw", np.int64),
        ("line", np.int64),
        ("item", np.int32),
        ("view", np.int32),
        ("file", np.int32),
        ("observer", np.int16),
        ("question", np.int16),
        ("status", np.int8),
    ],
    align=True,
)
# One row a reported thing; what `code` and `value` hold depends on `form`.
ENTRY = np.dtype(
    [
        ("code", np.int64),
        ("value", np.float64),
        ("row", np.int32),
        ("variable", np.int16),
        ("form", np.int8),
    ],
    align=True,
)
LABEL = 0  # code: answer
SPREAD = 1  # code: answer, value: its probability
NUMBER = 2  # value
RANKING = 3  # code: places 1 to 3, packed
HIDDEN = 4  # the variable was reported as not visible
LIST = 5  # a closed-world list was given; code: index of its field
PRESENT = 6  # the variable stands in such a list
CODE = 7  # so does a code; code: its index
TOLD = 9  # the prompt stated this of the variable; value: index of a state, 1 or 0, or a number
SAID = 8  # no evidence by itself: a code in a mapping (what it hides stands as HIDDEN)

_BASE = 1 << 20  # more answers than any instrument has
_PLACES = np.array([1, _BASE, _BASE * _BASE])


@dataclass(frozen=True)
class Sheet:
    """Samples in columns: rows (n,) of ROW and entries (m,) of ENTRY, ascending by `row`."""

    items: tuple[str, ...]
    views: tuple[str, ...]
    rows: NDArray[np.void]
    entries: NDArray[np.void]


def numbered(names: Iterable[str]) -> tuple[tuple[str, ...], Ints]:
    """Return the distinct names in order of first appearance, and the index of each name (n,)."""
    table: defaultdict[str, int] = defaultdict(count().__next__)
    indices = np.array(list(map(table.__getitem__, names)), dtype=np.int64)
    return tuple(table), indices


def pack(places: Ints) -> Ints:
    """Return answer indices (n, 3), -1 where missing, packed into one number each (n,)."""
    packed: Ints = (places + 1) @ _PLACES
    return packed


def unpack(codes: Ints) -> Ints:
    """Return the answer indices (n, 3) of packed numbers (n,)."""
    places: Ints = codes[:, None] // _PLACES % _BASE - 1
    return places


def join(sheets: Sequence[Sheet]) -> Sheet:
    """Return one sheet of several, items and views numbered by first appearance."""
    items: defaultdict[str, int] = defaultdict(count().__next__)
    views: defaultdict[str, int] = defaultdict(count().__next__)
    rows = np.concatenate([sheet.rows for sheet in sheets])
    entries = np.concatenate([sheet.entries for sheet in sheets])
    row = entry = 0
    for sheet in sheets:
        part = rows[row : row + len(sheet.rows)]
        part["item"] = np.array([items[name] for name in sheet.items])[part["item"]]
        part["view"] = np.array([views[name] for name in sheet.views])[part["view"]]
        entries["row"][entry : entry + len(sheet.entries)] += row
        row += len(sheet.rows)
        entry += len(sheet.entries)
    return Sheet(tuple(items), tuple(views), rows, entries)


def split(sheet: Sheet, bounds: Sequence[int]) -> Iterator[Sheet]:
    """Yield the items between each two bounds of a sheet whose rows ascend by item."""
    rows_at = np.searchsorted(sheet.rows["item"].copy(), bounds)
    entries_at = np.searchsorted(sheet.entries["row"].copy(), rows_at)
    for start, stop, first, last, begin, end in zip(
        bounds[:-1],
        bounds[1:],
        rows_at[:-1],
        rows_at[1:],
        entries_at[:-1],
        entries_at[1:],
        strict=True,
    ):
        rows = sheet.rows[first:last].copy()
        entries = sheet.entries[begin:end].copy()
        rows["item"] -= start
        entries["row"] -= first
        views = sheet.views
        if len(views) > 1:
            used, rows["view"] = np.unique(rows["view"], return_inverse=True)
            views = tuple(views[index] for index in used)
        yield Sheet(sheet.items[start:stop], views, rows, entries)


def reorder(sheet: Sheet, order: Ints) -> Sheet:
    """Return the sheet with its rows in the order `order` (n,)."""
    if (order[1:] > order[:-1]).all():
        return sheet
    counts = np.bincount(sheet.entries["row"], minlength=len(sheet.rows))
    starts = np.cumsum(counts) - counts
    moved = counts[order]
    skipped = np.cumsum(moved) - moved
    source = np.repeat(starts[order] - skipped, moved) + np.arange(len(sheet.entries))
    entries = np.take(sheet.entries, source)
    entries["row"] = np.repeat(np.arange(len(order)), moved)
    return Sheet(sheet.items, sheet.views, np.take(sheet.rows, order), entries)


def structure(dtype: np.dtype[np.void], count: int, columns: dict[str, Any]) -> NDArray[np.void]:
    """Return rows (count,) of a structured type; each column is an array, or one value for all rows."""
    rows: NDArray[Any] = np.empty(count, dtype=dtype)
    for name, column in columns.items():
        rows[name] = column
    return rows
