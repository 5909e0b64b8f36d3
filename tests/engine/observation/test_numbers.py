"""How numbers are answered: blanks, strays and shared errors, by hand, by quadrature and by simulation."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from brute_force import DEPENDENCE, Reading, answers_of, network_of, number_chance
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import erfc
from thorough import examples

from engine import (
    FitDraws,
    FitSettings,
    Gold,
    Inference,
    LookAhead,
    Preposterior,
    SimulatedObserver,
    decide_levels,
    fit_observers,
)
from engine.inference.simulation import draw_looks
from engine.observation.dependence import MOST_FOLLOWS
from engine.observation.kernels import normal_readings, number_kernel, quadrature, with_strays
from engine.observation.number_looks import (
    POINTS,
    STEP,
    WEIGHTS,
    WITHIN,
    NumberTeller,
    number_look,
    settled_moments,
)

seeds = st.integers(0, 2**32 - 1)
# Beyond the cells of a shared error, which blur 1 % of it, posteriors differ from quadrature by no more.
BLUR = 0.004


def with_numbers(base, observers, name, **numbers):
    """The base with these observers alone, all with the numbers of the one that is asked, changed so."""
    asked = base.observers[base.policy.ask]
    instrument = replace(asked.numbers[name], **numbers)
    like = replace(asked, numbers={name: instrument}, labels={}, halo={}, carry=1.0, exponent=1.0)
    return replace(
        base,
        observers={o: replace(like, name=o, **keys) for o, keys in observers.items()},
        policy=replace(base.policy, ask=next(iter(observers))),
    )


def dependent(base):
    """The base with a section of dependence; the observers say themselves how often they follow."""
    return replace(base, dependence=DEPENDENCE)


def read(base, name, *told, question=0):
    """One item: pairs of an observer and its answers in one reading."""
    ask = list(base.questions)[question]
    return [Reading(o, ask, "case", tuple({name: value} for value in values)) for o, values in told]


def marginals(base, name, *items):
    inference = Inference(network_of(base), base)
    return inference.posterior(answers_of(base, list(items))).marginals[name]


def sd_of(p, edges):
    centres = (edges[:-1] + edges[1:]) / 2
    return math.sqrt(p @ centres**2 - (p @ centres) ** 2)


# Blanks and strays


def test_a_blank_answer_is_worth_what_is_left_of_it(base_of, names):
    """By hand: of answers that are no slips the share b is `nothing`, the others are as without it."""
    base, name = base_of("machine"), names["load"]
    variable = base.variables[name]
    plain = base.observers[base.policy.ask].numbers[name]
    grid = np.linspace(-1, 1, 21)
    for nothing, b in ((-1.0, 0.3), (0.0, 0.2), (1.0, 0.5)):
        kernel = number_kernel(replace(plain, blank=b, nothing=nothing, slip=0.0), variable)
        without = number_kernel(replace(plain, slip=0.0), variable)
        expected = (1 - b) * np.exp(without.log_likelihood(grid))
        expected[np.abs(grid - nothing) < 1e-9] += b
        np.testing.assert_allclose(np.exp(kernel.log_likelihood(grid)), expected, atol=1e-12)
        np.testing.assert_allclose(expected.sum(0), 1, atol=1e-9)


def test_a_zero_of_who_often_says_it_means_less(base_of, names):
    base, name = base_of("machine"), names["load"]
    told = {}
    for b in (0.0, 0.4):
        asked = with_numbers(base, {"a": {}}, name, blank=b, nothing=-1.0)
        p = marginals(asked, name, read(asked, name, ("a", [-1.0])), read(asked, name, ("a", [0.4])), [])
        centres = np.convolve(base.variables[name].edges, [0.5, 0.5], "valid")
        told[b] = p @ centres
    assert told[0.0][0] < told[0.4][0] < told[0.4][2]
    # Another answer is no blank, and says the same as ever, up to slips.
    assert told[0.4][1] == pytest.approx(told[0.0][1], abs=0.02)


def test_a_stray_reading_is_uniform_and_all_readings_sum_to_one(base_of, names):
    base, name = base_of("machine"), names["load"]
    variable = base.variables[name]
    plain = base.observers[base.policy.ask].numbers[name]
    kernel, without = (number_kernel(replace(plain, stray=s), variable) for s in (0.25, 0.0))
    cuts = np.clip(quadrature(plain, variable), -1, 1)
    uniform = np.diff(cuts) / 2
    np.testing.assert_allclose(kernel.mix, 0.75 * without.mix + 0.25 * uniform, atol=1e-12)
    np.testing.assert_allclose(kernel.mix.sum(1), 1, atol=1e-12)


def test_answers_that_contradict_widen_the_posterior_where_readings_stray(base_of, names):
    base, name = base_of("machine"), names["load"]
    edges = np.array(base.variables[name].edges)
    spreads = {}
    for stray in (0.0, 0.1):
        two = with_numbers(base, {"a": {}, "b": {}}, name, stray=stray, perception=0.15, slip=0.001)
        items = [read(two, name, ("a", [-gap] * 3), ("b", [gap] * 3)) for gap in (0.0, 0.2, 0.5, 0.8)]
        spreads[stray] = [sd_of(p, edges) for p in marginals(two, name, *items)]
    assert spreads[0.1][3] > 2 * spreads[0.1][0]
    assert np.all(np.diff(spreads[0.1]) > 0)
    # Without strays they meet in a middle that is as narrow as if they agreed.
    assert spreads[0.0][3] == pytest.approx(spreads[0.0][0], rel=0.25)


@pytest.mark.parametrize("changes", [{"blank": 0.3, "nothing": 0.0}, {"stray": 0.3}])
def test_blanks_and_strays_are_simulated_as_they_are_weighed(base_of, names, changes):
    base, name = base_of("machine"), names["load"]
    base = with_numbers(base, {"a": {}}, name, **changes)
    inference = Inference(network_of(base), base)
    count, rng = 60_000, np.random.default_rng(5)
    truth = {v: np.zeros(count, dtype=int) for v in (base.root, *inference.network.node_of)}
    truth[name] = np.full(count, 2)
    observer = SimulatedObserver(inference.observations, "a", truth, rng)
    question = next(q for q, asked in base.questions.items() if name in asked.variables)
    answers = observer.reading(question, 1)[name][:, 0]
    kernel = inference.observations.kernels[0, name]
    grid = np.linspace(-1, 1, 21)
    likely = kernel.mix[2] @ np.exp(kernel.log_likelihood(grid)).T
    frequencies = np.bincount(np.round((answers + 1) * 10).astype(int), minlength=21) / count
    np.testing.assert_allclose(frequencies, likely, atol=4 * 0.5 / math.sqrt(count))


# What observers share


@settings(max_examples=examples(5), deadline=None, derandomize=True, database=None)
@given(seeds)
def test_an_observer_alone_settles_as_declared_whatever_it_shares(seed):
    rng = np.random.default_rng(seed)
    edges = np.linspace(-1, 1, int(rng.integers(4, 9)) + 1)
    tellers = []
    for place in range(3):
        sd, cuts = rng.uniform(0.1, 0.6), np.linspace(-2.5, 2.5, int(rng.integers(12, 32)))
        family = "f" if place < 2 else ""
        stray, follows = rng.uniform(0, 0.3), float(rng.choice([0.0, 0.5, 1.0]))
        tellers.append(
            NumberTeller(tuple(cuts.tolist()), sd, stray, follows, family, float(rng.choice([0.4, 1.0])))
        )
    look = number_look(tuple(edges.tolist()), tellers)
    assert look is not None
    np.testing.assert_allclose(look.look_given_state.sum(1), 1, atol=1e-12)
    for teller, given_look in zip(tellers, look.answer_given, strict=True):
        points, share = np.polynomial.legendre.leggauss(40)
        for x, (a, b) in enumerate(itertools.pairwise(edges)):
            truth = (a + b) / 2 + (b - a) / 2 * points
            below = 0.5 * erfc(-(np.array(teller.cuts[1:-1])[:, None] - truth) / teller.sd / math.sqrt(2))
            alone = np.diff(np.concatenate([[0], below @ share / 2, [1]]))
            inside = np.diff(np.clip(teller.cuts, -1, 1)) / 2
            alone = (1 - teller.stray) * alone + teller.stray * inside
            np.testing.assert_allclose(look.look_given_state[x] @ given_look[x], alone, atol=1e-8)
    (family,) = look.families
    for place in family.members:
        alone = np.einsum("xjf,xjfm->xjm", family.settled_given, family.of_member(place))
        np.testing.assert_allclose(alone, look.answer_given[place], atol=1e-8)


@pytest.mark.parametrize(
    ("sd", "follows", "family_follows"), [(0.2, 0.3, 0.99), (0.1, 1.0, 1.0), (0.6, 0.9, 0.9)]
)
def test_a_family_table_is_the_average_over_both_shared_errors(sd, follows, family_follows):
    edges = tuple(np.linspace(-1, 1, 5).tolist())
    cuts = tuple(np.linspace(-1 - 4 * sd, 1 + 4 * sd, 13).tolist())
    tellers = [NumberTeller(cuts, sd, 0.1, follows, "f", family_follows)] * 2
    look = number_look(edges, tellers)
    share, of_family = min(follows, MOST_FOLLOWS), min(family_follows, MOST_FOLLOWS)
    unshared = sd * math.sqrt(1 - share**2)
    own = unshared * math.sqrt(1 - of_family**2)
    errors = sd * share * POINTS[:, None] + unshared * of_family * POINTS
    moved_cuts = np.array(cuts) - errors[..., None]
    readings = normal_readings(np.array(edges), moved_cuts, own)
    direct = np.einsum("jp,fq,pqxm->xjfm", WITHIN, WITHIN, readings, optimize=True)
    direct = with_strays(direct, np.array(edges), np.array(cuts), 0.1)
    np.testing.assert_allclose(look.families[0].of_member(1), direct, atol=1e-4)


def test_draws_of_a_fit_weigh_numbers_of_several_observers(base_of, names):
    """A fit has other cells and other errors than are declared: what observers share goes by its own."""
    base, name = base_of("machine"), names["load"]
    keys = {"follows": 0.9, "family": "f", "family_follows": 0.9}
    base = dependent(with_numbers(base, dict.fromkeys("ab", keys), name, perception=0.35))
    inference = Inference(network_of(base), base)
    rng = np.random.default_rng(3)
    truth = rng.integers(0, len(base.variables[name].edges) - 1, 12)
    centres = (np.array(base.variables[name].edges)[1:] + np.array(base.variables[name].edges)[:-1]) / 2
    items = [read(base, name, ("a", [round(centres[x], 1)]), ("b", [round(centres[x], 1)])) for x in truth]
    answers = answers_of(base, items)
    fit = fit_observers(inference, answers, Gold({name: centres[truth]}), FitSettings(draws=5))
    draws = FitDraws.of(fit, inference, np.random.default_rng(0), draws=5)
    posterior = inference.posterior(answers)
    levels = decide_levels(base, answers, posterior, np.ones(len(items)))
    risks = draws.risks(answers, {name: levels[name]}).risk[name]
    assert ((risks >= 0) & (risks <= 1)).all()
    for observations in draws.observed:
        observations.dependent, observations._looks = False, {}
    apart = draws.risks(answers, {name: levels[name]}).risk[name]
    assert np.abs(risks - apart).max() > 0.01


def by_quadrature(instrument, edges, told, loadings, cuts):
    """P(answers of two observers | bin) up to a factor: a common error at 201 points, their own by cells."""
    common = np.linspace(-6, 6, 201)
    density = np.exp(-(common**2) / 2)
    points, share = np.polynomial.legendre.leggauss(12)
    total = []
    for a, b in itertools.pairwise(edges):
        truth = (a + b) / 2 + (b - a) / 2 * points
        product = density.copy()
        for values, loading in zip(told, loadings, strict=True):
            own = instrument.perception * math.sqrt(1 - loading**2)
            middle = truth[:, None] + instrument.perception * loading * common
            z = (cuts[1:-1, None, None] - middle) / own / math.sqrt(2)
            below = np.einsum("t,mtj->mj", share / 2, 0.5 * erfc(-z))
            ends = np.zeros((1, len(common)))
            cells = np.diff(np.concatenate([ends, below, ends + 1]), axis=0)
            centres = (cuts[:-1] + cuts[1:]) / 2
            likely = [
                math.prod(number_chance(instrument, c, edges[0], edges[-1], y) for y in values)
                for c in centres
            ]
            product *= np.array(likely) @ cells
        total.append(product.sum())
    return np.array(total)


@pytest.mark.parametrize("loadings", [(0.9, 0.9), (0.6, 0.0)])
def test_errors_in_common_are_weighed_as_by_quadrature(base_of, names, loadings):
    base, name = base_of("machine"), names["load"]
    keys = {o: {"follows": follows} for o, follows in zip("ab", loadings, strict=True)}
    base = dependent(with_numbers(base, keys, name, perception=0.35))
    edges = np.array(base.variables[name].edges)
    instrument = base.observers["a"].numbers[name]
    cuts = quadrature(instrument, base.variables[name])
    told = [([-0.5], [-0.4]), ([0.6, 0.5], [-0.1]), ([0.2] * 3, [0.9])]
    items = [read(base, name, *zip("ab", pair, strict=True)) for pair in told]
    *posteriors, prior = marginals(base, name, *items, [])
    independent = marginals(replace(base, dependence=None), name, *items)
    for p, pair, apart in zip(posteriors, told, independent, strict=True):
        expected = prior * by_quadrature(instrument, edges, pair, loadings, cuts)
        expected /= expected.sum()
        np.testing.assert_allclose(p, expected, atol=BLUR)
        if min(loadings) == 0:
            np.testing.assert_allclose(apart, expected, atol=BLUR)
    if loadings == (0.9, 0.9):
        assert np.abs(independent[0] - posteriors[0]).max() > 10 * BLUR


@pytest.mark.parametrize("stray", [0.0, 0.2])
def test_what_others_said_moves_and_narrows_what_is_settled_on_as_by_quadrature(base_of, names, stray):
    """Mean and variance of b's r given its bin and a's answers: over the common error, given these.

    Where a's answers are less likely than in 1 of 1,000 of the best bin the cells of the common error end.
    """
    base, name = base_of("machine"), names["load"]
    loadings = (0.9, 0.6)
    keys = {o: {"follows": follows} for o, follows in zip("ab", loadings, strict=True)}
    base = dependent(with_numbers(base, keys, name, perception=0.35, stray=stray))
    edges = np.array(base.variables[name].edges)
    observations = Inference(network_of(base), base).observations
    told = [[-0.5], [0.6, 0.5]]
    answers = answers_of(base, [read(base, name, ("a", values)) for values in told])
    settled = observations.given_others(answers, 1, name)
    kernel = observations.kernels[1, name]
    mean, variance = settled_moments(kernel, base.variables[name], settled)
    cuts, instrument = kernel.cuts, kernel.instrument
    centres, common = (cuts[:-1] + cuts[1:]) / 2, np.linspace(-6, 6, 201)
    points, share = np.polynomial.legendre.leggauss(12)
    sd, own = instrument.perception, instrument.perception * math.sqrt(1 - loadings[0] ** 2)
    uniform = np.diff(np.clip(cuts, edges[0], edges[-1])) / (edges[-1] - edges[0])
    for row, values in enumerate(told):
        likely = [
            math.prod(number_chance(instrument, c, edges[0], edges[-1], y) for y in values) for c in centres
        ]
        weights = []
        for a, b in itertools.pairwise(edges):
            # Within its bin the truth lies anywhere, for each observer anew.
            truth = (a + b) / 2 + (b - a) / 2 * points
            z = (cuts[1:-1, None, None] - truth[:, None] - sd * loadings[0] * common) / own / math.sqrt(2)
            below = np.einsum("t,mtj->mj", share / 2, 0.5 * erfc(-z))
            cells = np.diff(np.concatenate([np.zeros((1, 201)), below, np.ones((1, 201))]), axis=0)
            cells = (1 - stray) * cells + stray * uniform[:, None]
            weights.append(np.exp(-(common**2) / 2) * (np.array(likely) @ cells))
        chances = np.array([weight.sum() for weight in weights])
        reached = np.flatnonzero(chances > 1e-3 * chances.max())
        assert len(reached) > 3
        for x in reached:
            weight, (a, b) = weights[x] / chances[x], edges[x : x + 2]
            shift = weight @ common
            spread = weight @ common**2 - shift**2
            assert mean[row, x] == pytest.approx((a + b) / 2 + sd * loadings[1] * shift, abs=0.01)
            expected = sd**2 * (1 - loadings[1] ** 2 + loadings[1] ** 2 * spread) + (b - a) ** 2 / 12
            assert variance[row, x] == pytest.approx(expected, rel=0.03)


@pytest.mark.parametrize(("follows", "least"), [(0.9, 6.0), (0.5, 1.25)])
def test_the_look_ahead_expects_of_a_second_observer_what_the_first_left(base_of, names, follows, least):
    """The mean over twelve seeds of its twelve paths is within a quarter of the exact gain.

    As independent of the first, a second one with λ = .9 promises seven times as much and more.
    """
    base, name = base_of("machine"), names["load"]
    question = next(
        i for i, q in enumerate(base.questions.values()) if name in q.variables and not q.about_one
    )
    worth = {variable: 100.0 * (variable == name) for variable in base.policy.worth}
    changes = {"others": ("b",), "worth": worth, "batches": (1,), "budget": 100}
    policy = replace(base.policy, **changes, limits={**base.policy.limits, name: 0.1})

    def gains(follows):
        two = dependent(with_numbers(base, {o: {"follows": follows} for o in "ab"}, name, perception=0.2))
        two = replace(two, policy=replace(policy, ask="a"))
        inference = Inference(network_of(two), two)
        for told in ([0.1], [0.1] * 5, [-0.6] * 3):
            answers = answers_of(two, [read(two, name, ("a", told), question=question)])
            posterior = inference.posterior(answers)
            lists = [LookAhead(inference, seed).options(answers, posterior, 0) for seed in range(12)]
            # Of those that are independent nobody asks what is exact.
            if follows:
                lists.append(Preposterior(inference, paths=600).options(answers, 0))
            about_it = [
                next(
                    o.gain
                    for o in options
                    if o.observer == "b"
                    and o.about is None
                    and list(two.questions).index(o.question) == question
                )
                for options in lists
            ]
            yield np.mean(about_it[:12]), about_it[-1]

    for (bulk, exact), (independent, _) in zip(gains(follows), gains(0.0), strict=True):
        assert 0.75 < bulk / exact < 1.25
        assert independent > least * exact


def test_two_that_follow_tell_less_than_two_that_do_not_and_more_than_one(base_of, names):
    base, name = base_of("machine"), names["load"]
    edges = np.array(base.variables[name].edges)
    spreads = []
    for follows in (0.0, 0.5, 0.9):
        two = dependent(with_numbers(base, {o: {"follows": follows} for o in "ab"}, name, perception=0.3))
        items = [read(two, name, ("a", [0.1] * 5), ("b", [0.1] * 5)), read(two, name, ("a", [0.1] * 5))]
        both, alone = (sd_of(p, edges) for p in marginals(two, name, *items))
        spreads.append(both)
        assert both < alone
    assert np.all(np.diff(spreads) > 0)


def test_a_copy_that_answers_the_same_is_as_a_further_draw_of_the_reading(base_of, names):
    """Two that always follow their family, an answer each: hardly more than two answers of one observer."""
    base, name = base_of("machine"), names["load"]
    edges = np.array(base.variables[name].edges)
    keys = {"follows": 0.5, "family": "model"}
    copies, strangers = (
        dependent(with_numbers(base, {o: {**keys, "family_follows": f} for o in "ab"}, name, perception=0.4))
        for f in (1.0, 0.0)
    )
    pair = read(copies, name, ("a", [0.3]), ("b", [0.3]))
    single, both, twice = (
        sd_of(p, edges)
        for p in marginals(
            copies, name, read(copies, name, ("a", [0.3])), pair, read(copies, name, ("a", [0.3, 0.3]))
        )
    )
    (apart,) = marginals(strangers, name, pair)
    assert both <= single
    assert abs(both - twice) < 0.25 * (twice - sd_of(apart, edges))


def test_who_answers_first_changes_nothing(base_of, names):
    base, name = base_of("machine"), names["load"]
    keys = {"a": {"follows": 0.9}, "b": {"follows": 0.5}, "c": {"follows": 0.7}}
    told = {"a": [0.5, 0.6], "b": [-0.2], "c": [0.1]}
    posteriors = []
    for order in itertools.permutations("abc"):
        three = dependent(with_numbers(base, {o: keys[o] for o in order}, name))
        posteriors.append(marginals(three, name, read(three, name, *((o, told[o]) for o in order)))[0])
    for p in posteriors[1:]:
        np.testing.assert_allclose(p, posteriors[0], atol=1e-10)


def test_simulated_errors_correlate_as_declared(base_of, names):
    """By λ_a λ_b of the perceptions' correlation, less what the cells of the common error blur."""
    base, name = base_of("machine"), names["flow"]
    base = with_numbers(base, {"a": {"follows": 0.9}, "b": {"follows": 0.6}}, name, perception=0.3)
    base = dependent(base)
    inference = Inference(network_of(base), base)
    count, rng = 40_000, np.random.default_rng(2)
    truth = {v: np.zeros(count, dtype=int) for v in (base.root, *inference.network.node_of)}
    truth[name] = np.full(count, 4)
    looks = draw_looks(inference.observations, {name: truth[name]}, rng)
    settled = []
    for o in "ab":
        observer = SimulatedObserver(inference.observations, o, truth, rng, looks=looks)
        settled.append(inference.observations.kernels["ab".index(o), name].nodes[observer.seen[name]])
    width = np.diff(base.variables[name].edges)[4]
    cell = np.diff(quadrature(base.observers["a"].numbers[name], base.variables[name]))[0]
    blurred = 0.3**2 + width**2 / 12 + cell**2 / 12
    expected = 0.9 * 0.6 * 0.3**2 * (1 - STEP**2 / 12) / blurred
    assert np.corrcoef(settled)[0, 1] == pytest.approx(expected, abs=4 / math.sqrt(count))
    assert WEIGHTS.sum() == pytest.approx(1, abs=1e-12)
