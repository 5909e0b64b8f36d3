"""Posterior predictive checks: what is counted of answers, by hand."""

from __future__ import annotations

import numpy as np
from brute_force import Reading, Shape, answers_of, random_base

from engine.learning.posterior_predictive import _right_by_count


def test_how_often_the_commonest_of_the_first_answers_is_right():
    base = random_base(Shape(seed=1, states=3, observers=2))
    root, texts = base.variables["root"], base.observers["o0"].labels["root"].answers
    a, b, c = (texts.index(state) for state in root.states)

    def said(*answers, observer="o0"):
        return [Reading(observer, "all", "face", tuple({"root": y} for y in answers))]

    items = [said(a, b, b), said(b, b, a), said(c), said(a, a, a), said(a, a, observer="o1")]
    gold = np.array([1.0, 1.0, 2.0, np.nan, 0.0])
    answers = answers_of(base, items)
    is_of_observer = answers.reading_observer == 0
    right_by_count = {
        name: values.tolist()
        for _, name, values in _right_by_count(base.observers["o0"], root, answers, is_of_observer, gold)
    }
    # Of the first answers: a for b, b for b, c for c; of the first two of b, b for b and a tie, which goes to
    # a; of the first three b for b twice. What has no gold, and what another observer says, does not count.
    assert right_by_count == {
        "root, first 1 answer": [0.0, 1.0, 1.0],
        "root, first 2 answers": [0.0, 1.0],
        "root, first 3 answers": [1.0, 1.0],
    }
