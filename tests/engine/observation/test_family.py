"""Observers of one family: laws of what they share beyond the look, by brute force, simulation and pgmpy."""

from __future__ import annotations

import itertools
import math
import warnings
from dataclasses import replace

import numpy as np
import pytest
from brute_force import Reading, World, answers_of, network_of, random_items
from hypothesis import example, given, settings
from hypothesis import strategies as st
from test_dependence import (
    FAR,
    asking,
    dependent_base,
    drawn_answers,
    dull,
    in_columns,
    posterior_of,
    same,
    unranked,
)
from thorough import examples

from engine import Inference, Preposterior
from engine.model.knowledge import ReadingType
from engine.observation.dependence import SharedLook
from engine.observation.family import Member, family_look

with warnings.catch_warnings():
    # It warns of parts of itself on import.
    warnings.simplefilter("ignore")
    from pgmpy.factors.discrete import TabularCPD
    from pgmpy.inference import VariableElimination
    from pgmpy.models import DiscreteBayesianNetwork

few = settings(max_examples=examples(5), deadline=None, derandomize=True, database=None)
seeds = st.integers(0, 2**32 - 1)


def family_base(seed, follows=0.9, members=("o0", "o1"), looks=(0.9, 0.6, 0.2), **shape):
    """A random base of which some observers are of one family."""
    base = dependent_base(seed, follows=looks, **shape)
    return of_family(base, follows, members)


def of_family(base, follows, members):
    observers = {
        name: replace(o, family="model", family_follows=follows) if name in members else o
        for name, o in base.observers.items()
    }
    return replace(base, observers=observers)


def strangers(base):
    return of_family(
        replace(base, observers={n: replace(o, family="") for n, o in base.observers.items()}), 0, ()
    )


# The tables


@settings(max_examples=examples(60), deadline=None, derandomize=True, database=None)
@given(seeds)
@example(92134)  # a settled probability of 2e-17, of which rounding leaves nothing
def test_a_member_alone_has_its_own_table_and_follows_as_far_as_it_can(seed):
    """Σ_f V_F W = V; members that always follow are the same as often as their tables allow."""
    rng = np.random.default_rng(seed)
    states, looks = int(rng.integers(2, 5)), int(rng.integers(1, 5))
    names = [("a", "b", "c"), ("c", "a", "b", "d"), ("a", "b", "c")]
    look = rng.dirichlet(np.ones(looks), states)
    members, given_look = [], []
    for place in range(int(rng.integers(2, 4))):
        table = rng.dirichlet(np.full(len(names[place]), 0.4), (states, looks))
        if rng.random() < 0.3:
            table = np.broadcast_to(table[:1, :1], table.shape)
        given_look.append(table)
        settles = np.einsum("xj,xjy->xy", look, table)
        members.append(Member(place, names[place], settles, float(rng.choice([0, 0.3, 1]))))
    family = family_look(SharedLook(look, tuple(given_look)), members)
    np.testing.assert_allclose(family.settled_given.sum(2), 1, atol=1e-12)
    most = max(member.discrimination for member in members)
    every = list(dict.fromkeys(name for member in members for name in member.answers))
    for member, given_alone, given_family in zip(members, given_look, family.answer_given, strict=True):
        assert (given_family >= 0).all()
        np.testing.assert_allclose(given_family.sum(3), 1, atol=1e-9)
        alone = np.einsum("xjf,xjfy->xjy", family.settled_given, given_family)
        np.testing.assert_allclose(alone, given_alone, atol=1e-9)
        if most < 1e-9:
            continue
        share = member.follows * member.discrimination / most
        settled = family.settled_given[..., [every.index(name) for name in member.answers]]
        like = np.minimum(settled, given_alone)
        joint = family.settled_given[..., None] * given_family
        agree = sum(joint[..., every.index(name), y] for y, name in enumerate(member.answers))
        apart = (settled * given_alone).sum(2)
        np.testing.assert_allclose(agree, share * like.sum(2) + (1 - share) * apart, atol=1e-9)


# What must change nothing


@few
@given(seeds)
def test_a_family_that_nobody_follows_is_none(seed):
    base = family_base(seed, follows=0.0, halo=True, bins=(3,))
    items = random_items(base, seed, items=3, readings=4)
    posterior, other = posterior_of(base, items), posterior_of(strangers(base), items)
    for name, p in other.marginals.items():
        np.testing.assert_array_equal(posterior.marginals[name], p)
    np.testing.assert_array_equal(posterior.log_evidence, other.log_evidence)


@few
@given(seeds)
def test_one_member_is_as_if_it_had_no_family(seed):
    """Of whom nobody else answered, beside strangers that did; whoever answered about the items beside it."""
    base = family_base(seed, members=("o0", "o1"), halo=True, exponent=True)
    whole = random_items(base, seed, items=3, readings=6)
    items = [[reading for reading in readings if reading.observer != "o1"] for readings in whole]
    apart = posterior_of(strangers(base), items)
    same(posterior_of(base, items), apart, atol=1e-9)
    beside_all = posterior_of(base, [*items, *whole])
    for name, p in apart.marginals.items():
        np.testing.assert_allclose(beside_all.marginals[name][: len(items)], p, atol=1e-9, err_msg=name)


@few
@given(seeds)
def test_a_member_that_cannot_tell_states_apart_changes_nothing(seed):
    base = dull(family_base(seed, members=("o0", "o1", "o2")), "o2")
    items = unranked(random_items(base, seed, items=3, readings=6))
    without_member = [[reading for reading in readings if reading.observer != "o2"] for readings in items]
    inference = Inference(network_of(base), base)
    whole, part = (inference.posterior(answers_of(base, given)) for given in (items, without_member))
    for name, p in part.marginals.items():
        np.testing.assert_allclose(whole.marginals[name], p, atol=1e-9, err_msg=name)


@few
@given(seeds)
def test_order_changes_nothing(seed):
    """Of answers, of items, and of observers in the base."""
    base = family_base(seed, members=("o0", "o2"), halo=True)
    rng = np.random.default_rng(seed)
    items = random_items(base, seed, items=3, readings=5)
    plain = posterior_of(base, items)
    same(plain, posterior_of(base, items, rng), atol=1e-9)
    turned = replace(base, observers=dict(reversed(base.observers.items())))
    same(plain, posterior_of(turned, items), atol=1e-9)
    back = posterior_of(base, items[::-1])
    marginals = {name: p[::-1] for name, p in back.marginals.items()}
    same(plain, replace(back, marginals=marginals, log_evidence=back.log_evidence[::-1]), atol=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_a_copy_that_scatters_nothing_and_says_the_same_changes_nothing(seed):
    """With φ = 1, the same table, and answers that are nearly always what was settled on."""
    base = family_base(seed, follows=1.0, members=("o0", "o1"), looks=(0.9, 0.9), observers=2)
    first = base.observers["o0"]
    sure = (ReadingType(repeat=0.9999, strength=1e6),)
    labels = {name: replace(label, types=sure, settled=()) for name, label in first.labels.items()}
    first = replace(first, carry=1.0, labels=labels)
    base = replace(base, observers={name: replace(first, name=name) for name in ("o0", "o1")})
    answered = [dict.fromkeys(labels, y) for y in range(2)]
    items = [[Reading("o0", "all", "face", (answer,))] for answer in answered]
    twice = [[*readings, replace(readings[0], observer="o1")] for readings in items]
    alone, both = posterior_of(base, items), posterior_of(base, twice)
    apart = posterior_of(strangers(base), twice)
    for name, p in alone.marginals.items():
        np.testing.assert_allclose(both.marginals[name], p, atol=2e-3)
    assert max(np.abs(apart.marginals[name] - p).max() for name, p in alone.marginals.items()) > 0.02


# What must be there


def test_the_more_members_follow_the_less_their_agreement_says():
    """Both right or wrong together: the log-odds of the likelier state fall with φ, never under one's own."""
    odds = []
    for follows in (0.0, 0.3, 0.6, 0.9, 1.0):
        base = family_base(3, follows=follows, members=("o0", "o1"), looks=(0.9, 0.9), observers=2)
        first = replace(base.observers["o0"], carry=1.0)
        base = replace(base, observers={name: replace(first, name=name) for name in ("o0", "o1")})
        items = [
            [Reading(name, "all", "face", ({"b0": 1},)) for name in names]
            for names in (("o0",), ("o0", "o1"))
        ]
        p = posterior_of(base, items).marginals["b0"]
        odds.append(np.log(p[:, 1] / p[:, 0]))
    odds = np.array(odds)
    np.testing.assert_allclose(odds[:, 0], odds[0, 0], atol=1e-9)
    assert np.all(np.diff(odds[:, 1]) < -1e-4)
    assert np.all(odds[:, 1] > odds[:, 0])


@few
@given(seeds)
def test_posteriors_are_those_of_brute_force(seed):
    rng = np.random.default_rng(seed)
    base = family_base(
        seed, follows=float(rng.choice([0.5, 0.9, 1])), members=("o0", "o2"), halo=bool(seed % 2), types=2
    )
    network = network_of(base)
    world, items = World(network, base), random_items(base, seed, items=3, readings=6)
    posterior = Inference(network, base).posterior(answers_of(base, items))
    for i, readings in enumerate(items):
        truth = world.item(readings)
        assert posterior.log_evidence[i] == pytest.approx(truth.log_evidence, abs=1e-9)
        for name, p in truth.marginals.items():
            np.testing.assert_allclose(posterior.marginals[name][i], p, atol=1e-9, err_msg=name)


def test_pgmpy_agrees():
    """One variable, three observers, two of a family: the model as an explicit network."""
    base = family_base(5, follows=0.8, members=("o0", "o1"), observers=3, couplings=0, rules=0)
    inference = Inference(network_of(base), base)
    observations, name = inference.observations, base.root
    look = observations.shared_look(name)
    (family,) = look.families
    prior = np.array(base.populations[inference.population].p)
    sizes = {"x": len(prior), "j": look.look_given_state.shape[1], "f": family.settled_given.shape[2]}
    tables = [("x", (), prior), ("j", ("x",), look.look_given_state), ("f", ("x", "j"), family.settled_given)]
    observed = {}
    for place, index in enumerate(observations.observers_of(name)):
        kernel, carry = observations.kernels[index, name], observations.carry[index]
        inside = place in family.members
        given_m = family.of_member(place) if inside else look.answer_given[place]
        types, answers = kernel.alpha.shape
        sizes |= {f"m{index}": types, f"r{index}": types, f"y{index}": answers}
        tables.append((f"m{index}", ("x", "j", "f") if inside else ("x", "j"), given_m))
        fresh = carry * np.eye(types)[None] + (1 - carry) * kernel.mix[:, None]
        tables.append((f"r{index}", ("x", f"m{index}"), fresh))
        tables.append((f"y{index}", (f"r{index}",), kernel.alpha / kernel.alpha.sum(1, keepdims=True)))
        observed[f"y{index}"] = (index + 1) % answers
    model = DiscreteBayesianNetwork()
    model.add_nodes_from(sizes)
    for node, parents, values in tables:
        model.add_edges_from((parent, node) for parent in parents)
        flat = np.moveaxis(values, -1, 0).reshape(sizes[node], -1)
        cards = [sizes[parent] for parent in parents]
        model.add_cpds(TabularCPD(node, sizes[node], flat, list(parents) or None, cards or None))
    assert model.check_model()
    oracle = VariableElimination(model).query(["x"], evidence=observed, show_progress=False).values
    item = [Reading(f"o{i}", "all", "face", ({name: observed[f"y{i}"]},)) for i in range(3)]
    posterior = posterior_of(base, [item])
    np.testing.assert_allclose(posterior.marginals[name][0], oracle, atol=1e-9)
    apart = posterior_of(strangers(base), [item])
    assert np.abs(apart.marginals[name][0] - oracle).max() > 1e-3


# Answers to come


@few
@given(seeds)
def test_an_answer_to_come_is_foretold_by_what_fellows_and_strangers_answered(seed):
    """P(y | others) of what an observer settles on given them, against the ratio of the probabilities."""
    base = family_base(seed, members=("o0", "o1"))
    inference = Inference(network_of(base), base)
    observations = inference.observations
    (readings,) = unranked(random_items(base, seed, items=1, readings=9))
    for index, name in itertools.product(range(3), base.observers["o0"].labels):
        observer = f"o{index}"
        other_readings = [reading for reading in readings if reading.observer != observer]
        if name not in base.observers[observer].labels or not any(
            name in r.variables for r in other_readings
        ):
            continue
        answers = answers_of(base, [other_readings])
        settles = observations.given_others(answers, index, name)
        if settles is None:
            continue
        kernel, carry = observations.kernels[index, name], observations.carry[index]
        brought = carry * settles[0] + (1 - carry) * kernel.mix
        rates = brought @ (kernel.alpha / kernel.alpha.sum(1, keepdims=True))
        now = inference.posterior(answers)
        expected = now.marginals[name][0] @ rates
        further = [
            [*other_readings, Reading(observer, "all", "new", ({name: y},))] for y in range(rates.shape[1])
        ]
        ratio = np.exp(inference.log_evidence(answers_of(base, further)) - now.log_evidence[0])
        np.testing.assert_allclose(ratio, expected, atol=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_a_question_never_raises_the_expected_bayes_risk(seed):
    base = asking(family_base(seed, follows=1.0, members=("o0", "o1", "o2")))
    inference = Inference(network_of(base), base)
    readings = [
        Reading("o0", "each", "face", ({base.root: 0},)),
        Reading("o1", "all", "face", (dict.fromkeys(base.observers["o1"].labels, 1),)),
    ]
    answers = answers_of(base, [readings])
    now, look_ahead, falls = inference.posterior(answers), Preposterior(inference), []
    for question in look_ahead._askings(answers):
        if len(question.names) == 1:
            _, p, after = look_ahead.patterns(answers, now, question.names[0], question, 1)
            assert p.sum() == pytest.approx(1, abs=1e-9)
            for name, marginal in after.items():
                np.testing.assert_allclose(p @ marginal, now.marginals[name][0], atol=1e-9, err_msg=name)
                falls.append(1 - now.marginals[name][0].max() - p @ (1 - marginal.max(1)))
    assert min(falls) > -1e-9
    assert max(falls) > 1e-3


@pytest.mark.parametrize("seed", range(2))
def test_simulated_families_answer_as_inference_believes(seed):
    """Pairs of answers come as often as is said, and posteriors are right as often as stated."""
    items, base = 30_000, family_base(seed, members=("o0", "o1"), looks=(0.9, 0.6))
    inference, rng = Inference(network_of(base), base), np.random.default_rng(seed)
    truth, labels = drawn_answers(base, inference, items, rng)
    compared = 0
    for name, parts in labels.items():
        if len(parts) < 2:
            continue
        sizes = [len(list(base.observers.values())[index].labels[name].answers) for index, _ in parts]
        pairs = list(itertools.product(*map(range, sizes)))
        one_each = [
            [Reading(f"o{i}", "all", "face", ({name: y},)) for (i, _), y in zip(parts, pair, strict=True)]
            for pair in pairs
        ]
        p = np.exp(posterior_of(base, one_each).log_evidence)
        share = np.bincount(parts[0][1] * sizes[1] + parts[1][1], minlength=len(pairs)) / items
        assert (np.abs(share - p) <= FAR * np.sqrt(p * (1 - p) / items)).all(), name
        compared += 1
    assert compared >= 2
    posterior = inference.posterior(in_columns(base, labels, items))
    for name, p in posterior.marginals.items():
        stated, right = p.max(1), p.argmax(1) == truth[name]
        reach = FAR * math.sqrt((stated * (1 - stated)).sum()) / items
        assert (stated - right).mean() == pytest.approx(0, abs=reach), name


def test_many_members_that_agree_do_not_underflow():
    base = family_base(3, members=(), looks=(0.9,), observers=2, couplings=0, rules=0)
    (first, _) = base.observers.values()
    names = [f"o{i}" for i in range(60)]
    base = replace(base, observers={name: replace(first, name=name, carry=1.0) for name in names})
    base = of_family(base, 0.9, names[:40])
    items = [[Reading(name, "all", "face", ({base.root: y},)) for name in names] for y in range(2)]
    mixed = [Reading(name, "all", "face", ({base.root: i % 2},)) for i, name in enumerate(names)]
    posterior = posterior_of(base, [*items, mixed])
    assert np.isfinite(posterior.log_evidence).all()
    for p in posterior.marginals.values():
        np.testing.assert_allclose(p.sum(1), 1, atol=1e-9)
