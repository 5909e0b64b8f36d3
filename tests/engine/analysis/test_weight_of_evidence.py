"""What the parts of the evidence weigh: every figure against brute force over all states."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from brute_force import Shape, World, answers_of, random_base, random_items
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from thorough import examples

from engine import Inference, compile_network, weigh_parts

SHAPE = Shape(states=3, binaries=3, bins=(3,), couplings=1, rules=1, observers=2)


def bits_of(truth, root, label):
    p = truth.marginals[root]
    return np.log2(p[label] / np.delete(p, label).sum())


def weigh_item(base, readings):
    network = compile_network(base)
    answers = answers_of(base, [readings])
    return World(network, base), weigh_parts(Inference(network, base), answers), answers


def hidden(reading, name, *, only):
    """The reading with no answers about a variable, or about no other."""
    draws = tuple({v: y for v, y in draw.items() if (v == name) == only} for draw in reading.draws)
    return replace(reading, draws=draws)


@settings(max_examples=examples(6), deadline=None, derandomize=True, database=None)
@given(st.integers(0, 2**32 - 1), st.booleans())
def test_what_is_named_strongest_changes_the_posterior_most(seed, halo):
    base = random_base(replace(SHAPE, seed=seed, halo=halo))
    readings = max(random_items(base, seed, items=4, readings=4, draws=2), key=len)
    assume(len(readings) > 1)
    world, weights, _ = weigh_item(base, readings)
    states = base.variables[base.root].states
    label = states.index(weights.label)
    now = bits_of(world.item(readings), base.root, label)
    assert weights.bits == pytest.approx(now, abs=1e-8)
    change = {}
    for reading in readings:
        without = [other for other in readings if other is not reading]
        change[reading.observer, reading.question, reading.view] = now - bits_of(
            world.item(without), base.root, label
        )
    bits_by_reading = {
        (reading.observer, reading.question, reading.view): reading.weight.bits
        for reading in weights.readings
    }
    assert bits_by_reading == pytest.approx(change, abs=1e-8)
    named = max(bits_by_reading, key=lambda key: abs(bits_by_reading[key]))
    assert abs(change[named]) == pytest.approx(max(map(abs, change.values())), abs=1e-8)


@pytest.mark.parametrize("seed", range(4))
def test_variables_alone_and_conflicts(seed):
    base = random_base(replace(SHAPE, seed=seed, bins=()))
    (readings,) = random_items(base, seed, items=1, readings=3, draws=2)
    world, weights, _ = weigh_item(base, readings)
    label = base.variables[base.root].states.index(weights.label)
    nothing, every = world.item([]), world.item(readings)
    assert weights.prior_bits == pytest.approx(bits_of(nothing, base.root, label))
    assert list(weights.p.values()) == pytest.approx(list(every.marginals[base.root]))
    weight_by_reading = {
        (reading.observer, reading.question, reading.view): reading.weight for reading in weights.readings
    }
    for reading in readings:
        alone = world.item([reading])
        without_reading = world.item([other for other in readings if other is not reading])
        weight = weight_by_reading[reading.observer, reading.question, reading.view]
        gained = bits_of(alone, base.root, label) - bits_of(nothing, base.root, label)
        assert weight.alone == pytest.approx(gained, abs=1e-8)
        logs = alone.log_evidence + without_reading.log_evidence - every.log_evidence
        assert weight.conflict == pytest.approx(logs / np.log(2), abs=1e-8)
    for variable in weights.variables:
        without_variable = world.item(
            [hidden(reading, variable.variable, only=False) for reading in readings]
        )
        only = world.item([hidden(reading, variable.variable, only=True) for reading in readings])
        bits = [bits_of(truth, base.root, label) for truth in (every, without_variable, only, nothing)]
        assert variable.weight.bits == pytest.approx(bits[0] - bits[1], abs=1e-8)
        assert variable.weight.alone == pytest.approx(bits[2] - bits[3], abs=1e-8)
    order = [(reading.observer, reading.question, reading.view) for reading in weights.readings]
    by_key = {(reading.observer, reading.question, reading.view): reading for reading in readings}
    for pair in weights.pairs:
        first_reading, second_reading = by_key[order[pair.first]], by_key[order[pair.second]]
        apart = world.item([first_reading]).log_evidence + world.item([second_reading]).log_evidence
        bits = (apart - world.item([first_reading, second_reading]).log_evidence) / np.log(2)
        assert pair.bits == pytest.approx(bits, abs=1e-8)


def test_what_was_said_and_what_the_knowledge_expects():
    base = random_base(replace(SHAPE, seed=1))
    (readings,) = random_items(base, 1, items=1, readings=3, draws=3)
    _, weights, item_answers = weigh_item(base, readings)
    for reading in weights.readings:
        (input_reading,) = (
            r
            for r in readings
            if (r.observer, r.question, r.view) == (reading.observer, reading.question, reading.view)
        )
        for name, answers in reading.counts.items():
            assert sum(answers.values()) == sum(name in draw for draw in input_reading.draws)
    for variable in weights.variables:
        if variable.variable in base.cells:
            places = [base.variables[base.root].states.index(state) for state in variable.given]
            declared = [base.cells[variable.variable][place].p for place in places]
            assert list(variable.given.values()) == pytest.approx(declared, abs=1e-8)
    assert len(item_answers.reading_item) == len(weights.readings)


def test_an_item_without_a_readable_answer_has_no_weights():
    base = random_base(replace(SHAPE, seed=3))
    _, weights, _ = weigh_item(base, [])
    assert (weights.readings, weights.variables, weights.pairs) == ((), (), ())
    assert weights.bits == pytest.approx(weights.prior_bits)
    assert weights.p == pytest.approx(weights.prior)
