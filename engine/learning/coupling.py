"""Whether answers fit the base better than the truth does: the root told from what else one answer says.

A model that was told what goes with what can write its answer to fit. The base multiplies the same rules in
again, so that such an answer is taken for evidence twice. Halo is what the observation model has for it (a
label that the other answers follow, with a probability that a fit learns); these statistics say whether that
is enough: those of the answers against those of observers as they were fitted, see `posterior_predictive`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from engine.inference.known_values import root_bits
from engine.model.gold import Gold

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.backend.types import Bools, Floats, Ints
    from engine.inference.posterior import Inference
    from engine.model.knowledge import Observer
    from engine.model.responses import Answers

# Readings of a question that are looked at, the first ones; each takes an inference in every replicate.
MOST_READINGS = 200
EXCESS, COUPLING = "coupling excess, bits", "coupling, bits"


def coupling_statistics(
    inference: Inference, observer: Observer, answers: Answers, gold: Gold, by_observer: Bools
) -> Iterator[tuple[str, str, Floats]]:
    """Yield for each question about the root and others: kind, its name, and bits of the readings, (n,).

    Bits are log2 P(root | others) / P(root), of the first answer of each reading; where gold has both, less
    those of gold about the same variables (`EXCESS`), else as they are (`COUPLING`).
    """
    base = inference.knowledge
    if base.root not in observer.labels:
        return
    for number, (name, question) in enumerate(base.questions.items()):
        units = [v for v in base.cells if v in question.variables and v in answers.labels]
        asked = np.flatnonzero(by_observer & (answers.reading_question == number))[:MOST_READINGS]
        about_both = base.root in question.variables and base.root in answers.labels and len(units) > 1
        if not about_both or not asked.size:
            continue
        answered = {v: _first_answers(answers, v, asked) for v in units}
        answered[base.root] = _root_states(inference, observer, _first_answers(answers, base.root, asked))
        truth = {v: _gold_of(gold, v, answers.reading_item[asked]) for v in answered}
        # A variable counts where both know it.
        shared = {v: np.where(np.isnan(truth[v]), np.nan, answered[v]) for v in units}
        known = {v: np.where(np.isnan(answered[v]), np.nan, truth[v]) for v in units}
        root = {base.root: answered[base.root]}
        excess = root_bits(inference, Gold(shared | root), units)
        excess = excess - root_bits(inference, Gold(known | {base.root: truth[base.root]}), units)
        if not np.isnan(excess).all():
            yield EXCESS, name, excess[~np.isnan(excess)]
        else:
            bits = root_bits(inference, Gold(answered), units)
            yield COUPLING, name, bits[~np.isnan(bits)]


def _first_answers(answers: Answers, name: str, readings: Ints) -> Floats:
    """Return the first plain answer about a variable in each of these readings, (n,), NaN without one."""
    column = answers.labels[name]
    plain = np.flatnonzero(~column.spread)
    first, row = np.unique(column.reading[plain], return_index=True)
    by_reading = np.full(len(answers.reading_item), np.nan)
    by_reading[first] = column.answer[plain][row]
    return np.asarray(by_reading[readings])


def _root_states(inference: Inference, observer: Observer, answered: Floats) -> Floats:
    """Return the root states that answers (n,) name, NaN where they name none."""
    states = inference.knowledge.variables[inference.knowledge.root].states
    names = observer.labels[inference.knowledge.root].answers
    state_of = np.array([states.index(a) if a in states else np.nan for a in names])
    known = ~np.isnan(answered)
    named = np.full(len(answered), np.nan)
    named[known] = state_of[answered[known].astype(np.int64)]
    return named


def _gold_of(gold: Gold, name: str, items: Ints) -> Floats:
    """Return the gold of a variable of items (n,), NaN where it is unknown."""
    return np.asarray(gold.values[name][items]) if name in gold.values else np.full(len(items), np.nan)
