"""For how many answers a distribution counts: what gold says of it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from engine import Answers, Gold, Inference, Labels, compile_network, fit_observers, read
from engine.learning.graded_weight import FACTORS, LEAST_GOLD
from engine.learning.overlay_of_fit import overlay_tree
from engine.learning.parameters import ObserverParameters
from engine.learning.skill import PRIOR, SKILLS

STATES = ("a", "b", "c", "d")
BASE = """
name: kinds
variables:
  kind: {kind: categorical, label: kind, states: {a: a, b: b, c: c, d: d}}
levels: {kind: [kind]}
priors:
  variable: kind
  reference: uniform
  populations: {uniform: {p: uniform, source: judgement, note: Nothing is known.}}
questions: {look: {reports: [kind], cost: 1, source: judgement, note: A unit.}}
policy:
  source: judgement
  note: For a test.
  required: [kind]
  limits: {kind: 0.05}
  worth: {kind: 1}
  budget: 10
  conflict: 0.000001
  batches: [1]
  ask: model
observers:
  model:
    source: judgement
    note: For a test.
    askable: true
    categorical: {kind: {accuracy: 0.7, repeat: 0.95, strength: 20, distribution: {weight: WEIGHT}}}
"""


def inference_of(tmp_path, weight=1.0):
    path = tmp_path / "kinds.yaml"
    path.write_text(BASE.replace("WEIGHT", str(weight)))
    base = read(path)
    return Inference(compile_network(base), base)


def answers_of(p, spread=True):
    """One reading an item with the distribution p, (N, 4), or with its likeliest answer."""
    items = len(p)
    if spread:
        reading = np.repeat(np.arange(items), 4)
        labels = Labels(reading, np.tile(np.arange(4), items), p.reshape(-1), np.ones(4 * items, dtype=bool))
    else:
        labels = Labels(np.arange(items), p.argmax(1), np.ones(items), np.zeros(items, dtype=bool))
    return replace(
        Answers.unasked(tuple(f"i{n}" for n in range(items))),
        views=("face",),
        reading_item=np.arange(items),
        reading_observer=np.zeros(items, dtype=np.int64),
        reading_question=np.zeros(items, dtype=np.int64),
        reading_view=np.zeros(items, dtype=np.int64),
        reading_given=np.full(items, -1),
        labels={"kind": labels},
        samples=np.ones(items, dtype=np.int64),
    )


def shy(rng, items):
    """Gold, and distributions that are always right and hardly say so."""
    state = rng.integers(0, 4, items)
    return state, np.where(np.arange(4) == state[:, None], 0.34, 0.22)


def boastful(rng, items):
    """Gold, and distributions of .97 for one state, which is the truth as often as a guess is."""
    state = rng.integers(0, 4, items)
    return state, np.where(np.arange(4) == rng.integers(0, 4, items)[:, None], 0.97, 0.01)


def chosen(inference, state, p, **options):
    gold = Gold({"kind": state.astype(np.float64)})
    return ObserverParameters(inference, answers_of(p, **options), gold).observers[0].labels["kind"].weight


def test_what_is_right_but_shy_counts_for_more_and_what_boasts_for_no_more(tmp_path):
    inference, rng = inference_of(tmp_path), np.random.default_rng(0)
    assert chosen(inference, *shy(rng, 60)) > 3
    assert chosen(inference, *boastful(rng, 60)) < 1.5


def test_without_distributions_or_gold_enough_it_stays_as_declared(tmp_path):
    inference, rng = inference_of(tmp_path, 2.5), np.random.default_rng(1)
    state, p = shy(rng, 60)
    assert chosen(inference, state, p, spread=False) == 2.5
    assert chosen(inference, np.where(np.arange(60) < LEAST_GOLD - 1, state, np.nan), p) == 2.5
    assert chosen(inference, np.where(np.arange(60) < LEAST_GOLD, state, np.nan), p) != 2.5


def likelihood(alpha, weight, shares):
    """P(distribution | settled on m), (4,): the Dirichlet-multinomial of its fractional counts."""
    logs = []
    for m in range(4):
        total = math.lgamma(alpha[m].sum()) - math.lgamma(alpha[m].sum() + weight)
        for y in range(4):
            total += math.lgamma(alpha[m, y] + weight * shares[y]) - math.lgamma(alpha[m, y])
        logs.append(total)
    return np.exp(logs)


def test_the_weight_is_the_posterior_mean_worked_by_hand(tmp_path):
    """Three loops over weights, skills and items, with the Dirichlet-multinomial written out."""
    inference, rng = inference_of(tmp_path), np.random.default_rng(2)
    state, p = shy(rng, 12)
    kernel = inference.observations.kernels[0, "kind"]
    alpha, rows = np.asarray(kernel.alpha), np.asarray(kernel.mix)
    prior = np.bincount(state, minlength=4) + 1.0
    scores = []
    for factor in FACTORS:
        like_of = {tuple(shares): likelihood(alpha, factor, shares) for shares in p}
        by_skill = []
        for skill, chance_of_skill in zip(SKILLS, PRIOR, strict=True):
            settled = 8.0 * ((1 - skill) * rows + skill * np.eye(4))
            counted = []
            for x, shares in zip(state, p, strict=True):
                like = like_of[tuple(shares)]
                counted.append(settled[x] * like / (settled[x] * like).sum())
                settled[x] += counted[-1]
            score = math.log(chance_of_skill)
            for x, shares, count in zip(state, p, counted, strict=True):
                like, others = like_of[tuple(shares)], settled.copy()
                others[x] -= count
                foretold = [prior[k] * (others[k] * like).sum() / others[k].sum() for k in range(4)]
                score += math.log(foretold[x] / sum(foretold))
            by_skill.append(score)
        scores.append(np.logaddexp.reduce(by_skill) - (math.log(factor) / 0.5) ** 2 / 2)
    share = np.exp(np.array(scores) - max(scores))
    mean = math.exp(float(share @ np.log(FACTORS) / share.sum()))
    assert chosen(inference, state, p) == pytest.approx(mean, rel=1e-6)


def test_a_fit_writes_the_weight_and_is_sure_of_what_is_always_right(tmp_path):
    inference, rng = inference_of(tmp_path), np.random.default_rng(3)
    state, p = shy(rng, 60)
    answers = answers_of(p)
    fit = fit_observers(inference, answers, Gold({"kind": state.astype(np.float64)}))
    weight = overlay_tree(fit, "a fit")["observers"]["model"]["categorical"]["kind"]["distribution"]["weight"]
    assert float(weight) == pytest.approx(fit.parameters.observers[0].labels["kind"].weight, rel=1e-3)
    kernel = fit.observations().kernels[0, "kind"]
    assert kernel.weight == fit.parameters.observers[0].labels["kind"].weight
