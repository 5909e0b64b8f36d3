"""One binary variable that an observer is asked about in several ways, each with rates of its own.

Whoever sees a sign more readily says yes more often to every question, but to each from a point of its own:
to a leading one at the slightest sign, to an open list only at a plain one. So with c_q(x) = P(brought out
in question q | truth x), from the one-answer table of q and the scatter of its draws (`kernels.scatter`),
what the observer settles on is in which questions the sign is brought out, a set S of them, all by one u,

    P(S | x) = max(0, min_{q in S} c_q(x) - max_{q not in S} c_q(x)),      u uniform, q in S where u < c_q(x),

the coupling under which two questions agree as often as their rates allow (Fréchet's upper bound); each has
its own table alone, and where all tables are equal S is all or none, one settled answer for all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from engine.backend.arrays import asarray_like, namespace
from engine.observation.kernels import LabelKernel, scatter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.backend.types import Array, Ints


def kernel_by_question(
    tables: Sequence[Array],
    questions: Sequence[int],
    repeat: Array,
    strength: Array,
    weight: float,
    least: Sequence[Array | None],
) -> LabelKernel:
    """Return the kernel of an observer's answers about a binary variable.

    tables: P(one answer | truth), (2, 2), of questions without a table of their own, then of each of
    `questions`, by index. repeat, strength: (1,) of all. least: (2,) at most the minima of the columns of
    each table, None for these minima.
    """
    like, matches = tables[0], np.eye(2)
    xp, one_kind = namespace(like), asarray_like(np.ones(1), like)
    parts = [
        scatter(table, matches, one_kind, one_kind, repeat, strength, column_least)
        for table, column_least in zip(tables, least, strict=True)
    ]
    brought = xp.stack([mix[:, 1] for mix, _ in parts], 1)
    sets = question_sets(len(tables))
    columns = []
    for inside in sets.astype(bool):
        lowest = xp.amin(brought[:, inside], 1) if inside.any() else xp.ones_like(brought[:, 0])
        highest = xp.amax(brought[:, ~inside], 1) if not inside.all() else xp.zeros_like(brought[:, 0])
        columns.append(xp.clip(lowest - highest, 0, None))
    alphas = [alpha[sets[:, place]] for place, (_, alpha) in enumerate(parts)]
    # Where an answer follows its label, what the label implies is brought out whatever the question.
    alike = asarray_like((sets == sets[:, :1]).all(1).astype(np.float64), like)
    return LabelKernel(
        xp.stack(columns, 1),
        alphas[0],
        sets[:, 0],
        alike,
        weight,
        None,
        tuple(zip(questions, alphas[1:], strict=True)),
    )


def question_sets(count: int) -> Ints:
    """Return all sets of so many questions, one a row, (rows, count), 1 where a question is in the set."""
    return (np.arange(2**count)[:, None] >> np.arange(count)) & 1
