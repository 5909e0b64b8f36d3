"""Draws of a base within its strengths: by integration, by laws, and on bases of every form."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from brute_force import Reading, Shape, answers_of, random_base, random_items, seen_level
from scipy.integrate import quad
from scipy.stats import beta

from engine import (
    Inference,
    KnowledgeDraws,
    KnowledgeError,
    compile_network,
    decide_levels,
    set_thresholds,
)
from engine.analysis.knowledge_draws import count_numbers, draw_base
from engine.language.formula_parser import parse
from engine.metrics.strengths import stratified
from engine.model.knowledge import LabelInstrument, Observer, ReadingType

WIDE = Shape(states=3, binaries=3, bins=(6, 6), couplings=2, rules=2, observers=2)


def with_strength(base, n):
    """Return the base with all its numbers of strength n."""
    return replace(
        base,
        cells={name: tuple(replace(cell, n=n) for cell in row) for name, row in base.cells.items()},
        moments=tuple(replace(moments, n=n) for moments in base.moments),
        couplings=tuple(replace(coupling, n=n) for coupling in base.couplings),
        rules=tuple(replace(rule, n=n) for rule in base.rules),
    )


def inference_of(base):
    return Inference(compile_network(base), base)


def draws_of(base, draws=24, seed=0):
    return KnowledgeDraws.of(inference_of(base), np.random.default_rng(seed), draws)


P_YES, P_NO = 0.8, 0.1


def two_states(first, second, n):
    """Return a base of two states and one binary variable, told by one observer, and its answer: true."""
    base = random_base(Shape(states=2, binaries=1, couplings=0, rules=0, observers=1, halo=False))
    instrument = LabelInstrument(
        variable="b0",
        answers=("false", "true"),
        confusion=((1 - P_NO, P_NO), (1 - P_YES, P_YES)),
        types=(ReadingType(repeat=0.95, strength=5.0),),
    )
    cell = base.cells["b0"][0]
    base = replace(
        base,
        cells={"b0": (replace(cell, p=first, n=n), replace(cell, p=second, n=1e9))},
        observers={"o0": Observer(name="o0", askable=True, labels={"b0": instrument})},
    )
    return base, answers_of(base, [[Reading("o0", "some", "face", ({"b0": 1},))]])


@pytest.mark.parametrize(("first", "n"), [(0.3, 10.0), (0.7, 4.0)])
def test_sd_and_mean_are_those_of_the_integral_over_the_cell(first, n):
    base, answers = two_states(first, 0.4, n)
    prior = base.populations[base.reference].p

    def p_first(q):
        likelihood = [P_YES * cell + P_NO * (1 - cell) for cell in (q, 0.4)]
        return prior[0] * likelihood[0] / (prior[0] * likelihood[0] + prior[1] * likelihood[1])

    cell = beta(n * first, n * (1 - first))
    mean, square = (quad(lambda q, k=k: p_first(q) ** k * cell.pdf(q), 0, 1)[0] for k in (1, 2))
    drawn = draws_of(base, 80).marginals(answers)["root"][:, 0, 0]
    assert drawn.mean() == pytest.approx(mean, abs=2e-3)
    assert drawn.std() == pytest.approx(np.sqrt(square - mean**2), rel=0.06)


def test_the_fewer_items_the_strength_stands_for_the_wider_are_the_posteriors():
    base = random_base(WIDE)
    answers = answers_of(base, random_items(base, 1, items=12))
    spreads = []
    for n in (20.0, 320.0, 1e10):
        drawn = draws_of(with_strength(base, n), 5).marginals(answers)
        spreads.append([p.std(0).mean() for p in drawn.values()])
    assert (np.diff(np.mean(spreads, axis=1)) < 0).all()
    assert np.max(spreads[-1]) < 1e-4
    plain = inference_of(base).posterior(answers).marginals
    for name, p in drawn.items():
        np.testing.assert_allclose(p, np.broadcast_to(plain[name], p.shape), atol=1e-3)


def test_equal_seeds_draw_alike():
    base, answers = two_states(0.3, 0.4, 10.0)
    first, again, other = (draws_of(base, 4, seed).marginals(answers)["root"] for seed in (3, 3, 4))
    assert np.array_equal(first, again)
    assert not np.allclose(first, other)


def test_a_rule_that_gave_way_does_so_in_every_draw():
    """Two rules that exclude one another: the weaker one is dropped."""
    base = random_base(Shape(binaries=2, couplings=0, rules=1))
    cells = {name: tuple(replace(cell, p=0.5, n=1e6) for cell in row) for name, row in base.cells.items()}
    rules = tuple(
        replace(
            base.rules[0],
            name=then,
            condition=parse("b0", base.variables),
            then=parse(then, base.variables),
            confidence=0.9,
            n=n,
        )
        for then, n in (("b1", 1e6), ("!b1", 1e5))
    )
    inference = inference_of(replace(base, cells=cells, rules=rules))
    (drawn,) = KnowledgeDraws.of(inference, np.random.default_rng(0), 1).inferences
    for network in (inference.network, drawn.network):
        assert {rule.name: rule.status for rule in network.rules} == {"b1": "met", "!b1": "unmet"}
        assert {rule.name: rule.weight == 0 for rule in network.rules} == {"b1": False, "!b1": True}


def numbers_of(base):
    yield from (cell.p for row in base.cells.values() for cell in row)
    yield from (number for moments in base.moments for number in (*moments.mean, *moments.sd))
    yield from (moments.correlation[0][1] for moments in base.moments)
    yield from (coupling.odds_ratio for coupling in base.couplings)
    yield from (rule.confidence for rule in base.rules)


def test_each_number_has_a_place_of_its_own_and_rises_with_it():
    """Populations and observers have no strength there, and stay."""
    base = random_base(WIDE)
    count = 3 * 3 + 3 * 5 + 2 + 2
    middle = np.array([*numbers_of(draw_base(base, np.full(count, 0.5)))])
    seen = []
    for index in range(count):
        places = np.full(count, 0.5)
        places[index] = 0.6
        drawn = draw_base(base, places)
        changed = np.array([*numbers_of(drawn)]) - middle
        # Another mean may leave less room for its own sd, and nothing else.
        seen.append(int(np.flatnonzero(changed > 0)[0]))
        assert (drawn.populations, drawn.observers) == (base.populations, base.observers)
        # A network of it that is kept on disk is not taken for the base's.
        assert drawn.digest != base.digest
    assert len(set(seen)) == count == count_numbers(base)


@pytest.mark.parametrize("seed", range(4))
def test_draws_of_the_lowest_strengths_keep_to_what_the_language_allows(seed):
    base = with_strength(random_base(replace(WIDE, seed=seed)), 0.1)
    for places in stratified(np.random.default_rng(seed), 24, 3 * 3 + 3 * 5 + 2 + 2):
        drawn = draw_base(base, places)
        shares = [cell.p for row in drawn.cells.values() for cell in row]
        shares += [rule.confidence for rule in drawn.rules]
        assert min(shares) >= 0.001
        assert max(shares) <= 0.999
        assert all(0.001 <= coupling.odds_ratio <= 1000 for coupling in drawn.couplings)
        for moments in drawn.moments:
            assert all(-1 < mean < 1 for mean in moments.mean)
            assert abs(moments.correlation[0][1]) <= 0.99


COARSE = Shape(states=2, binaries=1, bins=(3, 3), couplings=0, rules=0)


def test_a_draw_that_no_distribution_has_is_taken_nearer_to_the_medians():
    """With three bins each few correlations go with given means and sds."""
    base = random_base(COARSE)
    base = replace(base, moments=tuple(replace(moments, n=6.0) for moments in base.moments))
    places = stratified(np.random.default_rng(0), 6, 2 + 2 * 5)
    reaches = []
    for row, inference in zip(places, draws_of(base, 6).inferences, strict=True):
        halved = [0.5**k for k in range(7)]
        equal = [draw_base(base, 0.5 + reach * (row - 0.5)) == inference.knowledge for reach in halved]
        reaches.append(halved[equal.index(True)])
        # Nothing is taken nearer than it has to be.
        for reach in halved[: equal.index(True)]:
            with pytest.raises(KnowledgeError):
                compile_network(draw_base(base, 0.5 + reach * (row - 0.5)))
    assert min(reaches) < 1
    assert max(reaches) == 1


def test_a_base_that_no_draw_can_help_is_refused():
    base = random_base(replace(COARSE, rules=1))
    inference = inference_of(base)
    never = parse("b0 & !b0", base.variables)
    inference.knowledge = replace(base, rules=(replace(base.rules[0], condition=never),))
    with pytest.raises(KnowledgeError, match="nothing can satisfy its `if`"):
        KnowledgeDraws.of(inference, np.random.default_rng(0), 1)


# Decisions.


def test_limits_are_about_the_risk_and_a_standard_deviation():
    base, answers = two_states(0.9, 0.2, 10.0)
    inference = inference_of(base)
    posterior = inference.posterior(answers)
    risk = 1 - float(posterior.marginals["root"].max())
    value = int(posterior.marginals["root"].argmax())
    # Two draws, .04 to either side of .02 more than the risk: mean .02 more, sd .04.
    p = np.array([risk - 0.02, risk + 0.06])
    draws = np.zeros((2, 1, 2))
    draws[:, 0, value], draws[:, 0, 1 - value] = 1 - p, p
    drawn = {"root": draws, "b0": np.stack([posterior.marginals["b0"]] * 2)}

    def root_level(limit, drawn):
        policy = replace(base.policy, limits={"root": limit, "b0": 1.0})
        return decide_levels(replace(base, policy=policy), answers, posterior, np.ones(1), drawn)["root"]

    level = root_level(0.5, drawn)
    assert level.risk[0] == pytest.approx(risk)
    assert level.risk_sd[0] == pytest.approx(0.04)
    assert level.risk_mean[0] == pytest.approx(risk + 0.02)
    assert level.cautious_risk[0] == pytest.approx(risk + 0.04)
    doubt = (risk + 0.02) * (0.98 - risk)
    assert level.knowledge_share[0] == pytest.approx(0.04**2 / doubt)
    plain = root_level(0.5, None)
    assert (plain.risk_sd[0], plain.risk_mean[0], plain.knowledge_share[0]) == (0, plain.risk[0], 0)


def test_the_share_is_the_part_of_the_variance_that_is_between_draws():
    """By the law of total variance: m (1 - m) = mean of p (1 - p) within draws + variance of p between."""
    rng = np.random.default_rng(5)
    p = rng.beta(2, 5, (50, 7))
    level = replace(seen_level(np.ones(7), np.zeros(7), p.mean(0)), risk_sd=p.std(0), risk_mean=p.mean(0))
    within = (p * (1 - p)).mean(0)
    np.testing.assert_allclose(level.knowledge_share, 1 - within / (p.mean(0) * (1 - p.mean(0))))


def test_thresholds_of_the_mean_are_about_the_cautious_risk():
    base = random_base(Shape())
    risk = np.repeat([0.02, 0.3], 50)
    level = seen_level(np.ones(100), np.zeros(100), risk)
    cautious = replace(level, risk_sd=np.full(100, 0.05))
    policy = replace(base.policy, limits={"root": 0.1}, mean_limits=frozenset({"root"}))
    of = base.variables["root"]
    for given, risks in ((level, risk), (cautious, risk + 0.05)):
        (threshold,) = set_thresholds(of, policy, given).values()
        same = seen_level(np.ones(100), np.zeros(100), risks)
        assert threshold == next(iter(set_thresholds(of, policy, same).values()))
