"""Views that repeat the usual one: what is asked in them is hardly more than asked once more.

A reading in a view with `repeats` ρ is the reading of the usual view with the probability ρ: its answers are
further draws of that, with what it brought out, its propensities, its switch and its label. Else it is a
reading of its own, as in any other view. It is so or not of each such reading by itself, so that an item with
n of them, of whose observer and question there is another one, has 2^n variants; their likelihoods are mixed
with the probabilities of the variants. ρ = 1 is the usual view under another name, ρ = 0 a view like others.
Two repeats of a view that was not shown itself are one reading with the probability ρ ρ', as they would be
beside it: readings that were not made change nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.errors import AnswerError
from engine.model.responses import COUNTS, Answers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.backend.types import Bools, Floats, Ints

# What readings have in common of which one may be another's once more.
KEY = ("reading_item", "reading_observer", "reading_question", "reading_given")
# The least probability whose log is taken.
LEAST = 1e-300


@dataclass(frozen=True)
class ReadingVariants:
    """The variants of N items, each with some of its readings taken as one.

    answers: about the V variants, those of an item together. item: (V,) of each, increasing. log_weight: (V,)
    its log-probability. member: (2, M) each variant's readings: the variant's reading, increasing, and one of
    those that it is made of.
    """

    items: int
    answers: Answers
    item: Ints
    log_weight: Floats
    member: Ints

    def originals(self, row: Ints, reading: Ints) -> tuple[Ints, Ints]:
        """Return rows and readings (P,) of variants with the readings that these are made of, (P',) each."""
        first = np.searchsorted(self.member[0], reading)
        count = np.searchsorted(self.member[0], reading, side="right") - first
        pair = np.repeat(np.arange(len(reading)), count)
        within = np.arange(len(pair)) - np.repeat(np.cumsum(count) - count, count)
        return row[pair], self.member[1, first[pair] + within]


def repeats_at_stake(answers: Answers, repeats: Mapping[str, float], usual: str) -> Ints:
    """Return the readings that may be one with another one of the same observer, question and item, (n,).

    repeats: view -> ρ, of views that repeat the usual one.
    """
    share = np.array([repeats.get(view, 0.0) for view in answers.views])[answers.reading_view]
    near = (share > 0) | np.array([view == usual for view in answers.views], bool)[answers.reading_view]
    key = np.stack([getattr(answers, name) for name in KEY])
    _, which, count = np.unique(key[:, near], axis=1, return_inverse=True, return_counts=True)
    several = np.zeros(len(share), dtype=bool)
    several[near] = count[which.reshape(-1)] > 1
    return np.flatnonzero(several & (share > 0))


def check_number_of_variants(answers: Answers, free: Ints, switched: Bools, most: int) -> None:
    """Check that no item has more readings that double its variants and rows than can be weighed.

    free: (n,) the readings of `repeats_at_stake`. switched: (R,) those under halo.

    Raises:
        AnswerError: an item with more than `most` of them, some of them free.
    """
    count = np.bincount(answers.reading_item[free], minlength=len(answers.items))
    several = count > 0
    count += np.bincount(answers.reading_item[switched], minlength=len(count)) * several
    if count.max() > most:
        worst = int(count.argmax())
        raise AnswerError(
            f"item {answers.items[worst]!r} has {count[worst]} readings under halo or in views that repeat "
            f"the usual one; at most {most} can be computed exactly. Leave some views out, or take `repeats` "
            "from them"
        )


def variants_of(answers: Answers, repeats: Mapping[str, float], usual: str, free: Ints) -> ReadingVariants:
    """Return the variants of items; free: (n,) the readings of `repeats_at_stake`."""
    items, readings = len(answers.items), len(answers.reading_item)
    share = np.array([repeats.get(view, 0.0) for view in answers.views])[answers.reading_view]
    number = np.bincount(answers.reading_item[free], minlength=items)
    times = 2**number
    bit = np.full(readings, -1)
    order = free[np.argsort(answers.reading_item[free], kind="stable")]
    bit[order] = np.arange(len(order)) - np.repeat(np.cumsum(number) - number, number)
    copied, original, copy = _repeat_items(answers, times)
    place = bit[original]
    joins = (place >= 0) & ((copy >> np.maximum(place, 0)) & 1 == 1)
    rho = share[original]
    log_share = np.log(np.maximum(np.where(joins, rho, 1 - rho), LEAST))
    item: Ints = np.repeat(np.arange(items), times)
    log_shares = np.where(place >= 0, log_share, 0.0)
    log_weight: Floats = np.bincount(copied.reading_item, log_shares, len(item)).astype(np.float64)
    views = answers.views if usual in answers.views else (*answers.views, usual)
    view = np.where(joins, views.index(usual), copied.reading_view)
    renamed = replace(copied, views=views, reading_view=view)
    every = np.arange(len(item))
    _, place_of = renamed.gathering(every)
    by_reading = np.argsort(place_of, kind="stable")
    member = np.stack([place_of[by_reading], original[by_reading]])
    return ReadingVariants(items, renamed.gathered(copied.items, every), item, log_weight, member)


def _repeat_items(answers: Answers, times: Ints) -> tuple[Answers, Ints, Ints]:
    """Return each item so many times (N,) in a row, and of each reading the original and the copy, (R',)."""
    first = np.cumsum(times) - times
    copies = times[answers.reading_item]
    starts = np.cumsum(copies) - copies

    def repeated(count: Ints) -> tuple[Ints, Ints]:
        row: Ints = np.repeat(np.arange(len(count)), count)
        return row, np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)

    def copy_column(column: Any) -> Any:
        row, copy = repeated(copies[column.reading])
        values = {f.name: getattr(column, f.name)[row] for f in fields(column) if f.name != "reading"}
        return replace(column, reading=starts[column.reading[row]] + copy, **values)

    original, copy = repeated(copies)
    names = np.repeat(np.arange(len(times)), times).tolist()
    counts: dict[str, Any] = {name: np.repeat(getattr(answers, name), times) for name in COUNTS}
    whole = replace(
        answers,
        items=tuple(answers.items[i] for i in names),
        reading_item=first[answers.reading_item[original]] + copy,
        reading_observer=answers.reading_observer[original],
        reading_question=answers.reading_question[original],
        reading_view=answers.reading_view[original],
        reading_given=answers.reading_given[original],
        labels={name: copy_column(column) for name, column in answers.labels.items()},
        numbers={name: copy_column(column) for name, column in answers.numbers.items()},
        rankings={name: copy_column(column) for name, column in answers.rankings.items()},
        **counts,
    )
    return whole, original, copy
