"""Prompts are blind unless a question declares what it tells; what it told is part of the prompt's digest."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

import seke
from engine import KnowledgeError
from seke.calibration.fit_data import FitData
from seke.calibration.labelled_answers import LabelledAnswers
from seke.inference.session import Session
from seke.prompts import Context, Questions
from seke.prompts.known_facts import accuracy_words
from seke.samples import answers_from
from seke.sampling.loop import Request

COMPLETE = Path(__file__).parents[3] / "examples" / "completion" / "complete.yaml"
LABELS = "dataset-label"


@pytest.fixture(scope="module")
def questions():
    return Questions(seke.knowledge())


@pytest.fixture(scope="module")
def completing():
    return Questions(seke.knowledge(COMPLETE))


def request(question):
    return Request("face-1", "gpt-4o", question, None, "face", 0, 1)


def test_no_default_prompt_depends_on_known_values(questions):
    """Which variables are known decides what is asked for; their values decide nothing."""
    for asked in questions.all_requests():
        first, second = (
            questions.prompt(asked, Context(known, known_by=LABELS))
            for known in ({"expression": "fear", "AU4": True}, {"expression": "anger", "AU4": False})
        )
        assert first.digest == second.digest
        assert first.given == {}


def test_a_completion_states_the_label_and_how_often_it_is_right(completing):
    known = {"expression": "fear", "AU4": True, "AU12": False, "valence": -0.5}
    prompt = completing.prompt(request("complete"), Context(known, known_by=LABELS))
    assert "- visible expression: fear (right in about 4 of 5)\n" in prompt.text
    assert "- brow lowerer: present (right in about 19 of 20)\n" in prompt.text
    assert "- lip corner puller: absent (right in about 19 of 20)\n" in prompt.text
    assert "- valence: -0.5 (within about 0.2 of the truth in two of three)\n" in prompt.text
    assert prompt.given == known
    assert "expression" not in prompt.schema["properties"]
    other = completing.prompt(request("complete"), Context({**known, "expression": "anger"}, known_by=LABELS))
    assert other.digest != prompt.digest
    # Nothing is known: the same question is blind.
    blind = completing.prompt(request("complete"))
    assert blind.given == {}
    assert "data set" not in blind.text
    # The other questions of the same base are as blind as ever.
    joint = completing.prompt(request("joint"), Context(known, known_by=LABELS))
    assert joint.digest == Questions(seke.knowledge()).prompt(request("joint"), Context(known)).digest
    assert joint.given == {}


def test_words_for_accuracy_come_from_the_table(tmp_path):
    """.95 of labels are 19 of 20, .8 are 4 of 5, .98 are 49 of 50."""
    for accuracy, words in ((0.95, "19 of 20"), (0.8, "4 of 5"), (0.9, "9 of 10"), (0.98, "49 of 50")):
        (tmp_path / "o.yaml").write_text(
            "extends: shipped\nobservers:\n  dataset-label:\n    categorical:\n      expression:\n"
            f"        accuracy: {accuracy}\n        source: judgement\n        note: Made up.\n"
        )
        base = seke.knowledge(tmp_path / "o.yaml")
        assert accuracy_words(base, LABELS, "expression") == f"right in about {words}"
    assert accuracy_words(base, "nobody", "expression") == "it is not known how often this is right"


def test_show_prompts_shows_what_a_completion_tells(completing):
    cases = [case for case, _ in completing.variants(request("complete"))]
    assert cases == ["", ", told what is known"]
    assert ", told what is known" not in [case for case, _ in completing.variants(request("joint"))]


def overlay(folder, text):
    (folder / "o.yaml").write_text("extends: shipped\n" + text)
    return Questions(seke.knowledge(folder / "o.yaml"))


def test_a_template_that_states_what_it_does_not_declare_is_a_fault(tmp_path):
    text = "questions:\n  expression:\n    prompt: 'The set says {{ known[0].value }}. {{ answer }}'\n"
    with pytest.raises(KnowledgeError, match="'known' is undefined; a question whose prompt states"):
        overlay(tmp_path, text).check()


def test_a_question_that_tells_needs_a_word_on_how_often_it_is_followed(tmp_path):
    text = "questions:\n  expression:\n    tells: [affect]\n"
    with pytest.raises(KnowledgeError) as error:
        overlay(tmp_path, text).check()
    assert "questions.expression.tells: nothing says how often observer gpt-4o follows" in str(error.value)
    text += (
        "observers:\n  gpt-4o:\n    halo:\n"
        "      expression: {given: told, probability: 0.5, source: judgement, note: Made up.}\n"
    )
    overlay(tmp_path, text).check()


def test_what_a_question_tells_is_a_level_or_a_variable(tmp_path):
    with pytest.raises(KnowledgeError, match=r"questions\.expression\.tells.*'efect'"):
        overlay(tmp_path, "questions:\n  expression:\n    tells: [efect]\n")


UNITS = {"action_units": ["AU1", "AU2", "AU4", "AU5", "AU20", "AU25"], "valence": -0.5, "arousal": 0.7}


@pytest.mark.parametrize("row", [0, 1, 2, 3])
def test_an_obedient_answer_adds_what_the_example_says(tmp_path, row):
    lines = COMPLETE.with_name("README.md").read_text("utf-8").split("|---|---|---|\n")[1].splitlines()
    told, alone, beside = (cell.strip() for cell in lines[row].strip("|").split("|"))
    probability = told.removesuffix(" (blind)")
    text = COMPLETE.read_text("utf-8").replace("probability: 0.6", f"probability: {probability}")
    (tmp_path / "o.yaml").write_text(text)
    session = Session.open(seke.knowledge(tmp_path / "o.yaml"))
    label = {"observer": LABELS, "question": "joint", "draw": 0, "expression": "fear"}
    answer = {"observer": "gpt-4o", "question": "complete", "draw": 0, "item": "b", **UNITS}
    given = {} if told.endswith("(blind)") else {"given": {"expression": "fear"}}
    records = [{**label, "item": "a"}, {**label, "item": "b"}, {**answer, **given}]
    (answers,) = answers_from(records, session.knowledge)
    fear = session.inference.posterior(answers).marginals["expression"][:, 4]
    assert fear == pytest.approx([float(alone), float(beside)], abs=0.0006)


def test_the_look_ahead_never_chooses_what_tells():
    session = Session.open(seke.knowledge(COMPLETE))
    record = {"item": "a", "observer": "gpt-4o", "question": "joint", "draw": 0, "expression": "fear"}
    (answers,) = answers_from([record], session.knowledge)
    posterior = session.inference.posterior(answers)
    asked = {option.question for option in session.look_ahead.options(answers, posterior, 0)}
    assert "joint" in asked
    assert "complete" not in asked
    assert session.first.question == "complete"
    other = session.with_policy(replace(session.knowledge.policy, first=None))
    assert other.first.question == "joint"


def test_a_label_is_told_first_and_once(tmp_path):
    """Of an item with a label and no answers the completion is due, whatever else is worth more."""
    session = Session.open(seke.knowledge(COMPLETE))
    label = {"observer": LABELS, "question": "joint", "draw": 0, "expression": "fear"}
    told = {"observer": "gpt-4o", "question": "complete", "draw": 0, "given": {"expression": "fear"}, **UNITS}
    records = [{**label, "item": "a"}, {**label, "item": "b"}, {**told, "item": "b"}]
    (answers,) = answers_from(records, session.knowledge)
    first, second = session.judge(answers).decisions.next
    assert first.question == "complete"
    assert second is None or second.question != "complete"


def test_a_fit_leaves_out_what_was_told():
    """What was told shows no look; the items and their counts stay."""
    base = seke.knowledge(COMPLETE)
    keys = {"observer": "gpt-4o", "draw": 0}
    records = [
        {**keys, "item": "a", "question": "complete", "given": {"expression": "fear"}, **UNITS},
        {**keys, "item": "a", "question": "joint", **UNITS},
    ]
    every = LabelledAnswers.read(records, base, None)
    fit = FitData.of(every, base, None, None, unlabelled=True)
    assert len(fit.every.answers.reading_item) == 2
    assert fit.seen.answers.blind.all()
    assert fit.seen.answers.samples.tolist() in ([2], [])
    assert any(warning.startswith("1 readings whose prompt stated") for warning in fit.warnings)


def test_the_example_compiles_and_is_small():
    lines = COMPLETE.read_text("utf-8").splitlines()
    assert lines[1].startswith("# Try: seke annotate examples/annotate/faces.csv")
    assert "complete" in seke.knowledge(COMPLETE).questions
    assert "complete" not in json.dumps(list(seke.knowledge().questions))
