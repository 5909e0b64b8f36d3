"""Switches of halo that carry over: their probabilities, items against brute force, and what is made up."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from brute_force import Reading, Shape, World, answers_of, network_of, random_base
from hypothesis import given, settings
from hypothesis import strategies as st
from thorough import examples

from engine import Inference, LookAhead, SimulatedObserver, prior_truth
from engine.decision.asked_items import AskedItems
from engine.decision.predictive_samples import PredictiveSampler
from engine.decision.sampled_likelihoods import LikelihoodCache
from engine.inference.simulation import Misfit
from engine.model.knowledge import Halo
from engine.observation.switches import further_switch, settings_of

HALOS = st.lists(st.sampled_from([0.1, 0.3, 0.3, 0.55]), min_size=1, max_size=4).map(np.array)
CARRIES = st.sampled_from([0.0, 0.4, 0.9, 1.0])
VIEWS = ("face", "crop", "grey")


def probabilities(halo, carry):
    """Return (which are on, which of them are a bundle of several) -> probability."""
    made = settings_of(0, halo, carry, carried=carry > 0)
    probability = Counter()
    for on, bundle, log_weight in zip(made.on, made.bundle, made.log_weight, strict=True):
        bundled = tuple((bundle >= 0).tolist())
        bundled = bundled if sum(bundled) > 1 else (False,) * len(halo)
        probability[tuple(on.tolist()), bundled] += float(np.exp(log_weight))
    return probability


@given(HALOS, CARRIES)
def test_each_reading_follows_as_often_as_declared(halo, carry):
    probability = probabilities(halo, carry)
    assert sum(probability.values()) == pytest.approx(1)
    for place, h in enumerate(halo):
        assert sum(p for (on, _), p in probability.items() if on[place]) == pytest.approx(h)


@given(HALOS, CARRIES)
def test_a_reading_that_is_not_made_changes_nothing_of_the_others(halo, carry):
    """Summed over the last reading's switch, the settings are those of the others."""
    if len(halo) == 1:
        return
    summed = Counter()
    for (on, bundled), p in probabilities(halo, carry).items():
        others = bundled[:-1] if sum(bundled[:-1]) > 1 else (False,) * (len(halo) - 1)
        summed[on[:-1], others] += p
    expected = probabilities(halo[:-1], carry)
    for key in {*summed, *expected}:
        assert summed[key] == pytest.approx(expected[key], abs=1e-9), key


@given(HALOS)
def test_without_carry_switches_are_independent_to_the_bit(halo):
    made = settings_of(0, halo, 0.0, carried=False)
    chosen = made.on.astype(float)
    assert len(made.on) == 2 ** len(halo)
    assert not made.observers
    assert (made.log_weight == (chosen * np.log(halo) + (1 - chosen) * np.log1p(-halo)).sum(1)).all()


def with_halo(seed, carry, observers=1, halo=0.45, **shape):
    """Return a base of observers with halo, of the question `all` and, with less, of `more`, its like."""
    base = random_base(Shape(seed=seed, binaries=2, couplings=1, rules=0, observers=observers, **shape))
    halos = {
        "all": Halo(given=base.root, probability=halo),
        "more": Halo(given=base.root, probability=halo / 3),
    }
    questions = {**base.questions, "more": replace(base.questions["all"], name="more")}
    changed = {
        name: replace(observer, halo=halos, carry=carry, exponent=1.0)
        for name, observer in base.observers.items()
    }
    return replace(base, observers=changed, questions=questions)


@settings(deadline=None, max_examples=examples(6))
@given(st.integers(0, 10_000), st.sampled_from([0.0, 0.5, 1.0]), st.data())
def test_items_with_several_views_under_halo_equal_brute_force(seed, carry, data):
    base = with_halo(seed, carry, observers=2, bins=(3,), states=3)
    names = ["root", "b0", "b1"]
    keys = [("o0", "all", view) for view in VIEWS] + [
        ("o1", "all", "face"),
        ("o1", "all", "crop"),
        ("o0", "more", "face"),
    ]
    chosen = data.draw(st.lists(st.sampled_from(keys), min_size=2, max_size=4, unique=True))
    readings = []
    for observer, question, view in chosen:
        known = base.observers[observer].labels
        asked = [name for name in names if name in known and name in base.questions[question].variables]
        sizes = {name: len(known[name].answers) for name in asked}
        draws = [
            {name: data.draw(st.integers(0, size - 1)) for name, size in sizes.items()}
            for _ in range(data.draw(st.integers(1, 2)))
        ]
        if asked:
            readings.append(Reading(observer, question, view, tuple(draws)))
    network = network_of(base)
    posterior = Inference(network, base).posterior(answers_of(base, [readings]))
    expected = World(network, base).item(readings)
    for name, p in expected.marginals.items():
        np.testing.assert_allclose(posterior.marginals[name][0], p, atol=1e-9, err_msg=name)
    assert posterior.log_evidence[0] == pytest.approx(expected.log_evidence, abs=1e-9)


def test_one_reading_does_not_depend_on_the_carry():
    reading = Reading("o0", "all", "face", ({"root": 1, "b0": 1},))
    posteriors = []
    for carry in (0.0, 0.9):
        base = with_halo(3, carry)
        posteriors.append(Inference(network_of(base), base).posterior(answers_of(base, [[reading]])))
    first, second = posteriors
    for name in first.marginals:
        assert (first.marginals[name] == second.marginals[name]).all()
    assert first.log_evidence[0] == second.log_evidence[0]


def sharp(base):
    """Return the base with observers whose draws of a reading are always the same."""
    observers = {}
    for name, observer in base.observers.items():
        labels = {
            variable: replace(
                label, types=tuple(replace(t, repeat=1 - 1e-9, strength=1e9) for t in label.types)
            )
            for variable, label in observer.labels.items()
        }
        observers[name] = replace(observer, labels=labels)
    return replace(base, observers=observers)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_an_equal_view_of_an_observer_that_carries_all_over_is_no_more_than_another_draw(seed):
    """Where draws only repeat, neither draws nor views add anything; without carry a view does."""
    draw = {"root": 1, "b0": 1, "b1": 0}
    one, drawn = (Reading("o0", "all", "face", (draw,) * n) for n in (1, 2))
    views = [Reading("o0", "all", view, (draw,)) for view in VIEWS[:2]]
    roots = {}
    for carry in (0.0, 1.0):
        base = sharp(with_halo(seed, carry, states=3))
        answers = answers_of(base, [[one], [drawn], views])
        roots[carry] = Inference(network_of(base), base).posterior(answers).marginals["root"]
    np.testing.assert_allclose(roots[1.0][1], roots[1.0][0], atol=1e-4)
    np.testing.assert_allclose(roots[1.0][2], roots[1.0][0], atol=1e-4)
    assert np.abs(roots[0.0][2] - roots[0.0][0]).max() > 0.01


@pytest.mark.parametrize("carry", [0.5, 1.0])
def test_made_up_answers_of_two_views_are_as_probable_as_inference_says(carry):
    """The shares of all patterns of answers against the exact probability of each."""
    base = with_halo(11, carry, states=2)
    inference = Inference(network_of(base), base)
    rng, items = np.random.default_rng(5), 40_000
    truth = prior_truth(inference, items, rng)
    observer = SimulatedObserver(inference.observations, "o0", truth, rng)
    names = [v for v in ("root", "b0") if v in observer.kernels and v in base.questions["all"].variables]
    drawn = [observer.reading("all", 1) for _ in range(2)]
    codes = np.stack([reading[name][:, 0] for reading in drawn for name in names], axis=1)
    sizes = [len(base.observers["o0"].labels[name].answers) for name in names] * 2
    patterns = list(itertools.product(*map(range, sizes)))
    counts = Counter(map(tuple, codes.tolist()))
    items_of = [
        [
            Reading("o0", "all", view, (dict(zip(names, part, strict=True)),))
            for view, part in zip(VIEWS, (pattern[: len(names)], pattern[len(names) :]), strict=False)
        ]
        for pattern in patterns
    ]
    p = np.exp(inference.posterior(answers_of(base, items_of)).log_evidence)
    share = np.array([counts[pattern] for pattern in patterns]) / items
    assert p.sum() == pytest.approx(1)
    assert len(names) == 2
    # Five standard errors: of sixteen shares chance brings one so far in a hundred thousand runs.
    assert (np.abs(share - p) <= 5 * np.sqrt(p * (1 - p) / items)).all()


def test_independent_readings_carry_no_switch_over():
    base = with_halo(11, 1.0, states=2)
    inference = Inference(network_of(base), base)
    rng = np.random.default_rng(5)
    truth = prior_truth(inference, 20_000, rng)
    observer = SimulatedObserver(inference.observations, "o0", truth, rng, Misfit(independent=True))
    observer.reading("all", 1)
    observer.reading("all", 1)
    assert observer.switches.u is None


@pytest.mark.parametrize("known", [[0.3], [0.3, 0.3], [0.1, 0.5]])
@pytest.mark.parametrize("halo", [0.3, 0.2])
def test_a_further_switch_is_drawn_as_the_settings_have_it(known, halo):
    """P(on, bundled | the setting of the others) is the ratio of the settings with it and without it."""
    carry, paths, known = 0.7, 100_000, np.array(known)
    rng = np.random.default_rng(2)
    whole = probabilities(np.append(known, halo), carry)
    for (on, bundled), p in probabilities(known, carry).items():
        settings_of_paths = np.tile(on, (paths, 1)), np.full(paths, any(bundled))
        follows, together = further_switch(known, *settings_of_paths, halo, carry, rng)
        expected, actual = Counter(), Counter()
        for (all_on, all_bundled), q in whole.items():
            others = all_bundled[:-1] if sum(all_bundled[:-1]) > 1 else (False,) * len(known)
            if (all_on[:-1], others) == (on, bundled):
                expected[all_on[-1], all_bundled[-1]] += q / p
        joined = follows & together & any(on)
        if len(known) > 1 and sum(on) == 1:
            # A single reading that is on is a bundle of one or by itself; both are one setting here.
            continue
        for key, count in Counter(zip(follows.tolist(), joined.tolist(), strict=True)).items():
            actual[key] = count / paths
        for key in {*expected, *actual}:
            assert actual[key] == pytest.approx(expected[key], abs=0.006), (on, bundled, key)


def further_by_settings(known, on, bundled, halo, carry):
    """P(a further reading's switch is on | those of the others), from the settings of all of them."""
    made, count = settings_of(0, np.array([*known, halo]), carry, carried=True), len(known)
    several = (made.bundle[:, :count] >= 0).sum(1) > 1
    weight = np.exp(made.log_weight) * (made.on[:, :count] == on).all(1) * (several == bundled)
    return (weight * made.on[:, count]).sum() / weight.sum()


def follow_probabilities(base, readings, question):
    """P(an answer in a new view follows its label | the readings): exact, and as the look-ahead takes it."""
    inference = Inference(network_of(base), base)
    observations, answers = inference.observations, answers_of(base, [readings])
    evidence = observations.evidence(answers)
    rows = len(evidence.row_item)
    logs = inference.log_evidence_rows(replace(evidence, items=rows, row_item=np.arange(rows)))
    share = np.exp(logs - logs.max()) / np.exp(logs - logs.max()).sum()
    halos, questions = np.asarray(observations.halo)[0], list(base.questions)
    known = [halos[questions.index(reading.question)] for reading in readings]
    halo, carry = halos[questions.index(question)], base.observers["o0"].carry
    exact = sum(
        p * further_by_settings(known, on, (bundle >= 0).sum() > 1, halo, carry)
        for p, on, bundle in zip(share, *observations.switches(answers), strict=True)
    )
    ahead, posterior = LookAhead(inference), inference.posterior(answers)
    belief = ahead._belief(AskedItems.of(ahead.base, answers, posterior, ()))
    given = ahead.base, observations, answers, 0, belief, posterior.followed, 0, LikelihoodCache(), None
    quick = PredictiveSampler(*given).follow_probability(questions.index(question), fresh=True)
    return exact, float(quick[0])


@pytest.mark.parametrize("seeds", [6, pytest.param(8, marks=pytest.mark.slow)])
@pytest.mark.parametrize("carry", [0.5, 0.9])
def test_how_far_off_the_look_ahead_takes_what_a_further_answer_follows(carry, seeds):
    """Exact after one reading, whatever its halo; after several it takes their switches one by one."""
    misses = {"one": [], "alike": [], "mixed": []}
    for seed in range(seeds):
        base = with_halo(seed, carry, states=3)
        rng = np.random.default_rng(seed)
        cases = {
            "one": ["all"],
            "alike": ["all", "all", "all"][: 2 + seed % 2],
            "mixed": ["all", "all", "more"][seed % 2 :],
        }
        for case, questions in cases.items():
            readings = [
                Reading(
                    "o0",
                    question,
                    view,
                    ({"root": int(rng.integers(3)), "b0": int(rng.integers(2)), "b1": int(rng.integers(2))},),
                )
                for question, view in zip(questions, VIEWS, strict=False)
            ]
            for question in ("all", "more"):
                exact, quick = follow_probabilities(base, readings, question)
                misses[case].append(quick - exact)
    assert np.abs(misses["one"]).max() < 1e-9
    assert np.sqrt(np.mean(np.square(misses["alike"]))) < 0.06
    assert np.abs(misses["alike"]).max() < 0.1
    assert np.sqrt(np.mean(np.square(misses["mixed"]))) < 0.1
    assert np.abs(misses["mixed"]).max() < 0.27
