"""Planted contradictions among simulated observers of the shipped base: whether an alarm comes, naming whom.

With -s the shares of items in alarm are printed, beside those of the bits that the alarm used to be.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import seke
from engine import prior_truth
from seke.inference.session import Session
from seke.sampling.answerers import SimulatedSource
from seke.sampling.loop import Request

# What the policy's alarm was when it was a number of bits.
FORMER_BITS = 4
CODER, LABEL, MODEL = (
    ("human", "joint", "face", 1),
    ("dataset-label", "joint", "face", 1),
    ("gpt-4o", "joint", "face", 2),
)


@pytest.fixture(scope="module")
def session():
    return Session.open(seke.knowledge())


@pytest.fixture(params=[150, pytest.param(300, marks=pytest.mark.slow)])
def count(request):
    """Of how many items answers are made up."""
    return request.param


def answers_with(session, count, readings, planted=None):
    """Return simulated answers to these readings; those of `planted` are of an item of another expression."""
    base, items = session.knowledge, [f"item-{i}" for i in range(count)]
    truth = prior_truth(session.inference, count, np.random.default_rng(3))
    expression = truth[base.root]
    source = SimulatedSource(session.inference, items, truth, seed=7)
    whole = None
    for reading in readings:
        observer, question, view, draws = reading
        sources = np.arange(count)
        if reading == planted:
            pools = [np.flatnonzero(expression != state) for state in expression]
            sources = np.array([pool[i % len(pool)] for i, pool in enumerate(pools)])
        asked = [Request(items[i], observer, question, None, view, 0, draws) for i in sources]
        answers = source.ask(asked)
        answers = replace(answers, items=tuple(items))
        whole = answers if whole is None else whole.joined(answers)
    return whole


def judgement_with(session, count, readings, planted=None):
    """Return the diagnostics and decisions, and of which items there is an alarm."""
    verdict = session.judge(answers_with(session, count, readings, planted))
    alarm = verdict.diagnostics.conflict < session.knowledge.policy.conflict
    bits = (verdict.diagnostics.conflict_bits >= FORMER_BITS).mean()
    who = planted[0] if planted else "nobody"
    print(f"{len(readings)} readings, planted {who}: alarm {alarm.mean():.3f}, by bits {bits:.3f}")
    return verdict, alarm


@pytest.mark.parametrize("readings", [(CODER, LABEL), (CODER, LABEL, MODEL)])
def test_under_the_model_there_are_few_alarms(session, count, readings):
    assert judgement_with(session, count, readings)[1].mean() <= 0.01


@pytest.mark.parametrize("planted", [LABEL, CODER])
def test_a_planted_contradiction_is_found_and_named(session, count, planted):
    verdict, alarm = judgement_with(session, count, (CODER, LABEL, MODEL), planted)
    assert alarm.mean() > 0.6
    named = np.array(verdict.diagnostics.at_odds)[alarm]
    assert (named == planted[0]).mean() > 0.85
    for i in np.flatnonzero(alarm):
        assert not any(level.accepted[i] for level in verdict.decisions.levels.values())
        if verdict.decisions.item[i] == "reject":
            assert verdict.decisions.reasons[i][0] == f"conflict: {verdict.diagnostics.at_odds[i]}"


def test_of_two_that_contradict_each_other_the_set_s_label_is_named(session, count):
    verdict, alarm = judgement_with(session, count, (CODER, LABEL), LABEL)
    assert alarm.mean() > 0.6
    assert set(np.array(verdict.diagnostics.at_odds)[alarm]) == {"dataset-label"}


def test_a_record_has_the_probability_and_one_reading_has_none(session, count):
    alone = session.records(answers_with(session, count, (MODEL,)))
    assert {record["diagnostics"]["conflict"] for record in alone} == {1.0}
    several = session.records(answers_with(session, count, (MODEL, LABEL), LABEL))
    p = np.array([record["diagnostics"]["conflict"] for record in several])
    assert ((p >= 0) & (p <= 1)).all()
    assert p.min() < 0.5
