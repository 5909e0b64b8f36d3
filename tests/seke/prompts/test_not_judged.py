"""Room for not judging: what an answer says of how well it sees, and what that does to evidence."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from thorough import examples

import seke
from engine import Answers, KnowledgeError
from seke.inference.session import Session
from seke.prompts import Questions
from seke.samples import answers_from
from seke.sampling.loop import Request
from seke.vision.messages import Choice

NOTHING = "cannot be judged"
WHOLE = {
    "face": "clear",
    "not_visible": [],
    "action_units": ["AU6", "AU12"],
    "valence": 0.5,
    "arousal": 0.2,
    "expression": ["happiness", "surprise", "neutral"],
}
SILENCE = "action_units: what it does not list"
MARKS = {"AU6": True, "AU12": False, "AU25": None}
# What a question about one variable is asked about here.
ABOUT = {"verify": "AU12", "check_expression": "expression", "check_affect": "valence"}
# Units of the lower face, as a mask hides them.
MASKED = ["AU10", "AU12", "AU14", "AU15", "AU17", "AU20", "AU23", "AU24", "AU25", "AU26"]


@pytest.fixture(scope="module")
def session():
    return Session.open(seke.knowledge())


@pytest.fixture(scope="module")
def questions(session):
    return Questions(session.knowledge)


def read(questions, answer, question="joint", item="face-1"):
    text = answer if isinstance(answer, str) else json.dumps(answer)
    request = Request(item, "gpt-4o", question, ABOUT.get(question), "face", 0, 1)
    return questions.read(request, Choice(0, text, "stop"))


def judged(session, records):
    (answers,) = answers_from(records, session.knowledge)
    return answers, session.inference.posterior(answers)


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("joint", {"face": NOTHING}),
        ("joint", {**WHOLE, "face": NOTHING}),
        ("joint", 'Here it is: {"FACE": "Cannot be judged."}'),
        ("joint", {"answer": {"face": NOTHING, "expression": None}}),
        ("joint", "Cannot be judged."),
        ("expression", {"face": NOTHING, "expression": None}),
        ("expression", {"face": "clear", "expression": None}),
        ("affect", {"face": "partly covered", "valence": None, "arousal": None}),
        ("action_units", {"face": NOTHING, "action_units": {"AU6": None}}),
        ("verify", {"face": NOTHING, "action_units": {"AU12": None}}),
        ("verify", {"face": NOTHING, "action_units": {"AU12": True}}),
        ("verify", "cannot be judged"),
        ("check_expression", {"face": NOTHING, "expression": None}),
        ("check_expression", {"face": "clear", "expression": None}),
        ("check_affect", {"face": NOTHING, "valence": 0.2}),
    ],
)
def test_what_cannot_be_judged_is_neither_evidence_nor_unreadable(session, questions, question, answer):
    record = read(questions, answer, question)
    assert record["status"] == "not_judged"
    answers, posterior = judged(session, [record])
    counts = [answers.samples, answers.refused, answers.unreadable, answers.not_judged, answers.asked]
    assert [int(count[0]) for count in counts] == [1, 0, 0, 1, 1]
    prior = session.inference.posterior(Answers.nothing())
    for name, p in prior.marginals.items():
        np.testing.assert_allclose(posterior.marginals[name], p, atol=1e-12)
    (decided,) = session.records(answers)
    assert decided["diagnostics"]["not_judged"] == 1
    assert decided["decision"]["item"] == "reject"
    assert decided["decision"]["reasons"] == ["not_judged"]


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("expression", {"expression": None}),
        ("expression", {"face": "clear"}),
        ("expression", {"face": "clear", "expression": "glee"}),
        ("affect", {"face": "clear", "valence": None, "arousal": "high"}),
        ("joint", ""),
    ],
)
def test_what_cannot_be_parsed_stays_unreadable(questions, question, answer):
    assert read(questions, answer, question) == {
        "item": "face-1",
        "observer": "gpt-4o",
        "question": question,
        "view": "face",
        "draw": 0,
        "status": "unreadable",
    }


def test_every_shipped_question_has_room_for_not_judging(questions):
    """Its answers begin with how well they see, in one order of words, whatever the order of all else."""
    for name, question in questions.base.questions.items():
        about = ABOUT.get(name)
        forms = [Request("a", "gpt-4o", name, about, view, 0, 1) for view in ("face", "face@reversed")]
        prompts = [questions.prompt(request) for request in forms[: question.forms]]
        for prompt in prompts:
            first, schema = next(iter(prompt.schema["properties"].items()))
            assert (first, schema["enum"]) == ("face", ["clear", "partly covered", NOTHING])
            places = [prompt.text.index(f"- {word}: ") for word in schema["enum"]]
            assert places == sorted(places)
            assert "null" in prompt.text[places[-1] :]


def test_a_place_that_is_hidden_is_null_and_judged(session, questions):
    """Of a part behind a hand the answer says so; it looked, and says nothing of the unit."""
    record = read(questions, {"face": "partly covered", "action_units": {"AU12": None}}, "verify")
    assert record["action_units"] == {"AU12": None}
    assert record["extra"] == {"face": "partly covered"}
    answers, posterior = judged(session, [record])
    assert [int(count[0]) for count in (answers.hidden, answers.not_judged)] == [1, 0]
    prior = session.inference.posterior(Answers.nothing())
    np.testing.assert_allclose(posterior.marginals["AU12"], prior.marginals["AU12"], atol=1e-12)
    seen = read(questions, {"face": "partly covered", "action_units": {"AU12": True}}, "verify")
    plain = read(questions, {"action_units": {"AU12": True}}, "verify")
    assert seen == plain | {"extra": {"face": "partly covered"}}


@pytest.mark.parametrize("missing", ["expression", "valence", "arousal"])
def test_null_is_no_look_at_that_value_alone(session, questions, missing):
    record = read(questions, {**WHOLE, missing: None})
    assert record["extra"] == {"face": "clear"}
    assert missing not in record
    without = {name: value for name, value in record.items() if name != missing}
    _, posterior = judged(session, [record])
    _, other = judged(session, [without])
    assert (posterior.log_evidence == other.log_evidence).all()
    (decided,) = session.records(judged(session, [record])[0])
    assert decided["decision"]["levels"][missing]["origin"] == "inferred"


def test_answers_to_the_older_form_read_as_before(questions):
    old = {name: value for name, value in WHOLE.items() if name not in ("face", "not_visible")}
    levels = {name: old[name] for name in ("action_units", "valence", "arousal", "expression")}
    record = read(questions, old)
    assert {name: record[name] for name in levels} == levels
    assert "extra" not in record
    assert "status" not in record
    assert read(questions, {**old, "valence": None})["extra"] == {"unread": ["valence"]}
    assert read(questions, WHOLE) == record | {"extra": {"face": "clear"}}


@settings(deadline=None, max_examples=examples(15))
@given(
    st.lists(st.sampled_from(["AU1", "AU6", *MASKED]), unique=True, max_size=8),
    st.lists(st.sampled_from(["AU1", "AU4", "AU6", "AU12", "AU26", "AU27", "AU28"]), unique=True, max_size=5),
)
def test_a_list_and_what_is_not_visible_are_marks_with_null(session, questions, hidden, named):
    """As the same joint reading written as marks: present, absent, and null for what cannot be seen."""
    units, codes = session.knowledge.levels["action_units"], session.knowledge.codes
    present = [name for name in named if name not in hidden]
    answer = {**WHOLE, "face": "partly covered", "action_units": present, "not_visible": hidden}
    marks = {name: None if name in hidden else name in present for name in units}
    marks |= {name: True for name in present if name in codes}
    record = read(questions, answer)
    written = {**record, "action_units": marks}
    answers, posterior = judged(session, [record])
    expected_answers, expected = judged(session, [written])
    for name, p in expected.marginals.items():
        np.testing.assert_allclose(posterior.marginals[name], p, atol=1e-12, err_msg=name)
    assert posterior.log_evidence == pytest.approx(expected.log_evidence, abs=1e-12)
    assert answers.hidden.tolist() == expected_answers.hidden.tolist()
    (decided,) = session.records(answers)
    for name in hidden:
        assert decided["decision"]["levels"][name]["origin"] == "inferred"


def test_a_mouth_behind_a_mask_is_not_a_closed_mouth(session, questions):
    """The smiling eyes alone are seen: silence about the lips is no evidence against them."""
    answer = {**WHOLE, "action_units": ["AU6"], "not_visible": MASKED}
    answer |= {"expression": None, "valence": None, "arousal": None}
    masked, plain = (
        judged(session, [read(questions, {**answer, "not_visible": hidden})])[1] for hidden in (MASKED, [])
    )
    p, silent = (posterior.marginals["AU25"][0, 1] for posterior in (masked, plain))
    assert p > 2 * silent


@pytest.mark.parametrize(
    ("not_visible", "marks", "unread"),
    [
        (["au6", "AU06"], {"AU6": None, "AU12": True, "AU1": False}, ["not_visible: AU6"]),
        (
            ["AU25", "the mouth"],
            {"AU25": None, "AU6": True, "AU12": True},
            ["not_visible: the mouth", SILENCE],
        ),
        ("the mouth", {"AU6": True, "AU12": True}, ["not_visible", SILENCE]),
        ({"AU25": True, "AU12": False}, {"AU25": None, "AU6": True, "AU12": True}, [SILENCE]),
    ],
)
def test_what_is_not_visible_is_read_as_any_list(questions, not_visible, marks, unread):
    """A unit in both lists is null; where it is not read as a whole, silence says nothing."""
    record = read(questions, {**WHOLE, "not_visible": not_visible})
    assert record["extra"]["unread"] == unread
    whole = record["action_units"]
    assert {name: whole.get(name) for name in marks} == marks
    assert ("AU1" in whole) is ("AU1" in marks)


@pytest.mark.parametrize("nothing", [None, [], ["none"], "none", "n/a"])
def test_where_all_is_visible_the_list_stays_a_list(questions, nothing):
    record = read(questions, {**WHOLE, "not_visible": nothing})
    assert record["action_units"] == ["AU6", "AU12"]
    assert "unread" not in record["extra"]


def test_a_word_that_the_form_does_not_have_costs_nothing_else(questions):
    record = read(questions, {**WHOLE, "face": "very nice"})
    assert record["extra"] == {"unread": ["face"]}
    assert record["expression"] == WHOLE["expression"]


def sample(question="joint", draw=0, observer="gpt-4o", **values):
    return {"item": "a", "observer": observer, "question": question, "draw": draw, **values}


LABEL = sample(observer="dataset-label", expression="fear")
NO_FACE = sample("action_units", observer="au-detector", status="not_judged")
NO_EXPRESSION = sample("expression", observer="expression-network", status="not_judged")
FREE = [sample("expression", draw, "expression-network", expression="fear") for draw in range(16)]


@pytest.mark.parametrize(
    ("records", "asked"),
    [
        # An instrument that found no face leaves the model to be asked.
        ([NO_FACE], True),
        ([LABEL, NO_FACE], True),
        # One look that could not tell ends nothing while others may; most of them do.
        ([LABEL, sample(status="not_judged")], True),
        ([LABEL, sample(status="not_judged"), sample(draw=1, status="not_judged")], False),
        ([sample(status="not_judged")], False),
        ([sample(expression="fear"), sample("expression", status="not_judged")], True),
        # What is not asked is one opinion, however often it was drawn.
        ([*FREE, sample(status="not_judged")], True),
        ([*FREE, sample(status="not_judged"), sample(draw=1, status="not_judged")], False),
        ([NO_FACE, NO_EXPRESSION, sample(expression="fear")], True),
        ([sample(expression="fear"), *(sample("expression", d, status="not_judged") for d in (0, 1))], False),
    ],
)
def test_what_most_answers_cannot_judge_is_not_asked_again(session, records, asked):
    (answers,) = answers_from(records, session.knowledge)
    (decided,) = session.records(answers)
    assert (decided["decision"]["item"] == "requery") is asked
    if not asked:
        assert decided["decision"]["reasons"][0] in ("not_judged", "unresolvable")


def test_an_overlay_declares_all_words_of_sight_anew(tmp_path):
    """They have an order, and the last one says that nothing can be judged."""
    path = tmp_path / "o.yaml"
    path.write_text(
        "extends: shipped\nquestions: {joint: {sight: {words: {seen: all of it, unseen: nothing}}}}\n"
    )
    sight = seke.knowledge(path).questions["joint"].sight
    assert (sight.key, list(sight.words), sight.nothing) == ("face", ["seen", "unseen"], "unseen")


@pytest.mark.parametrize(
    ("overlay", "fault"),
    [
        ("{affect: {sight: {key: valence}}}", "valence is a level or variable; give it another key"),
        ("{affect: {also: {valence: [arousal]}}}", "'arousal' is arousal itself, and cannot mean valence"),
    ],
)
def test_a_key_of_answers_means_one_thing(tmp_path, overlay, fault):
    path = tmp_path / "o.yaml"
    path.write_text(f"extends: shipped\nquestions: {overlay}\n")
    with pytest.raises(KnowledgeError, match=fault):
        seke.knowledge(path)
