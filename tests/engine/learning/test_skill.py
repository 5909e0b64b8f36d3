"""One skill behind an observer's answers: what gold says of it, and what is learned of rates with it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from thorough import examples

from engine import Answers, Gold, Inference, Labels, compile_network, entries_of, fit_observers, read
from engine.learning.parameters import ObserverParameters
from engine.learning.skill import CAUTION, SKILLS, SkillEvidence, cautious_skill, log_scores
from engine.model.parameter_key import ParameterKey

SIGNS = ("one", "two", "three", "four")
DECLARED = 0.6, 0.8
SIGN_RATES = ParameterKey("model", "", "binary")
BASE = """
name: signs
variables:
  kind: {kind: categorical, label: kind, states: {a: a, b: b}}
  one: {kind: binary, label: one}
  two: {kind: binary, label: two}
  three: {kind: binary, label: three}
  four: {kind: binary, label: four}
levels: {kind: [kind], signs: [one, two, three, four]}
priors:
  variable: kind
  reference: uniform
  populations: {uniform: {p: uniform, source: judgement, note: Nothing is known.}}
activations:
  source: judgement
  note: For a test.
  background: {p: 0.5, n: 5}
  cells: {a: {one: {p: 0.4, n: 5}}}
questions:
  look: {reports: [one, two, three, four], cost: 1, source: judgement, note: A unit.}
  joint: {reports: [kind, one, two, three, four], cost: 1, source: judgement, note: A unit.}
policy:
  source: judgement
  note: For a test.
  required: [signs]
  limits: {kind: 0.05, signs: 0.05}
  worth: {kind: 1, signs: 1}
  budget: 10
  conflict: 0.000001
  batches: [1]
  ask: model
observers:
  model:
    source: judgement
    note: For a test.
    askable: true
    carry: 0.9
    halo: {joint: {given: kind, probability: 0.5}}
    categorical: {kind: {accuracy: 0.8, repeat: 0.9, strength: 8}}
    binary:
      repeat: 0.95
      strength: 8
      cells:
        one: {sensitivity: 0.6, specificity: 0.8}
        two: {sensitivity: 0.6, specificity: 0.8}
        three: {sensitivity: 0.6, specificity: 0.8}
        four: {sensitivity: 0.6, specificity: 0.8}
"""


@pytest.fixture(scope="module")
def inference(tmp_path_factory):
    path = tmp_path_factory.mktemp("skill") / "signs.yaml"
    path.write_text(BASE)
    base = read(path)
    return Inference(compile_network(base), base)


def answers_of(inference, answered, question="look"):
    """Answers, one a variable and item; answered: variable -> (N,) index of the answer."""
    count = len(next(iter(answered.values())))
    items, zero, ones = np.arange(count), np.zeros(count, dtype=np.int64), np.ones(count)
    labels = {name: Labels(items, np.asarray(answer), ones, ones < 0) for name, answer in answered.items()}
    return Answers(
        items=tuple(f"i{i}" for i in items),
        views=("face",),
        reading_item=items,
        reading_observer=zero,
        reading_question=zero + list(inference.knowledge.questions).index(question),
        reading_view=zero,
        labels=labels,
        numbers={},
        rankings={},
        samples=zero + 1,
        refused=zero,
        unreadable=zero,
        not_judged=zero,
        hidden=zero,
        asked=zero + 1,
        asked_in_vain=zero,
        reading_given=zero - 1,
        givens=(),
    )


def gold_of(truth):
    return Gold({name: states.astype(float) for name, states in truth.items()})


def simulated(skill, count, rng):
    """Truth and answers of the signs, variable -> (N,); rates deviate from what is declared by skill only."""
    truth = {name: rng.integers(0, 2, count) for name in SIGNS}
    sensitivity, specificity = ((1 - skill) * rate + skill for rate in DECLARED)
    answers = {}
    for name, states in truth.items():
        right = rng.random(count) < np.where(states == 1, sensitivity, specificity)
        answers[name] = np.where(right, states, 1 - states)
    return truth, answers


def rates(fit):
    """Sensitivity and specificity of each sign as fitted, (signs, 2)."""
    value_by_path = {entry.path: entry.value for entry in entries_of(fit)}
    paths = [
        [f"observers.model.binary.cells.{n}.{key}" for key in ("sensitivity", "specificity")] for n in SIGNS
    ]
    return np.array([[value_by_path[path] for path in pair] for pair in paths])


def log_beta(a, b):
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


@settings(max_examples=examples(20), deadline=None, derandomize=True, database=None)
@given(
    st.integers(0, 6), st.integers(0, 6), st.floats(0.05, 0.9), st.floats(1, 50), st.permutations(range(12))
)
def test_scores_of_sure_answers_are_those_of_the_beta_binomial(right, wrong, declared, count, order):
    """Of answers that show what was settled on: the closed form, whatever the order of the items."""
    hits = np.array([1.0] * right + [0.0] * wrong)
    hits = hits[[place for place in order if place < len(hits)]]
    rows = np.array([[declared, 1 - declared], [1 - declared, declared]])
    log_likelihood = np.log(np.stack([hits, 1 - hits], axis=1).clip(1e-300))
    state = np.zeros(len(hits), dtype=np.int64)
    evidence = SkillEvidence(rows, np.eye(2), np.full(2, count), state, log_likelihood)
    p = (1 - SKILLS) * declared + SKILLS
    expected = [
        log_beta(count * q + right, count * (1 - q) + wrong) - log_beta(count * q, count * (1 - q)) for q in p
    ]
    np.testing.assert_allclose(log_scores([evidence]), expected, atol=1e-7)


def evidence_of(right, wrong, declared=0.6, count=8.0):
    """The evidence of answers that show what was settled on, of two states."""
    hits = np.array([1.0] * right + [0.0] * wrong)
    rows = np.array([[declared, 1 - declared], [1 - declared, declared]])
    log_likelihood = np.log(np.stack([hits, 1 - hits], axis=1).clip(1e-300))
    state = np.zeros(len(hits), dtype=np.int64)
    return SkillEvidence(rows, np.eye(2), np.full(2, count), state, log_likelihood)


def test_without_evidence_of_skill_half_stays_as_declared():
    """Of w = 0 in one half and uniform in the other: E w = 1/4, E w² = 1/6."""
    evidence = SkillEvidence(
        np.full((2, 2), 0.5), np.eye(2), np.full(2, 8.0), np.zeros(3, dtype=np.int64), np.zeros((3, 2))
    )
    expected = 1 / 4 - CAUTION * math.sqrt(1 / 6 - 1 / 16)
    assert cautious_skill([evidence]) == pytest.approx(expected, abs=0.01)


@settings(max_examples=examples(20), deadline=None, derandomize=True, database=None)
@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), min_size=1, max_size=3))
def test_the_mean_weighs_the_declared_table_against_every_skill_by_bayes(counts):
    """Two hypotheses of equal odds: as declared, or a skill between 0 and 1, integrated by quadrature."""
    from scipy.integrate import quad

    def likelihood(w):
        a, b = 8 * (0.6 * (1 - w) + w), 8 * 0.4 * (1 - w)
        return math.exp(sum(log_beta(a + right, b + wrong) - log_beta(a, b) for right, wrong in counts))

    whole, first, second = (quad(lambda w, k=k: w**k * likelihood(w), 0, 1 - 1e-9)[0] for k in range(3))
    total = likelihood(0) + whole
    mean = first / total
    expected = max(0.0, mean - CAUTION * math.sqrt(second / total - mean**2))
    evidence = [evidence_of(right, wrong) for right, wrong in counts]
    assert cautious_skill(evidence) == pytest.approx(expected, abs=0.01)


def test_gold_as_the_table_declares_moves_it_ever_less():
    skills = [cautious_skill([evidence_of(3 * k, 2 * k)]) for k in (2, 10, 50)]
    assert skills == sorted(skills, reverse=True)
    assert skills[-1] < 0.05


def test_of_a_strong_observer_the_doubt_about_the_table_is_soon_gone():
    """After a hundred right answers in a hundred the skill is that of a uniform prior."""
    evidence = evidence_of(100, 0)
    weight = np.exp(log_scores([evidence]))
    weight /= weight.sum()
    mean = weight @ SKILLS
    uniform = mean - CAUTION * math.sqrt(weight @ SKILLS**2 - mean**2)
    assert cautious_skill([evidence]) == pytest.approx(uniform, abs=0.01)


def skill_of(inference, answers, truth, question="look"):
    parameters = ObserverParameters(inference, answers_of(inference, answers, question), gold_of(truth))
    return parameters.skills[SIGN_RATES]


KINDS = """
      kind:
        accuracy: 0.7
        types:
          easy: {share: 0.7, misread: 0.3, repeat: 0.95, strength: 8}
          hard: {share: 0.3, misread: 0.7, repeat: 0.8, strength: 4}
"""


@pytest.mark.parametrize(("right", "least", "most"), [(30, 0.6, 1), (21, 0, 0.35), (15, 0, 0.1)])
def test_one_skill_moves_what_all_kinds_of_reading_settle_on(right, least, most, tmp_path):
    """The prior of the one-answer table at skill w is that of the kinds settling on (1 - w) C0 + w I."""
    path = tmp_path / "kinds.yaml"
    path.write_text(BASE.replace(" {kind: {accuracy: 0.8, repeat: 0.9, strength: 8}}", KINDS), "utf-8")
    base = read(path)
    inference = Inference(compile_network(base), base)
    kernel, truth, count = inference.observations.kernels[0, "kind"], np.arange(30) % 2, 30
    answer = np.where(np.arange(count) < right, truth, 1 - truth)
    reading, none = np.repeat(np.arange(count), 2), np.zeros(count, dtype=np.int64)
    ones = np.ones(2 * count)
    labels = {"kind": Labels(reading, np.repeat(answer, 2), ones, ones < 0)}
    answers = Answers(
        tuple(map(str, range(count))), ("face",), np.arange(count), none, none + 1, none, labels, {}, {},
        none + 2, *[none] * 4, asked=none + 2, asked_in_vain=none, reading_given=none - 1, givens=(),
    )  # fmt: skip
    parameters = ObserverParameters(inference, answers, Gold({"kind": truth * 1.0}))
    at = ParameterKey("model", "", "categorical", "kind")
    skill = parameters.skills[at]
    assert least <= skill <= most
    drawn = kernel.alpha / kernel.alpha.sum(1, keepdims=True)
    able = kernel.share * (kernel.answer_of == np.arange(2)[:, None])
    expected = ((1 - skill) * kernel.mix + skill * able) @ drawn
    np.testing.assert_allclose(parameters.sites[at.of("confusion")].mean, expected, atol=1e-9)
    unmoved = ObserverParameters(inference, answers, Gold({"kind": truth * 1.0}), by_skill=False)
    np.testing.assert_allclose(unmoved.sites[at.of("confusion")].mean, kernel.mix @ drawn, atol=1e-9)


@pytest.mark.parametrize(("skill", "least", "most"), [(0.0, 0.0, 0.1), (0.5, 0.15, 0.6), (0.9, 0.8, 1.0)])
def test_the_skill_of_a_simulated_observer_is_recovered(inference, skill, least, most):
    """It is cautious: in the middle, where four signs say little of the others, it is below the truth."""
    for seed in range(4):
        truth, answers = simulated(skill, 200, np.random.default_rng(seed))
        assert least <= skill_of(inference, answers, truth) <= most


def test_skill_moves_every_rate_from_what_is_declared_towards_one(inference):
    truth, answers = simulated(0.9, 100, np.random.default_rng(1))
    parameters = ObserverParameters(inference, answers_of(inference, answers), gold_of(truth))
    skill = parameters.skills[SIGN_RATES]
    for key, declared in zip(("sensitivity", "specificity"), DECLARED, strict=True):
        expected = (1 - skill) * declared + skill
        mean = parameters.sites[SIGN_RATES.of(key)].mean
        np.testing.assert_allclose(mean, expected, atol=0.011)


def test_looks_are_as_skilled_where_half_of_the_answers_follow_a_label(inference):
    """Half of the joint answers are coins, as the label implies: the other half tells the same skill."""
    rng = np.random.default_rng(5)
    truth, answers = simulated(0.9, 400, rng)
    alone = skill_of(inference, answers, truth)
    follows = rng.random(400) < 0.5
    joint = {name: np.where(follows, rng.integers(0, 2, 400), answer) for name, answer in answers.items()}
    assert skill_of(inference, joint, truth) < alone - 0.3
    joint["kind"] = rng.integers(0, 2, 400)
    assert skill_of(inference, joint, truth, "joint") == pytest.approx(alone, abs=0.15)


def learned_alone(truth, answers):
    """Each rate around what is declared, by its own gold only: Beta of 8 pseudo-counts, (signs, 2)."""
    rows = []
    for name in SIGNS:
        hits = [(answers[name] == state)[truth[name] == state] for state in (1, 0)]
        rows.append(
            [
                (8 * p + hits_of_rate.sum()) / (8 + len(hits_of_rate))
                for p, hits_of_rate in zip(DECLARED, hits, strict=True)
            ]
        )
    return np.array(rows)


def test_rates_of_a_skilled_observer_are_recovered_from_fewer_gold_items(inference):
    rng = np.random.default_rng(2)
    true = 0.1 * np.array(DECLARED) + 0.9
    for count, gained in ((8, 0.08), (30, 0.03), (100, 0.0)):
        truth, answers = simulated(0.9, count, rng)
        fit = fit_observers(inference, answers_of(inference, answers), gold_of(truth))
        alone = np.abs(learned_alone(truth, answers) - true).mean()
        assert np.abs(rates(fit) - true).mean() < alone - gained


@pytest.mark.parametrize("share", [0.1, 0.9])
@pytest.mark.parametrize("always", [0, 1])
def test_an_observer_that_always_answers_the_same_says_nothing_of_it(inference, share, always):
    """Whatever skill it shows elsewhere: with 100 gold items its answer's likelihood ratio is below 2."""
    truth, answers = simulated(0.9, 100, np.random.default_rng(4))
    truth["two"] = (np.arange(100) < 100 * share).astype(np.int64)
    answers["two"] = np.full(100, always)
    fit = fit_observers(inference, answers_of(inference, answers), gold_of(truth))
    sensitivity, specificity = rates(fit)[SIGNS.index("two")]
    ratio = sensitivity / (1 - specificity) if always else specificity / (1 - sensitivity)
    assert 1 <= ratio < 2
    assert fit.parameters.skills[SIGN_RATES] > 0.3
