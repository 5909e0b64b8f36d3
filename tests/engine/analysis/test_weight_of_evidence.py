"""What the parts of the evidence weigh: every figure against brute force over all states."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from brute_force import Shape, World, answers_of, random_base, random_items
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from engine import Inference, compile_network, weigh_parts

SHAPE = Shape(states=3, binaries=3, bins=(3,), couplings=1, rules=1, observers=2)


def bits_of(truth, root, label):
    p = truth.marginals[root]
    return np.log2(p[label] / np.delete(p, label).sum())


def found_of(base, readings):
    network = compile_network(base)
    one = answers_of(base, [readings])
    return World(network, base.reference), weigh_parts(Inference(network), one), one


def hidden(reading, name, *, only):
    """The reading with no answers about a variable, or about no other."""
    draws = tuple({v: y for v, y in draw.items() if (v == name) == only} for draw in reading.draws)
    return replace(reading, draws=draws)


@settings(max_examples=12, deadline=None, derandomize=True, database=None)
@given(st.integers(0, 2**32 - 1), st.booleans())
def test_what_is_named_strongest_changes_the_posterior_most(seed, halo):
    base = random_base(replace(SHAPE, seed=seed, halo=halo))
    readings = max(random_items(base, seed, items=4, readings=4, draws=2), key=len)
    assume(len(readings) > 1)
    world, found, _ = found_of(base, readings)
    states = base.variables[base.root].states
    label = states.index(found.label)
    now = bits_of(world.item(readings), base.root, label)
    assert found.bits == pytest.approx(now, abs=1e-8)
    change = {}
    for one in readings:
        without = [other for other in readings if other is not one]
        change[one.observer, one.question, one.view] = now - bits_of(world.item(without), base.root, label)
    told = {(one.observer, one.question, one.view): one.weight.bits for one in found.readings}
    assert told == pytest.approx(change, abs=1e-8)
    named = max(told, key=lambda key: abs(told[key]))
    assert abs(change[named]) == pytest.approx(max(map(abs, change.values())), abs=1e-8)


@pytest.mark.parametrize("seed", range(4))
def test_variables_alone_and_conflicts(seed):
    base = random_base(replace(SHAPE, seed=seed, bins=()))
    (readings,) = random_items(base, seed, items=1, readings=3, draws=2)
    world, found, _ = found_of(base, readings)
    label = base.variables[base.root].states.index(found.label)
    nothing, every = world.item([]), world.item(readings)
    assert found.prior_bits == pytest.approx(bits_of(nothing, base.root, label))
    assert list(found.p.values()) == pytest.approx(list(every.marginals[base.root]))
    told = {(one.observer, one.question, one.view): one.weight for one in found.readings}
    for one in readings:
        alone = world.item([one])
        rest = world.item([other for other in readings if other is not one])
        weight = told[one.observer, one.question, one.view]
        gained = bits_of(alone, base.root, label) - bits_of(nothing, base.root, label)
        assert weight.alone == pytest.approx(gained, abs=1e-8)
        logs = alone.log_evidence + rest.log_evidence - every.log_evidence
        assert weight.conflict == pytest.approx(logs / np.log(2), abs=1e-8)
    for one in found.variables:
        left = world.item([hidden(reading, one.variable, only=False) for reading in readings])
        only = world.item([hidden(reading, one.variable, only=True) for reading in readings])
        bits = [bits_of(truth, base.root, label) for truth in (every, left, only, nothing)]
        assert one.weight.bits == pytest.approx(bits[0] - bits[1], abs=1e-8)
        assert one.weight.alone == pytest.approx(bits[2] - bits[3], abs=1e-8)
    order = [(one.observer, one.question, one.view) for one in found.readings]
    by_key = {(one.observer, one.question, one.view): one for one in readings}
    for pair in found.pairs:
        one, other = by_key[order[pair.first]], by_key[order[pair.second]]
        apart = world.item([one]).log_evidence + world.item([other]).log_evidence
        bits = (apart - world.item([one, other]).log_evidence) / np.log(2)
        assert pair.bits == pytest.approx(bits, abs=1e-8)


def test_what_was_said_and_what_the_knowledge_expects():
    base = random_base(replace(SHAPE, seed=1))
    (readings,) = random_items(base, 1, items=1, readings=3, draws=3)
    _, found, one = found_of(base, readings)
    for reading in found.readings:
        (mine,) = (
            r
            for r in readings
            if (r.observer, r.question, r.view) == (reading.observer, reading.question, reading.view)
        )
        for name, answers in reading.counts.items():
            assert sum(answers.values()) == sum(name in draw for draw in mine.draws)
    for variable in found.variables:
        if variable.variable in base.cells:
            places = [base.variables[base.root].states.index(state) for state in variable.given]
            declared = [base.cells[variable.variable][place].p for place in places]
            assert list(variable.given.values()) == pytest.approx(declared, abs=1e-8)
    assert len(one.reading_item) == len(found.readings)


def test_an_item_without_a_readable_answer_has_no_weights():
    base = random_base(replace(SHAPE, seed=3))
    _, found, _ = found_of(base, [])
    assert (found.readings, found.variables, found.pairs) == ((), (), ())
    assert found.bits == pytest.approx(found.prior_bits)
    assert found.p == pytest.approx(found.prior)
