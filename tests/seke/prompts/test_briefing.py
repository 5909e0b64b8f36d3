"""What prompts tell beside the question: what counts, what is taken for what, what looks like a change."""

from __future__ import annotations

import pytest

import seke
from engine import KnowledgeError
from seke.prompts import Questions
from seke.sampling.loop import Request
from seke.vision.messages import Prompt


@pytest.fixture(scope="module")
def questions():
    return Questions(seke.knowledge())


def asked(questions, question, about=None):
    """The text of a question."""
    return questions.prompt(Request("face-1", "gpt-4o", question, about, "face", 0, 1)).text


def told(questions, question, about=None):
    """All that a prompt says."""
    return f"{questions.system()}\n{asked(questions, question, about)}"


OF_UNITS = (("joint", None), ("action_units", None), ("verify", "AU4"))


@pytest.mark.parametrize(("question", "about"), OF_UNITS)
def test_what_counts_stands_in_one_sentence_of_the_knowledge(questions, question, about, tmp_path):
    counts = questions.base.briefing.counts
    assert told(questions, question, about).count(counts) == 1
    (tmp_path / "o.yaml").write_text("extends: shipped\nbriefing: {counts: Only strong changes count.}\n")
    other = told(Questions(seke.knowledge(tmp_path / "o.yaml")), question, about)
    assert counts not in other
    assert other.count("Only strong changes count.") == 1


def test_what_units_are_taken_for_is_written_once_and_read_from_each(questions):
    unlike = questions.base.briefing.unlike
    pairs = {frozenset(alike.of) for alike in unlike}
    assert {frozenset(pair) for pair in (("AU6", "AU7"), ("AU9", "AU10"), ("AU23", "AU24"))} <= pairs
    assert frozenset(("AU12", "AU14", "AU20")) in pairs
    for unit in questions.base.cells:
        text = asked(questions, "verify", unit)
        for alike in unlike:
            assert (alike.statement in text) == (unit in alike.of)
    for alike in unlike:
        for unit in alike.of:
            assert unit in alike.statement
        assert told(questions, "joint").count(alike.statement) == 1


@pytest.mark.parametrize(("question", "about"), OF_UNITS)
def test_what_looks_like_a_change_is_a_line_where_units_are_asked(questions, question, about):
    (line,) = (line for line in told(questions, question, about).splitlines() if "no sign of a unit" in line)
    assert all(text in line for text in questions.base.briefing.confounders.values())


def test_the_joint_question_tells_where_expressions_lie_only_if_it_asks_for_that(questions):
    text = told(questions, "joint")
    assert "- happiness: AU12, AU25, AU6; valence near 0.7, arousal near 0.3.\n" in text
    assert "- neutral: no unit; valence near 0.0, arousal near 0.0.\n" in text
    assert "near" not in told(questions, "affect")
    assert "near" not in told(questions, "expression")


def test_no_description_of_a_unit_excludes_another(questions):
    for unit in questions.base.cells:
        assert "without" not in questions.base.variables[unit].description


def test_what_all_questions_share_is_told_first_and_gives_no_label_a_sign(questions):
    prompts = [questions.prompt(request) for request in questions.all_requests()]
    assert {prompt.system for prompt in prompts} == {questions.system()}
    for unit in questions.base.cells:
        assert questions.system().count(f"- {unit} {questions.base.variables[unit].label} (") == 1
    # What units tell of an expression stays with the question that asks for both.
    assert not any(rule.statement in questions.system() for rule in questions.base.rules if rule.statement)
    assert "near" not in questions.system()


def test_a_template_of_the_briefing_is_checked_at_its_place(tmp_path):
    (tmp_path / "o.yaml").write_text(
        "extends: shipped\nbriefing:\n  prompt: |-\n    One.\n    {{ cuonts }}\n"
    )
    with pytest.raises(KnowledgeError, match=r"o.yaml:5:.*briefing.prompt: line 2 .*did you mean counts"):
        Questions(seke.knowledge(tmp_path / "o.yaml")).check()


def test_a_base_without_a_briefing_has_no_system_message(tmp_path):
    (tmp_path / "o.yaml").write_text("extends: shipped\nremove: [briefing]\n")
    questions = Questions(seke.knowledge(tmp_path / "o.yaml"))
    prompts = [questions.prompt(request) for request in questions.all_requests()]
    assert {prompt.system for prompt in prompts} == {""}
    assert all(prompt == Prompt.of(prompt.text, prompt.schema) for prompt in prompts)
    assert len({Prompt.of("Look.", {}, system).digest for system in ("", "You see.", "You look.")}) == 3
