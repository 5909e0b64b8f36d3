"""Views that repeat the usual one, against brute force over what is one reading, and by law."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from brute_force import Reading, Shape, World, answers_of, random_base, random_items
from hypothesis import given, settings
from hypothesis import strategies as st
from thorough import examples

from engine import AnswerError, Inference, SimulatedObserver, View, compile_network, prior_truth
from engine.observation.evidence import MOST_SWITCHES

few = settings(max_examples=examples(5), deadline=None, derandomize=True, database=None)
# A base whose rules nothing can satisfy is drawn anew: of these seeds none is.
SHAPES = [
    Shape(states=3, binaries=2, bins=(3,), rules=0, dependent=True, halo=True, seed=2),
    Shape(states=2, binaries=2, rules=1, types=2, halo=True, seed=5),
    Shape(states=3, binaries=1, bins=(4,), rules=0, observers=1, halo=False, exponent=True, seed=9),
]


def base_with(shape, **repeats):
    """Return a random base whose views repeat the usual one, `face`, so often."""
    views = {name: View(name=name, repeats=share) for name, share in ({"face": 0.0} | repeats).items()}
    return replace(random_base(shape), views=views)


def items_of(base, seed):
    """Return items with readings of up to three views, and an item in which all views have one reading."""
    items = [
        [replace(reading, view=view) for reading, view in zip(readings, views, strict=False)]
        for readings, views in zip(
            random_items(base, seed, items=3, readings=4, draws=2),
            itertools.cycle([("face", "mirror", "turned", "mirror"), ("mirror", "turned", "face", "mirror")]),
            strict=False,
        )
    ]
    whole = [reading for reading in random_items(base, seed + 1, items=4) if reading]
    return items + [
        [replace(reading[0], view=view, draws=reading[0].draws[: 1 + (view == "face")]) for view in views]
        for reading, views in zip(
            whole, (("face", "mirror", "turned"), ("mirror", "turned"), ("face", "mirror")), strict=False
        )
    ]


def pooled(readings, joined):
    """Return an item's readings with some of them taken as readings of the usual view; joined: places."""
    draws = {}
    for place, reading in enumerate(readings):
        view = "face" if place in joined else reading.view
        draws.setdefault((reading.observer, reading.question, view), []).extend(reading.draws)
    return [Reading(*key, tuple(given)) for key, given in draws.items()]


@few
@given(
    shape=st.sampled_from(SHAPES),
    seed=st.integers(0, 10**6),
    mirror=st.sampled_from([0.3, 0.98]),
    turned=st.sampled_from([0.0, 0.6]),
)
def test_posteriors_are_mixtures_over_what_is_one_reading(shape, seed, mirror, turned):
    base = base_with(shape, mirror=mirror, turned=turned)
    network = compile_network(base)
    world, inference = World(network, base), Inference(network, base)
    items = [readings for readings in items_of(base, seed) if readings]
    answers = answers_of(base, items, np.random.default_rng(seed))
    posterior = inference.posterior(answers)
    shares = {"mirror": mirror, "turned": turned, "face": 0.0}
    for i, readings in enumerate(items):
        free = [place for place, reading in enumerate(readings) if shares[reading.view]]
        weights, truths = [], []
        for size in range(len(free) + 1):
            for joined in itertools.combinations(free, size):
                weight = np.prod(
                    [shares[readings[p].view] if p in joined else 1 - shares[readings[p].view] for p in free]
                )
                truths.append(world.item(pooled(readings, joined)))
                weights.append(weight * np.exp(truths[-1].log_evidence))
        total = sum(weights)
        assert posterior.log_evidence[i] == pytest.approx(np.log(total), abs=1e-9)
        for name, p in posterior.marginals.items():
            mean = sum(w / total * truth.marginals[name] for w, truth in zip(weights, truths, strict=True))
            np.testing.assert_allclose(p[i], mean, atol=1e-9, err_msg=name)


@few
@given(shape=st.sampled_from(SHAPES), seed=st.integers(0, 10**6))
def test_a_whole_repeat_is_the_usual_view_and_none_is_a_view_as_any(shape, seed):
    """With 1 an answer is a further draw of the usual reading, whatever it says; with 0 there is no key."""
    plain = base_with(shape)
    network = compile_network(plain)
    items = items_of(plain, seed)
    renamed = [
        pooled(readings, {p for p, r in enumerate(readings) if r.view == "mirror"}) for readings in items
    ]
    for share, expected in ((1.0, renamed), (0.0, items)):
        base = base_with(shape, mirror=share)
        posterior = Inference(network, base).posterior(answers_of(base, items))
        other = Inference(network, plain).posterior(answers_of(plain, expected))
        np.testing.assert_allclose(posterior.log_evidence, other.log_evidence, atol=1e-9)
        for name, p in other.marginals.items():
            np.testing.assert_allclose(posterior.marginals[name], p, atol=1e-9, err_msg=name)


def test_a_reading_that_follows_its_label_does_so_with_what_repeats_it():
    """By a whole repeat: both readings have followed their label as often as the one that they are."""
    base = base_with(SHAPES[0], mirror=1.0)
    inference = Inference(compile_network(base), base)
    ((observer, question),) = itertools.islice(
        (
            (o.name, q)
            for o in base.observers.values()
            for q in o.halo
            if len(base.questions[q].variables) > 1
        ),
        1,
    )
    draw = {name: 0 for name in base.questions[question].variables if name in base.observers[observer].labels}
    readings = [Reading(observer, question, view, (draw,)) for view in ("face", "mirror")]
    followed = inference.posterior(answers_of(base, [readings])).followed
    once = inference.posterior(answers_of(base, [pooled(readings, {1})])).followed
    assert 0 < once[0] < 1
    np.testing.assert_allclose(followed, [once[0]] * 2)


def test_a_view_that_was_not_shown_changes_nothing_of_those_that_were():
    """Two repeats of a view that was not shown: as beside it, summed over all that it might have brought."""
    base = base_with(replace(SHAPES[2], bins=(), exponent=False), mirror=0.8, turned=0.6)
    inference = Inference(compile_network(base), base)
    (observer,) = base.observers.values()
    question = next(q for q, asked in base.questions.items() if base.root in asked.variables)
    size = len(observer.labels[base.root].answers)
    pair = [Reading(observer.name, question, view, ({base.root: 0},)) for view in ("mirror", "turned")]
    alone = inference.posterior(answers_of(base, [pair])).log_evidence[0]
    beside = [[*pair, Reading(observer.name, question, "face", ({base.root: y},))] for y in range(size)]
    whole = inference.posterior(answers_of(base, beside)).log_evidence
    assert np.exp(whole).sum() == pytest.approx(np.exp(alone), abs=1e-12)


def test_made_up_readings_repeat_the_usual_view_as_inference_has_it():
    """Pairs of answers, of a label and of a part that may follow it, come as often as their evidence says."""
    base = base_with(replace(SHAPES[1], types=1), mirror=0.7)
    inference = Inference(compile_network(base), base)
    name = next(
        o.name for o in base.observers.values() for q in o.halo if len(base.questions[q].variables) > 1
    )
    observer = base.observers[name]
    question = next(q for q in observer.halo if len(base.questions[q].variables) > 1)
    asked = [v for v in base.questions[question].variables if v in observer.labels][:2]
    count, rng = 40_000, np.random.default_rng(3)
    simulated = SimulatedObserver(inference.observations, name, prior_truth(inference, count, rng), rng)
    mirror, face = (simulated.reading(question, 1, view) for view in ("mirror", "face"))
    sizes = [len(observer.labels[v].answers) for v in asked]
    cells = list(itertools.product(*(range(size) for size in sizes * 2)))
    pairs = [
        [
            Reading(name, question, view, (dict(zip(asked, answers, strict=True)),))
            for view, answers in (("mirror", cell[: len(asked)]), ("face", cell[len(asked) :]))
        ]
        for cell in cells
    ]
    p = np.exp(inference.posterior(answers_of(base, pairs)).log_evidence)
    drawn = np.stack([given[v][:, 0] for given in (mirror, face) for v in asked])
    share = np.array([(drawn == np.array(cell)[:, None]).all(0).mean() for cell in cells])
    assert p.sum() == pytest.approx(1, abs=1e-9)
    assert (np.abs(share - p) < 5 * np.sqrt(p * (1 - p) / count) + 1e-4).all()
    apart = np.exp(inference.posterior(answers_of(base, [p[:1] for p in pairs])).log_evidence)
    assert np.abs(p - apart * apart.sum()).max() > 0.02


def test_too_many_repeats_are_refused_by_name():
    names = [f"turned-{i}" for i in range(MOST_SWITCHES + 1)]
    base = base_with(SHAPES[2], **dict.fromkeys(names, 0.5))
    observer = next(iter(base.observers))
    question = next(q for q, asked in base.questions.items() if base.root in asked.variables)
    readings = [Reading(observer, question, view, ({base.root: 0},)) for view in ("face", *names)]
    with pytest.raises(AnswerError, match=r"item 'item-0' has 11 readings .* take `repeats` from them"):
        Inference(compile_network(base), base).posterior(answers_of(base, [readings]))


@given(seed=st.integers(0, 10**6))
@few
def test_a_repeated_view_in_the_reversed_form_repeats_that_form(seed):
    """By a whole repeat: with the reversed usual view it is one reading, with the declared one it is two."""
    base = base_with(SHAPES[1], mirror=1.0)
    network = compile_network(base)
    readings = [items[0] for items in items_of(base, seed) if items]

    def posterior(views):
        items = [[replace(reading, view=view) for view in views] for reading in readings]
        return Inference(network, base).posterior(answers_of(base, items)).log_evidence

    apart = posterior(("face", "turned"))
    np.testing.assert_allclose(posterior(("face@reversed", "mirror@reversed")), posterior(("face", "mirror")))
    np.testing.assert_allclose(posterior(("face", "mirror@reversed")), apart)
    np.testing.assert_allclose(posterior(("face@reversed", "face")), apart)
