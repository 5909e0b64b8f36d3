"""Two answers and their errors, as declared: against brute force, and by what must hold of them."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
from brute_force import Reading, Shape, World, random_base
from hypothesis import given, settings
from hypothesis import strategies as st
from thorough import examples

from engine import (
    ErrorRates,
    Inference,
    compile_network,
    draws_jointly,
    error_rates,
    observers_jointly,
    readings_jointly,
)


def base_and_world(seed):
    shape = Shape(
        binaries=2, couplings=0, rules=0, dependent=True, families=seed % 3 > 0, types=1 + seed % 2, seed=seed
    )
    base = random_base(shape)
    # An exponent tempers what is concluded from answers; it is not how they come about.
    observers = {name: dataclasses.replace(o, exponent=1.0) for name, o in base.observers.items()}
    base = dataclasses.replace(base, observers=observers)
    network = compile_network(base)
    return base, World(network, base), Inference(network, base).observations


def summed(world, name, observers, readings, answers):
    """P(the answers | truth) term by term: each answer is a draw of its reading."""
    parts = {}
    for observer, reading, answer in zip(observers, readings, answers, strict=True):
        key = (observer, reading)
        parts[key] = [*parts.get(key, []), {name: answer}]
    by_observer = {}
    for (observer, view), draws in parts.items():
        by_observer.setdefault(observer, []).append(Reading(observer, "any", view, tuple(draws)))
    pairs = [(world.base.observers[observer], used) for observer, used in by_observer.items()]
    return world._together(name, pairs, [])


@given(st.integers(0, 10_000))
@settings(max_examples=examples(5), deadline=None)
def test_joint_answers_are_those_of_brute_force(seed):
    base, world, observations = base_and_world(seed)
    compared = 0
    for name in (base.root, *base.cells):
        known = [o.name for o in base.observers.values() if name in o.labels]
        for first, second in itertools.combinations(known, 2):
            joint = observers_jointly(observations, name, (first, second))
            for answers in np.ndindex(joint.shape[1:]):
                brute = summed(world, name, (first, second), ("v", "v"), answers)
                assert joint[:, answers[0], answers[1]] == pytest.approx(brute, abs=1e-9)
            compared += 1
        for observer in known:
            readings = readings_jointly(observations, name, observer)
            draws = draws_jointly(observations, name, observer)
            for answers in np.ndindex(readings.shape[1:]):
                for joint, views in ((readings, ("v", "w")), (draws, ("v", "v"))):
                    brute = summed(world, name, (observer, observer), views, answers)
                    assert joint[:, answers[0], answers[1]] == pytest.approx(brute, abs=1e-9)
            compared += 1
    assert compared


@given(st.integers(0, 10_000))
@settings(max_examples=examples(5), deadline=None)
def test_each_alone_answers_as_its_table_says(seed):
    base, _, observations = base_and_world(seed)
    names = [o.name for o in base.observers.values() if base.root in o.labels]
    for first, second in itertools.combinations(names, 2):
        joint = observers_jointly(observations, base.root, (first, second))
        tables = [np.array(base.observers[o].labels[base.root].confusion) for o in (first, second)]
        assert joint.sum(2) == pytest.approx(tables[0], abs=1e-6)
        assert joint.sum(1) == pytest.approx(tables[1], abs=1e-6)
    for observer in names:
        table = np.array(base.observers[observer].labels[base.root].confusion)
        assert draws_jointly(observations, base.root, observer).sum(2) == pytest.approx(table, abs=1e-9)
        assert readings_jointly(observations, base.root, observer).sum(1) == pytest.approx(table, abs=1e-9)


def test_errors_of_a_joint_table_worked_by_hand(base_of, names):
    """Two states as often; both right .6, both wrong .2, only the first wrong .15, only the second .05."""
    base = base_of("machine")
    observations = Inference(compile_network(base), base).observations
    name = next(v.name for v in base.variables.values() if v.kind == "binary")
    observer = next(o.name for o in base.observers.values() if name in o.labels)
    joint = np.array([[[0.6, 0.05], [0.15, 0.2]], [[0.2, 0.15], [0.05, 0.6]]])
    rates = error_rates(observations, name, (observer, observer), joint, np.array([0.5, 0.5]))
    assert (rates.first, rates.second, rates.both) == pytest.approx((0.35, 0.25, 0.2))
    assert rates.second_given_first == pytest.approx(0.2 / 0.35)
    assert rates.first_given_second == pytest.approx(0.8)
    assert rates.phi == pytest.approx((0.2 - 0.35 * 0.25) / np.sqrt(0.35 * 0.65 * 0.25 * 0.75))


def test_whoever_never_errs_errs_with_nobody():
    rates = ErrorRates(0.0, 0.5, 0.0)
    assert np.isnan(rates.phi)
    assert np.isnan(rates.second_given_first)
    assert rates.first_given_second == 0
