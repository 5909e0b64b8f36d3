"""Samples of copies of an observer: equal answers count once."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from seke.samples.columns import Sheet, reorder

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from engine import Bools, Ints
    from seke.samples.vocabulary import Vocabulary


# What of a row makes its reading, once the copy's name is its original's; `draw` tells its samples apart.
READING = ("item", "observer", "question", "view")


def without_copies(sheet: Sheet, vocabulary: Vocabulary) -> Sheet:
    """Return an arranged sheet in which the samples of copies count as their original's.

    Of one reading's equal samples as many are kept as one of its names gave most: what a second run says
    again is the same answer, what it says otherwise a further draw.
    """
    rows = sheet.rows
    observer = vocabulary.original[rows["observer"]]
    if (observer == rows["observer"]).all():
        return sheet
    renamed = rows.copy()
    renamed["observer"] = observer
    kept = np.ones(len(rows), dtype=bool)
    for group in _readings(renamed):
        names = rows["observer"][group]
        if (names != names[0]).any():
            kept[group] = _first_of_equals(sheet, group)
    # Of one reading, by draw; equal draws by the name that gave them, as they stand.
    keys = [renamed[key] for key in ("draw", "view", "question", "observer", "item")]
    order = np.lexsort(keys)
    whole = reorder(replace(sheet, rows=renamed), order)
    return _part(whole, kept[order])


def _readings(rows: NDArray[np.void]) -> list[Ints]:
    """Return the rows of each reading, in their order."""
    _, which = np.unique(
        np.stack([rows[key].astype(np.int64) for key in READING]), axis=1, return_inverse=True
    )
    order = np.argsort(which.reshape(-1), kind="stable")
    return np.split(order, np.flatnonzero(np.diff(which.reshape(-1)[order])) + 1)


def _first_of_equals(sheet: Sheet, group: Ints) -> Bools:
    """Return the samples of a reading to keep, (n,): of equal ones, the k-th of each name is one sample."""
    bounds = np.searchsorted(sheet.entries["row"], np.stack([group, group + 1]))
    times: Counter[tuple[int, bytes]] = Counter()
    known: set[tuple[bytes, int]] = set()
    kept = np.ones(len(group), dtype=bool)
    for place, (row, first, last) in enumerate(zip(group.tolist(), *bounds.tolist(), strict=True)):
        entries = np.sort(sheet.entries[first:last][["variable", "form", "code", "value"]])
        content = bytes([sheet.rows["status"][row]]) + b"".join(repr(tuple(e)).encode() for e in entries)
        number = times[int(sheet.rows["observer"][row]), content]
        times[int(sheet.rows["observer"][row]), content] += 1
        kept[place] = (content, number) not in known
        known.add((content, number))
    return kept


def _part(sheet: Sheet, kept: Bools) -> Sheet:
    """Return the sheet with some of its rows; every item keeps at least one."""
    entries = sheet.entries[kept[sheet.entries["row"]]].copy()
    entries["row"] = (np.cumsum(kept) - 1)[entries["row"]]
    return Sheet(sheet.items, sheet.views, sheet.rows[kept], entries)
