"""What is made up follows the story that inference tells; observers go wrong only on purpose."""

from __future__ import annotations

import numpy as np
import pytest
from brute_force import Shape, World, random_base
from hypothesis import given, settings
from hypothesis import strategies as st
from thorough import examples

from engine import Inference, Misfit, SimulatedObserver, compile_network, prior_truth
from engine.inference.choice import choose
from engine.inference.simulation import bearing_on, draw_truth
from engine.observation.evidence import Evidence

N = 20_000
# Deviations of a mean of N, in standard errors, that chance brings about once in a million.
FAR = 5.0


@pytest.fixture
def inference(base_of):
    base = base_of("machine")
    return Inference(compile_network(base), base, "in-service")


def shares(drawn, states, given):
    """How often each state was found where `given`, and how far chance may carry that."""
    part = drawn[given]
    share = np.bincount(part, minlength=states) / len(part)
    return share, FAR * np.sqrt(np.maximum(share * (1 - share), 1 / len(part)) / len(part))


def near(drawn, p, states, given):
    share, reach = shares(drawn, states, given)
    assert (np.abs(share - p) <= reach).all(), (share, p)


def test_truth_is_drawn_from_the_joint_distribution(inference):
    base = inference.knowledge
    world = World(inference.network, base, inference.population)
    truth = prior_truth(inference, N, np.random.default_rng(1))
    every = np.ones(N, dtype=bool)
    assert set(truth) == set(world.names)
    for name, states in truth.items():
        axes = tuple(axis for axis, other in enumerate(world.names) if other != name)
        near(states, world.joint.sum(axes), len(base.variables[name].states), every)
    for rule in base.rules:
        condition, then = (formula.holds(truth) for formula in (rule.condition, rule.then))
        share, reach = shares((then & condition).astype(int), 2, every)
        held = (rule.condition.holds(world.values) & rule.then.holds(world.values)) * np.ones(
            world.joint.shape
        )
        assert abs(share[1] - world.probability(held.astype(bool))) <= reach[1]


def test_what_is_known_is_not_inferred_and_changes_no_draw(inference):
    network = inference.network
    rng, items = np.random.default_rng(4), 50
    truth = prior_truth(inference, items, rng)
    known = {name: np.where(rng.random(items) < 0.5, states, -1) for name, states in truth.items()}
    first = network.root
    known[first] = truth[first]
    logs = {}
    for name, states in known.items():
        size = len(network.states[name])
        elsewhere = np.arange(size)[:, None] != states
        logs[name] = np.where(elsewhere & (states >= 0), -690.0, 0.0)
    has_evidence = np.ones(items, dtype=bool)
    none = np.zeros((2, 0), dtype=np.int64)
    evidence = Evidence(items, np.arange(items), np.zeros(items), logs, has_evidence, none)
    inferred = draw_truth(inference, evidence, np.random.default_rng(5))
    drawn = draw_truth(inference, evidence, np.random.default_rng(5), known)
    for name, states in known.items():
        np.testing.assert_array_equal(drawn[name], inferred[name])
        np.testing.assert_array_equal(drawn[name][states >= 0], states[states >= 0])


@settings(max_examples=examples(6), deadline=None, derandomize=True, database=None)
@given(st.integers(0, 2**32 - 1))
def test_draws_are_those_of_each_item_by_itself_with_all_evidence(seed):
    """Items that are alike in what bears on a variable share its marginal: that changes no draw."""
    rng = np.random.default_rng(seed)
    base = random_base(Shape(binaries=4, bins=(3,), couplings=2, rules=1, observers=1, seed=seed))
    inference = Inference(compile_network(base), base)
    names = [inference.network.root, *inference.network.node_of]
    items = 40
    # Few kinds of evidence, so that items are alike.
    kind = rng.integers(0, 3, items)
    logs = {
        name: rng.normal(size=(len(base.variables[name].states), 3))[:, kind]
        for name in rng.permutation(names)[:4].tolist()
    }
    none = np.zeros((2, 0), dtype=np.int64)
    evidence = Evidence(items, np.arange(items), np.zeros(items), logs, np.ones(items, dtype=bool), none)
    drawn = draw_truth(inference, evidence, np.random.default_rng(seed))
    rng = np.random.default_rng(seed)
    for name in names:
        u = rng.random(items)
        given_before = Evidence(items, np.arange(items), np.zeros(items), logs, evidence.has_evidence, none)
        expected = choose(inference.marginals(given_before)[name], u)
        np.testing.assert_array_equal(drawn[name], expected)
        impossible = np.where(np.arange(len(base.variables[name].states))[:, None] == expected, 0.0, -np.inf)
        logs = {**logs, name: logs.get(name, 0.0) + impossible}


@pytest.mark.parametrize("seed", range(3))
def test_in_a_chain_what_is_known_in_the_middle_parts_its_ends(seed):
    """Of three signs two pairs are coupled: end - middle - end, all below the root."""
    base = random_base(Shape(binaries=3, bins=(3,), couplings=2, rules=0, observers=1, seed=seed))
    network = compile_network(base)
    first, second = (set(coupling.pair) for coupling in base.couplings)
    ((middle,), (near_end,), (far_end,)) = first & second, first - second, second - first

    def bearing(known):
        return set(bearing_on(network, near_end, known))

    assert bearing({"root", middle, far_end}) == {"root", near_end, middle}
    assert bearing({"root", middle}) == {"root", near_end, middle}
    assert bearing({"root", far_end}) == {"root", near_end, middle, far_end}
    assert bearing({middle, far_end}) == {"root", near_end, middle, far_end, "v0"}


def observer(inference, truth, question, misfit=None, seed=2, when=None):
    """The fitter's answers to a question, two draws each."""
    rng = np.random.default_rng(seed)
    given = [] if misfit is None else [misfit]
    drawing = SimulatedObserver(inference.observations, "fitter", truth, rng, *given, when=when)
    return drawing, drawing.reading(question, 2)


def test_one_answer_errs_as_declared(inference, names):
    """Without halo the first answer of any question has the declared one-answer table."""
    base, truth = inference.knowledge, prior_truth(inference, N, np.random.default_rng(3))
    drawing, answers = observer(inference, truth, "check")
    assert set(answers) == set(base.questions["check"].variables) & set(drawing.observer.instruments)
    for name in set(answers) & set(drawing.observer.labels):
        table = np.array(drawing.observer.labels[name].confusion)
        for state, row in enumerate(table):
            near(answers[name][:, 0], row, len(row), truth[name] == state)


def test_draws_repeat_one_another_unless_they_are_independent(inference, names):
    root = inference.network.root
    truth = prior_truth(inference, N, np.random.default_rng(4))
    drawing, answers = observer(inference, truth, "walk")
    table = np.array(drawing.observer.labels[root].confusion)
    apart = (table[truth[root]] ** 2).sum(1).mean()
    agree = (answers[root][:, 0] == answers[root][:, 1]).mean()
    assert agree > apart + 0.1
    _, alone = observer(inference, truth, "walk", Misfit(independent=True))
    assert (alone[root][:, 0] == alone[root][:, 1]).mean() == pytest.approx(apart, abs=FAR / np.sqrt(4 * N))


def test_halo_makes_signs_follow_the_label(inference, names):
    base, root = inference.knowledge, inference.network.root
    truth = prior_truth(inference, N, np.random.default_rng(5))
    sign = names["hot"]
    drawing, followed = observer(inference, truth, "walk", Misfit(independent=True, halo=1.0))
    stereotypes = [drawing.observer.stereotype.get(state, {}) for state in base.variables[root].states]
    rates = np.array(
        [
            rate_of_sign.get(sign, cell.p)
            for rate_of_sign, cell in zip(stereotypes, base.cells[sign], strict=True)
        ]
    )
    _, looked = observer(inference, truth, "walk", Misfit(independent=True, halo=0.0))
    table = np.array(drawing.observer.labels[sign].confusion)
    (kind,) = drawing.observer.labels[sign].types
    habit = table.min(0) / table.min(0).sum()
    # It follows the label that the reading brings out, which the answer says again or scatters from.
    kernel, states, absent = drawing.kernels[root], base.variables[root].states, truth[sign] == 0
    brought = np.bincount(truth[root][absent], minlength=len(states)) @ kernel.mix
    answer_weights = brought[:, None] * kernel.alpha / kernel.alpha.sum(1, keepdims=True)
    implied = [drawing.observer.labels[root].answers[a] for a in kernel.answer_of]
    assert set(implied) <= set(states)
    p = kind.repeat * rates[[states.index(label) for label in implied]] + (1 - kind.repeat) * habit[1]
    for number, weights in enumerate(answer_weights.T):
        near(looked[sign][:, 0], table[0], 2, absent & (looked[root][:, 0] == number))
        share = weights @ p / weights.sum()
        near(followed[sign][:, 0], [1 - share, share], 2, absent & (followed[root][:, 0] == number))


def test_what_drifts_ends_as_anything(inference, names):
    root = inference.network.root
    truth = prior_truth(inference, N, np.random.default_rng(6))
    drawing, answers = observer(inference, truth, "check", Misfit(drift=1.0), when=np.ones(N))
    for name in set(answers) & set(drawing.observer.labels):
        size = len(drawing.observer.labels[name].answers)
        near(answers[name][:, 0], np.full(size, 1 / size), size, truth[root] == 0)


def test_the_same_seed_gives_the_same_answers(inference):
    truth = prior_truth(inference, 50, np.random.default_rng(7))
    first, again = (observer(inference, truth, "walk", seed=8)[1] for _ in range(2))
    assert all((first[name] == again[name]).all() for name in first)


def begun(inference, truth, question, misfit):
    rng = np.random.default_rng(9)
    drawing = SimulatedObserver(inference.observations, "fitter", truth, rng, misfit)
    return drawing.begin(question, np.random.default_rng(10))


@pytest.mark.parametrize("misfit", [Misfit(), Misfit(independent=True), Misfit(halo=0.5, drift=0.4)])
def test_a_reading_goes_on_as_if_it_had_never_stopped(inference, misfit):
    truth = prior_truth(inference, 50, np.random.default_rng(7))
    once = begun(inference, truth, "walk", misfit).more(5)
    reading = begun(inference, truth, "walk", misfit)
    parts = [reading.more(count) for count in (2, 1, 2)]
    for name, answers in once.items():
        assert np.array_equal(np.concatenate([part[name] for part in parts], axis=1), answers)


def test_answers_far_apart_in_a_reading_repeat_one_another_like_neighbours(inference):
    root = inference.network.root
    truth = prior_truth(inference, N, np.random.default_rng(4))
    answers = begun(inference, truth, "walk", Misfit()).more(6)[root]
    near_by, far = ((answers[:, 0] == answers[:, other]).mean() for other in (1, 5))
    assert near_by == pytest.approx(far, abs=FAR / np.sqrt(2 * N))


def test_another_reading_carries_over_what_was_seen_as_often_as_declared(inference):
    """P(y, z | x) = Σ_m C[x, m] ρ(y | m) ρ(z | m); ρ(y | m) = κ B[m, y] + (1 - κ) Σ_r C[x, r] B[r, y]."""
    root = inference.network.root
    truth = prior_truth(inference, N, np.random.default_rng(4))
    rng = np.random.default_rng(9)
    drawing = SimulatedObserver(inference.observations, "fitter", truth, rng)
    first, second = (drawing.begin("walk", np.random.default_rng(s)).more(1)[root][:, 0] for s in (10, 11))
    kernel, carry = drawing.kernels[root], drawing.observer.carry
    assert 0.3 < carry < 1
    answers = kernel.alpha / kernel.alpha.sum(1, keepdims=True)
    for state in range(len(kernel.mix)):
        seen = kernel.mix[state]
        answer_chance = carry * answers + (1 - carry) * (seen @ answers)
        both = np.einsum("m,ma,mb->ab", seen, answer_chance, answer_chance)
        near(first * len(both) + second, both.reshape(-1), both.size, truth[root] == state)
