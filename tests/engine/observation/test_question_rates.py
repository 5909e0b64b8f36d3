"""Questions with rates of their own: laws, one item by another algorithm, and what a simulation shows."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from brute_force import Reading, answers_of
from hypothesis import given, settings
from hypothesis import strategies as st
from thorough import examples

from engine import Inference, KnowledgeError, SimulatedObserver, compile_network, read
from engine.observation.question_rates import kernel_by_question, question_sets
from seke.files.networks import network_of
from seke.files.shipped import knowledge
from seke.samples import answers_from

MACHINE = Path(__file__).parents[1] / "bases" / "machine.yaml"
CARRY = 0.6
few = settings(max_examples=examples(6), deadline=None, derandomize=True, database=None)
rates = st.tuples(st.floats(0.55, 0.95), st.floats(0.55, 0.95))


def machine(tmp_path, by_question):
    """The machine, whose fitter has `by_question`."""
    text = MACHINE.read_text().replace("    binary:\n", f"    binary:\n      by_question: {by_question}\n")
    path = tmp_path / "machine.yaml"
    path.write_text(text)
    base = read(path)
    return base, Inference(compile_network(base), base)


def test_rates_that_are_those_of_all_questions_change_nothing(tmp_path):
    items = [
        [Reading("fitter", "walk", "face", ({"wear": 0, "hot": 1, "noisy": 0}, {"hot": 0}))],
        [
            Reading("fitter", "check", "face", ({"hot": 1}, {"hot": 1})),
            Reading("fitter", "walk", "face", ({"hot": 1, "shaking": 0},)),
        ],
        [Reading("fitter", "check", "face", ({"dripping": 0},))],
    ]
    posteriors = []
    for by_question in ("{}", "{check: {}}", "{check: {cells: {}}, listen: {}}"):
        base, inference = machine(tmp_path, by_question)
        posteriors.append(inference.posterior(answers_of(base, items)))
    for posterior in posteriors[1:]:
        np.testing.assert_allclose(posterior.log_evidence, posteriors[0].log_evidence, rtol=1e-9)
        for name, p in posterior.marginals.items():
            np.testing.assert_allclose(p, posteriors[0].marginals[name], atol=1e-9)


def test_observers_that_err_together_do_so_whatever_the_question(tmp_path):
    """With the shipped base's looks and families, and equal rates, nothing changes; with others it does."""
    cells = "{AU4: {sensitivity: 0.9, specificity: 0.6, source: judgement, note: a test}}"
    records = [
        {"item": "x", "observer": observer, "question": question, "draw": draw, "action_units": units}
        for observer, question, draw, units in (
            ("gpt-4o", "action_units", 0, {"AU4": True, "AU12": False}),
            ("gpt-4o", "verify", 0, {"AU4": False}),
            ("gpt-4o", "verify", 1, {"AU4": True}),
            ("generic-vlm", "action_units", 0, {"AU4": True, "AU12": True}),
            ("generic-vlm", "verify", 0, {"AU4": True}),
        )
    ]
    active = {}
    for name, by_question in {
        "shared": "{}",
        "alike": "{verify: {}}",
        "apart": f"{{verify: {{cells: {cells}}}}}",
    }.items():
        path = tmp_path / f"{name}.yaml"
        path.write_text(
            f"extends: shipped\nobservers: {{gpt-4o: {{binary: {{by_question: {by_question}}}}}}}\n"
        )
        base = knowledge(path)
        (answers,) = answers_from(records, base)
        posterior = Inference(network_of(base), base).posterior(answers)
        active[name] = np.array([posterior.marginals[unit][0, 1] for unit in base.cells])
    assert active["alike"] == pytest.approx(active["shared"], abs=1e-9)
    assert abs(active["apart"] - active["shared"]).max() > 0.005


def scattered(table, repeat):
    """P(brought out | truth) and the scatter of a question, by the formulas of the kernels' module."""
    least = table.min(0)
    habit = least / least.sum()
    brought = (table - (1 - repeat) * habit) / repeat
    return brought[:, 1], repeat * np.eye(2) + (1 - repeat) * habit


def sequence(alpha, answers):
    """P(answers in this order | what is brought out), by an urn, (2,)."""
    alpha, p = alpha.copy(), np.ones(2)
    for answer in answers:
        p *= alpha[:, answer] / alpha.sum(1)
        alpha[:, answer] += 1
    return p


def by_threshold(tables, answers, repeat, strength):
    """P(answers | truth), (2,): one u decides in all questions, or in a share 1 - CARRY a new one in each."""
    p = np.zeros(2)
    for x in (0, 1):
        parts = [scattered(table, repeat) for table in tables]
        likelihoods = [
            sequence(strength * scatter, given_answers)
            for (_, scatter), given_answers in zip(parts, answers, strict=True)
        ]
        edges = np.unique([0.0, 1.0, *(float(brought[x]) for brought, _ in parts)])
        for low, high in itertools.pairwise(edges):
            together = 1.0
            for (brought, _), likelihood in zip(parts, likelihoods, strict=True):
                here = likelihood[int((low + high) / 2 < brought[x])]
                anew = brought[x] * likelihood[1] + (1 - brought[x]) * likelihood[0]
                together *= CARRY * here + (1 - CARRY) * anew
            p[x] += (high - low) * together
    return p


@few
@given(rates, rates, st.lists(st.integers(0, 1), max_size=3), st.lists(st.integers(0, 1), max_size=3))
def test_two_questions_about_one_sign_are_answered_by_one_threshold(
    tmp_path_factory, listed, checked, walks, checks
):
    tables = [np.array([[sp, 1 - sp], [1 - se, se]]) for se, sp in (listed, checked)]
    cell = f"{{hot: {{sensitivity: {checked[0]!r}, specificity: {checked[1]!r}}}}}"
    text = MACHINE.read_text().replace(
        "    binary:\n      repeat: 0.9\n",
        f"    binary:\n      by_question: {{check: {{cells: {cell}}}}}\n      repeat: 0.9\n",
    )
    text = text.replace(
        "hot: {sensitivity: 0.8, specificity: 0.9, sd: {sensitivity: 0.05}}",
        f"hot: {{sensitivity: {listed[0]!r}, specificity: {listed[1]!r}, sd: {{sensitivity: 0.05}}}}",
    ).replace("probability: 0.2, sd: {probability: 0.1}", "probability: 0")
    path = tmp_path_factory.mktemp("machine") / "machine.yaml"
    path.write_text(text)
    base = read(path)
    inference = Inference(compile_network(base), base)
    readings = [
        Reading("fitter", question, "face", tuple({"hot": y} for y in answers))
        for question, answers in (("walk", walks), ("check", checks))
        if answers
    ]
    if not readings:
        return
    logs = np.asarray(inference.observations.evidence(answers_of(base, [readings])).log_likelihood["hot"])[
        :, 0
    ]
    expected = by_threshold(tables, [walks, checks], 0.9, 8.0)
    assert np.exp(logs) == pytest.approx(expected, rel=1e-9)


@few
@given(st.lists(rates, min_size=1, max_size=3))
def test_each_question_has_its_own_table_of_one_answer(declared):
    tables = [np.array([[sp, 1 - sp], [1 - se, se]]) for se, sp in declared]
    one = np.array([0.9]), np.array([8.0])
    kernel = kernel_by_question(tables, list(range(1, len(tables))), *one, 1.0, [None] * len(tables))
    assert np.asarray(kernel.mix).sum(1) == pytest.approx(np.ones(2))
    assert len(kernel.answer_of) == 2 ** len(tables) == len(question_sets(len(tables)))
    for place, table in enumerate(tables):
        alpha = np.asarray(kernel.alpha_of(place))
        assert kernel.mix @ (alpha / alpha.sum(1, keepdims=True)) == pytest.approx(table)


def test_a_simulated_observer_answers_each_question_at_its_rates(tmp_path):
    check = "{hot: {sensitivity: 0.95, specificity: 0.6}}"
    base, inference = machine(tmp_path, f"{{check: {{cells: {check}}}}}")
    count = 4000
    truth = {name: np.zeros(count, dtype=np.int64) for name in base.variables}
    truth["hot"][: count // 2] = 1
    observer = SimulatedObserver(inference.observations, "fitter", truth, np.random.default_rng(0))
    said = {q: observer.reading(q, 1)["hot"][:, 0] for q in ("check", "walk")}
    half = slice(None, count // 2), slice(count // 2, None)
    assert [said["check"][part].mean() for part in half] == pytest.approx([0.95, 0.4], abs=0.03)
    # Of the walk a share follows its label instead; absent signs are still called absent mostly.
    assert said["walk"][half[1]].mean() < 0.2


@pytest.mark.parametrize(
    ("by_question", "message"),
    [
        ("{walks: {}}", "no such question; did you mean walk"),
        (
            "{listen: {cells: {hot: {sensitivity: 0.9, specificity: 0.9}}}}",
            "no such binary variable that this",
        ),
        ("{check: {cells: {hot: {sensitivity: 0.2, specificity: 0.5}}}}", "worse than guessing"),
        ("{check: {cells: {hot: {sensitivity: 0.99}}}}", "specificity"),
        ("{check: {cells: {hot: {sensitivity: 0.99, specificity: 0.99, repeat: 0.1}}}}", "unknown key"),
    ],
)
def test_faults_say_what_is_allowed(tmp_path, by_question, message):
    with pytest.raises(KnowledgeError, match=message):
        machine(tmp_path, by_question)
