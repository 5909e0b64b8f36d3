"""What the look-ahead knows of items, and what it weighs about them: candidates for the next question."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from engine.decision.loss import unseen_and_final
from engine.decision.origin import reports_of
from engine.model.policy import shown_view

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.backend.types import Bools, Floats, Ints
    from engine.inference.posterior import Posterior
    from engine.model.knowledge import Knowledge
    from engine.model.policy import Question
    from engine.model.responses import Answers

# No contradiction names anything.
NOTHING_NAMED: Mapping[str, str] = MappingProxyType({})
# How much a variable's own variance counts beside what it says of the root: a judgement.
UNSURE_WEIGHT = 0.1
# Variables of an item for which a question about one variable is evaluated.
MOST_INFORMATIVE = 2


@dataclass(frozen=True)
class QuestionCandidate:
    """A question to an observer about n items: what it is about, whether in a view not shown yet, its gains.

    price: (batches,) of a request for each batch. gain, error: (n, batches), the expected fall of the loss
    and its standard error.
    """

    observer: int
    question: Question
    about: str | None
    fresh: bool
    price: Floats
    gain: Floats
    error: Floats


@dataclass(frozen=True)
class AskedItems:
    """The answers, marginals and budgets of n items.

    answers: about them alone. marginals: variable -> (n, states). followed: (R,) see `Posterior.followed`.
    unseen, final: variable -> (n,) see `unseen_and_final`. remaining: (n,) answers that the budget allows.
    named: for each item variable -> the contradiction that names it, in words.
    """

    answers: Answers
    marginals: Mapping[str, Floats]
    followed: Floats
    unseen: Mapping[str, Bools]
    final: Mapping[str, Bools]
    remaining: Ints
    named: tuple[Mapping[str, str], ...]

    @classmethod
    def of(
        cls,
        base: Knowledge,
        answers: Answers,
        posterior: Posterior,
        named: tuple[Mapping[str, str], ...],
    ) -> AskedItems:
        """Return the state of all items of some answers."""
        unseen, final = unseen_and_final(base, answers, posterior.followed)
        remaining = base.policy.budget - answers.asked
        named = named or (NOTHING_NAMED,) * len(answers.items)
        return cls(answers, posterior.marginals, posterior.followed, unseen, final, remaining, named)

    def part(self, rows: Ints) -> AskedItems:
        """Return the state of some of the items; their places increase."""
        chosen = np.zeros(len(self.answers.items), dtype=bool)
        chosen[rows] = True
        if chosen.all():
            return self
        marginals = {name: column[rows] for name, column in self.marginals.items()}
        unseen, final = (
            {name: column[rows] for name, column in columns.items()} for columns in (self.unseen, self.final)
        )
        followed = self.followed[chosen[self.answers.reading_item]]
        named = tuple(self.named[row] for row in rows.tolist())
        remaining = self.remaining[rows]
        return AskedItems(self.answers.only(chosen), marginals, followed, unseen, final, remaining, named)

    def are_named(self, names: Sequence[str]) -> Bools:
        """Return which of M variables the contradictions of an item name, (n, M)."""
        are_named = np.zeros((len(self.named), len(names)), dtype=bool)
        for row in (row for row, named in enumerate(self.named) if named):
            are_named[row] = [name in self.named[row] for name in names]
        return are_named

    @cached_property
    def readings(self) -> tuple[Ints, list[int]]:
        """The readings in the order of their items, (R,), and where those of each begin, and the last end."""
        counts = np.bincount(self.answers.reading_item, minlength=len(self.remaining))
        return np.argsort(self.answers.reading_item, kind="stable"), [0, *np.cumsum(counts).tolist()]

    def views(self, row: int, observer: int, question: int | None = None) -> list[str]:
        """Return the views in which an observer was asked about an item: one question, or any."""
        answers, (order, starts) = self.answers, self.readings
        readings = order[starts[row] : starts[row + 1]]
        chosen = answers.reading_observer[readings] == observer
        if question is not None:
            chosen &= answers.reading_question[readings] == question
        return [shown_view(answers.views[view]) for view in answers.reading_view[readings[chosen]].tolist()]

    def checks(self, candidates: Sequence[QuestionCandidate], questions: Sequence[str]) -> list[list[str]]:
        """Return for each item and candidate the contradiction that it would check, "" for none.

        A question checks what a contradiction names where it is about that alone and was not asked yet.
        questions: the names of all, in their order.
        """
        answers = self.answers
        checks = [[""] * len(candidates) for _ in self.named]
        named_rows = [row for row, named in enumerate(self.named) if named]
        for column, candidate in enumerate(candidates if named_rows else ()):
            if not candidate.about:
                continue
            asked = reports_of(answers, candidate.about) & (answers.reading_observer == candidate.observer)
            asked &= answers.reading_question == questions.index(candidate.question.name)
            items_asked = set(answers.reading_item[asked].tolist())
            for row in named_rows:
                if row not in items_asked:
                    checks[row][column] = self.named[row].get(candidate.about, "")
        return checks


def binary_informativeness(root: Floats, active: Floats) -> Floats:
    """Return how informative an answer about each binary variable may be, by item, (n, J).

    That is the expected sum of squares of P(root | variable), at least that of P(root), and UNSURE_WEIGHT
    times the variance of the variable itself. root: (n, K). active: (n, K, J) P(true | root).
    """
    joint = root[:, :, None] * active
    p = joint.sum(1)
    about_root = (joint**2).sum(1) / np.maximum(p, 1e-12)
    absent = root[:, :, None] - joint
    about_root += (absent**2).sum(1) / np.maximum(1 - p, 1e-12)
    return np.asarray(about_root + UNSURE_WEIGHT * p * (1 - p))


def most_informative(root: Floats, active: Floats, binary: Sequence[str], names: Sequence[str]) -> Bools:
    """Return which of M names are most informative, of those of binary variables, by item, (n, M).

    root, active: see `binary_informativeness`. binary: the names of the J variables.
    """
    informativeness = binary_informativeness(root, active)
    score = np.full((len(root), len(names)), -1.0)
    for column, name in enumerate(names):
        if name in binary:
            score[:, column] = informativeness[:, binary.index(name)]
    rank = (-score).argsort(axis=1, kind="stable").argsort(axis=1, kind="stable")
    return np.asarray((rank < MOST_INFORMATIVE) & (score >= 0))
