"""Gold that is evidence, too: a data set's label of the same variable of the same item.

Where the gold of an item is its data set's label, and this label entered among the item's answers, the
posterior repeats the gold: a score, a fit or a certificate on it compares the label with itself. So these
labels are counted and, by default, left out. A label of another variable of the item stays, as does any
answer of an observer that looks.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.decision.origin import labels_of, looking, reports_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.backend.types import Bools, Floats
    from engine.model.gold import Gold
    from engine.model.knowledge import Knowledge
    from engine.model.responses import Answers

# The largest difference of a number from gold that equals it: numbers are written with few decimals.
ROUNDING = 1e-6


def labelled_by_sets(base: Knowledge, answers: Answers) -> dict[str, Bools]:
    """Return the variables that labels of data sets report, each with the items (N,) where they do."""
    labels = ~looking(base, answers)
    reported: dict[str, Bools] = {}
    for name in (*answers.labels, *answers.numbers):
        readings = reports_of(answers, name) & labels
        if readings.any():
            reported[name] = np.zeros(len(answers.items), dtype=bool)
            reported[name][answers.reading_item[readings]] = True
    return reported


@dataclass(frozen=True)
class GoldEvidence:
    """The labels of data sets about values that gold tells, too.

    entered: variable -> (N,) whether the item has gold of it, and a label of it among its answers; only
    variables where some item has both. equal: variable -> items whose label is the gold. observers: the names
    of those that stand for these labels.
    """

    entered: Mapping[str, Bools]
    equal: Mapping[str, int]
    observers: tuple[str, ...]

    @classmethod
    def of(cls, base: Knowledge, answers: Answers, gold: Gold) -> GoldEvidence:
        """Compare the labels among the answers about N items with the gold of these, (N,) each."""
        entered = {
            name: items & ~np.isnan(gold.values[name])
            for name, items in labelled_by_sets(base, answers).items()
            if name in gold.values
        }
        entered = {name: items for name, items in entered.items() if items.any()}
        labels = labels_of(base, answers)
        equal = {
            name: int((np.abs(labels[name][items] - gold.values[name][items]) <= ROUNDING).sum())
            if name in labels
            else 0
            for name, items in entered.items()
        }
        asked = np.unique(answers.reading_observer[~looking(base, answers)])
        names = list(base.observers)
        return cls(entered, equal, tuple(names[index] for index in asked.tolist()) if entered else ())

    @property
    def counts(self) -> dict[str, int]:
        """Return the number of items with such a label, by variable."""
        return {name: int(items.sum()) for name, items in self.entered.items()}

    def without(self, base: Knowledge, answers: Answers) -> Answers:
        """Return the answers about the N items without these labels.

        A label's reading that then reports nothing is dropped, and its draws are not counted any more;
        `hollow` tells items that have no reading left.
        """
        if not self.entered:
            return answers
        labels = ~looking(base, answers)
        # (R,) each: which readings' answers about the variable are left out.
        hidden = {name: labels & items[answers.reading_item] for name, items in self.entered.items()}
        kept = replace(
            answers,
            labels=_without_rows(answers.labels, hidden),
            numbers=_without_rows(answers.numbers, hidden),
            rankings=_without_rows(answers.rankings, hidden),
        )
        silent = _reporting(answers) & ~_reporting(kept)
        of_item = answers.reading_item[silent]
        dropped = np.bincount(of_item, weights=_draws(answers)[silent], minlength=len(answers.items))
        samples = answers.samples - np.round(dropped).astype(np.int64)
        return replace(kept.keeping(~silent), samples=samples)

    def hollow(self, base: Knowledge, answers: Answers) -> Bools:
        """Return which of the N items have no reading but these labels, (N,)."""
        count = len(answers.items)
        before = np.bincount(answers.reading_item, minlength=count)
        after = np.bincount(self.without(base, answers).reading_item, minlength=count)
        return np.asarray((before > 0) & (after == 0))


def _reporting(answers: Answers) -> Bools:
    """Return which readings report any variable, (R,)."""
    reporting = np.zeros(len(answers.reading_item), dtype=bool)
    for name in (*answers.labels, *answers.numbers):
        reporting |= reports_of(answers, name)
    return reporting


def _draws(answers: Answers) -> Floats:
    """Return how many draws each reading has, (R,); a variable may be missing from some of them."""
    draws = np.zeros(len(answers.reading_item))
    for name in answers.labels:
        column = answers.labels[name]
        draws = np.maximum(draws, np.bincount(column.reading, weights=column.weight, minlength=len(draws)))
    for name in answers.numbers:
        draws = np.maximum(draws, np.bincount(answers.numbers[name].reading, minlength=len(draws)))
    return draws


def _without_rows(columns: Mapping[str, Any], hidden: Mapping[str, Bools]) -> dict[str, Any]:
    """Return the columns of variables without the rows of hidden readings; hidden: variable -> (R,)."""
    kept_columns = {}
    for name, column in columns.items():
        kept_columns[name] = column
        if name in hidden:
            kept = ~hidden[name][column.reading]
            values = {field.name: getattr(column, field.name)[kept] for field in fields(column)}
            kept_columns[name] = type(column)(**values)
    return kept_columns
