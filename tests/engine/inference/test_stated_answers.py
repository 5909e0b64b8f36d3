"""Answers made up to prompts that stated something are those that inference reads: law, and calibration.

Calibration by simulation (Talts et al. 2018, arXiv 1804.06788): of truths and answers that are drawn from the
model itself, a posterior that reads the answers with the same model is right as often as it says.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chi2
from stated_worlds import with_reading, world

from engine import Answers, SimulatedObserver, prior_truth
from engine.inference.stated_answers import repeat_stated

N = 12_000
# A p-value that chance goes below once in a million.
RARE = 1e-6
# Expected items of a pattern of answers from which it is counted by itself.
COUNTED = 5
# Deviations of a sum, in standard errors, that chance brings about once in a million.
FAR = 5.0
# Parts of equal size by posterior probability.
PARTS = 8


def is_calibrated(posterior, truth):
    """Say whether each state is true as often as the posterior says, in all parts of the items."""
    for name, states in truth.items():
        p = posterior.marginals[name]
        for state in range(p.shape[1]):
            order = np.argsort(p[:, state], kind="stable")
            for part in np.array_split(order, PARTS):
                expected, spread = p[part, state].sum(), (p[part, state] * (1 - p[part, state])).sum()
                if abs((states[part] == state).sum() - expected) > FAR * np.sqrt(spread) + 1:
                    return False
    return True


def agreement(posterior, answers, groups):
    """Return the p-value of how often each pattern of labels came, under its likelihood as it is read.

    groups: (N,) items with the same number were told the same. Rare patterns are counted together.
    """
    patterns = [[str(group)] for group in groups.tolist()]
    for name, column in answers.labels.items():
        for reading, answer in zip(column.reading.tolist(), column.answer.tolist(), strict=True):
            patterns[answers.reading_item[reading]].append(
                f"{name} {answers.reading_question[reading]} {answer}"
            )
    texts = np.array(["; ".join(pattern) for pattern in patterns])
    _, first, observed = np.unique(texts, return_index=True, return_counts=True)
    expected = np.bincount(groups)[groups[first]] * np.exp(posterior.log_evidence[first])
    common = expected >= COUNTED
    # What is left: rare patterns, and those that never came.
    counts = np.append(observed[common], N - observed[common].sum())
    means = np.append(expected[common], N - expected[common].sum())
    assert means[-1] > -1e-6
    statistic = ((counts - means) ** 2 / np.maximum(means, 1)).sum()
    return float(chi2.sf(statistic, int(common.sum())))


def told_world(inference, seed, *, obedient=True, names=None):
    """Return truths, answers to a blind reading, and these with two told ones, of which the root is stated.

    What is stated tells nothing of the item: it is drawn by itself. names: of what is answered, by default
    everything.
    """
    rng = np.random.default_rng(seed)
    truth = prior_truth(inference, N, rng)
    stated = {inference.knowledge.root: rng.integers(0, 3, N).astype(float)}
    drawing = SimulatedObserver(inference.observations, "o0", truth, rng)
    nothing = Answers.unasked([f"i{i}" for i in range(N)])
    draws, known = (2, list(drawing.kernels)) if names is None else (1, names)
    first = drawing.reading("first", 1)
    blind = answers = with_reading(nothing, inference, "first", {name: first[name] for name in known})
    for view in ("face", "crop"):
        drawn = drawing.reading("told", draws, view, stated if obedient else {})
        drawn = {name: drawn[name] for name in known}
        answers = with_reading(answers, inference, "told", drawn, view, stated.items())
    return truth, blind, answers


def test_told_answers_are_read_as_they_were_made_up():
    inference = world(2, told=0.8)
    truth, _, answers = told_world(inference, 3)
    assert is_calibrated(inference.posterior(answers), truth)


@pytest.mark.parametrize("obedient", [True, False])
def test_told_answers_have_the_likelihood_with_which_they_were_made_up(obedient):
    """Those that are made up as blind ones do not."""
    inference = world(1, told=0.8)
    names = (inference.knowledge.root, "b0")
    _, _, answers = told_world(inference, 3, obedient=obedient, names=names)
    groups = np.full(N, -1)
    groups[answers.reading_item] = np.maximum(groups[answers.reading_item], answers.reading_given)
    p = agreement(inference.posterior(answers), answers, groups)
    assert (p > RARE) is obedient


def test_a_made_up_answer_that_is_always_told_adds_nothing():
    """Nothing to what is known, and nothing of the truth is in it."""
    inference = world(2, told=1.0)
    truth, blind, answers = told_world(inference, 3)
    before, after = inference.posterior(blind), inference.posterior(answers)
    for name, p in before.marginals.items():
        np.testing.assert_allclose(after.marginals[name], p, atol=1e-12, err_msg=name)
    root = answers.labels[inference.knowledge.root]
    told = ~answers.blind[root.reading]
    item = answers.reading_item[root.reading[told]]
    right = root.answer[told] == truth[inference.knowledge.root][item]
    stated = np.array([dict(given)[inference.knowledge.root] for given in answers.givens])
    obeyed = root.answer[told] == stated[answers.reading_given[root.reading[told]]]
    assert obeyed.mean() > right.mean() + 0.1


def echo_world(inference, seed, *, echoes=True, names=None):
    """Return truths, and answers to a question and to one that states what was answered to the first.

    names: of what is answered, by default everything.
    """
    rng = np.random.default_rng(seed)
    truth = prior_truth(inference, N, rng)
    drawing = SimulatedObserver(inference.observations, "o0", truth, rng)
    first, again = drawing.reading("first", 1), drawing.reading("again", 2)
    names = list(again) if names is None else names
    nothing = Answers.unasked([f"i{i}" for i in range(N)])
    answers = with_reading(nothing, inference, "first", {name: first[name] for name in names})
    # Each item is asked again about one variable, by turns.
    for place, name in enumerate(names):
        stated = first[name][:, 0].astype(float)
        chance = rng.random((N, 2)) if echoes else np.ones((N, 2))
        drawn = repeat_stated(inference.observations, 0, "again", name, again[name], stated, chance)
        turn = np.arange(N) % len(names) == place
        part = with_reading(
            Answers.unasked(answers.items), inference, "again", {name: drawn}, stated=[(name, stated)]
        )
        answers = answers.joined(part.only(turn))
    return truth, answers


def test_echoed_answers_are_read_as_they_were_made_up():
    inference = world(1, echo=0.4)
    truth, answers = echo_world(inference, 4)
    assert is_calibrated(inference.posterior(answers), truth)


@pytest.mark.parametrize("echoes", [True, False])
def test_echoed_answers_have_the_likelihood_with_which_they_were_made_up(echoes):
    """Those that are made up as fresh ones do not."""
    inference = world(1, echo=0.8)
    _, answers = echo_world(inference, 4, echoes=echoes, names=(inference.knowledge.root,))
    p = agreement(inference.posterior(answers), answers, np.zeros(N, dtype=np.int64))
    assert (p > RARE) is echoes


def test_what_is_stated_is_repeated_as_often_as_declared_and_only_where_it_can_be():
    inference = world(1, echo=0.7)
    root = inference.knowledge.root
    drawn, chance = np.full((N, 3), 2), np.random.default_rng(5).random((N, 3))
    stated = np.where(np.arange(N) % 2, 1.0, np.nan)
    repeated = repeat_stated(inference.observations, 0, "again", root, drawn, stated, chance)
    assert (repeated[::2] == 2).all()
    assert abs((repeated[1::2] == 1).mean() - 0.7) < FAR * np.sqrt(0.21 / (1.5 * N))
    assert (repeat_stated(inference.observations, 0, "first", root, drawn, stated, chance) == 2).all()
