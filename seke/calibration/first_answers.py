"""Samples and gold -> the first and second answer of each reading about each item, with its truth."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import Knowledge, SekeError, states_of
from seke.samples import single_samples

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine import Bools, Ints, Variable
    from seke.tables.label_table import LabelTable

    Place = tuple[int, int, int]

# In place of the number of an answer, which is 0 or more.
NO_ANSWER = -1


@dataclass(frozen=True)
class FirstAnswers:
    """The answers about one variable of the N items that have gold and any answer.

    variable: what they are about. state: (N,) the truth. group: (N,) which group each item is of. first,
    second: reading (observer, question, view) -> (N,) its first and second answer, NO_ANSWER where there is
    none; the numbers of answers are those of the states, then of what else may be answered. draws: reading ->
    how many draws most of its items have that were asked again. views: names.
    usual_view: that of answers that name none.
    """

    variable: Variable
    state: Ints
    group: Ints
    first: Mapping[Place, Ints]
    second: Mapping[Place, Ints]
    draws: Mapping[Place, int]
    views: tuple[str, ...]
    usual_view: str

    @classmethod
    def of(cls, samples: list[Any], base: Knowledge, variable: Variable, table: LabelTable) -> FirstAnswers:
        """Read the samples; items without gold of this variable are left out."""
        singles = single_samples(samples, base)
        if not singles.items:
            raise SekeError("there are no samples")
        truth = _truth(table, singles.items, variable)
        answers, labels = singles.answers, singles.answers.labels.get(variable.name)
        if labels is None:
            raise SekeError(f"no sample says anything about {variable.name}")
        # Of a reported distribution the likeliest answer, of several as likely the first.
        # What was told a label does not show whether two err together.
        sample = np.where(answers.blind[labels.reading], answers.reading_item[labels.reading], -1)
        order = np.lexsort((labels.answer, -labels.weight, sample))
        order = order[sample[order] >= 0]
        _, starts = np.unique(sample[order], return_index=True)
        row = order[starts]
        reading, sample = labels.reading[row], sample[row]
        item = singles.item[sample]
        known = truth[item] >= 0
        reading, answer, item = reading[known], labels.answer[row][known], item[known]
        place = np.stack([answers.reading_observer, answers.reading_question, answers.reading_view])
        kept, rows = np.unique(item, return_inverse=True)
        codes = _codes(base, variable)
        columns: dict[str, dict[Place, Ints]] = {"first": {}, "second": {}}
        counts: dict[Place, int] = {}
        for observer, question, view in sorted(set(map(tuple, place[:, reading].T.tolist()))):
            key = (observer, question, view)
            chosen = (place[:, reading] == np.array(key)[:, None]).all(0)
            first, second, draws = _first_two_draws(rows[chosen], codes[key[0]][answer[chosen]], len(kept))
            columns["first"][key], columns["second"][key], counts[key] = first, second, draws
        groups = table.groups_of(singles.items[i] for i in kept.tolist())
        group = _group_numbers(groups)
        return cls(
            variable,
            truth[kept],
            group,
            **columns,
            draws=counts,
            views=answers.views,
            usual_view=base.usual_view,
        )

    def wrong(self, column: Ints) -> Bools:
        """Return whether each answer (N,) is wrong; one that is missing counts as such."""
        return np.asarray(column != self.state)

    def of_observer(self, observer: int) -> Ints:
        """Return an observer's answers (N,), each from the first reading of the item that has any."""
        order = sorted((p for p in self.first if p[0] == observer), key=self.rank)
        column = np.full(len(self.state), NO_ANSWER)
        for place in order:
            column = np.where(column == NO_ANSWER, self.first[place], column)
        return column

    def rank(self, place: Place) -> tuple[int, bool, int]:
        """Return a key that orders readings: by question, the usual view first."""
        return place[1], self.views[place[2]] != self.usual_view, place[2]


def _truth(table: LabelTable, items: Sequence[str], variable: Variable) -> Ints:
    """Return the state of each item, -1 where it is unknown.

    Raises:
        engine.SekeError: it is known of none.
    """
    values = table.gold.values.get(variable.name)
    if values is None:
        columns = ", ".join(table.gold.values)
        raise SekeError(f"{table.path}: has no column {variable.name}; there are {columns}")
    if np.isnan(values).all():
        raise SekeError(f"{table.path}: the column {variable.name} is empty")
    truth = states_of(variable, table.gold_of(items).values[variable.name])
    if (truth < 0).all():
        named = table.items[int(np.flatnonzero(~np.isnan(values))[0])]
        message = f"{table.path}: has no gold of {variable.name} for any of the items"
        raise SekeError(f"{message}; it names {named!r}, but the samples name {items[0]!r}")
    return truth


def _codes(base: Knowledge, variable: Variable) -> dict[int, Ints]:
    """Return for each observer the numbers of its answers (Y,), the same for all; the states come first."""
    instruments = {i: o.labels.get(variable.name) for i, o in enumerate(base.observers.values())}
    known = {index: labels.answers for index, labels in instruments.items() if labels is not None}
    words = list(dict.fromkeys(itertools.chain(variable.states, *known.values())))
    return {index: np.array([words.index(a) for a in answers]) for index, answers in known.items()}


def _first_two_draws(rows: Ints, codes: Ints, items: int) -> tuple[Ints, Ints, int]:
    """Return one reading's first and second answers of each item (items,), and how many draws most have.

    rows: (S,) the item of each of its answers, in order of draws. Items that were asked once do not count
    for the number of draws where others were asked again.
    """
    order = np.argsort(rows, kind="stable")
    rows, codes = rows[order], codes[order]
    starts = np.searchsorted(rows, rows)
    columns = np.full((2, items), NO_ANSWER)
    for number, column in enumerate(columns):
        chosen = np.arange(len(rows)) - starts == number
        column[rows[chosen]] = codes[chosen]
    counts = np.bincount(rows, minlength=items)
    repeated = counts[counts > 1] if (counts > 1).any() else counts[counts > 0]
    return columns[0], columns[1], Counter(repeated.tolist()).most_common(1)[0][0]


def _group_numbers(groups: Sequence[str | None]) -> Ints:
    """Return numbers (N,) from 0 without gaps; an item of no known group is a group of its own."""
    keys = [(index, "") if group is None else (-1, group) for index, group in enumerate(groups)]
    numbers: dict[tuple[int, str], int] = {}
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.int64)
