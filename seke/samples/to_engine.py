"""A sheet of whole items -> the engine's columns."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from engine import AnswerError, Answers, Labels, Numbers, Rankings
from seke.samples.columns import (
    CODE,
    HIDDEN,
    LABEL,
    LIST,
    NUMBER,
    PRESENT,
    RANKING,
    SPREAD,
    TOLD,
    Sheet,
    reorder,
    unpack,
)
from seke.samples.copied import without_copies
from seke.samples.vocabulary import STATUSES, UNNUMBERED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from engine import Bools, Floats, Given, Ints
    from seke.samples.vocabulary import Vocabulary

    Labelled = tuple[Ints, Ints, Floats, Bools]


def arrange(sheet: Sheet, vocabulary: Vocabulary, prefixes: Sequence[str]) -> Sheet:
    """Return the sheet ordered by item, reading and draw; a draw that is given twice is an error.

    Samples of a reading none of which states its draw are numbered as they stand.

    Views are ordered by name, so that the columns do not depend on the order of the samples
    (but for the items'). Samples of copies become those of their originals (`without_copies`).
    """
    sheet = _with_views_by_name(sheet)
    rows = sheet.rows
    reading = _reading_key(sheet, vocabulary)
    if (rows["draw"] == UNNUMBERED).any():
        rows = _with_draws_numbered(sheet, reading, vocabulary, prefixes)
        sheet = replace(sheet, rows=rows)
    order = np.lexsort((rows["draw"], reading))
    reading, draw = reading[order], rows["draw"][order]
    twice = np.flatnonzero((reading[1:] == reading[:-1]) & (draw[1:] == draw[:-1])) + 1
    if len(twice):
        later = rows[order[twice]]
        at = twice[np.lexsort((later["line"], later["file"]))[0]]
        _refuse_twice(sheet, vocabulary, prefixes, rows[order[at]], rows[order[at - 1]])
    return without_copies(reorder(sheet, order), vocabulary)


def _with_draws_numbered(
    sheet: Sheet, reading: Ints, vocabulary: Vocabulary, prefixes: Sequence[str]
) -> NDArray[np.void]:
    """Return the rows with the draws of samples that state none; reading: (n,) equal within a reading.

    Raises:
        engine.AnswerError: a reading of which some samples state their draw and others do not.
    """
    rows = sheet.rows.copy()
    lacking = rows["draw"] == UNNUMBERED
    order = np.argsort(reading, kind="stable")
    starts = np.flatnonzero(np.diff(reading[order], prepend=-1))
    counts = np.diff(starts, append=len(order))
    without = np.add.reduceat(lacking[order].astype(np.int64), starts)
    mixed = np.flatnonzero((without > 0) & (without < counts))
    if len(mixed):
        of_reading = order[starts[mixed[0]] :][: counts[mixed[0]]]
        first = rows[of_reading[lacking[of_reading]][0]]
        other = rows[of_reading[~lacking[of_reading]][0]]
        raise AnswerError(
            f"{_place(prefixes, first)}: draw: missing, but another sample of "
            f"{_key_text(sheet, vocabulary, first)} has one ({_place(prefixes, other)}); give all of them a "
            "draw, or none"
        )
    number = np.empty(len(order), dtype=np.int64)
    number[order] = np.arange(len(order)) - np.repeat(starts, counts)
    rows["draw"][lacking] = number[lacking]
    return rows


def _with_views_by_name(sheet: Sheet) -> Sheet:
    if len(sheet.views) == 1:
        return sheet
    views = tuple(sorted(sheet.views))
    ranks = {view: rank for rank, view in enumerate(views)}
    rows = sheet.rows.copy()
    rows["view"] = np.array([ranks[view] for view in sheet.views])[rows["view"]]
    return Sheet(sheet.items, views, rows, sheet.entries)


def _reading_key(sheet: Sheet, vocabulary: Vocabulary) -> Ints:
    """Return one number per row (n,), ascending by item, observer, question and view; equal in a reading."""
    rows = sheet.rows
    key: Ints = rows["item"].astype(np.int64)
    for counted, column in (
        (vocabulary.observers, "observer"),
        (vocabulary.questions, "question"),
        (sheet.views, "view"),
    ):
        key = key * len(counted) + rows[column]
    return key


def _refuse_twice(
    sheet: Sheet,
    vocabulary: Vocabulary,
    prefixes: Sequence[str],
    later: np.void,
    earlier: np.void,
) -> None:
    raise AnswerError(
        f"{_place(prefixes, later)}: draw: {later['draw']} of {_key_text(sheet, vocabulary, later)}"
        f" was given already at {_place(prefixes, earlier)}"
    )


def _key_text(sheet: Sheet, vocabulary: Vocabulary, row: np.void) -> str:
    """Return what a sample's reading is, in words."""
    observer = tuple(vocabulary.observers)[row["observer"]]
    question = tuple(vocabulary.questions)[row["question"]]
    key = f"item {sheet.items[row['item']]!r}, observer {observer!r}, question {question!r}"
    return f"{key}, view {sheet.views[row['view']]!r}"


def _place(prefixes: Sequence[str], row: np.void) -> str:
    return f"{prefixes[row['file']]}{row['line']}"


def answers_of(sheet: Sheet, vocabulary: Vocabulary) -> Answers:
    """Return the engine's columns of an arranged sheet."""
    rows, entries = sheet.rows, sheet.entries
    count, item = len(sheet.items), rows["item"]
    ok = rows["status"] == STATUSES.index("ok")
    given, givens = _stated(sheet, vocabulary)
    key = _reading_key(sheet, vocabulary)[ok]
    # A blind answer and one that was told something are two readings.
    _, starts, which = np.unique(
        key * (len(givens) + 1) + given[ok] + 1, return_index=True, return_inverse=True
    )
    reading = np.full(len(rows), -1, dtype=np.int64)
    reading[ok] = which
    first = rows[ok][starts]
    labels, closed_hidden = _closed_world(sheet, vocabulary, reading)
    numbers: dict[str, Numbers] = {}
    rankings: dict[str, Rankings] = {}
    for index, variable_entries in _by_variable(entries):
        name = vocabulary.names[index]
        at = reading[variable_entries["row"]]
        if vocabulary.kinds[index] == "interval":
            numbers[name] = Numbers(at, variable_entries["value"].copy())
            continue
        labels.setdefault(name, []).append(_label_columns(variable_entries, at))
        ranked = variable_entries["form"] == RANKING
        if ranked.any():
            rankings[name] = Rankings(at[ranked], unpack(variable_entries["code"][ranked]))
    hidden_rows = entries["row"][entries["form"] == HIDDEN]
    hidden = np.bincount(item[hidden_rows], minlength=count)
    hidden += np.bincount(item[closed_hidden], minlength=count)
    judges_nothing = rows["status"] == STATUSES.index("not_judged")
    askable = vocabulary.askable[rows["observer"]]
    return Answers(
        items=sheet.items,
        views=sheet.views,
        reading_item=first["item"].astype(np.int64),
        reading_observer=first["observer"].astype(np.int64),
        reading_question=first["question"].astype(np.int64),
        reading_view=first["view"].astype(np.int64),
        labels={name: _stack(labels[name]) for name in vocabulary.names if name in labels},
        numbers=numbers,
        rankings=rankings,
        samples=np.bincount(item, minlength=count),
        refused=_count_by_item(item, rows["status"] == STATUSES.index("refused"), count),
        unreadable=_count_by_item(item, rows["status"] == STATUSES.index("unreadable"), count),
        not_judged=_count_by_item(item, judges_nothing, count),
        hidden=hidden,
        asked=_count_by_item(item, askable, count),
        asked_in_vain=_count_by_item(item, askable & judges_nothing, count),
        reading_given=given[ok][starts],
        givens=givens,
    )


def _stated(sheet: Sheet, vocabulary: Vocabulary) -> tuple[Ints, tuple[Given, ...]]:
    """Return for each row what its prompt stated, an index or -1 for nothing, (n,), and all of that once."""
    given = np.full(len(sheet.rows), -1, dtype=np.int64)
    stated = np.sort(sheet.entries[sheet.entries["form"] == TOLD], order=["row", "variable"])
    by_row: dict[int, list[tuple[str, float]]] = {}
    for row, variable, value in zip(
        *(stated[key].tolist() for key in ("row", "variable", "value")), strict=True
    ):
        by_row.setdefault(row, []).append((vocabulary.names[variable], value))
    indices: dict[Given, int] = {}
    for row, values in by_row.items():
        given[row] = indices.setdefault(tuple(values), len(indices))
    return given, tuple(indices)


def _count_by_item(item: Ints, chosen: Bools, count: int) -> Ints:
    return np.bincount(item[chosen], minlength=count)


def _by_variable(entries: NDArray[np.void]) -> list[tuple[int, NDArray[np.void]]]:
    """Return (variable, its entries) of the entries that are evidence by themselves."""
    chosen = np.flatnonzero(np.isin(entries["form"], (LABEL, SPREAD, NUMBER, RANKING)))
    by_variable = np.argsort(entries["variable"][chosen], kind="stable")
    sorted_entries = np.take(entries, chosen[by_variable])
    if not len(sorted_entries):
        return []
    variables, starts = np.unique(sorted_entries["variable"], return_index=True)
    return [
        (int(variable), part)
        for variable, part in zip(variables, np.split(sorted_entries, starts[1:]), strict=True)
    ]


def _label_columns(entries: NDArray[np.void], reading: Ints) -> Labelled:
    ranked, spread = entries["form"] == RANKING, entries["form"] == SPREAD
    answer = entries["code"].copy()
    answer[ranked] = unpack(answer[ranked])[:, 0]
    return reading, answer, np.where(spread, entries["value"], 1.0), spread


def _stack(parts: list[Labelled]) -> Labels:
    return Labels(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def _closed_world(
    sheet: Sheet, vocabulary: Vocabulary, reading: Ints
) -> tuple[dict[str, list[Labelled]], Ints]:
    """Return variable -> labels of what closed-world lists cover, and the row of each that a code hides."""
    rows, entries = sheet.rows, sheet.entries
    form, row = entries["form"], entries["row"]
    shape = (len(rows), len(vocabulary.names))
    covered, present, hidden = (np.zeros(shape, dtype=bool) for _ in range(3))
    for index, field in enumerate(vocabulary.fields):
        at = row[(form == LIST) & (entries["code"] == index)]
        asked = vocabulary.asked[rows["question"][at]] & vocabulary.equipped[rows["observer"][at]]
        covered[at] |= asked & vocabulary.member_mask(field)
    named = form == PRESENT
    present[row[named], entries["variable"][named]] = True
    for index, hides in enumerate(vocabulary.hides):
        hidden[row[(form == CODE) & (entries["code"] == index)]] |= hides
    hidden &= covered & ~present
    visible = covered & ~hidden
    labels: dict[str, list[Labelled]] = {}
    for column in np.flatnonzero(visible.any(axis=0)).tolist():
        seen = np.flatnonzero(visible[:, column])
        answer = present[seen, column].astype(np.int64)
        weight, plain = np.ones(len(seen)), np.zeros(len(seen), dtype=bool)
        labels[vocabulary.names[column]] = [(reading[seen], answer, weight, plain)]
    return labels, np.nonzero(hidden)[0]
