"""For how many answers a distribution counts, by gold.

Fractions of answers have no likelihood of their own: the fewer they are, the likelier all of them become. So
the weight w of an observer's distributions is no parameter of its likelihood but is chosen for how well they
foretell gold, each item by all others:

    log P(w) = log N(log w; log declared, sd²) + Σ_i log P(x_i | distribution i, w, other items),
    P(x | distribution i) in proportion to π[x] Σ_m C[x, m] L_w(m),

with the rows C around (1 - s) C0 + s I as the other items have them, averaged over the skill s
(`learning.skill`), L_w the likelihood of what was settled on, and π the share of each state in the gold.
What comes of it is the mean of log w. (Foretold one after another, by the items before it alone, the
weights were too small: the first items know little of C.)
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from engine.learning.skill import PRIOR, SKILLS
from engine.model.confusion import own_answers
from engine.model.gold import states_of
from engine.observation.kernels import LabelKernel

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.backend.types import Floats, Ints
    from engine.learning.answered_observers import AnsweredObservers

# Weights that are tried, as factors of the declared one: from an eighth to 32 times, half an octave apart.
FACTORS = 2.0 ** np.arange(-3, 5.5, 0.5)
# Gold items with a distribution from which a weight is learned: fewer hardly tell two weights apart.
LEAST_GOLD = 10
# Gold items that are foretold at most, evenly chosen: a second or two for seventeen units.
MOST_GOLD = 400


def graded_weight(
    answered: AnsweredObservers, index: int, counts: Mapping[str, Floats], declared: float, log_sd: float
) -> float:
    """Return for how many answers an observer's distributions count, `declared` where gold does not tell.

    counts: the variables that share the weight, with the pseudo-counts of the rows of their tables, (K,).
    log_sd: the standard deviation of the prior of log w.
    """
    names = [name for name in counts if _graded_gold(answered, index, name) >= LEAST_GOLD]
    if not names:
        return declared
    weights = declared * FACTORS
    scores = np.array(
        [sum(_foretold(answered, index, name, counts[name], weight) for name in names) for weight in weights]
    )
    scores -= (np.log(FACTORS) / log_sd) ** 2 / 2
    share = np.exp(scores - scores.max())
    return float(declared * np.exp(share @ np.log(FACTORS) / share.sum()))


def _graded_gold(answered: AnsweredObservers, index: int, name: str) -> int:
    """Return how many items with gold have a distribution of this observer; 0 where it may follow labels."""
    labels, known = answered.answers.labels.get(name), answered.gold.values.get(name)
    if labels is None or known is None:
        return 0
    reading = labels.reading[labels.spread]
    reading = reading[answered.answers.reading_observer[reading] == index]
    if answered.observations.may_follow(answered.answers)[reading].any():
        return 0
    items = np.unique(answered.answers.reading_item[reading])
    return int((~np.isnan(known[items])).sum())


def _foretold(answered: AnsweredObservers, index: int, name: str, counts: Floats, weight: float) -> float:
    """Return log P(gold | distributions), nats, of the items with gold of a variable, at a weight."""
    kernel, variable = answered.observations.kernels[index, name], answered.base.variables[name]
    assert isinstance(kernel, LabelKernel)
    likelihood, state = _first_readings(answered, index, name, replace(kernel, weight=weight))
    rows = np.asarray(kernel.mix) @ np.eye(likelihood.shape[1])[kernel.answer_of]
    matches = own_answers(answered.observers[index].labels[name].answers, variable)
    able = matches + (1 - matches.sum(1, keepdims=True)) * rows
    around = (1 - SKILLS)[:, None, None] * rows + SKILLS[:, None, None] * able
    settled = counts[:, None] * around
    prior = np.bincount(state, minlength=len(rows)) + 1.0
    shares = []
    for item_likelihood, x in zip(likelihood, state, strict=True):
        joint = settled[:, x] * item_likelihood
        shares.append(joint / joint.sum(1, keepdims=True))
        settled[:, x] += shares[-1]
    scores = np.log(PRIOR)
    for item_likelihood, x, share in zip(likelihood, state, shares, strict=True):
        others = settled.copy()
        others[:, x] -= share
        chance = prior * (others * item_likelihood).sum(2) / others.sum(2)
        scores = scores + np.log(chance[:, x] / chance.sum(1))
    peak = float(scores.max())
    return peak + math.log(float(np.exp(scores - peak).sum()))


def _first_readings(
    answered: AnsweredObservers, index: int, name: str, kernel: LabelKernel
) -> tuple[Floats, Ints]:
    """Return each gold item's P(first reading | settled on y), scaled, (N, Y), and its state, (N,)."""
    reading, logs = answered.observations.reading_logs(answered.answers, index, name, kernel)
    item, first = np.unique(answered.answers.reading_item[reading], return_index=True)
    state = states_of(answered.base.variables[name], answered.gold.values[name])[item]
    known = np.flatnonzero(state >= 0)
    known = known[:: -(-len(known) // MOST_GOLD)]
    logs, state = logs[first[known]], state[known]
    size = int(kernel.alpha.shape[1])
    answers_of_types = np.eye(size)[kernel.answer_of] * np.asarray(kernel.share)[:, None]
    likelihood = np.exp(logs - logs.max(1, keepdims=True)) @ answers_of_types
    return np.maximum(likelihood, np.finfo(np.float64).tiny), state
