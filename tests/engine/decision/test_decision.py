"""What is accepted, at which risk, and what is asked next."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from brute_force import Reading, Shape, World, answers_of, random_base, random_items, seen_level
from hypothesis import given, settings
from hypothesis import strategies as st
from thorough import examples

from engine import (
    Answers,
    First,
    Inference,
    LookAhead,
    Option,
    Origin,
    Policy,
    Variable,
    compile_network,
    decide_items,
    decide_levels,
)
from engine.decision.decision import risk_of
from engine.model.knowledge import LabelInstrument, Population, ReadingType
from engine.model.policy import Question

# Risks.

COLOUR = Variable("colour", "categorical", ("red", "green", "blue"), "colour")
SIGN = Variable("sign", "binary", ("false", "true"), "sign")
GAUGE = Variable(
    "gauge", "interval", ("-0.75", "-0.25", "0.25", "0.75"), "gauge", edges=(-1, -0.5, 0, 0.5, 1)
)


def test_the_risk_of_a_label_is_that_another_is_true():
    value, risk = risk_of(COLOUR, np.array([[0.2, 0.7, 0.1], [0.5, 0.1, 0.4], [1, 0, 0]]), Policy())
    assert value.tolist() == [1, 0, 0]
    assert risk == pytest.approx([0.3, 0.5, 0])


@pytest.mark.parametrize(
    ("cut", "p", "value", "risk"),
    [(0.5, 0.7, 1, 0.3), (0.5, 0.3, 0, 0.3), (0.3, 0.3, 1, 0.7), (0.3, 0.29, 0, 0.29), (0.8, 0.7, 0, 0.7)],
)
def test_a_cut_decides_what_is_called_true_and_so_its_risk(cut, p, value, risk):
    value_and_risk = risk_of(SIGN, np.array([[1 - p, p]]), Policy(cuts={"sign": cut}))
    assert (value_and_risk[0][0], value_and_risk[1][0]) == pytest.approx((value, risk))


@pytest.mark.parametrize(
    ("p", "tolerance", "mean", "risk"),
    [
        # All in one bin, [0, 0.5]: the mean is .25, so that .1 on each side is .2 of .5.
        ([0, 0, 1, 0], 0.1, 0.25, 0.6),
        ([0, 0, 1, 0], 0.25, 0.25, 0.0),
        # Half in [-1, -.5], half in [.5, 1]: nothing is within .5 of the mean, and half of it within .75.
        ([0.5, 0, 0, 0.5], 0.5, 0.0, 1.0),
        ([0.5, 0, 0, 0.5], 0.75, 0.0, 0.5),
        # Uniform: P(|x| > .3) = .7; the window may reach beyond an end.
        ([0.25, 0.25, 0.25, 0.25], 0.3, 0.0, 0.7),
        ([0, 0, 0, 1], 0.5, 0.75, 0.0),
        ([0.1, 0.2, 0.3, 0.4], 2.5, 0.25, 0.0),
    ],
)
def test_the_risk_of_a_number_is_to_be_out_of_tolerance(p, tolerance, mean, risk):
    mean_and_risk = risk_of(GAUGE, np.array([p], dtype=float), Policy(tolerance={"gauge": tolerance}))
    assert (mean_and_risk[0][0], mean_and_risk[1][0]) == pytest.approx((mean, risk), abs=1e-12)


def test_the_risk_of_a_number_by_sampling():
    rng = np.random.default_rng(1)
    edges = np.linspace(0, 3, 7)
    gauge = Variable("gauge", "interval", tuple("abcdef"), "gauge", edges=tuple(edges))
    for p, tolerance in zip(rng.dirichlet(np.ones(6), 5), (0.2, 0.4, 0.55, 0.9, 1.3), strict=True):
        x = edges[rng.choice(6, 400_000, p=p)] + 0.5 * rng.random(400_000)
        mean, risk = risk_of(gauge, p[None], Policy(tolerance={"gauge": tolerance}))
        assert mean[0] == pytest.approx(x.mean(), abs=0.006)
        assert risk[0] == pytest.approx((np.abs(x - mean[0]) > tolerance).mean(), abs=0.005)


def looked_at(base, answers, posterior, name):
    """Whether anybody looked at a variable of each item, and whether its own answers tell enough of it."""
    origin, observers = np.zeros(len(answers.items)), list(base.observers.values())
    columns = [
        column for kind in (answers.labels, answers.numbers) for n, column in kind.items() if n == name
    ]
    for reading in (r for column in columns for r in column.reading.tolist()):
        looks = observers[answers.reading_observer[reading]].origin == "seen"
        if looks and (name == base.root or posterior.followed[reading] < 0.5):
            origin[answers.reading_item[reading]] = Origin.SEEN
    if base.variables[name].kind != "binary":
        return origin, np.ones(len(origin), dtype=bool)
    true = posterior.marginals[name][:, 1] >= base.policy.cuts.get(name, 0.5)
    odds = np.exp(np.where(true, 1, -1) * posterior.answer_odds[name])
    return origin, odds >= base.policy.evidence


def test_a_level_is_accepted_at_or_under_its_limit(base_of):
    base = base_of("weather")
    inference = Inference(compile_network(base), base)
    answers = answers_of(base, random_items(base, 3, items=40))
    posterior = inference.posterior(answers)
    read = np.bincount(answers.reading_item, minlength=40) > 0
    calm, first = np.ones(40), int(read.argmax())
    levels = decide_levels(base, answers, posterior, calm)
    assert set(levels) == {name for names in base.levels.values() for name in names}
    for name, level in levels.items():
        p = posterior.marginals[name]
        expected = 1 - p.max(1)
        np.testing.assert_allclose(level.risk, expected, atol=1e-12)
        origin, has_looked = looked_at(base, answers, posterior, name)
        assert np.array_equal(level.origin, origin)
        low = level.risk <= base.policy.limits[name]
        assert np.array_equal(level.accepted, read & low & (origin == Origin.SEEN) & has_looked)
        assert np.array_equal(level.lacking, read & low & (origin == Origin.SEEN) & ~has_looked)
    tight = replace(
        base.policy, limits=dict.fromkeys(base.policy.limits, float(levels[base.root].risk[first]))
    )
    tight_base = replace(base, policy=tight)
    assert decide_levels(tight_base, answers, posterior, calm)[base.root].accepted[first]
    torn = np.full(40, base.policy.conflict * 0.999)
    assert not any(level.accepted.any() for level in decide_levels(base, answers, posterior, torn).values())


# Items.


def decided(base, accepted, following=None, conflict=1.0, readings=1, asked=1, refused=0):
    """Decide one item of which these levels' variables are accepted."""
    observer = base.observers[base.policy.ask]
    draws = ({base.root: 0},)
    item = [Reading(observer.name, next(iter(base.questions)), "face", draws)] * min(readings, 1)
    answers = replace(answers_of(base, [item]), asked=np.array([asked]), refused=np.array([refused]))
    levels = {
        name: seen_level([level in accepted], np.zeros(1), np.zeros(1))
        for level, names in base.levels.items()
        for name in names
    }
    at_odds = ("logbook" if conflict < base.policy.conflict else "",)
    decisions = decide_items(base, answers, levels, (following,), at_odds)
    return decisions.item[0], decisions.reasons[0]


ASK = Option("o", "q", None, "face", 2, 2.0, 3.0)


def test_an_item_is_asked_again_where_that_is_worth_its_price(base_of):
    base = base_of("machine")
    assert decided(base, {"fault", "gauges", "signs"}, ASK)[0] == "requery"
    assert decided(base, {"fault"}, ASK) == ("requery", ("open: signs", "open: gauges"))


def test_else_it_is_accepted_where_the_required_levels_are(base_of):
    base = base_of("machine")
    assert base.policy.required == ("fault", "gauges")
    assert decided(base, {"fault", "gauges", "signs"}) == ("accept", ())
    assert decided(base, {"fault", "gauges"}) == ("accept", ())


def test_else_it_is_rejected_and_says_why(base_of):
    base = base_of("machine")
    assert decided(base, {"fault", "signs"}) == ("reject", ("unresolvable", "open: gauges"))
    assert decided(base, {"fault"}, conflict=0.009)[1][:2] == ("conflict: logbook", "unresolvable")
    assert decided(base, {"fault"}, conflict=0.01)[1][0] == "unresolvable"
    assert decided(base, {"fault"}, asked=12)[1][0] == "budget"
    assert decided(base, set(), conflict=0.0, asked=13)[1][:2] == ("conflict: logbook", "budget")


def test_an_item_without_a_readable_answer_is_rejected_whatever_the_prior_says(base_of):
    base = base_of("machine")
    every = set(base.levels)
    assert decided(base, every, readings=0, refused=2) == ("reject", ("refused",))
    assert decided(base, every, ASK, readings=0) == ("reject", ("unreadable",))


# What to ask next.


def plain_base(table, repeat=0.9, strength=20.0, carry=0.5, limit=0.05, batches=(1,), cost=1e-9):
    """One root of two or three states, of which one observer can be asked two questions."""
    states = tuple(f"r{i}" for i in range(len(table)))
    base = random_base(
        Shape(states=len(table), binaries=1, couplings=0, rules=0, observers=1, halo=False, seed=1)
    )
    instrument = LabelInstrument(
        variable="root",
        answers=states,
        confusion=table,
        types=(ReadingType(repeat=repeat, strength=strength),),
    )
    observer = replace(base.observers["o0"], labels={"root": instrument}, carry=carry)
    p = tuple([1 / len(table)] * len(table))
    return replace(
        base,
        observers={"o0": observer},
        populations={"here": Population(name="here", p=p)},
        questions={q: Question(name=q, variables=("root",), cost=cost) for q in ("first", "second")},
        levels={"root": ("root",)},
        policy=replace(
            base.policy,
            required=("root",),
            limits={"root": limit},
            worth={"root": 10.0},
            batches=batches,
            budget=1000,
        ),
    )


TWO = ((0.85, 0.15), (0.2, 0.8))
THREE = ((0.7, 0.2, 0.1), (0.15, 0.7, 0.15), (0.1, 0.3, 0.6))


def first_of(base):
    inference = Inference(compile_network(base), base)
    ahead = LookAhead(inference)
    return ahead.first(inference.posterior(Answers.nothing()))


def test_first_comes_the_question_that_reports_most_and_of_several_the_cheapest(base_of, names):
    base = base_of("machine")
    price = base.questions["walk"].cost * base.observers["fitter"].cost
    assert first_of(base) == Option("fitter", "walk", None, "face", 1, price, 0.0)
    cheap = replace(base.questions["walk"], cost=price / 2)
    assert first_of(replace(base, questions={**base.questions, "walk again": cheap})).question == "walk again"


def test_of_the_first_question_come_as_many_answers_as_gain_most_for_their_price(base_of):
    base = base_of("machine")
    counts = []
    for further in (None, base.questions["walk"].cost / 10, 0.0):
        walk = replace(base.questions["walk"], further=further)
        priced = replace(base, questions={**base.questions, "walk": walk})
        inference = Inference(compile_network(priced), priced)
        ahead = LookAhead(inference)
        posterior = inference.posterior(Answers.nothing())
        gain = {
            o.samples: o.gain for o in ahead.options(Answers.nothing(), posterior, 0) if o.question == "walk"
        }
        rate = {count: gain[count] / walk.price(count) for count in base.policy.batches}
        assert max(rate.values()) > 1
        option = ahead.first(posterior)
        assert (option.question, option.samples) == ("walk", max(rate, key=rate.get))
        counts.append(option.samples)
    assert counts[0] == 1 < counts[-1]
    # What is worth nothing is asked once.
    worthless = replace(base.policy, worth=dict.fromkeys(base.policy.worth, 0.0))
    assert first_of(replace(priced, policy=worthless)).samples == 1


def test_the_policy_says_what_comes_first(base_of):
    base = base_of("machine")
    policy = replace(base.policy, first=First(question="listen", samples=3))
    option = first_of(replace(base, policy=policy))
    assert (option.question, option.samples) == ("listen", 3)
    assert option.cost == pytest.approx(3 * base.questions["listen"].cost)
    listen = replace(base.questions["listen"], further=0.1)
    cheap = replace(base, policy=policy, questions={**base.questions, "listen": listen})
    assert first_of(cheap).cost == pytest.approx(listen.cost + 2 * 0.1)


def test_where_every_question_is_about_one_variable_the_best_gain_comes_first(base_of):
    base = base_of("machine")
    base = replace(base, questions={"check": base.questions["check"]})
    inference = Inference(compile_network(base), base)
    ahead = LookAhead(inference)
    nothing = Answers.nothing()
    posterior = inference.posterior(nothing)
    option = ahead.first(posterior)
    assert option == ahead.options(nothing, posterior, 0)[0]
    assert option.about is not None
    assert option.gain > 0


def test_nothing_comes_first_where_nobody_or_nothing_may_be_asked(base_of):
    base = base_of("machine")
    for policy in (replace(base.policy, ask=""), replace(base.policy, budget=0)):
        assert first_of(replace(base, policy=policy)) is None


def loss_of(base, marginals, before):
    """The loss that `decision.loss` states, from a posterior's marginals, of what was open before."""
    total = 0.0
    for names in base.levels.values():
        for name in names:
            _, risk = risk_of(base.variables[name], marginals[name], base.policy)
            limit = base.policy.limits[name]
            _, risk_before = risk_of(base.variables[name], before[name], base.policy)
            if risk > limit and risk_before > limit:
                total += base.policy.worth[name] * (1 - 0.5 * limit / risk)
    return total


def exact_gain(base, readings, more, answers):
    """Expected fall of the loss when the reading `more` gets further draws, one of the tuples `answers`."""
    world = World(compile_network(base), base)
    before = world.item(readings)
    total = 0.0
    for draws in answers:
        after = world.item(
            [k for k in readings if k is not more] + [replace(more, draws=(*more.draws, *draws))]
        )
        total += np.exp(after.log_evidence - before.log_evidence) * loss_of(
            base, after.marginals, before.marginals
        )
    return loss_of(base, before.marginals, before.marginals) - total


def gain_of(base, readings, seeds=60, only=None):
    """The engine's gain of its best question, mean over seeds; 0 where nothing is worth asking."""
    if only is not None:
        # The others are beyond any price.
        costs = {name: q if name == only else replace(q, cost=1e9) for name, q in base.questions.items()}
        base = replace(base, questions=costs)
    inference = Inference(compile_network(base), base)
    answers = answers_of(base, [readings])
    posterior = inference.posterior(answers)
    options = [
        LookAhead(inference, seed).next(answers, posterior, np.array([True]))[0] for seed in range(seeds)
    ]
    return float(np.mean([option.gain if option else 0.0 for option in options])), options


@pytest.mark.parametrize(
    ("table", "had"), [(TWO, ()), (TWO, (0, 1)), (TWO, (0,) * 6), (THREE, (0, 1))], ids=str
)
def test_the_gain_of_further_draws_is_their_expected_worth(table, had):
    for batch in (1, 2, 4) if len(table) == 2 else (1, 2):
        base = plain_base(table, batches=(batch,), strength=6, limit=0.1)
        reading = Reading("o0", "first", "face", tuple({"root": y} for y in had))
        given = [reading] if had else []
        every = [
            tuple({"root": y} for y in answers)
            for answers in itertools.product(range(len(table)), repeat=batch)
        ]
        exact = exact_gain(base, given, reading, every)
        gain, _ = gain_of(base, given, only="first")
        assert gain == pytest.approx(exact, abs=0.05 + 0.05 * exact)


def test_gains_of_a_joint_question_over_two_variables():
    base = plain_base(TWO, limit=0.1)
    sign = random_base(Shape(states=2, binaries=1, couplings=0, rules=0, observers=1, halo=False, seed=1))
    label = LabelInstrument(
        variable="b0",
        answers=("false", "true"),
        confusion=((0.9, 0.1), (0.2, 0.8)),
        types=(ReadingType(repeat=0.9, strength=8),),
    )
    observer = base.observers["o0"]
    base = replace(
        base,
        cells=sign.cells,
        observers={"o0": replace(observer, labels={**observer.labels, "b0": label})},
        questions={"first": Question(name="first", variables=("root", "b0"), cost=1e-9)},
        levels={"root": ("root",), "signs": ("b0",)},
        policy=replace(base.policy, limits={"root": 0.1, "b0": 0.05}, worth={"root": 10.0, "b0": 3.0}),
    )
    reading = Reading("o0", "first", "face", ())
    every = [({"root": y, "b0": z},) for y in range(2) for z in range(2)]
    exact = exact_gain(base, [], reading, every)
    gain, _ = gain_of(base, [])
    assert gain == pytest.approx(exact, abs=0.05 + 0.05 * exact)


def test_a_saturated_reading_is_not_worth_another_draw():
    base = plain_base(TWO, limit=0.01, carry=0.0)
    once, fifty = ([Reading("o0", "first", "face", ({"root": 0},) * n)] for n in (1, 50))
    again_once, _ = gain_of(base, once, only="first", seeds=20)
    again_fifty, _ = gain_of(base, fifty, only="first", seeds=20)
    fresh, _ = gain_of(base, fifty, only="second", seeds=20)
    assert again_fifty < 0.02
    assert again_fifty < 0.1 * again_once
    assert fresh > 20 * again_fifty
    _, options = gain_of(base, fifty, seeds=5)
    assert {option.question for option in options} == {"second"}


def test_gains_grow_with_the_batch_and_are_never_negative():
    gains = []
    for batch in (1, 2, 4, 8):
        base = plain_base(THREE, batches=(batch,), strength=6, repeat=0.6, limit=0.1)
        gain, options = gain_of(base, [], only="first", seeds=30)
        assert all(option is None or option.gain > 0 for option in options)
        gains.append(gain)
    assert gains == sorted(gains)


@pytest.mark.parametrize("budget_left", range(6))
def test_the_budget_is_respected(base_of, budget_left):
    base = base_of("machine")
    cheap = replace(
        base,
        questions={n: replace(q, cost=1e-6) for n, q in base.questions.items()},
        policy=replace(base.policy, batches=(2, 4)),
    )
    inference = Inference(compile_network(cheap), cheap)
    answers = answers_of(cheap, random_items(cheap, 9, items=30))
    answers = replace(answers, asked=np.full(30, base.policy.budget - budget_left))
    ahead = LookAhead(inference)
    options = ahead.next(answers, inference.posterior(answers), np.ones(30, dtype=bool))
    assert all(option is None or option.samples <= budget_left for option in options)
    assert any(options) == (budget_left >= 2)


def test_nothing_is_asked_where_it_is_not_worth_its_price(base_of):
    base = base_of("machine")
    dear = replace(base, questions={n: replace(q, cost=1e6) for n, q in base.questions.items()})
    inference = Inference(compile_network(dear), dear)
    answers = answers_of(dear, random_items(dear, 4, items=20))
    options = LookAhead(inference).next(answers, inference.posterior(answers), np.ones(20, dtype=bool))
    assert options == (None,) * 20


@settings(max_examples=examples(3), deadline=None, derandomize=True, database=None)
@given(st.integers(0, 2**32 - 1))
def test_what_was_imagined_before_changes_nothing(seed):
    """Answers imagined again, in great numbers and for few items, are those imagined at first."""
    base = random_base(Shape(states=3, binaries=4, bins=(4, 3), observers=2, seed=seed))
    inference = Inference(compile_network(base), base)
    items = random_items(base, seed, items=5)
    many_answers, few_answers = answers_of(base, items * 30), answers_of(base, items)
    used = LookAhead(inference)
    in_bulk = used.next(many_answers, inference.posterior(many_answers), np.ones(150, dtype=bool))
    assert used.tables.tables
    again = used.next(few_answers, inference.posterior(few_answers), np.ones(5, dtype=bool))
    new = LookAhead(inference)
    at_first = new.next(few_answers, inference.posterior(few_answers), np.ones(5, dtype=bool))
    for whole in (in_bulk[:5], again):
        for option, first_option in zip(whole, at_first, strict=True):
            assert (option is None) == (first_option is None)
            if option is not None:
                assert replace(option, gain=0, error=0) == replace(first_option, gain=0, error=0)
                assert option.gain == pytest.approx(first_option.gain, rel=1e-9)


def test_single_precision_changes_no_gain_of_many_variables(monkeypatch):
    """The gains of strong answers about 27 binary variables are those of double precision."""
    base = random_base(Shape(states=5, binaries=27, bins=(4, 3), observers=2, rules=0, couplings=0, seed=3))
    base = replace(base, policy=replace(base.policy, batches=(1, 8), budget=1000))
    inference = Inference(compile_network(base), base)
    answers = answers_of(base, random_items(base, 3, items=12))
    posterior = inference.posterior(answers)

    def gains():
        ahead = LookAhead(inference)
        return [
            {(o.observer, o.question, o.samples): o.gain for o in ahead.options(answers, posterior, item)}
            for item in range(4)
        ]

    in_single = gains()
    monkeypatch.setattr("engine.decision.predictive_samples._single", np.asarray)
    for single, double in zip(in_single, gains(), strict=True):
        assert max(double.values()) > 1
        assert single != double
        assert single == pytest.approx(double, rel=1e-5)


@settings(max_examples=examples(3), deadline=None, derandomize=True, database=None)
@given(st.integers(0, 2**32 - 1))
def test_what_is_asked_about_an_item_does_not_depend_on_its_company(seed):
    base = random_base(Shape(states=3, binaries=5, bins=(4, 3), observers=2, seed=seed))
    questions = {
        **base.questions,
        "check": Question(name="check", variables=tuple(base.cells), cost=0.1, about_one=True),
    }
    base = replace(base, questions=questions)
    inference = Inference(compile_network(base), base)
    ahead = LookAhead(inference)
    items = random_items(base, seed, items=6)
    answers = answers_of(base, items)
    together = ahead.next(answers, inference.posterior(answers), np.ones(6, dtype=bool))
    for i, readings in enumerate(items):
        alone = answers_of(base, [readings])
        (option,) = ahead.next(alone, inference.posterior(alone), np.array([True]))
        option_in_company = together[i]
        assert (option is None) == (option_in_company is None)
        if option is not None:
            assert (option.question, option.about, option.samples) == (
                option_in_company.question,
                option_in_company.about,
                option_in_company.samples,
            )
            assert option.gain == pytest.approx(option_in_company.gain, rel=1e-9)
