"""What contradicts itself is asked about first, alone and afresh, and the record says what that changed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import seke
from engine import Answers, KnowledgeError, prior_truth
from seke.inference.session import Session
from seke.prompts import Context, Questions
from seke.sampling.answerers import SimulatedSource
from seke.sampling.infer import batches
from seke.sampling.loop import Loop, Request

SMILE, SADNESS = ["AU6", "AU12", "AU25"], ["AU1", "AU4", "AU15", "AU17"]
ANGER, DISGUST = ["AU4", "AU7", "AU23", "AU24"], ["AU9", "AU10", "AU17"]


def joint(item, expression, units, valence, arousal):
    """One joint answer of the model."""
    levels = {"expression": expression, "action_units": units, "valence": valence, "arousal": arousal}
    return [{"item": item, "observer": "gpt-4o", "question": "joint", "draw": 0, **levels}]


def apart(item, expression, units, valence, arousal):
    """The same as answers to three questions."""
    whole = joint(item, expression, units, valence, arousal)[0]
    key = {name: whole[name] for name in ("item", "observer", "draw")}
    parts = {"expression": ["expression"], "action_units": ["action_units"], "affect": ["valence", "arousal"]}
    return [{**key, "question": q, **{name: whole[name] for name in names}} for q, names in parts.items()]


# Items with a contradiction: what is asked next, and for which contradiction.
CONTRADICTIONS = {
    "a smile's name on a sad face": (
        joint("a", "happiness", SADNESS, -0.6, -0.3),
        ("check_expression", "expression", "answers expression"),
    ),
    "a wrinkled nose that is called pleasant": (
        joint("a", "happiness", DISGUST, 0.8, 0.4),
        ("check_affect", "valence", "rule wrinkled-nose-is-unpleasant"),
    ),
    "angry units beside a pleasant smile": (
        apart("a", "happiness", ANGER, 0.8, 0.4),
        ("verify", "AU12", "reading gpt-4o"),
    ),
    "an unpleasant smile": (
        apart("a", "happiness", SMILE, -0.6, 0.6),
        ("check_affect", "valence", "reading gpt-4o"),
    ),
}


@pytest.fixture(scope="module")
def session():
    return Session.open(seke.knowledge())


@pytest.fixture(scope="module")
def weighing(session):
    """The same session, which weighs contradictions like all else."""
    return session.under(replace(session.knowledge.policy, checks_first=False))


def answers_of(records, session):
    (answers,) = batches(records, session.knowledge)
    return answers


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_the_place_of_a_contradiction_is_asked_about_next(session, name):
    records, (question, about, contradiction) = CONTRADICTIONS[name]
    judged = session.judge(answers_of(records, session))
    (option,) = judged.decisions.next
    assert (option.question, option.about, option.check) == (question, about, contradiction)
    # Its price counts as that of any other question.
    assert option.rate > 1
    named = {c.text: c.variables for c in judged.diagnostics.contradictions[0]}
    assert about in named[contradiction]
    assert judged.decisions.reasons[0][0] == f"check: {about} ({contradiction})"


def test_a_label_of_a_set_that_observers_dispute_is_a_contradiction(session):
    records = joint("a", "happiness", SMILE, 0.8, 0.4)
    label = {"item": "a", "observer": "dataset-label", "question": "expression", "draw": 0}
    judged = session.judge(answers_of([*records, {**label, "expression": "sadness"}], session))
    named = {c.text: c for c in judged.diagnostics.contradictions[0]}
    contradiction = named["label dataset-label"]
    assert contradiction.variables == ("expression",)
    sadness = session.network.root_states.index("sadness")
    assert contradiction.probability == pytest.approx(judged.posterior.marginals["expression"][0, sadness])


def simulated(session, items=200):
    """Answers to three questions, each asked once, as the base declares them."""
    names = [f"i{number}" for number in range(items)]
    truth = prior_truth(session.inference, items, np.random.default_rng(5))
    source = SimulatedSource(session.inference, names, truth, 6)
    answers = Answers.unasked(names)
    for question in ("expression", "action_units", "affect"):
        asked = [Request(name, "gpt-4o", question, None, "face", 0, 1) for name in names]
        answers = answers.joined(source.ask(asked))
    return answers


def test_without_a_contradiction_the_choice_is_as_before(session, weighing):
    answers = simulated(session)
    judged, weighed = session.judge(answers), weighing.judge(answers)
    assert weighed.diagnostics.contradictions == ()
    standing = np.array([bool(c) for c in judged.diagnostics.contradictions])
    pairs = list(zip(judged.decisions.next, weighed.decisions.next, strict=True))
    # Some items contradict themselves and some do not; of the latter nothing is asked otherwise.
    assert 10 < standing.sum() < 190
    assert all(first == second for (first, second), stands in zip(pairs, standing, strict=True) if not stands)
    asked = [first for (first, _), stands in zip(pairs, standing, strict=True) if stands and first]
    assert any(option.check for option in asked)
    # Nothing else differs: a posterior does not know what is asked next.
    for name, p in judged.posterior.marginals.items():
        np.testing.assert_array_equal(p, weighed.posterior.marginals[name])


def test_questions_that_check_are_no_option_of_a_policy_that_does_not(weighing):
    answers = simulated(weighing, 20)
    posterior = weighing.inference.posterior(answers)
    for item in range(20):
        options = weighing.look_ahead.options(answers, posterior, item)
        assert not [option for option in options if weighing.knowledge.questions[option.question].check]


def test_the_name_against_what_was_seen_is_told_by_their_probabilities(session):
    """P(all) / (P(names) P(all else)), from samples that hold the parts."""
    parts = apart("a", "happiness", SADNESS, -0.6, -0.3)
    whole, names, seen = (
        session.inference.log_evidence(answers_of(records, session))[0]
        for records in (parts, parts[:1], parts[1:])
    )
    judged = session.judge(answers_of(parts, session))
    told = {c.text: c.probability for c in judged.diagnostics.contradictions[0]}
    assert told["answers expression"] == pytest.approx(np.exp(whole - names - seen))
    assert told["answers expression"] < 0.5
    # Where the two agree they are more probable together, and nothing stands against them.
    agreeing = session.judge(answers_of(apart("a", "sadness", SADNESS, -0.6, -0.3), session))
    assert agreeing.diagnostics.contradictions == ((),)


def test_as_declared_so_strong_a_contradiction_is_no_more_frequent_than_it_says(session):
    """Markov's bound, for several strengths."""
    answers = simulated(session, 600)
    told = np.array(
        [
            min((c.probability for c in standing if c.text == "answers expression"), default=1.0)
            for standing in session.judge(answers).diagnostics.contradictions
        ]
    )
    assert (told < 0.5).sum() > 20
    for q in (0.5, 0.25, 0.1, 0.05):
        assert (told <= q).mean() <= q


def test_a_rule_stands_where_it_is_violated_more_than_its_confidence_allows(session):
    records, _ = CONTRADICTIONS["a wrinkled nose that is called pleasant"]
    judged = session.judge(answers_of(records, session))
    rules = {rule.name: rule for rule in session.knowledge.rules}
    standing = {c.name: c.probability for c in judged.diagnostics.contradictions[0] if c.kind == "rule"}
    posterior = judged.posterior
    for name, p in zip(posterior.rules, posterior.violations[0].tolist(), strict=True):
        assert (name in standing) == (p > 1 - rules[name].confidence)
        assert standing.get(name, p) == p


class ScriptedSource:
    """A model that answers every further question as a script says, whatever else it said."""

    def __init__(self, session, script):
        self.session, self.script, self.asked = session, script, []

    def ask(self, requests):
        self.asked += [(request.question, request.about) for request in requests]
        records = [
            {
                **dict(zip(("item", "observer", "question"), request.line[:3], strict=True)),
                "draw": request.first + draw,
                **self.script(request),
            }
            for request in requests
            for draw in range(request.samples)
        ]
        return answers_of(records, self.session)


def test_a_check_is_asked_once_and_the_record_says_what_it_changed(session):
    records, (question, about, contradiction) = CONTRADICTIONS["a wrinkled nose that is called pleasant"]
    everything = joint("a", "disgust", DISGUST, -0.7, 0.4)[0]

    def script(request):
        if request.question == "verify":
            return {"action_units": {request.about: request.about in DISGUST}}
        names = [request.about] if request.about else session.knowledge.questions[request.question].variables
        keys = dict.fromkeys("action_units" if name.startswith("AU") else name for name in names)
        return {key: everything[key] for key in keys}

    source = ScriptedSource(session, script)
    loop = Loop(session)
    state = loop.begin(answers_of(records, session))
    state = loop.after(state, source.ask(state.requests))
    assert source.asked == [(question, about)]
    (record,) = loop.records(state)
    (check,) = record["diagnostics"]["checks"]
    assert check["about"] == about
    assert check["without"]["value"] > 0 > check["with"]["value"]
    assert contradiction in check["without"]["contradictions"]
    assert contradiction not in check["with"]["contradictions"]
    (before,) = session.records(answers_of(records, session))
    for side, whole in (("without", before), ("with", record)):
        level = whole["decision"]["levels"][about]
        assert (check[side]["value"], check[side]["risk"]) == (level["value"], level["risk"])
    while state.requests:
        state = loop.after(state, source.ask(state.requests))
        assert all(
            option is None or (option.about, option.check) != (about, contradiction)
            for option in state.decisions.next
        )
    assert (state.decisions.next, source.asked.count((question, about))) == ((None,), 1)


def test_a_question_about_one_variable_gains_what_the_question_about_only_that_does(session):
    """So that variables of every kind can be checked."""
    base = session.knowledge
    both = {}
    for name in ("expression", "valence", "AU12"):
        question = replace(base.questions["verify"], variables=(name,), cost=0.4, further=0.06)
        both |= {
            f"{name} alone": replace(question, name=f"{name} alone"),
            f"{name} whole": replace(question, name=f"{name} whole", about_one=False, enlarge=False),
        }
    asking = session.with_knowledge(replace(base, questions={**base.questions, **both}))
    answers = answers_of(joint("a", "happiness", SADNESS, -0.6, -0.3), asking)
    options = asking.look_ahead.options(answers, asking.inference.posterior(answers), 0)
    gain = {(option.question, option.samples): option.gain for option in options}
    for name in ("expression", "valence", "AU12"):
        for samples in base.policy.batches:
            alone, whole = gain[f"{name} alone", samples], gain[f"{name} whole", samples]
            assert alone == pytest.approx(whole, rel=1e-9)
    assert gain["expression alone", 1] > 0.1


def test_a_check_gives_no_answer_away(session):
    """Its prompt is the same whatever was said; the two states in question stand in the base's order."""
    questions = Questions(session.knowledge)
    request = Request("a", "gpt-4o", "check_expression", "expression", "face", 0, 1)
    prompt = questions.prompt(request, Context(states=("happiness", "sadness")))
    assert prompt == questions.prompt(request, Context(states=("happiness", "sadness"), doubt=("AU12",)))
    offered = prompt.text.partition("Look for")[0]
    assert [state in offered for state in ("happiness", "sadness", "anger", "fear")] == [
        True,
        True,
        False,
        False,
    ]
    # Neither is the only way out: every name that may be answered is explained.
    for state in session.network.root_states:
        assert f"- {state}: " in prompt.system + prompt.text
    unit = questions.prompt(replace(request, question="verify", about="AU15"), Context())
    assert (
        "- false: The lip corners are level or pulled up.\n- true: The lip corners are pulled down.\n"
        in unit.text
    )
    valence = questions.prompt(replace(request, question="check_affect", about="valence"), Context())
    assert valence.schema["properties"].keys() == {"face", "valence"}


@pytest.mark.parametrize("unit", list(seke.knowledge().cells))
def test_every_unit_is_offered_with_both_of_its_sides(unit):
    base = seke.knowledge()
    request = Request("a", "gpt-4o", "verify", unit, "face", 0, 1)
    text = Questions(base).prompt(request, Context()).text
    assert (
        f"- false: {base.variables[unit].about['rest']}\n- true: {base.variables[unit].description}\n" in text
    )
    assert text.endswith(f'{{"face": "...", "action_units": {{"{unit}": ...}}}}')
    assert "false or true, or null if that place cannot be seen." in text


def test_a_question_that_checks_is_about_one_variable(tmp_path):
    overlay = tmp_path / "mine.yaml"
    overlay.write_text(
        "extends: shipped\nquestions:\n  source: judgement\n  note: A test.\n"
        "  again: {reports: [expression], cost: 1, check: true}\n"
    )
    with pytest.raises(KnowledgeError, match=r"check: needs `about: one`"):
        seke.knowledge(overlay)
