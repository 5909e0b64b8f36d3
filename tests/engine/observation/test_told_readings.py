"""Readings that were told something: items against brute force, and what being told adds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from brute_force import Reading, Shape, World, answers_of, random_base
from hypothesis import given, settings
from hypothesis import strategies as st
from thorough import examples

from engine import Answers, Inference, compile_network
from engine.decision.origin import origins_of
from engine.model.knowledge import Halo

VIEWS = ("face", "crop")


def with_told(seed, told, carry=0.5, halo=0.4, **shape):
    """Return a base whose observers follow what question `told` tells them so often, and in `all` a label."""
    base = random_base(Shape(seed=seed, binaries=2, couplings=1, rules=0, **shape))
    questions = {**base.questions, "told": replace(base.questions["all"], name="told")}
    changed = {
        name: replace(
            observer,
            halo={"all": Halo(given=base.root, probability=halo)},
            halo_of_given={"told": Halo(given="told", probability=told)} if told else {},
            carry=carry,
        )
        for name, observer in base.observers.items()
    }
    return replace(base, observers=changed, questions=questions)


def reading(base, data, observer, question, view, stated=()):
    known = base.observers[observer]
    draws = []
    for _ in range(data.draw(st.integers(1, 2))):
        draw = {}
        for name in base.questions[question].variables:
            if name in known.labels and data.draw(st.booleans()):
                draw[name] = data.draw(st.integers(0, len(known.labels[name].answers) - 1))
            elif name in known.numbers and data.draw(st.booleans()):
                edges = base.variables[name].edges
                draw[name] = data.draw(st.sampled_from([edges[0], edges[1], edges[-1]]))
        draws.append(draw)
    draws = [draw for draw in draws if draw]
    return Reading(observer, question, view, tuple(draws), stated) if draws else None


def stated_values(base, data):
    """Return what a prompt may state: the root, a binary variable, a number, or several of them."""
    values = {base.root: 1, "b0": 1, "b1": 0, **dict.fromkeys(base.intervals, 0.4)}
    names = data.draw(st.lists(st.sampled_from(list(values)), min_size=1, max_size=3, unique=True))
    return tuple((name, float(values[name])) for name in names)


@settings(deadline=None, max_examples=examples(30))
@given(
    st.integers(0, 10_000),
    st.sampled_from([0.0, 0.5, 1.0]),
    st.sampled_from([0.3, 0.8, 1.0]),
    st.sampled_from([{"observers": 2, "states": 3}, {"bins": (3,), "exponent": True, "observers": 1}]),
    st.data(),
)
def test_items_with_told_readings_equal_brute_force(seed, carry, told, shape, data):
    base = with_told(seed, told, carry, **shape)
    stated = stated_values(base, data)
    keys = [(o, q, view) for o in base.observers for q in ("told", "all") for view in VIEWS]
    chosen = data.draw(st.lists(st.sampled_from(keys), min_size=1, max_size=4, unique=True))
    readings = [reading(base, data, *key, stated if key[1] == "told" else ()) for key in chosen]
    readings = [one_reading for one_reading in readings if one_reading]
    if not readings:
        return
    network = compile_network(base)
    posterior = Inference(network, base).posterior(answers_of(base, [readings], np.random.default_rng(seed)))
    expected = World(network, base).item(readings)
    for name, p in expected.marginals.items():
        np.testing.assert_allclose(posterior.marginals[name][0], p, atol=1e-9, err_msg=name)
    assert posterior.log_evidence[0] == pytest.approx(expected.log_evidence, abs=1e-9)


def test_a_blind_label_beside_told_readings_of_which_one_has_a_label_equals_brute_force():
    base = with_told(8776, 0.3, 1.0, bins=(3,), exponent=True, observers=1)
    stated = (("v0", 0.4),)
    readings = [
        Reading("o0", "all", "crop", ({"root": 2, "b0": 1},)),
        Reading("o0", "all", "face", ({"b0": 0}, {"root": 1, "b1": 1})),
        Reading("o0", "told", "face", ({"root": 1},), stated),
        Reading("o0", "told", "crop", ({"b1": 0},), stated),
    ]
    network = compile_network(base)
    posterior = Inference(network, base).posterior(answers_of(base, [readings]))
    expected = World(network, base).item(readings)
    for name, p in expected.marginals.items():
        np.testing.assert_allclose(posterior.marginals[name][0], p, atol=1e-9, err_msg=name)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("answer", [0, 1])
def test_always_told_adds_nothing(seed, answer):
    """With probability 1 no answer, obedient or not, moves any posterior."""
    base = with_told(seed, 1.0, states=3)
    inference = Inference(compile_network(base), base)
    label = Reading("o1", "all", "face", ({"root": 1},))
    known = base.observers["o0"].labels
    answers = {name: answer for name in ("root", "b0", "b1") if name in known}
    told = [Reading("o0", "told", view, (answers,) * 2, (("root", 1.0),)) for view in VIEWS]
    posterior = inference.posterior(answers_of(base, [[label], [label, *told]]))
    for name, p in posterior.marginals.items():
        np.testing.assert_allclose(p[1], p[0], atol=1e-12, err_msg=name)


def test_an_obedient_answer_adds_the_less_the_oftener_it_follows():
    """What was seen with .2 moves the root more than what was seen with .9."""
    moves = []
    for told in (0.0, 0.2, 0.9, 1.0):
        base = with_told(2, told, states=3, halo=0.0)
        inference = Inference(compile_network(base), base)
        names = [name for name in ("b0", "b1") if name in base.observers["o0"].labels]
        assert names
        likely = {
            name: int(
                inference.network.given_root[name][1, 1] > inference.network.given_root[name][:, 1].mean()
            )
            for name in names
        }
        obedient = Reading("o0", "told", "face", (likely,), (("root", 1.0),))
        root = inference.posterior(answers_of(base, [[], [obedient]])).marginals["root"]
        moves.append(root[1, 1] - root[0, 1])
    assert moves[0] > moves[1] > moves[2] > moves[3]
    assert moves[3] == pytest.approx(0, abs=1e-12)


def test_what_was_followed_was_not_seen():
    base = with_told(0, 1.0, states=3)
    inference = Inference(compile_network(base), base)
    known = [name for name in ("root", "b0", "b1") if name in base.observers["o0"].labels]
    draw = dict.fromkeys(known, 1)
    items = [[Reading("o0", "told", "face", (draw,), stated)] for stated in ((("root", 1.0),), ())]
    answers = answers_of(base, items)
    posterior = inference.posterior(answers)
    origins = origins_of(base, answers, posterior.followed)
    assert posterior.followed.tolist() == [1.0, 0.0]
    for name in set(known) & set(origins):
        assert origins[name].tolist() == [0, 2]


def test_a_told_reading_and_a_blind_one_are_two_readings():
    """Also where later answers are joined, and what was stated is kept through every rearrangement."""
    base = with_told(0, 0.5, states=3)
    stated = (("root", 1.0),)
    blind, told = (
        Reading("o0", "told", "face", ({"b0": 1},), stated_values) for stated_values in ((), stated)
    )
    other = Reading("o0", "told", "face", ({"b0": 1},), (("root", 0.0),))
    whole = answers_of(base, [[told], [blind]]).joined(answers_of(base, [[other, told], [blind]]))
    kept = sorted(
        (int(item), whole.givens[given] if given >= 0 else ())
        for item, given in zip(whole.reading_item, whole.reading_given, strict=True)
    )
    assert kept == [(0, (("root", 0.0),)), (0, stated), (1, ())]
    for part in (whole.part(0, 2), whole.tiled(2).part(2, 4), Answers.stacked([whole.part(0, 1)])):
        assert {part.givens[g] for g in part.reading_given if g >= 0} == {stated, (("root", 0.0),)}
