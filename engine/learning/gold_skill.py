"""The skill of observers by their gold: the tables around which theirs are to be learned."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from engine.learning.kernels_at import settled_table
from engine.learning.skill import SkillEvidence, cautious_skill
from engine.model.confusion import own_answers
from engine.model.gold import states_of
from engine.observation.kernels import LEAST, LabelKernel, settled_kernel

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.backend.types import Floats, Ints
    from engine.learning.answered_observers import AnsweredObservers
    from engine.model.knowledge import LabelInstrument
    from engine.model.variable import Variable


def rows_at_skill(
    answered: AnsweredObservers, index: int, instrument: LabelInstrument, rows: Floats, counts: Floats
) -> tuple[float, Floats]:
    """Return an observer's skill w, and (1 - w) C0 + w I (K, Y), around which its own rows are learned.

    rows: C0 (K, Y); counts: (K,) pseudo-counts of each row.
    """
    variable, (kind,) = answered.base.variables[instrument.variable], instrument.types
    matches = own_answers(instrument.answers, variable)
    able = matches + (1 - matches.sum(1, keepdims=True)) * rows
    repeat, strength = np.float64(kind.repeat), np.float64(kind.strength)
    kernel = settled_kernel(rows, variable, instrument, repeat, strength, None)
    reading, logs = answered.observations.reading_logs(answered.answers, index, variable.name, kernel)
    gold = _of_gold(answered, variable, reading, logs)
    skill = cautious_skill([SkillEvidence(rows, able, counts, *gold)])
    return skill, (1 - skill) * rows + skill * able


def table_at_skill(
    answered: AnsweredObservers, index: int, instrument: LabelInstrument, table: Floats, counts: Floats
) -> tuple[float, Floats]:
    """Return the skill w of an observer with several kinds of reading, and its one-answer table at w, (K, Y).

    One skill moves what all kinds settle on: C_w = (1 - w) C0 + w I, so that T_w = (1 - w) T + w R, R of
    all kinds together. P(answers | settled on y) is Σ_t π_t L_t(y), π the kinds' shares.
    table: T (K, Y); counts: (K,) pseudo-counts of each row.
    """
    variable = answered.base.variables[instrument.variable]
    kernel = answered.observations.kernels[index, variable.name]
    assert isinstance(kernel, LabelKernel)
    share = np.asarray(kernel.share)[:, None]
    answers_of_types = np.eye(len(instrument.answers))[kernel.answer_of]
    rows = settled_table(np.asarray(kernel.mix) @ answers_of_types)
    matches = own_answers(instrument.answers, variable)
    unnamed = 1 - matches.sum(1, keepdims=True)
    reading, logs = answered.observations.reading_logs(answered.answers, index, variable.name, kernel)
    peak = logs.max(1, keepdims=True)
    logs = np.log(np.maximum(np.exp(logs - peak) @ (answers_of_types * share), LEAST)) + peak
    gold = _of_gold(answered, variable, reading, logs)
    skill = cautious_skill([SkillEvidence(rows, matches + unnamed * rows, counts, *gold)])
    drawn = np.asarray(kernel.alpha / kernel.alpha.sum(1, keepdims=True))
    scatter_of_all = answers_of_types.T @ (share * drawn)
    return skill, (1 - skill) * table + skill * (matches @ scatter_of_all + unnamed * table)


def rate_skill(answered: AnsweredObservers, index: int, counts: Iterable[tuple[str, Floats]]) -> float:
    """Return the one skill w behind an observer's specificities and sensitivities.

    counts: the binary variables with gold, with the pseudo-counts (2,) of their rates.
    """
    return cautious_skill([_rate_evidence(answered, index, name, count) for name, count in counts])


def _rate_evidence(answered: AnsweredObservers, index: int, name: str, counts: Floats) -> SkillEvidence:
    """Return the evidence of gold about an observer's skill in a binary variable.

    Where an answer may have followed its label instead, P(answers | settled on m) is
    (1 - h) L(m) + h Σ_r q(r) L(r), h the halo and q what the labels imply on average.
    """
    observations, answers = answered.observations, answered.answers
    kernel = observations.kernels[index, name]
    assert isinstance(kernel, LabelKernel)
    answers_of_types = np.eye(2)[kernel.answer_of]
    reading, logs = observations.reading_logs(answers, index, name, kernel)
    scaled = np.exp(logs - logs.max(1, keepdims=True))
    likelihood = scaled @ (answers_of_types * np.asarray(kernel.share)[:, None])
    switched = observations.switched(answers)[reading]
    if switched.any():
        halo = observations.halo[index, answers.reading_question[reading]] * switched
        implied = np.asarray(observations.imagined[index, name][-1]) @ answers_of_types
        likelihood = (1 - halo)[:, None] * likelihood + (halo * (likelihood @ implied))[:, None]
    gold = _of_gold(answered, answered.base.variables[name], reading, np.log(likelihood))
    return SkillEvidence(np.asarray(kernel.mix) @ answers_of_types, np.eye(2), counts, *gold)


def _of_gold(
    answered: AnsweredObservers, variable: Variable, reading: Ints, logs: Floats
) -> tuple[Ints, Floats]:
    """Return the states of the items with gold that readings are of, (N,), and the items' sums of `logs`.

    reading: (r,) with their logs (r, Y).
    """
    state = states_of(variable, answered.gold.values[variable.name])
    item = answered.answers.reading_item[reading]
    known, place = np.unique(item[state[item] >= 0], return_inverse=True)
    total = np.zeros((len(known), logs.shape[1]))
    np.add.at(total, place, logs[state[item] >= 0])
    return state[known], total
