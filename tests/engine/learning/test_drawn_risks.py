"""How often observers follow the look, in the draws of a fit: from its declared prior."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from brute_force import DEPENDENCE, Reading, Shape, answers_of, random_base
from scipy.stats import beta, kstest

from engine import (
    FitDraws,
    FitSettings,
    Inference,
    compile_network,
    decide_levels,
    diagnose,
    fit_observers,
)
from engine.learning.drawn_risks import draw_follows
from engine.model.gold import Gold
from engine.model.knowledge import Family, Observer, ObserverKind

KINDS = {
    "model": ObserverKind(name="model", follows=0.9, n=20),
    "person": ObserverKind(name="person", follows=0.2, n=10),
    "known": ObserverKind(name="known", follows=0.6),
}
DECLARED = replace(
    DEPENDENCE, kinds=KINDS, family=Family(follows=0.8, n=15), families={"sure": Family("sure", follows=0.5)}
)
OBSERVERS = (
    Observer(name="a", kind="model", follows=0.9, family="twins", family_follows=0.8),
    Observer(name="b", kind="model", follows=0.9, family="twins", family_follows=0.8),
    Observer(name="c", kind="model", follows=0.7, family="sure", family_follows=0.5),
    Observer(name="d", kind="person", follows=0.2),
    Observer(name="e", kind="known", follows=0.6),
    Observer(name="f", kind="model", follows=0.0),
)


def draws_of(count):
    rng = np.random.default_rng(0)
    drawn = [draw_follows(OBSERVERS, DECLARED, rng) for _ in range(count)]
    return (
        {o.name: np.array([draw[i].follows for draw in drawn]) for i, o in enumerate(OBSERVERS)},
        {o.name: np.array([draw[i].family_follows for draw in drawn]) for i, o in enumerate(OBSERVERS)},
    )


def test_what_is_drawn_is_the_declared_prior():
    """Beta(18, 2) of models, Beta(2, 8) of people; an observer's own number with the strength of its kind."""
    follows, family = draws_of(4000)
    for values, (a, b) in (
        (follows["a"], (18, 2)),
        (follows["c"], (14, 6)),
        (follows["d"], (2, 8)),
        (family["a"], (12, 3)),
    ):
        assert kstest(values, beta(a, b).cdf).pvalue > 1e-3


def test_observers_of_a_kind_or_family_are_drawn_together_and_what_is_known_is_held():
    follows, family = draws_of(500)
    np.testing.assert_array_equal(follows["a"], follows["b"])
    np.testing.assert_array_equal(family["a"], family["b"])
    np.testing.assert_array_equal(np.argsort(follows["a"]), np.argsort(follows["c"]))
    assert abs(np.corrcoef(follows["a"], follows["d"])[0, 1]) < 0.2
    assert abs(np.corrcoef(follows["a"], family["a"])[0, 1]) < 0.2
    assert set(follows["e"]) == {0.6}
    assert set(follows["f"]) == {0.0}
    assert set(family["c"]) == {0.5}


@pytest.mark.parametrize("names", [("o0",), ("o0", "o1")])
def test_only_risks_of_several_observers_change(names):
    """The same draws of the fit, with and without a strength: one observer alone has its own table."""
    base = random_base(Shape(states=3, binaries=2, couplings=0, rules=0, observers=2, dependent=True, seed=4))
    observers = {n: replace(o, kind="k", follows=0.9, carry=1.0) for n, o in base.observers.items()}
    items = [
        [Reading(name, "all", "face", ({base.root: (i + k) % 2},)) for k, name in enumerate(names)]
        for i in range(12)
    ]
    risks = []
    for n in (0.0, 6.0):
        kind = ObserverKind(name="k", follows=0.9, n=n)
        declared = replace(DEPENDENCE, kinds={"k": kind}, default="k")
        base = replace(base, observers=observers, dependence=declared)
        inference, answers = Inference(compile_network(base), base), answers_of(base, items)
        gold = Gold({base.root: np.arange(12) % 3 * 1.0})
        fit = fit_observers(inference, answers, gold, FitSettings())
        posterior = inference.posterior(answers)
        conflict = diagnose(inference, answers, posterior).conflict
        levels = {base.root: decide_levels(base, answers, posterior, conflict)[base.root]}
        rng = np.random.default_rng(1)
        risks.append(FitDraws.of(fit, inference, rng, draws=40).risks(answers, levels).risk[base.root])
    assert risks[0].shape == (40, 12)
    assert (np.abs(risks[0] - risks[1]).max() > 0.001) == (len(names) == 2)
    if len(names) == 1:
        np.testing.assert_allclose(risks[0], risks[1], atol=1e-12)
