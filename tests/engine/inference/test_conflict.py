"""The conflict of readings: against brute force, and the laws of a tail probability."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from brute_force import Reading, Shape, World, answers_of, random_base, random_items
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from thorough import examples

from engine import Inference, KnowledgeError, compile_network, diagnose, prior_truth
from engine.inference.conflict import LEAST_BITS, conflict_of
from engine.inference.simulation import SimulatedObserver, draw_looks

shapes = st.builds(
    Shape,
    states=st.integers(2, 4),
    binaries=st.integers(2, 4),
    bins=st.sampled_from([(), (3,)]),
    couplings=st.integers(0, 2),
    rules=st.just(0),
    observers=st.integers(2, 3),
    halo=st.booleans(),
    dependent=st.booleans(),
    families=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
exact = settings(max_examples=examples(5), deadline=None, derandomize=True, database=None)


def with_alarm(base, conflict):
    return replace(base, policy=replace(base.policy, conflict=conflict))


def inference_of(shape, conflict):
    try:
        base = with_alarm(random_base(shape), conflict)
        return Inference(compile_network(base), base)
    except KnowledgeError:
        assume(False)


def conflict_of_answers(inference, answers):
    return conflict_of(inference, answers, inference.log_evidence(answers))


def by_name(answers, conflict):
    """Return item -> its conflict and the reading at odds."""
    return {
        item: (
            pytest.approx(conflict.probability[i], abs=1e-9),
            None
            if r < 0
            else (
                answers.reading_observer[r],
                answers.reading_question[r],
                answers.views[answers.reading_view[r]],
            ),
        )
        for i, (item, r) in enumerate(zip(answers.items, conflict.reading.tolist(), strict=True))
    }


@exact
@given(shapes)
def test_the_bound_equals_brute_force(shape):
    """No alarm as low as this can be exact, so that all are bounds."""
    inference = inference_of(shape, 1e-300)
    base = inference.knowledge
    items = random_items(base, shape.seed, items=3, readings=4, draws=2)
    conflict = conflict_of_answers(inference, answers_of(base, items, np.random.default_rng(shape.seed)))
    world = World(inference.network, base)
    for i, readings in enumerate(items):
        if len(readings) < 2:
            assert (conflict.probability[i], conflict.reading[i], conflict.bits[i]) == (1, -1, 0)
            continue
        whole = world.item(readings).log_evidence
        bounds = []
        for k, reading in enumerate(readings):
            log_without = world.item(readings[:k] + readings[k + 1 :]).log_evidence
            bits = (world.item([reading]).log_evidence + log_without - whole) / math.log(2)
            bounds.append(len(readings) * 2**-bits if bits > LEAST_BITS else 1.0)
        assert conflict.probability[i] == pytest.approx(min(1, *bounds), rel=1e-6)


@exact
@given(shapes)
def test_few_plain_answers_have_the_exact_tail_by_brute_force(shape):
    inference = inference_of(shape, 0.5)
    base = inference.knowledge
    world, root = World(inference.network, base), base.root
    first_observer, second_observer = list(base.observers)[:2]
    question = next(iter(base.questions))
    size = len(base.observers[first_observer].labels[root].answers)
    items = [
        [
            Reading(o, question, "face", ({root: y},))
            for o, y in ((first_observer, first), (second_observer, second))
        ]
        for first in range(size)
        for second in range(len(base.observers[second_observer].labels[root].answers))
    ]
    conflict = conflict_of_answers(inference, answers_of(base, items))

    known = {}

    def p(*readings):
        key = frozenset((reading.observer, reading.draws[0][root]) for reading in readings)
        if key not in known:
            known[key] = math.exp(world.item(list(readings)).log_evidence)
        return known[key]

    for i, readings in enumerate(items):
        tails = []
        for tested, against in (readings, readings[::-1]):
            answers = range(len(base.observers[tested.observer].labels[root].answers))
            drawn = [replace(tested, draws=({root: y},)) for y in answers]
            given = np.array([p(possible, against) / p(against) for possible in drawn])
            ratio = np.array([p(possible) for possible in drawn]) / given
            tested_ratio = ratio[tested.draws[0][root]]
            exact_tail = given[ratio >= tested_ratio * (1 - 1e-9)].sum()
            bound = min(1, 1 / tested_ratio)
            assert exact_tail <= bound + 1e-9
            open_ = given[tested.draws[0][root]] < 0.25 and tested_ratio > 2
            tails.append(exact_tail if open_ and bound >= 0.25 else bound if tested_ratio > 2 else 1)
        assert conflict.probability[i] == pytest.approx(min(1, 2 * min(tails)), rel=1e-6)


@exact
@given(shapes)
def test_neither_order_nor_neighbours_matter(shape):
    inference = inference_of(shape, 0.3)
    base = inference.knowledge
    items = random_items(base, shape.seed, items=3, readings=4, draws=2)
    answers = answers_of(base, items)
    expected = by_name(answers, conflict_of_answers(inference, answers))
    shuffled = answers_of(base, items, np.random.default_rng(shape.seed))
    assert by_name(shuffled, conflict_of_answers(inference, shuffled)) == expected
    for i, item in enumerate(answers.items):
        part = answers.part(i, i + 1)
        assert by_name(part, conflict_of_answers(inference, part)) == {item: expected[item]}


@exact
@given(shapes)
def test_leaving_one_out_leaves_the_others(shape):
    inference = inference_of(shape, 0.3)
    base = inference.knowledge
    items = random_items(base, shape.seed, items=4, readings=4, draws=2)
    without = [item[:k] + item[k + 1 :] for item in items for k in range(len(item))]
    assume(without)
    answers = answers_of(base, items)
    log_evidence = inference.log_evidence(
        answers.without_each(np.ones(len(answers.reading_item), dtype=bool))
    )
    np.testing.assert_allclose(log_evidence, inference.log_evidence(answers_of(base, without)), atol=1e-9)


def test_agreeing_readings_are_no_conflict_however_many(base_of):
    base = with_alarm(base_of("machine"), 0.5)
    inference = Inference(compile_network(base), base)
    walk, fitter = next(iter(base.questions)), base.policy.ask
    readings = [Reading(fitter, walk, f"view-{n}", ({base.root: 1},) * 2) for n in range(8)]
    items = [readings[:n] for n in range(9)]
    assert (conflict_of_answers(inference, answers_of(base, items)).probability == 1).all()


def test_however_many_agree_a_reading_within_its_declared_reliability_raises_no_alarm(base_of):
    """The logbook names each wrong state in .05 of cases at least: its tail is no less, whoever disagrees."""
    base = with_alarm(base_of("machine"), 0.1)
    inference = Inference(compile_network(base), base)
    question, root = next(iter(base.questions)), base.root
    logbook = next(name for name in base.observers if name != base.policy.ask)
    against = Reading(logbook, question, "face", ({root: 0},))
    agreeing = [Reading(base.policy.ask, question, f"view-{n}", ({root: 1},) * 3) for n in range(6)]
    items = [[against, *agreeing[:n]] for n in range(1, 7)]
    conflict = conflict_of_answers(inference, answers_of(base, items))
    assert (conflict.probability >= 0.05 * np.arange(2, 8)).all()


def simulated(base, inference, items, rng):
    """Return two readings of every observer, of three answers each."""
    truth = prior_truth(inference, items, rng)
    looks = draw_looks(inference.observations, truth, rng)
    questions = list(base.questions)
    items_readings = [[] for _ in range(items)]
    for observer in base.observers:
        source = SimulatedObserver(inference.observations, observer, truth, rng, looks=looks)
        for view in ("face", "side"):
            answers_by_variable = source.reading(questions[0], 3)
            for i in range(items):
                draws = tuple({n: v[i][d].item() for n, v in answers_by_variable.items()} for d in range(3))
                items_readings[i].append(Reading(observer, questions[0], view, draws))
    return items_readings


def test_under_the_model_alarms_are_as_rare_as_stated(base_of):
    rng = np.random.default_rng(1)
    for alarm in (0.01, 0.05, 0.2):
        base = with_alarm(base_of("machine"), alarm)
        inference = Inference(compile_network(base), base)
        answers = answers_of(base, simulated(base, inference, 400, rng))
        posterior = inference.posterior(answers)
        conflict = diagnose(inference, answers, posterior).conflict
        # Three standard errors of a share of 400.
        assert (conflict < alarm).mean() <= alarm + 3 * math.sqrt(alarm * (1 - alarm) / 400)
        assert conflict.min() < 0.5
