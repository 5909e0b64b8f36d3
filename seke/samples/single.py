"""Samples one by one, so that they can be given out one after another."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from engine import Answers
from seke.samples.columns import TOLD
from seke.samples.to_engine import answers_of, arrange

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from engine import Ints
    from seke.samples.columns import Sheet
    from seke.samples.vocabulary import Vocabulary

    ReadingKey = tuple[str, str, str, str | None, str]


@dataclass(frozen=True)
class SingleSamples:
    """S samples of N items, ordered by item, reading and draw.

    items: the N items' names, in order of first appearance. item: (S,) which item each is about. line: for
    each sample item, observer, question, what it is about (where the question is about one variable) and
    view: samples of one line are repeated answers. An answer to a question about one variable that says
    nothing of any, such as a refused one, is about None. answers: as if each sample were an item of its own.
    place: (S,) increases in the order in which the samples stood in their files.
    """

    items: tuple[str, ...]
    item: Ints
    line: tuple[ReadingKey, ...]
    answers: Answers
    place: Ints

    def about(self, items: Collection[str]) -> SingleSamples:
        """Return the samples about the items `items`."""
        kept = np.array([name in items for name in self.items], dtype=bool)
        chosen = kept[self.item]
        return SingleSamples(
            tuple(itertools.compress(self.items, kept)),
            (np.cumsum(kept) - 1)[self.item[chosen]],
            tuple(itertools.compress(self.line, chosen)),
            self.answers.only(chosen),
            self.place[chosen],
        )


def split_samples(sheet: Sheet | None, vocabulary: Vocabulary, prefixes: Sequence[str]) -> SingleSamples:
    """Return the samples of a sheet of whole items one by one; a draw that is given twice is an error."""
    if sheet is None:
        none = np.zeros(0, dtype=np.int64)
        return SingleSamples((), none, (), Answers.unasked(()), none)
    sheet = arrange(sheet, vocabulary, prefixes)
    rows, entries = sheet.rows, sheet.entries
    about: list[str | None] = [None] * len(rows)
    reported = entries[entries["form"] != TOLD]
    for row, variable in zip(reported["row"].tolist(), reported["variable"].tolist(), strict=True):
        if variable >= 0 and vocabulary.about_one[rows["question"][row]]:
            about[row] = vocabulary.names[variable]
    observers, questions = tuple(vocabulary.observers), tuple(vocabulary.questions)
    keys = zip(*(rows[key].tolist() for key in ("item", "observer", "question", "view")), about, strict=True)
    line = tuple(
        (sheet.items[item], observers[observer], questions[question], about_name, sheet.views[view])
        for item, observer, question, view, about_name in keys
    )
    apart = rows.copy()
    apart["item"] = np.arange(len(rows))
    names = tuple(str(number) for number in range(len(rows)))
    answers = answers_of(replace(sheet, items=names, rows=apart), vocabulary)
    place = np.empty(len(rows), dtype=np.int64)
    place[np.lexsort((rows["line"], rows["file"]))] = np.arange(len(rows))
    return SingleSamples(sheet.items, rows["item"].astype(np.int64), line, answers, place)
